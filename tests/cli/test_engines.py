"""`huracan engines` and `huracan doctor` before engines that a real distribution offers, sound and broken."""

import json
import os
import subprocess
import sys

import pytest
from nights import small_world, trust_variables

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

SOUND = """
from huracan.training import EngineSpec
SPEC = EngineSpec(name="carry", version=1, estimator="ridge", idea="carry", wants=("funding_last", "funding_mean_4320"))
"""
BROKEN = "SPEC = None.name\n"


@pytest.fixture
def distribution(tmp_path):
    """A folder for PYTHONPATH that holds an installed distribution with this source."""

    def install(source):
        place = tmp_path / "site"
        info = place / "carry_engine-1.0.dist-info"
        info.mkdir(parents=True)
        (place / "carry_engine.py").write_text(source)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: carry-engine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[huracan.engines]\ncarry = carry_engine:SPEC\n")
        return place

    return install


@pytest.fixture
def answer(tmp_path):
    def ask(place, *arguments):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HURACAN_")}
        done = subprocess.run(
            [sys.executable, "-m", "huracan.cli.main", *arguments, "--json"],
            env={**kept, **trust_variables(tmp_path), "PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout)

    return ask


def test_an_installed_engine_is_listed_checked_and_used(distribution, answer, tmp_path):
    place = distribution(SOUND)
    config = tmp_path / "own.yaml"
    config.write_text("training:\n  recipes: [linear, {mine: [carry, trend]}]\n")
    status, listed = answer(place, "engines", "list", "--config", str(config))
    carry = listed["engines"][-1]
    assert (status, carry["name"], carry["origin"], carry["recipes"]) == (0, "carry", "carry-engine", ["mine"])
    status, checked = answer(place, "engines", "check", "carry")
    assert status == 0
    assert [one["passed"] for one in checked["checks"]] == [True] * 5
    _, plain = answer(place, "doctor")
    idle = [one for one in plain["findings"] if one["what"] == "engine carry"]
    assert [one["state"] for one in idle] == ["doubtful"]
    _, told = answer(place, "doctor", "--config", str(config))
    rows = {one["what"]: one for one in told["findings"] if one["area"] == "recipes"}
    assert "mine-" in rows["training.recipes"]["seen"]
    assert "engine carry" not in rows


def test_a_whole_night_runs_with_an_own_recipe_of_an_installed_engine(distribution, answer, tmp_path):
    place = distribution(SOUND)
    config = tmp_path / "own.yaml"
    world = small_world(name="null", coins=2, days=40, interval_minutes=60)
    with ReplayExchange(world, stress_file=tmp_path / "stress.json") as exchange:
        urls = exchange.urls
        config.write_text(
            f"""
binance: {{rest_url: "{urls["rest"]}", futures_url: "{urls["futures"]}", archive_url: "{urls["archive"]}"}}
promotion: {{stress_table: "{urls["stress"]}"}}
training:
  base_interval: 1h
  horizons: [1h]
  recipes: [{{mine: [carry, trend]}}]
  lookback_days: 34
  history_days: 40
  min_history_days: 34
  max_coins: 1
"""
        )
        status, told = answer(place, "run", "--config", str(config), "--workdir", str(tmp_path / "work"))
    assert (status, told["success"]) == (0, True), told.get("error")
    rows = list(told["candidates"].values())
    assert {row["recipe"] for row in rows} == {"mine"}
    assert {row["recipe"] for row in told["summary"]["evidence"]} == {"mine"}
    status, checked = answer(place, "engines", "check", "carry")
    assert (status, checked["success"]) == (0, True)


def test_a_wrong_engine_is_told_the_same_before_and_in_the_night(distribution, answer, tmp_path):
    place = distribution(SOUND.replace('"ridge"', '"forest"'))
    config = tmp_path / "own.yaml"
    config.write_text("training:\n  recipes: [{mine: [carry, trend]}]\n")
    _, checked = answer(place, "engines", "check", "carry")
    (before,) = [one["seen"] for one in checked["checks"] if not one["passed"]]
    status, refused = answer(place, "run", "--config", str(config), "--workdir", str(tmp_path / "work"))
    assert (status, refused["code"]) == (2, "CONFIG")
    assert before in refused["error"]
    assert "estimator 'forest' is unknown, wanted one of" in before
    assert "A right one: EngineSpec(" in before


def test_a_broken_engine_is_told_by_every_command(distribution, answer, tmp_path):
    place = distribution(BROKEN)
    status, listed = answer(place, "engines", "list")
    assert status != 0
    assert "AttributeError" in listed["engines"][-1]["wrong"]
    status, checked = answer(place, "engines", "check")
    assert status != 0
    assert [one["engine"] for one in checked["checks"] if not one["passed"]] == ["carry"]
    status, told = answer(place, "doctor")
    wrong = [one for one in told["findings"] if one["what"] == "engine carry"]
    assert status != 0
    assert [(one["state"], one["code"]) for one in wrong] == [("wrong", "CONFIG")]
    status, refused = answer(place, "run", "--workdir", str(tmp_path / "work"))
    assert (status != 0, refused["code"]) == (True, "CONFIG")
    assert "carry" in refused["error"]
    assert not (tmp_path / "work" / "lake").exists()


def test_a_file_is_checked_before_it_is_installed(answer, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SOUND)
    status, checked = answer(tmp_path, "engines", "check", str(file))
    assert (status, checked["success"]) == (0, True)
    file.write_text(SOUND.replace("funding_mean_4320", "funding_mean"))
    status, checked = answer(tmp_path, "engines", "check", str(file))
    assert status != 0
    assert "funding_mean_4320" in checked["checks"][-1]["seen"]
    for source, why in (("raise OSError(1)\n", "line 1"), ("x = 1\n", "makes no EngineSpec")):
        file.write_text(source)
        status, refused = answer(tmp_path, "engines", "check", str(file))
        assert status != 0
        assert why in refused["error"]
    file.write_text("x = 1\ndef trainer(:\n")
    _, refused = answer(tmp_path, "engines", "check", str(file))
    assert refused["error"] == f"{file} cannot be run: SyntaxError: invalid syntax ({file} line 2)"
    file.write_text("import no_such_module_anywhere\n")
    _, refused = answer(tmp_path, "engines", "check", str(file))
    assert refused["error"].endswith(f"No module named 'no_such_module_anywhere' ({file} line 1)")
    status, refused = answer(tmp_path, "engines", "check", "trand")
    assert status != 0
    assert "did you mean 'trend'" in refused["error"]
