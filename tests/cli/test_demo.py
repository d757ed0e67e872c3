"""`huracan demo`: the whole story offline, in its own folder, with the truth beside what was found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from huracan.cli import demo, night
from huracan.cli.demo_outcome import BoundRatio, Found, bounds, first_prediction, found_by_horizon, truth_of
from huracan.cli.run_result import run_result
from huracan.errors import UpstreamError

pytestmark = pytest.mark.slow


def result_with(champions=(), candidates=(), horizons=("1h",), evidence=()):
    rows = {
        kind: {f"{row['coin']}_{row['horizon']}": row for row in given}
        for kind, given in (("champions", champions), ("candidates", candidates))
    }
    places = {"store": "/nowhere", "report": "/nowhere", "duration_seconds": 1.0}
    return run_result({"horizons": list(horizons), "summary": {"evidence": list(evidence)}, **places, **rows})


def test_found_is_set_against_planted_and_odd_coins_do_not_count():
    champions = [{"coin": coin, "horizon": "1h"} for coin in ("ALFA", "OSCAR", "GAPPY")]
    truth = truth_of("demo", 70, 0)
    assert found_by_horizon(result_with(champions, horizons=("1h", "4h")), set(truth["planted"])) == {
        "1h": Found(planted=("ALFA",), others=("OSCAR",)),
        "4h": Found(planted=(), others=()),
    }
    assert "far stronger than any real market's" in truth["note"]


@pytest.mark.parametrize(("ratio", "as_built"), [(7.9, False), (8.0, True), (10.0, True), (10.1, False)])
def test_a_bound_that_is_not_what_the_world_is_built_for_is_told(ratio, as_built):
    row = {"pool": "um-A", "horizon": "1h", "recipe": "linear", "reigns": True, "bound_over_sd": ratio}
    others = [{**row, "reigns": False}, {**row, "pool": "um-B"}, {**row, "horizon": "1d"}]
    assert bounds(result_with(evidence=[*others, row])) == {"1h": BoundRatio(ratio=ratio, as_built=as_built)}


def test_without_any_model_there_is_no_prediction():
    assert first_prediction(result_with()) is None


def test_the_prediction_shown_is_one_that_trades(reader):
    said = first_prediction(run_result({**reader.result, "store": str(reader.store)}))
    rows = reader.result["champions"]
    assert said.equals_training is True
    assert (said.direction != "hold") == any(row["live"]["side"] for row in rows.values())


def test_keys_and_state_lie_in_the_demo_s_folder_and_the_user_s_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("HURACAN_KEYS_DIR", "mine")
    monkeypatch.delenv("HURACAN_STATE_DIR", raising=False)
    with demo.private_trust(tmp_path):
        assert os.environ["HURACAN_KEYS_DIR"] == str(tmp_path / "keys")
        assert os.environ["HURACAN_STATE_DIR"] == str(tmp_path / "state")
    assert os.environ["HURACAN_KEYS_DIR"] == "mine"
    assert "HURACAN_STATE_DIR" not in os.environ


def test_only_the_demo_world_exempts_features_from_the_canary(tmp_path):
    urls = dict.fromkeys(("rest", "futures", "archive"), "http://127.0.0.1:9") | {"stress": None}
    assert demo.demo_config(tmp_path, urls, "demo").settings.training.leak_exempt
    assert demo.demo_config(tmp_path, urls, "null").settings.training.leak_exempt == ()


def test_a_failed_night_ends_the_demo_with_its_reason(huracan, monkeypatch, tmp_path):
    from contextlib import nullcontext

    from huracan.app.results import failure

    urls = dict.fromkeys(("rest", "futures", "archive"), "http://127.0.0.1:9") | {"stress": None}
    monkeypatch.setattr(demo, "exchange", lambda *arguments: nullcontext(urls))
    monkeypatch.setattr(night, "execute", lambda config, **_: failure(config, UpstreamError("gone"), 0.1))
    answer = huracan("demo", "--out", tmp_path, "--json")
    assert (answer.status, answer.json["code"]) == (3, "UPSTREAM")


@pytest.mark.slow
def test_the_demo_finds_what_was_planted_and_nothing_else(tmp_path):
    line = [sys.executable, "-m", "huracan.cli.main", "demo", "--days", "100", "--out", str(tmp_path / "out"), "--json"]
    home = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run(line, capture_output=True, text=True, env=home, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    truth, summary = told["truth"], told["summary"]
    assert len(truth["planted"]) == 10
    assert all(set(found["planted"]) <= set(truth["planted"]) for found in told["champions_by_horizon"].values())
    assert any(len(found["planted"]) >= 8 for found in told["champions_by_horizon"].values())
    assert sum(len(found["others"]) for found in told["champions_by_horizon"].values()) <= 1
    pairs = summary["coin_universe_size"] * len(summary["horizons"])
    assert summary["champions_count"] + summary["skipped_count"] == pairs
    assert told["prediction"]["equals_training"] is True
    assert summary["morning"]["warning"] in Path(told["report"]).read_text(encoding="utf-8")
    assert "Simulated market (demo)" in summary["morning"]["warning"]
    assert (tmp_path / "out" / "keys").is_dir()
    assert not (tmp_path / "config").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    for number, command in enumerate((*told["next"]["commands"], told["next"]["python"])):
        home = tmp_path / f"home {number}"
        home.mkdir()
        copied = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "BROWSER": "true"},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert copied.returncode == 0, f"{command}\n{copied.stderr[-2000:]}"
        assert copied.stdout.strip(), command


def test_the_demo_publishes_nowhere_whatever_the_user_has_configured(tmp_path, monkeypatch):
    from huracan.adapters.publishers.remotes import publish_targets

    for name in ("DROPBOX_ACCESS_TOKEN", "DROPBOX_REFRESH_TOKEN"):
        monkeypatch.setenv(name, "the-owner-s-real-token")
    monkeypatch.setenv("HURACAN_PUBLISH__URLS", "s3://the-owner-s/bucket")
    urls = dict.fromkeys(("rest", "futures", "archive", "stress"), "http://127.0.0.1:9")
    assert publish_targets(demo.demo_config(tmp_path, urls, "demo").resolve()) == []
