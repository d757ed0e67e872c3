"""One rule for workdir and store, and what a command says where it finds none."""

import json

import pytest

from huracan.cli.places import NoWorkdirError, no_workdir, store_of, typed_again, workdir_of, workdirs_near
from huracan.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder, and no variable that names a workdir or a store."""
    for name in ("HURACAN_WORKDIR", "HURACAN_HAMILTON__MODEL_BASE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def workdir(folder):
    (folder / "store" / "metadata").mkdir(parents=True)
    return folder


def test_the_option_goes_over_the_variable_over_the_default(here, monkeypatch):
    assert workdir_of(None) == here / "huracan-work"
    monkeypatch.setenv("HURACAN_WORKDIR", "named")
    assert workdir_of(None) == here / "named"
    assert workdir_of("given") == here / "given"


def test_the_store_is_that_of_the_workdir_unless_it_is_named(here, monkeypatch):
    for name in ("huracan-work", "variable", "given", "served"):
        workdir(here / name)
    assert (store_of(None, None).path, store_of(None, None).named) == (here / "huracan-work" / "store", False)
    monkeypatch.setenv("HURACAN_WORKDIR", str(here / "variable"))
    assert (store_of(None, None).path, store_of(None, None).named) == (here / "variable" / "store", True)
    monkeypatch.setenv("HURACAN_HAMILTON__MODEL_BASE_PATH", str(here / "served" / "store"))
    assert store_of(None, None).path == here / "served" / "store"
    assert store_of(None, here / "given").path == here / "given" / "store"
    assert store_of(str(here / "variable" / "store"), here / "given").path == here / "variable" / "store"


def test_a_workdir_given_as_a_store_is_told(here):
    with pytest.raises(ConfigError, match="is a workdir, no store: give --workdir"):
        store_of(str(workdir(here / "mine")), None)


def test_workdirs_here_and_one_level_below_are_found(here):
    workdir(here / "one")
    workdir(here / "project" / "two")
    workdir(here / "far" / "too" / "deep")
    (here / "other").mkdir()
    assert {folder.name for folder in workdirs_near(here)} == {"one", "two"}


def test_the_command_is_printed_again_with_a_workdir_that_is_there(here):
    workdir(here / "my demo")
    error = no_workdir("no summary in ./huracan-work")
    assert "use a workdir that is here: my demo" in str(error)
    told = typed_again(error, ["explain", "ALFA", "--workdir", "wrong", "--store=x", "--json"])
    assert told.splitlines()[1].endswith("huracan explain ALFA --json --workdir 'my demo'")
    assert f"export HURACAN_WORKDIR='{here / 'my demo'}'" in told


def refused(folder, *, page=True):
    """A workdir whose only night was refused."""
    (folder / "reports" / "20260101T0000-a").mkdir(parents=True)
    if page:
        (folder / "reports" / "20260101T0000-a" / "index.html").write_text("why", encoding="utf-8")
    told = {"format": "huracan-progress/1", "state": "refused", "code": "UPSTREAM", "error": "no answer from the host"}
    (folder / "progress.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


@pytest.mark.parametrize("words", [("explain",), ("predict", "BTC", "1h"), ("champions", "list"), ("ledger", "show")])
def test_a_workdir_whose_only_night_was_refused_is_not_offered_to_itself(huracan, here, words):
    refused(here / "huracan-work")
    told = huracan(*words).err
    assert "the newest night here was refused with UPSTREAM; see `huracan report`, then run again" in told
    assert "--workdir huracan-work" not in told
    workdir(here / "other")
    told = huracan(*words).err
    assert "refused with UPSTREAM" in told
    assert "--workdir other" in told
    assert "huracan-work," not in told


def test_a_refused_night_without_a_page_says_itself_why(huracan, here):
    refused(here / "mine", page=False)
    for words in (("explain", "--workdir", "mine"), ("report", "--workdir", "mine")):
        assert "refused with UPSTREAM; it said: no answer from the host, then run again" in huracan(*words).err


def test_a_report_of_no_known_run_names_the_newest_ones(huracan, here):
    refused(here / "huracan-work")
    answer = huracan("report", "--run-id", "x")
    assert (answer.status, answer.out) == (2, "")
    assert "no page of run x in huracan-work/reports; it has 20260101T0000-a" in answer.err


def test_a_folder_without_a_lake_says_what_makes_one(huracan, here):
    told = huracan("lake", "coverage").err
    assert "there is no lake in huracan-work; `huracan run` and `huracan lake fill` make one" in told


def test_without_any_workdir_nothing_is_offered(here):
    error = no_workdir("no ledger")
    assert "no folder here is one" in str(error)
    assert typed_again(error, ["report"]) == ""


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "BTC"),
        ("report",),
        ("ledger", "show"),
        ("lake", "coverage"),
        ("champions", "list"),
        ("champions", "show", "BTC", "1h"),
        ("champions", "verify"),
        ("dashboard",),
        ("publish",),
        ("champions", "rollback"),
        ("ledger", "adopt", "--note=why"),
    ],
    ids=" ".join,
)
def test_every_command_that_finds_nothing_names_the_workdirs_that_are_here(huracan, here, words):
    workdir(here / "mine")
    answer = huracan(*words)
    assert answer.status == 2
    assert f"huracan {' '.join(words)} --workdir mine" in answer.err
    assert "Traceback" not in answer.err


def test_a_current_folder_that_is_gone_is_told(huracan, here, monkeypatch):
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (("explain", "BTC"), ("report",), ("ledger", "show")):
        answer = huracan(*words)
        assert (answer.status, "the current folder is gone" in answer.err) == (2, True)
    monkeypatch.chdir(here)


def test_an_unreadable_neighbour_is_no_error(here):
    (here / "closed").mkdir(mode=0)
    try:
        assert workdirs_near(here) == []
    finally:
        (here / "closed").chmod(0o700)


def test_the_error_is_a_configuration_error():
    assert issubclass(NoWorkdirError, ConfigError)
