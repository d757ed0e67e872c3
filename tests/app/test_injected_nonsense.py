"""Whatever an owner's callables return, the run succeeds and each nonsense is a skip with its reason."""

import functools

import numpy as np
import polars as pl
import pytest
from nights import accounted, in_this_process, night_settings, run_pipeline, small_world

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

COINS = ("BTC", "ALFA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL")
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def world():
    """Nine coins over 45 days, hourly: enough to train, far from enough to promote."""
    return small_world(name="null", days=45, interval_minutes=60)


@pytest.fixture(scope="module")
def exchange(world, tmp_path_factory):
    with ReplayExchange(world, stress_file=tmp_path_factory.mktemp("stress") / "stress.json") as opened:
        yield opened


@pytest.fixture(scope="module")
def run(exchange, tmp_path_factory):
    """Runs a night with injected callables; asserts that it succeeds and that its accounts add up."""

    def start(max_coins=3, folder=None, **injected):
        sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__max_coins": max_coins}
        with in_this_process():
            result, telemetry = run_pipeline(
                folder or tmp_path_factory.mktemp("nonsense"), night_settings(exchange.urls, **sizes), **injected
            )
        assert result["success"] is True, result.get("error")
        accounted(result)
        assert all(prices(row) for row in (*result["champions"].values(), *result["candidates"].values()))
        return result, telemetry

    return start


def prices(row):
    return row["live"] is None or np.isfinite([row["live"]["score"], row["live"]["edge_bps"]]).all()


def reasons(result, coins):
    """The codes of the coins in question, and all reasons in one text."""
    mine = [skip for skip in result["skipped"] if skip["coin"] in coins]
    return {skip["code"] for skip in mine}, " | ".join(skip["reason"] for skip in mine)


def bars_of(world, coin):
    return world.klines(coin if "-" in coin else f"{coin}USDT-um", 0, world.now_ms)


def two_features(coin, data):
    """A sound builder: feature1 and feature2 of every bar."""
    returns = data["close"].log().diff()
    return pl.DataFrame({"open_time": data["open_time"], "feature1": returns, "feature2": returns.rolling_mean(8)})


def clairvoyant(coin, data):
    """Tomorrow's newspaper: the return of the bar after."""
    return data.select("open_time", feature1=pl.col("close").log().diff().shift(-1).fill_null(0.0))


def raising(*_arguments):
    message = "the owner's code broke"
    raise OSError(message)


class Line:
    def __init__(self, coef, intercept=0.0, predict=None):
        self.coef_, self.intercept_ = coef, intercept
        if predict is not None:
            self.predict = predict


LOADERS = {
    "a list of five": (lambda coin, days: [1, 2, 3, 4, 5], "BAD_DATA", "list of 5 elements"),
    "nothing": (lambda coin, days: None, "BAD_DATA", "NoneType"),
    "no columns of bars": (lambda coin, days: {"price": [1.0]}, "BAD_DATA", "missing"),
    "columns of different lengths": (lambda coin, days: {"open_time": [1, 2], "open": [1.0]}, "BAD_DATA", "no table"),
    "raising": (raising, "BAD_DATA", "the owner's code broke"),
    "text for prices": (
        lambda coin, days: {name: ["x"] for name in COLUMNS} | {"open_time": [1_770_000_000_000]},
        "BAD_DATA",
        "wanted numbers",
    ),
    "NaN prices": (
        lambda coin, days: (
            dict.fromkeys(COLUMNS, np.full(9, np.nan)) | {"open_time": np.arange(9) * 3_600_000 + 1_770_000_000_000}
        ),
        "NO_DATA",
        "no usable bar",
    ),
}

BUILDERS = {
    "a list of five": (lambda coin, data: [1, 2, 3, 4, 5], "BAD_FEATURES", "list of 5 elements"),
    "raising": (raising, "BAD_FEATURES", "the owner's code broke"),
    "too few rows": (lambda coin, data: {"feature1": [1.0, 2.0]}, "BAD_FEATURES", "2 rows without a time column"),
    "only NaN": (lambda coin, data: {"feature1": np.full(len(data), np.nan)}, "BAD_FEATURES", "none of them is finite"),
    "no feature": (lambda coin, data: data.select("open_time"), "BAD_FEATURES", "0 features"),
    "text": (lambda coin, data: {"feature1": ["x"] * len(data)}, "BAD_FEATURES", "wanted numbers"),
    "the future": (clairvoyant, "LEAK", "feature feature1 predicts too well to be true"),
    "a time twice": (
        lambda coin, data: {"open_time": [1_770_000_000_000] * 2, "f": [1.0, 2.0]},
        "BAD_FEATURES",
        "a time twice",
    ),
}

TRAINERS = {
    "a list of five": (lambda job: [1, 2, 3, 4, 5], "TRAINING_FAILED", "returned a list"),
    "raising": (raising, "TRAINING_FAILED", "raised OSError: the owner's code broke"),
    "giving up": (lambda job: {"success": False, "error": "no luck"}, "TRAINING_FAILED", "no luck"),
    "no model": (lambda job: {"success": True}, "TRAINING_FAILED", "no model"),
    "NaN metrics": (
        lambda job: {"success": True, "model": Line([0.0, 0.0]), "metrics": {"edge_bps": float("nan")}},
        "TRAINING_FAILED",
        "wanted a finite number",
    ),
    "NaN coefficients": (lambda job: {"success": True, "model": Line([np.nan, 0.0])}, "NOT_EXPORTABLE", "all finite"),
    "wrong width": (lambda job: {"success": True, "model": Line([1.0] * 5)}, "NOT_EXPORTABLE", "wanted"),
    "no coefficients": (lambda job: {"success": True, "model": object()}, "NOT_EXPORTABLE", "neither coef_"),
    "a classifier": (
        lambda job: {"success": True, "model": Line([1.0, 1.0], predict=lambda x: np.sign(x[:, 0]))},
        "NOT_EXPORTABLE",
        "not what its arrays say",
    ),
}


