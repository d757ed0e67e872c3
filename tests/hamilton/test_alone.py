"""Hamilton alone: without the libraries of training, without compiler, and on a system that is not POSIX."""

import json
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from huracan.domain.extras import MODULES

TRAINING = (*MODULES["train"], *MODULES["hamilton"], "pandas", "plotly", "sklearn", "bidask", "starlette", "ray")
POSIX = ("fcntl", "grp", "pwd", "resource", "termios")

WITHOUT = """
import json, sys
for name in {modules!r}:
    sys.modules[name] = None
"""
AS_ON_WINDOWS = f"""
import os, subprocess, types  # the libraries belong to this system: they load before it changes
import numpy, structlog, tuf.api.metadata, tuf.api.serialization.json
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
for name in {POSIX!r}:
    sys.modules[name] = None
for name in ("getuid", "geteuid", "getegid", "register_at_fork", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK"):
    delattr(os, name)
os.supports_dir_fd = set()
calls = []
def locking(descriptor, mode, size):
    calls.append((mode, size, os.lseek(descriptor, 0, os.SEEK_CUR)))
sys.modules["msvcrt"] = types.SimpleNamespace(LK_LOCK=1, LK_UNLCK=0, locking=locking)
"""
PREDICT = """
from huracan import HamiltonInterface
root, trusted, state, now, rows = json.load(sys.stdin)
hamilton = HamiltonInterface(root, trusted_root=trusted, state_dir=state, now_ms=lambda: now)
hamilton.add_blocked_coin("ETH", "by hand")
found = []
for row in rows:
    result = hamilton.predict("BTC", "1h", row)
    assert {type(result.edge_bps), type(result.confidence), type(result.position_fraction)} == {float}
    found.append([result.direction, *(value.hex() for value in (
        result.score, result.edge_bps, result.confidence, result.position_fraction, *result.votes.values()))])
made = {"found": found, "blocked": hamilton.get_do_not_trade_list(), "ranking": len(hamilton.get_ranking_table())}
"""
TELL = "print(json.dumps(made))\n"


def python(code, given=None):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def published(world, factory):
    model = factory.model(3, engines=4, trees=2)
    world.publish(factory.bundle(of=model))
    rows = [dict(zip(factory.NAMES, row, strict=True)) for row in factory.rows(40, seed=9).tolist()]
    given = [str(world.root), str(world.trusted), str(world.folder / "elsewhere"), world.now, rows]
    return world, given


def here(world, rows):
    hamilton = world.hamilton()
    results = [hamilton.predict("BTC", "1h", row) for row in rows]
    numbers = [(r.score, r.edge_bps, r.confidence, r.position_fraction, *r.votes.values()) for r in results]
    return [[r.direction, *(value.hex() for value in row)] for r, row in zip(results, numbers, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["", AS_ON_WINDOWS], ids=["posix", "as on Windows"])
def test_without_any_library_of_training_every_prediction_has_the_same_bits(published, system):
    world, given = published
    answer = python(WITHOUT.format(modules=TRAINING) + system + PREDICT + TELL, given)
    assert answer == {"found": here(world, given[-1]), "blocked": ["ETH"], "ranking": 1}


@pytest.mark.slow
def test_as_on_windows_every_lock_is_freed_where_it_was_taken(published):
    _, given = published
    code = WITHOUT.format(modules=()) + AS_ON_WINDOWS + PREDICT + "made = calls\n" + TELL
    calls = python(code, given)
    assert len(calls) >= 4
    assert calls == [[1, 1, 0], [0, 1, 0]] * (len(calls) // 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "words"),
    [("link", "is not a plain file"), ("folder", "is not a plain file"), ("gone", "missing"), ("long", "more than")],
)
def test_as_on_windows_a_store_is_read_as_warily(tmp_path, planted, words):
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "a.json"
    if planted == "link":
        (tmp_path / "secret").write_text("{}")
        file.symlink_to(tmp_path / "secret")
    elif planted == "folder":
        file.mkdir()
    elif planted == "long":
        file.write_text("x" * 99)
    code = WITHOUT.format(modules=()) + AS_ON_WINDOWS + (
        "from huracan.hamilton import FolderSource\n"
        "from huracan.errors import BundleFormatError\n"
        "try: made = FolderSource(json.load(sys.stdin)).read('models/a.json', 50) or 'missing'\n"
        "except BundleFormatError as error: made = str(error)\n"
    )  # fmt: skip
    assert words in python(code + TELL, str(tmp_path))


def test_bars_without_their_extra_name_it(published, monkeypatch):
    world, _ = published
    hamilton = world.hamilton()
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "numba", None)
    from huracan.errors import MissingExtraError
    from huracan.hamilton import instrument_of
    from huracan.hamilton.live import clean_bars

    with pytest.raises(MissingExtraError, match=r"raw bars needs numba, polars, .*huracan-engine\[hamilton\]'$"):
        clean_bars(instrument_of("BTCUSDT-um"), None, None, 60_000, world.now)
    assert hamilton.get_members()[0].coin == "BTC"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("from huracan import TrainingPipeline", "huracan.TrainingPipeline needs polars, .*[train]'"),
        ("from huracan import BAR_SCHEMA", "huracan.BAR_SCHEMA needs polars, .*[hamilton]'"),
    ],
)
def test_a_public_name_without_its_extra_names_it(statement, words):
    code = WITHOUT.format(modules=TRAINING) + (
        "from huracan.errors import ConfigError\n"
        f"try:\n    {statement}\n    made = 'imported'\n"
        "except ConfigError as error: made = f'{error.code} {error}'\n"
    )  # fmt: skip
    said = python(code + TELL)
    first, _, last = words.partition(", .*")
    assert said.startswith(f"MISSING_EXTRA {first}")
    assert said.endswith(last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "command", "words"),
    [
        (TRAINING, "demo", "MISSING_EXTRA"),
        (TRAINING, "run", "huracan-engine[train]"),
        (POSIX, "run", "needs Linux or macOS"),
    ],
)
def test_a_command_of_training_without_its_extra_is_refused_in_one_line(tmp_path, modules, command, words):
    code = WITHOUT.format(modules=modules) + "from huracan.cli.main import main\n" + f"main([{command!r}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_extras_list_what_the_distribution_declares():
    named = {"hamilton": set(), "train": set()}
    for requirement in map(Requirement, requires("huracan-engine")):
        for extra, names in named.items():
            if requirement.marker and f'extra == "{extra}"' in str(requirement.marker):
                names.add(requirement.name.replace("-", "_"))
    assert named["hamilton"] == set(MODULES["hamilton"])
    assert named["train"] - named["hamilton"] == set(MODULES["train"])


def test_no_module_of_hamilton_names_a_posix_module_at_its_top():
    import huracan.hamilton

    folder = Path(huracan.hamilton.__file__).parent
    tops = [
        line for file in folder.glob("*.py") for line in file.read_text().splitlines() if line.startswith("import ")
    ]
    assert not [line for line in tops if line.split()[1] in POSIX]
