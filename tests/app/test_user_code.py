"""Faults in the owner's own code: of some pairs they are skips, of all that reached it they end the night; always with the line."""

import inspect

import polars as pl
import pytest
from nights import accounted, in_this_process, night_settings, run_pipeline, small_world

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

COINS = ("BTC", "BRAVO", "DELTA")


@pytest.fixture(scope="module")
def world():
    """Nine coins over 45 days, hourly: enough to train, far from enough to promote."""
    return small_world(name="null", days=45, interval_minutes=60)


@pytest.fixture(scope="module")
def exchange(world, tmp_path_factory):
    with ReplayExchange(world, stress_file=tmp_path_factory.mktemp("stress") / "stress.json") as opened:
        yield opened


@pytest.fixture
def run(exchange, tmp_path):
    def start(**injected):
        sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__max_coins": len(COINS)}
        with in_this_process():
            return run_pipeline(tmp_path, night_settings(exchange.urls, **sizes), **injected)

    return start


def broken(first, *rest):
    """A mistake as it happens: a column that is not there."""
    return {"close": [1.0]}["colse"]


def two_features(coin, data):
    returns = data["close"].log().diff()
    return pl.DataFrame({"open_time": data["open_time"], "feature1": returns, "feature2": returns.rolling_mean(8)})


class Line:
    intercept_ = 0.0

    def __init__(self, width, predict=None):
        self.coef_ = [0.0] * width
        if predict is not None:
            self.predict = predict


def sound(job):
    return {"success": True, "model": Line(len(job["features"]))}


def unpredictable(job):
    return {"success": True, "model": Line(len(job["features"]), predict=broken)}


LINE = f"{__file__}:{inspect.getsourcelines(broken)[1] + 2}"


def only(coins, function, otherwise):
    """The function for these coins, another one for all others."""

    def dispatch(first, *rest):
        coin = first["coin"] if isinstance(first, dict) else first
        return function(first, *rest) if coin in coins else otherwise(first, *rest)

    return dispatch


ALL = {
    "data_loader": {"data_loader": broken},
    "validator": {"validator": broken},
    "feature_builder": {"feature_builder": broken},
    "model_trainer": {"feature_builder": two_features, "model_trainer": broken},
    "the model's predict": {"feature_builder": two_features, "model_trainer": unpredictable},
}


@pytest.mark.parametrize("name", ALL)
def test_a_fault_for_every_pair_that_reached_the_code_ends_the_night_with_its_line(run, name):
    result, telemetry = run(**ALL[name])
    assert (result["success"], result["code"]) == (False, "USER_CODE")
    wanted = "model_trainer" if name.startswith("the model") else name
    assert f"{wanted} raised for all " in result["error"]
    assert f"KeyError: 'colse' ({LINE})" in result["error"]
    (error,) = result["summary"]["errors"]
    (refused,) = telemetry.named("run_refused")
    for trace in (result["traceback"], error["traceback"], refused["traceback"]):
        assert f'File "{__file__}", line {LINE.rpartition(":")[2]}, in broken' in trace
        assert trace.rstrip().endswith("KeyError: 'colse'")
    assert error["code"] == refused["code"] == "USER_CODE"
    failed = telemetry.named("pair_failed")
    assert [row["traceback"] for row in failed if "traceback" in row] == [result["traceback"]]
    assert len(failed) > 1
    assert result["champions"] == result["export_results"] == {}
    assert telemetry.named("set_published") == []


SOME = {
    "data_loader": lambda world: {"data_loader": only({"BTC"}, broken, lambda coin, days: bars_of(world, coin))},
    "validator": lambda world: {"validator": only({"BTC"}, broken, lambda coin, data: True)},
    "feature_builder": lambda world: {"feature_builder": only({"BTC"}, broken, two_features)},
    "model_trainer": lambda world: {
        "feature_builder": two_features,
        "model_trainer": only({"BTC"}, broken, sound),
    },
}


def bars_of(world, coin):
    return world.klines(coin if "-" in coin else f"{coin}USDT-um", 0, world.now_ms)


@pytest.mark.parametrize("name", SOME)
def test_a_fault_for_some_pairs_is_their_skip_with_the_line(run, world, name):
    result, telemetry = run(**SOME[name](world))
    assert result["success"], result.get("error")
    accounted(result)
    (skip,) = [skip for skip in result["skipped"] if skip["coin"] == "BTC"]
    assert f"raised KeyError: 'colse' ({LINE})" in skip["reason"]
    (failed,) = [row for row in telemetry.named("pair_failed") if row["coin"] == "BTC"]
    assert "in broken" in failed["traceback"]
    assert {row["coin"] for row in result["candidates"].values()} == set(COINS) - {"BTC"}
    assert "traceback" not in result


def test_a_trainer_that_gives_up_for_every_pair_is_no_fault(run):
    result, _ = run(feature_builder=two_features, model_trainer=lambda job: {"success": False, "error": "no luck"})
    assert result["success"], result.get("error")
    assert {skip["code"] for skip in result["skipped"] if skip["coin"] in COINS} == {"TRAINING_FAILED"}


def test_a_fault_inside_a_library_is_told_at_the_owners_line(run):
    def builder(coin, data):
        return data.select("no such column")

    result, _ = run(feature_builder=builder)
    assert result["code"] == "USER_CODE"
    assert f"({__file__}:{inspect.getsourcelines(builder)[1] + 1})" in result["error"]
