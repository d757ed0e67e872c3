"""A workdir is read as it is, whatever state it is in, and nothing in it changes."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from dashboards import ledger_of_another_kind, progress, summary
from nights import tree_hashes

from huracan.adapters.dashboard import WorkdirReader
from huracan.adapters.dashboard.reading import newest_report
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.locks import lock_holder
from huracan.reports.live import live_page


def test_an_empty_workdir_and_a_missing_one_are_pages_too(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        view = WorkdirReader(folder).view()
        assert (view.state, view.progress, view.summary, view.nights, view.problems) == ("none", None, None, (), ())
        assert "No night has finished here yet" in live_page(view)
    assert not (tmp_path / "missing").exists()


def test_a_running_night_is_told_from_an_interrupted_one_by_the_lock(workdir):
    reader = WorkdirReader(workdir)
    assert reader.view().state == "interrupted"
    (workdir / "store").mkdir()
    lock = os.open(workdir / "store" / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert lock_holder(workdir / "store") == os.getpid()
        assert reader.view().state == "running"
    finally:
        os.close(lock)
    assert lock_holder(workdir / "store") is None
    assert reader.view().state == "interrupted"


def test_looking_at_the_lock_never_takes_it(workdir):
    (workdir / "store").mkdir()
    (workdir / "store" / ".lock").touch()
    code = (
        "import fcntl, sys\nfor _ in range(2000):\n    f = open(sys.argv[1], 'r+')\n"
        "    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n    f.close()\nprint('never refused')"
    )
    taker = subprocess.Popen(
        [sys.executable, "-c", code, str(workdir / "store" / ".lock")], stdout=subprocess.PIPE, text=True
    )
    while taker.poll() is None:
        lock_holder(workdir / "store")
    assert taker.communicate()[0].strip() == "never refused"


def test_a_system_without_a_table_of_locks_leaves_it_open(workdir, tmp_path, monkeypatch):
    (workdir / "store").mkdir()
    (workdir / "store" / ".lock").touch()
    with pytest.raises(OSError, match="no such table"):
        lock_holder(workdir / "store", tmp_path / "no such table")
    monkeypatch.setattr("huracan.adapters.dashboard.reading.lock_holder", lambda _store: _raise())
    assert WorkdirReader(workdir).view().state == "running"


def _raise():
    raise OSError("no /proc here")


@pytest.mark.parametrize("damage", ["truncated", "noise", "another kind", "facts"])
def test_a_damaged_ledger_is_a_sentence_on_the_page(workdir, damage):
    path = workdir / "ledger.sqlite"
    with SqliteLedger(path) as ledger:
        ledger.record_run("run-1", started_ms=1, facts={"now": "2026-05-01T00:00:00Z"})
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "noise":
        path.write_bytes(b"\x07" * 9000)
    elif damage == "another kind":
        path.unlink()
        ledger_of_another_kind(path)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE runs SET facts = '[1'")
            connection.commit()
    view = WorkdirReader(workdir).view()
    assert view.nights == ()
    assert "bring back a copy" in view.problems[0]
    assert "bring back a copy" in live_page(view)


@pytest.mark.parametrize("body", ["", "[]", "{", '"text"', "[" * 100_000])
def test_a_damaged_progress_or_summary_is_a_sentence_on_the_page(workdir, body):
    (workdir / "progress.json").write_text(body)
    (workdir / "summaries" / "20260502_000000_summary.json").write_text(body)
    view = WorkdirReader(workdir).view()
    assert [problem.split()[0] for problem in view.problems] == ["progress.json", "20260502_000000_summary.json"]
    assert "cannot be read" in live_page(view)


def test_a_progress_file_of_another_version_is_not_guessed_at(workdir):
    (workdir / "progress.json").write_text(json.dumps(progress(format="huracan-progress/9")))
    view = WorkdirReader(workdir).view()
    assert view.progress is None
    assert "another version" in view.problems[0]


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, [None], [7], {"a": 1}, -1.5, True])
def test_fields_of_another_kind_never_break_the_page(workdir, value):
    for name in ("evidence", "champions", "skipped", "cache", "verdict", "errors", "champions_count"):
        (workdir / "summaries" / "20260502_000000_summary.json").write_text(json.dumps(summary(**{name: value})))
        live_page(WorkdirReader(workdir).view())
    for name in ("stages", "running", "recent", "members", "started_ms", "updated_ms", "workers", "run_id", "error"):
        (workdir / "progress.json").write_text(json.dumps(progress(**{name: value})))
        live_page(WorkdirReader(workdir).view())


def test_a_finished_night_is_read_whole_and_nothing_changes(reader_of_night):
    reader, night = reader_of_night
    before = {name: digest for name, digest in tree_hashes(reader.workdir).items() if not name.startswith("ledger")}
    view = reader.view()
    assert view.problems == ()
    assert view.state == "finished"
    assert view.nights[0].run_id == night.result["run_id"]
    assert view.nights[0].champions == len(night.result["champions"])
    assert view.nights[0].page is True
    assert view.store is not None
    assert view.store.problem is None
    assert view.store.run_id == night.result["run_id"]
    assert view.store.champions == len(night.result["champions"])
    page = live_page(view)
    assert night.result["summary"]["verdict"].split(",")[0].split(" ")[0] in page
    for champion in night.result["champions"].values():
        assert champion["coin"] in page
    after = {name: digest for name, digest in tree_hashes(reader.workdir).items() if not name.startswith("ledger")}
    assert after == before


def test_a_store_that_does_not_verify_says_why(reader_of_night, tmp_path):
    reader, _ = reader_of_night
    assert "No trusted root" in WorkdirReader(reader.workdir, trusted_root=tmp_path / "none.json").view().store.problem
    (tmp_path / "root.json").write_text("{}")
    problem = WorkdirReader(reader.workdir, trusted_root=tmp_path / "root.json").view().store.problem
    assert problem.startswith("BUNDLE_SIGNATURE")


def test_only_the_two_files_of_a_report_are_given_out(workdir, tmp_path):
    folder = workdir / "reports" / "run-1"
    folder.mkdir(parents=True)
    for name in ("index.html", "plotly.min.js", "decision_events.parquet"):
        (folder / name).write_text(name)
    (workdir / "reports" / "linked").symlink_to(folder)
    (workdir / "reports" / "inside").mkdir()
    (workdir / "reports" / "inside" / "index.html").symlink_to("/etc/passwd")
    reader = WorkdirReader(workdir)
    assert reader.report_file("run-1", "index.html") == folder / "index.html"
    assert reader.report_file("run-1", "plotly.min.js") == folder / "plotly.min.js"
    for run_id, name in [
        ("run-1", "decision_events.parquet"), ("..", "index.html"), (".", "index.html"), ("", "index.html"),
        ("../reports/run-1", "index.html"), ("linked", "index.html"), ("inside", "index.html"), ("run\0", "index.html"),
    ]:  # fmt: skip
        assert reader.report_file(run_id, name) is None
    assert newest_report(workdir) == folder / "index.html"
    assert newest_report(workdir, "run-2") is None
    assert newest_report(tmp_path) is None


def test_a_copy_that_waits_is_told_until_it_has_the_set(finished_night, tmp_path):
    workdir = shutil.copytree(finished_night.store.parent, tmp_path / "workdir")
    root = finished_night.folder / "trust" / "root.json"
    signed = WorkdirReader(workdir, trusted_root=root).view().store.signed_ms
    reader = WorkdirReader(workdir, trusted_root=root, now_ms=lambda: signed + 1000)
    assert (reader.view().store.copies, "copies behind" in live_page(reader.view())) == ((), False)
    record = workdir / "store" / ".mirrors.json"
    for state, told in (("PUBLISH_PENDING", True), ("PUBLISHED", False)):
        record.write_text(json.dumps({"s3://a/b": {"state": state, "pointer": None}}))
        assert reader.view().store.copies == (("s3://a/b", state),)
        assert ("s3://a/b is PUBLISH_PENDING" in live_page(reader.view())) is told
    record.write_text("[not what we write")
    assert reader.view().store.copies == ()
