"""The wheel in a fresh environment that holds what it declares, and nothing else: Hamilton predicts a night's champions."""

import json
import os
import subprocess
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from nights import trust_variables, variables
from packaging.requirements import Requirement

from huracan.adapters.lake import DeltaLake
from huracan.domain.time import DAY_MS
from huracan.hamilton import HamiltonInterface, instrument_of

ROOT = Path(__file__).parents[2]

FEATURES = """
import json, sys
from huracan import HamiltonInterface
store, asked = json.load(sys.stdin)
hamilton = HamiltonInterface(store, allow_candidates=True)
found = [hamilton.predict(coin, horizon, row) for coin, horizon, row in asked]
print(json.dumps([[result.edge_bps.hex(), result.score.hex(), result.confidence.hex()] for result in found]))
"""
BARS = """
import json, sys
import polars as pl
from huracan import HamiltonInterface
store, folder, coin, horizon, instrument, at = json.load(sys.stdin)
hamilton = HamiltonInterface(store, allow_candidates=True)
frame = lambda name: pl.read_ipc(f"{folder}/{name}")
context = {coin: frame(name) for coin, name in hamilton.live_inputs().context.items()}
result = hamilton.predict_bars(coin, horizon, frame(instrument), context, at, funding=frame(f"{instrument}.funding"))
print(json.dumps([result.edge_bps.hex(), result.score.hex(), result.confidence.hex()]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    return Path(next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))))


def declared(wheel):
    """Requirements of the wheel, as its metadata states them."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().partition("\n\n")[0].splitlines()
    return [Requirement(line.partition(": ")[2]) for line in lines if line.startswith("Requires-Dist: ")]


def needed(requirements, extras):
    """Names of all distributions that an installer would bring for these requirements, by what is installed here."""
    found, waiting = set(), [(requirement, extras) for requirement in requirements]
    while waiting:
        requirement, given = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *given)):
            continue
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key in found:
            continue
        found.add(key)
        inner = distribution(requirement.name).requires or []
        waiting += [(Requirement(line), tuple(requirement.extras)) for line in inner]
    return {name for name, _ in found}


def environment(folder, wheel, extras=()):
    """A fresh interpreter with the wheel and links to what it needs."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in needed(declared(wheel), extras):
        here = distribution(name)
        tops = {file.parts[0] for file in here.files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(here.locate_file(top))
    return folder / "bin" / "python"


def told(python, code, night, tmp_path, given):
    given_variables = {
        "HOME": str(tmp_path), "PATH": os.environ["PATH"], "HURACAN_STATE_DIR": str(tmp_path / "state"),
        **trust_variables(night.folder),
    }  # fmt: skip
    done = subprocess.run(
        [python, "-I", "-c", code], input=json.dumps(given), env=given_variables, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(night):
    found = {**night.result["candidates"], **night.result["champions"]}
    return [row for row in found.values() if row["live"] is not None]


def bits(row):
    return [row["live"][name].hex() for name in ("edge_bps", "score", "confidence")]


def test_the_wheel_carries_scripts_and_style_sheets_with_their_licences(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = ("huracan/reports/static/plotly.min.js", "huracan/reports/static/plotly.LICENSE.txt")
    assert held.issuperset(wanted)
    assert {f"huracan/adapters/dashboard/static/htmx.{end}" for end in ("min.js", "LICENSE.txt")} <= held
    assert not [name for name in held if name.startswith("tests/")]


def test_the_core_needs_no_library_of_training(wheel):
    names = needed(declared(wheel), ())
    assert names >= {"numpy", "pydantic", "tuf"}
    heavy = {"polars", "numba", "pandas", "plotly", "pyarrow", "scipy", "deltalake", "lightgbm", "bidask", "obstore"}
    assert names.isdisjoint(heavy)
    assert needed(declared(wheel), ("train",)).isdisjoint({"pandas", "plotly", "bidask"})


@pytest.mark.slow
def test_the_core_alone_predicts_every_model_of_a_night_from_features(wheel, finished_night, tmp_path):
    python = environment(tmp_path / "env", wheel)
    known = rows(finished_night)
    asked = [[row["coin"], row["horizon"], row["live_features"]] for row in known]
    found = told(python, FEATURES, finished_night, tmp_path, [str(finished_night.store), asked])
    assert len(found) >= 8
    assert found == [bits(row) for row in known]


@pytest.mark.slow
def test_with_its_extra_hamilton_predicts_from_raw_bars(wheel, finished_night, tmp_path):
    python = environment(tmp_path / "env", wheel, ("hamilton",))
    workdir = finished_night.folder / "workdir"
    plan = json.loads((workdir / "plan.json").read_text())["plan"]
    start, end = plan["cutoff_ms"] - plan["history_days"] * DAY_MS, plan["cutoff_ms"]
    with variables(trust_variables(finished_night.folder)):
        hamilton = HamiltonInterface(finished_night.store, allow_candidates=True, state_dir=tmp_path / "here")
        instruments = {(member.coin, member.horizon): member.instrument for member in hamilton.get_members()}
        context = hamilton.live_inputs().context.values()
    row = rows(finished_night)[0]
    own = instruments[row["coin"], row["horizon"]]
    lake = DeltaLake(str(workdir / "lake" / "15m"))
    for name in {own, *context}:
        lake.bars(instrument_of(name), start, end).write_ipc(tmp_path / name)
    lake.funding(instrument_of(own), start, end).write_ipc(tmp_path / f"{own}.funding")
    given = [str(finished_night.store), str(tmp_path), row["coin"], row["horizon"], own, end]
    assert told(python, BARS, finished_night, tmp_path, given) == bits(row)


@pytest.mark.slow
def test_the_command_answers_from_the_core_alone(wheel, tmp_path):
    python = environment(tmp_path / "env", wheel)
    code = "import sys; from huracan.cli.main import main; main(sys.argv[1:])"
    for words, status, said in (["--version"], 0, "huracan "), (["demo"], 2, "huracan-engine[train]"):
        done = subprocess.run(
            [python, "-I", "-c", code, *words], cwd=tmp_path, env={"HOME": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stderr
