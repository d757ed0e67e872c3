"""A demo's store is read with the demo's own keys, by a command, where the user names it, and nowhere else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from huracan.app.demos import MARK_FILE, DemoMark, read_mark, write_mark
from huracan.cli.demo import demo_folder
from huracan.cli.demo_ending import ending, keep_features
from huracan.cli.demo_outcome import FirstPrediction
from huracan.cli.run_result import run_result
from huracan.domain.time import parse_iso
from huracan.errors import ConfigError, ModelLoadError
from huracan.hamilton import HamiltonInterface

TRUST = ("HURACAN_KEYS_DIR", "HURACAN_TRUSTED_ROOT", "HURACAN_STATE_DIR", "HURACAN_WORKDIR")


@pytest.fixture
def demo(finished_night, tmp_path, monkeypatch):
    """The finished night as a demo leaves it, and a user who has never seen any store."""
    for name in TRUST:
        monkeypatch.delenv(name, raising=False)
    for name, place in {"XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}.items():
        monkeypatch.setenv(name, str(tmp_path / "home" / place))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a demo"
    shutil.copytree(finished_night.folder / "workdir", folder)
    for name in ("keys", "trust"):
        shutil.copytree(finished_night.folder / name, folder / name)
    write_mark(DemoMark(workdir=folder, world="demo", now_ms=parse_iso(finished_night.result["summary"]["now"])))
    return folder


def test_a_named_demo_is_read_with_its_keys_and_says_so(huracan, demo):
    answer = huracan("champions", "list", "--workdir", demo, "--json")
    assert answer.status == 0
    assert answer.json["models"]
    assert "demo keys: a simulated market" in answer.err
    assert not (demo.parent / "home").exists()


def test_the_variable_and_the_store_itself_name_it_too(huracan, demo, monkeypatch):
    assert huracan("champions", "verify", "--store", demo / "store").status == 0
    monkeypatch.setenv("HURACAN_WORKDIR", str(demo))
    assert huracan("champions", "verify").status == 0


def test_a_demo_in_the_default_place_is_not_believed_unnamed(huracan, demo):
    demo.rename(demo.parent / "huracan-work")
    answer = huracan("champions", "list")
    assert answer.status != 0
    assert "believed only where you name it" in answer.err
    assert huracan("champions", "list", "--workdir", "huracan-work").status == 0


def test_hamilton_itself_never_believes_a_mark(demo):
    with pytest.raises(
        ModelLoadError, match=r"no trusted root at .* The store says that it is signed by key [0-9a-f]{16}"
    ):
        HamiltonInterface(demo / "store").get_members()
    with pytest.raises(ModelLoadError, match="no trusted root at"):
        HamiltonInterface(demo / "store").predict("ALFA", "1h", {})


def test_a_root_that_the_environment_names_is_the_only_one_believed(huracan, demo, monkeypatch, tmp_path):
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(tmp_path / "production.json"))
    answer = huracan("champions", "list", "--workdir", demo)
    assert answer.status != 0
    assert "HURACAN_TRUSTED_ROOT is set, and nothing else is believed then" in answer.err


def test_a_mark_inside_the_store_makes_nobody_believe_it(huracan, demo):
    """Whoever writes the store alone: a mark and a root there are not looked at."""
    bare = demo.parent / "served" / "store"
    shutil.copytree(demo / "store", bare)
    shutil.copy(demo / MARK_FILE, bare / MARK_FILE)
    shutil.copytree(demo / "trust", bare / "trust")
    answer = huracan("champions", "list", "--store", bare)
    assert answer.status != 0
    assert "demo keys" not in answer.err


def test_a_store_with_another_name_or_a_link_is_no_demo_s(huracan, demo):
    (demo / "store").rename(demo / "models")
    assert huracan("champions", "list", "--store", demo / "models").status != 0
    (demo / "store").symlink_to(demo / "models")
    assert huracan("champions", "list", "--workdir", demo).status != 0


@pytest.mark.parametrize("file", [MARK_FILE, "trust/root.json"])
def test_what_others_may_write_is_not_believed(huracan, demo, file):
    (demo / file).chmod(0o666)
    answer = huracan("champions", "list", "--workdir", demo)
    assert answer.status != 0
    assert "is not a file of yours that you alone can write" in answer.err


def test_a_folder_that_others_may_write_is_not_believed(huracan, demo):
    demo.chmod(0o777)
    answer = huracan("champions", "list", "--workdir", demo)
    assert answer.status != 0
    assert "you alone can write" in answer.err


def test_a_store_read_under_another_root_before_stays_with_that_root(huracan, demo, tmp_path, monkeypatch):
    """A trading host's store whose folder was taken over by a marked one."""
    from huracan.export.trust import Seen
    from huracan.hamilton.state import StoreState, state_home

    store = (demo / "store").resolve()
    StoreState(state_home(), str(store), str(demo / "store")).remember(
        Seen(root=1, timestamp=1, snapshot=1, targets=1, online_keys=("f" * 64,))
    )
    answer = huracan("champions", "list", "--workdir", demo)
    assert answer.status != 0
    assert "under a trusted root of your own before" in answer.err


