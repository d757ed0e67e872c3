"""How a command ends that a person interrupts, or that may not write where it has to."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from nights import trust_variables
from other_user import AS_USER, USER, needs_root

from huracan.adapters.dashboard import WorkdirReader

pytestmark = pytest.mark.slow

HURACAN = Path(sys.executable).with_name("huracan")


def test_ctrl_c_in_a_night_is_told_as_such_and_the_next_run_goes_on(tmp_path):
    command = [
        "env",
        "--default-signal=INT",
    ]  # a suite that runs in the background ignores it, and so would the command
    command += [HURACAN, "demo", "--days", "70", "--out", tmp_path / "demo", "--json"]
    environment = {**os.environ, **trust_variables(tmp_path)}
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            if '"wave_started"' in line:
                process.send_signal(signal.SIGINT)
                break
        out, rest = process.communicate()
    err = "".join(told) + rest
    assert process.returncode == 130, err
    assert json.loads(out) == {"success": False, "code": "INTERRUPTED", "error": "interrupted; start again to go on"}
    assert "Traceback" not in err
    assert "CancelledError" not in err
    assert "run_interrupted" in err
    view = WorkdirReader(tmp_path / "demo").view()
    assert (view.state, view.progress.code) == ("interrupted", "INTERRUPTED")
    with closing(sqlite3.connect(tmp_path / "demo" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT status FROM runs").fetchall() == [("interrupted",)]


@pytest.fixture
def closed():
    """A folder that another user owns, below folders that anybody may enter."""
    with tempfile.TemporaryDirectory(prefix="huracan-closed-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
@pytest.mark.parametrize(
    "words",
    [
        ("run", "--workdir", "{}/work"),
        ("demo", "--out", "{}/demo"),
        ("lake", "fill", "--workdir", "{}/work", "--symbols", "BTCUSDT"),
        ("run", "--workdir", "{}"),
        ("keys", "init"),
        ("run", "--workdir", "{}/file/work"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_place_that_this_user_may_not_write_is_a_setting_to_mend(closed, words):
    (closed / "file").touch()
    line = [*AS_USER, str(HURACAN), *(word.format(closed) for word in words), "--json"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(closed)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    answer = json.loads(done.stdout)
    assert answer.get("code") == "CONFIG" or answer["error"].startswith("CONFIG")
    assert str(closed) in answer["error"]


@needs_root
def test_a_home_that_cannot_be_written_is_known_before_the_night_and_said_by_the_doctor(closed):
    (closed / "own").mkdir()
    os.chown(closed / "own", USER, USER)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(closed), "HURACAN_STATE_DIR": f"{closed}/own/state"}
    environment["HURACAN_BINANCE__REST_URL"] = "http://127.0.0.1:9"
    line = [*AS_USER, str(HURACAN), "run", "--workdir", f"{closed}/own/work", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
    assert done.returncode == 2, done.stderr
    assert "HURACAN_KEYS_DIR" in json.loads(done.stdout)["error"]
    line[len(AS_USER) + 1] = "doctor"
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
    rows = {row["what"]: row for row in json.loads(done.stdout)["findings"]}
    assert (rows["signing keys"]["state"], rows["signing keys"]["code"]) == ("wrong", "CONFIG")
    assert "HURACAN_KEYS_DIR" in rows["signing keys"]["advice"]
    assert "XDG_CACHE_HOME" in rows["kernel cache"]["seen"]
    assert "HURACAN_TRUSTED_ROOT" in rows["trusted root"]["advice"]


@needs_root
def test_a_copy_of_a_ledger_that_nobody_may_write_is_shown(closed, finished_night):
    """A backup, mounted for reading: by another user, in a folder of another user."""
    copy = closed / "backup"
    copy.mkdir()
    with closing(sqlite3.connect(finished_night.folder / "workdir" / "ledger.sqlite")) as ledger:
        ledger.execute("VACUUM INTO ?", (str(copy / "ledger.sqlite"),))
    (copy / "ledger.sqlite").chmod(0o444)
    copy.chmod(0o555)
    line = [*AS_USER, str(HURACAN), "ledger", "show", "--workdir", str(copy), "--json"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(closed)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lineages"]
    assert sorted(path.name for path in copy.iterdir()) == ["ledger.sqlite"]

    (copy / "ledger.sqlite-wal").write_bytes(b"rows that are not in the file yet")
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
    assert json.loads(done.stdout)["code"] == "LEDGER"
    assert "Copy both files" in json.loads(done.stdout)["error"]
