"""A user without HOME and without a passwd entry: what a container platform gives, and cron with an empty environment."""

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from other_user import AS_USER, USER, needs_root

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
HURACAN = Path(sys.executable).with_name("huracan")

pytestmark = [pytest.mark.slow, needs_root]


@pytest.fixture
def place():
    """A folder of that user's, below others that anybody may enter."""
    with pytest.raises(KeyError):
        pwd.getpwuid(USER)
    with tempfile.TemporaryDirectory(prefix="huracan-no-home-") as folder:
        os.chown(folder, USER, USER)
        yield Path(folder)


def ran(command, **environment):
    """The command as that user, in an environment of these variables alone."""
    return subprocess.run(
        [*AS_USER, *map(str, command)],
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def image_variables(place):
    """What the shipped image sets, with its state folder moved here."""
    line = DOCKERFILE.read_text().replace("\\\n", " ")
    given = re.findall(r"((?:HURACAN|XDG)_[A-Z_]+)=(\S+)", line[line.rindex("\nENV ") :])
    assert len(given) >= 5
    return {name: value.replace("/var/lib/huracan", str(place)) for name, value in given}


def test_every_command_says_which_variables_to_set(place):
    run = ("run", "--workdir", place / "work")
    state = {"HURACAN_STATE_DIR": str(place / "state")}
    for words, given, variable in (
        (("keys", "init"), {}, "HURACAN_KEYS_DIR"),
        (("doctor",), {}, "HURACAN_KEYS_DIR"),
        (run, {}, "HURACAN_STATE_DIR"),
        (run, state, "HURACAN_KEYS_DIR"),
        (("champions", "list", "--store", "s3://champions/huracan"), state, "XDG_CACHE_HOME"),
    ):
        done = ran([HURACAN, *words, "--json"], **given)
        assert "Traceback" not in done.stderr, words
        assert done.returncode == 2, (words, done.stderr)
        assert variable in done.stdout, words


def test_hamilton_is_imported_and_names_the_variable_of_its_state(place):
    store = place / "store"
    (store / "metadata").mkdir(parents=True)
    code = f"from huracan.hamilton import HamiltonInterface as H; H({str(store)!r})"
    done = ran([sys.executable, "-c", code])
    assert "ConfigError" in done.stderr
    assert "HURACAN_STATE_DIR or XDG_STATE_HOME" in done.stderr

    done = ran([sys.executable, "-c", code], HURACAN_STATE_DIR=str(place / "state"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_variables_of_the_shipped_image_are_all_that_is_needed(place):
    variables = image_variables(place)
    done = ran([HURACAN, "keys", "init", "--json"], **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"] == f"{place}/keys"

    done = ran([HURACAN, "doctor", "--json"], HURACAN_BINANCE__REST_URL="http://127.0.0.1:9", **variables)
    found = {row["what"]: row for row in json.loads(done.stdout)["findings"]}
    assert {found[what]["state"] for what in ("kernel cache", "signing keys", "workdir", "store", "trusted root")} == {
        "right"
    }