def test_reading_the_demo_on_purpose_first_does_not_close_it_to_commands(huracan, demo):
    hamilton = HamiltonInterface(demo / "store", trusted_root=demo / "trust" / "root.json")
    assert hamilton.get_members()
    assert huracan("champions", "list", "--workdir", demo).status == 0


def test_a_foreign_store_says_whose_key_is_missing_where_it_was_looked_for_and_how_to_trust_it(
    huracan, demo, tmp_path, monkeypatch
):
    for name in TRUST[:3]:
        monkeypatch.setenv(name, str(tmp_path / "mine" / name.lower()))
    assert huracan("keys", "init").status == 0
    answer = huracan("champions", "list", "--workdir", demo)
    assert answer.status != 0
    assert "BUNDLE_SIGNATURE" in answer.err
    assert "is signed by key" in answer.err
    assert (
        f"The trusted root is {tmp_path / 'mine' / 'huracan_trusted_root'} (named by HURACAN_TRUSTED_ROOT)"
        in answer.err
    )
    assert "To trust that host on purpose, copy its root.json" in answer.err


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff", b"[" * 100, b" " * 9000])
def test_a_mark_that_is_none_is_no_mark(tmp_path, body):
    (tmp_path / MARK_FILE).write_bytes(body)
    assert read_mark(tmp_path) is None


def test_a_pipe_or_a_folder_in_the_mark_s_place_is_no_mark(tmp_path):
    os.mkfifo(tmp_path / MARK_FILE)
    assert read_mark(tmp_path) is None
    (tmp_path / "other" / MARK_FILE).mkdir(parents=True)
    assert read_mark(tmp_path / "other") is None


@pytest.mark.parametrize("words", [("run",), ("publish",), ("champions", "rollback"), ("keys", "rotate")], ids=" ".join)
def test_what_belongs_to_a_real_market_is_refused_in_a_demo_s_workdir(huracan, demo, words):
    answer = huracan(*words, "--workdir", demo)
    assert answer.status == 2
    assert "is the workdir of a demo" in answer.err


def test_a_demo_does_not_move_into_the_workdir_of_real_nights(demo, tmp_path):
    (demo / MARK_FILE).unlink()
    with pytest.raises(ConfigError, match="is the workdir of real nights"):
        demo_folder(demo)
    assert demo_folder(tmp_path / "new").is_dir()


@pytest.mark.slow
def test_every_command_that_a_demo_prints_works_as_printed_in_a_fresh_home(
    demo, finished_night, tmp_path, reader_prediction
):
    """Also from another folder, in another shell, without the virtual environment on the path."""
    shown = keep_features(demo, run_result(finished_night.result), reader_prediction)
    steps = ending(demo, shown, parse_iso(finished_night.result["summary"]["now"]), "ALFA")
    assert len(steps.commands) == 5
    assert len(steps.python.splitlines()) == 7
    for number, line in enumerate((*steps.commands, steps.python)):
        home = tmp_path / f"home {number}"
        home.mkdir()
        done = _in_a_shell(line, home)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), line
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_after_the_line_for_the_shell_the_readme_s_commands_work_as_written(demo, finished_night, tmp_path):
    steps = ending(demo, None, 0, "ALFA")
    for command in ("huracan champions list", "huracan explain ALFA", "huracan report", "huracan ledger show"):
        done = _in_a_shell(f"{steps.once}\n{command}", tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.fixture
def reader_prediction(finished_night):
    """Which model the demo would show: any of the night's champions."""
    row = next(iter(finished_night.result["champions"].values()))
    return FirstPrediction(
        coin=row["coin"], horizon=row["horizon"], direction="hold", edge_bps=0.0, net_edge_bps=0.0, confidence=0.0,
        position_fraction=0.0, blocked_reason=None, equals_training=True,
    )  # fmt: skip


def _in_a_shell(line: str, home: Path) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"LANG", "NUMBA_CACHE_DIR", "COVERAGE_PROCESS_START"}
    }
    variables = {**kept, "HOME": str(home), "PATH": "/usr/bin:/bin", "BROWSER": "true %s"}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return subprocess.run(
        ["bash", "-c", line],
        env={**variables, "XDG_CACHE_HOME": str(cache)},  # compiled kernels: seconds, and nothing of a user's
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
