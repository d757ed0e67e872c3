"""Every command of the app against places, keys and words that are wrong: no traceback, one line with a code, one JSON object.

The commands come from the app itself, so a new one is covered at once; what it cannot do without stands in SAMPLES.
"""

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from every_command import NO_NETWORK, Command, Ending, every_command, run_lines
from nights import trust_variables
from other_user import AS_USER, USER, needs_root

pytestmark = pytest.mark.slow

COMMANDS = {command.name: command for command in every_command()}
PLACES = {
    "workdir",
    "store",
    "out",
    "config",
    "candles",
    "features",
    "book",
    "faults",
    "venue_options",
    "target",
    "path",
}
"""Parameters that name a file or a folder."""
WHOLE_NIGHT = {"demo"}
"""What takes minutes where nothing is wrong with what was typed."""
READERS = [
    name
    for name in COMMANDS
    if name.split()[0] in {"predict", "explain", "report", "champions", "lake", "ledger", "publish"}
]
"""Commands that have nothing to say where there is nothing."""
FILES = (
    "summaries/20260101_000000_summary.json", "ledger.sqlite", "plan.json", "progress.json", "metadata/timestamp.json",
    "store/metadata/timestamp.json", "store/metadata/root.json", "snapshots/x.json", "exchange.sqlite",
    "lake/1m/bars/BTCUSDT-um/_delta_log/00000000000000000000.json", "um/BTCUSDT/1m.parquet",
    "models/BTC/1h/v1/manifest.json", "artefacts/a", "photo.jpg",
)  # fmt: skip
HOSTILE = (
    "", " ", "x" * 5000, "a\nb", "../../../etc/passwd", "\u202e币😀", "\x1b[31mred", "nul\0byte", "-1", "\udcff", "%s{}$HOME",
)  # fmt: skip


def empty(place):
    place.mkdir(parents=True)


def a_file(place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"\0a file\xff")


def foreign(place):
    for name in FILES:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"somebody else's \xff\xfe holiday")


def faults(endings: list[Ending]) -> list[str]:
    """What is wrong with how command lines ended."""
    return [f"{ending.line}: {wrong}" for ending in endings for wrong in _faults(ending)]


def _faults(ending: Ending) -> list[str]:
    if ending.fault is not None:
        return [ending.fault[-1500:]]
    found = []
    if "Traceback" in ending.err:
        found.append(ending.err[-1500:])
    if "--json" in ending.line:
        served = ending.status == 0 and not ending.out  # a server that was not let serve
        try:
            told = {} if served else ending.told
        except ValueError:
            return [*found, f"no JSON on stdout: {ending.out[:300]!r}"]
        if not isinstance(told, dict):
            found.append("JSON on stdout is no object")
        elif (ending.status == 0) == (told.get("success") is False):
            if not (ending.status and "success" not in told):  # an account of what was found, with its own status
                found.append(f"status {ending.status} with {str(told)[:300]}")
        elif told.get("success") is False and "code" in told and not re.fullmatch("[A-Z_]+", str(told["code"])):
            found.append(f"code {told['code']!r}")
    elif ending.status and not re.match(r"[A-Z_]+: \S", ending.err.strip().splitlines()[-1] if ending.err else ""):
        found.append(
            f"status {ending.status} without a line that has a code: {ending.out[-300:]!r} {ending.err[-300:]!r}"
        )
    return found


def lines_at(base: Path, make) -> list[list[str]]:
    """Every command with every parameter that names a place, each at one made for it alone."""
    lines = []
    for command in COMMANDS.values():
        for name in command.texts():
            if name in PLACES and not (command.name in WHOLE_NIGHT and make is not a_file):
                place = base / f"{len(lines)}"
                make(place)
                lines.append(command.line(**{name: str(place)}))
    return lines


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "far" / "below" / "a" / "home"
    folder.mkdir(parents=True)
    return folder


def run(lines, home, **more):
    return run_lines(lines, cwd=home, environment={**NO_NETWORK, "HOME": str(home), **more})