def each_coin_its_own(kinds, sound):
    """A callable that does another kind of nonsense for every coin, and something sound for the rest."""
    chosen = dict(zip(COINS, kinds.values(), strict=False))

    def dispatch(first, *rest):
        coin = first["coin"] if isinstance(first, dict) else first
        return chosen[coin][0](first, *rest) if coin in chosen else sound(first, *rest)

    return dispatch


@pytest.fixture(scope="module")
def bad_loads(run, world):
    return run(max_coins=None, data_loader=each_coin_its_own(LOADERS, lambda coin, days: bars_of(world, coin)))[0]


@pytest.fixture(scope="module")
def bad_builds(run):
    return run(max_coins=None, feature_builder=each_coin_its_own(BUILDERS, two_features))[0]


@pytest.fixture(scope="module")
def bad_fits(run):
    trainer = each_coin_its_own(TRAINERS, lambda job: {"success": False, "error": "none"})
    return run(max_coins=None, feature_builder=two_features, model_trainer=trainer)[0]


def costs_its_coin(result, kinds, kind):
    coin = COINS[list(kinds).index(kind)]
    _, code, words = kinds[kind]
    codes, texts = reasons(result, {coin})
    assert codes == {code}
    assert words in texts
    assert f"{coin}_1h" not in {**result["champions"], **result["candidates"]}


@pytest.mark.parametrize("kind", LOADERS)
def test_a_loader_that_returns_nonsense_costs_its_coin_with_the_reason(bad_loads, kind):
    costs_its_coin(bad_loads, LOADERS, kind)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_builder_that_returns_nonsense_costs_its_coin_with_the_reason(bad_builds, kind):
    costs_its_coin(bad_builds, BUILDERS, kind)


@pytest.mark.parametrize("kind", TRAINERS)
def test_a_trainer_that_returns_nonsense_costs_its_coin_with_the_reason(bad_fits, kind):
    costs_its_coin(bad_fits, TRAINERS, kind)


def test_coins_whose_callables_are_sound_are_not_touched_by_the_others(bad_loads, bad_builds):
    assert {row["coin"] for row in bad_loads["candidates"].values()} >= set(COINS[len(LOADERS) :])
    assert {row["coin"] for row in bad_builds["candidates"].values()} >= set(COINS[len(BUILDERS) :])


def test_a_claim_without_substance_earns_nothing(run):
    def boaster(job):
        metrics = {"sharpe_ratio": 99.0, "win_rate": 1.0, "edge_bps": 1e6}
        return {"success": True, "model": Line([0.0] * len(job["features"])), "metrics": metrics, "edge_bps": 1e6}

    result, _ = run(feature_builder=two_features, model_trainer=boaster)
    assert result["champions"] == {}
    assert result["candidates"]
    assert all(row["edge_bps"] == 0.0 for row in result["candidates"].values())


def test_coroutines_and_plain_functions_are_both_fine(run, world):
    seen = []

    async def loader(coin, lookback_days):
        seen.append(("load", coin, lookback_days))
        return bars_of(world, coin)

    async def trainer(job):
        seen.append(("train", job["coin"], len(job["features"])))
        x, y = np.column_stack(list(job["features"].values())), job["labels"]
        slope, *_ = np.linalg.lstsq(x, y, rcond=None)
        return {"success": True, "model": Line(slope)}

    result, telemetry = run(
        data_loader=loader,
        feature_builder=two_features,
        model_trainer=trainer,
        validator=lambda coin, data: coin != "BTC",
    )
    loaded = {coin for what, coin, _ in seen if what == "load"}
    assert {number for _, _, number in seen} == {34, 2}
    assert reasons(result, {"BTC"}) == ({"BAD_DATA"}, "the injected validator refused the data")
    assert {row["coin"] for row in result["candidates"].values()} == loaded - {"BTC"} != set()
    assert all(tuple(row["live_features"]) == ("feature1", "feature2") for row in result["candidates"].values())
    assert telemetry.at_level("warning", "error") == []


def test_trainers_that_share_their_source_do_not_share_their_models(run, tmp_path):
    def scaled(job, factor):
        return {"success": True, "model": Line([factor] * len(job["features"]))}

    models = []
    for factor in (1.0, 2.0):
        trainer = functools.partial(scaled, factor=factor)
        result, _ = run(folder=tmp_path, feature_builder=two_features, model_trainer=trainer)
        models.append({key: row["model"] for key, row in result["candidates"].items()})
    assert models[0].keys() == models[1].keys() != set()
    assert all(models[0][key] != models[1][key] for key in models[0])


def test_a_loader_alone_leaves_the_built_in_recipes_in_charge(run, world, tmp_path):
    async def loader(coin, lookback_days):
        return bars_of(world, coin).to_dict(as_series=False)

    result, _ = run(folder=tmp_path, data_loader=loader)
    assert {row["recipe"] for row in result["candidates"].values()} == {"linear"}
    assert all(row["recipe"] == "linear" for row in result["summary"]["evidence"])
    assert not (tmp_path / "lake" / "1h").exists(), "an owner's data must not pass for the exchange's"