@pytest.mark.parametrize("make", [empty, a_file, foreign], ids=lambda make: make.__name__)
def test_no_place_ends_in_a_traceback(home, tmp_path, make):
    lines = lines_at(tmp_path / "places", make)
    assert len(lines) > 40
    assert faults(run(lines, home)) == []


def test_where_there_is_nothing_each_command_says_so_in_one_line(home):
    lines = [[word for word in COMMANDS[name].line() if word != "--json"] for name in READERS]
    endings = run(lines, home)
    assert faults(endings) == []
    for ending in endings:
        assert ending.status != 0, ending.line
        assert len(ending.err.strip().splitlines()) == 1, ending.err
        assert ending.out == ""


@pytest.mark.parametrize("option", ["workdir", "store"])
def test_a_file_is_no_folder_for_the_live_page(home, option):
    a_file(home / "file")
    (ending,) = run([COMMANDS["dashboard"].line(**{option: str(home / "file")})], home)
    assert (ending.status, ending.told["code"]) == (2, "CONFIG")
    assert "is no folder" in ending.told["error"]


def test_without_a_network_the_exchange_is_named_and_nothing_hangs(home):
    endings = run([COMMANDS["run"].line(), COMMANDS["lake fill"].line()], home)
    assert faults(endings) == []
    for ending in endings:
        assert (ending.status, ending.told["code"]) == (3, "UPSTREAM")
        assert "http://127.0.0.1:9" in ending.told["error"]


@needs_root
def test_a_folder_that_this_user_may_not_write_is_told(home):
    with tempfile.TemporaryDirectory(prefix="huracan-closed-") as name:
        Path(name).chmod(0o755)
        lines = [
            command.line(**{place: f"{name}/work"})
            for command in COMMANDS.values()
            for place in (one for one in command.texts() if one in PLACES)
        ]
        lines += [
            command.line() for command in COMMANDS.values() if command.name not in {*WHOLE_NIGHT, "engines check"}
        ]
        endings = run_lines(lines, cwd=Path(name), environment={**NO_NETWORK, "HOME": name}, before=AS_USER)
        assert faults(endings) == []
        assert list(Path(name).iterdir()) == []
    assert USER


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WHOLE_NIGHT])
def test_no_word_that_can_be_typed_ends_in_a_traceback(home, name):
    command = COMMANDS[name]
    lines = [command.line(**{param: word}) for param in command.texts() for word in HOSTILE]
    endings = run(lines, home)
    assert faults(endings) == []
    for ending in endings:
        assert "\x1b[31m" not in ending.err + ending.out
        if ending.status:
            said = [line for line in ending.err.splitlines() if not line.startswith("{")]  # log lines are for programs
            assert len(max(said, key=len, default="")) < 2000, "a word of thousands of letters is repeated"


@pytest.fixture
def copied(finished_night, tmp_path):
    """The folder of a night that may be written, and an environment with keys and a trusted root of somebody else."""
    shutil.copytree(finished_night.folder / "workdir", tmp_path / "workdir")
    return tmp_path / "workdir", {**trust_variables(tmp_path / "other")}


def test_another_key_is_refused_by_whatever_reads_or_signs_the_store(copied, home):
    workdir, other = copied
    made = run([COMMANDS["keys init"].line()], home, **other)
    assert made[0].status == 0, made[0].err
    lines = []
    for command in COMMANDS.values():
        if command.name in {*WHOLE_NIGHT, "keys init"}:
            continue
        given = {"workdir": str(workdir), "store": str(workdir / "store")}
        lines.append(command.line(**{name: value for name, value in given.items() if name in command.params}))
    endings = run(lines, home, **other)
    assert faults(endings) == []
    refused = {
        "predict",
        "champions list",
        "champions show",
        "champions verify",
        "champions rollback",
        "publish",
        "keys rotate",
    }
    for ending in endings:
        if " ".join(ending.line[:2]) in refused or ending.line[0] in refused:
            assert ending.status != 0, ending.line
            assert ending.told["success"] is False


def test_a_command_line_is_made_of_samples_and_what_is_given():
    command: Command = COMMANDS["predict"]
    assert command.line(coin="-1") == ["predict", "--json", "--", "-1", "1h"]
