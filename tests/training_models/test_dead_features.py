"""A feature that is constant but for rounding weighs nothing, in every engine, every fold and the pool."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bars import coin_bars

from huracan.domain.recipe import EngineUse, TrainingPolicy
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, Horizon
from huracan.features import build_context, build_features
from huracan.labels import label_forward_returns
from huracan.stats.ridge import grouped_grams, moments, raw_coefficients, shrink_to_prior, unit_of
from huracan.training import (
    TrainingRefused,
    built_in_recipes,
    fit_pair,
    least_squares_trainer,
    pair_grams,
    pool_prior,
    prepare,
)
from huracan.training.calibrate import slopes
from huracan.training.design import CLIP_BLOCK_DAYS
from huracan.training.engines import all_engines
from huracan.training.gram import cell_moments, windows, with_pooled

RIDGE = sorted(name for name, spec in all_engines().items() if spec.estimator == "ridge")
CONSTANTS = {
    "beta": 1.0,
    **dict.fromkeys(("residual_240", "residual_1440", "relative_strength_60", "relative_strength_240"), 0.0),
    "relative_strength_1440": 0.0,
}
"""What the market is against itself."""

SANE = 500.0
"""Bps of forecast per unit of any feature: noise of rounding gave a million million."""


def changed(pair, **columns):
    """The pair with these columns, where they were known."""
    old = pair.features.frame
    new = {
        name: pl.when(pl.col(name).is_nan()).then(pl.col(name)).otherwise(pl.Series(name, values, dtype=pl.Float64))
        for name, values in columns.items()
    }
    return replace(pair, features=replace(pair.features, frame=old.with_columns(**new)))


def noisy(pair, values, seed=0, size=1e-13):
    """Columns of constants, each with the noise that differences of sums leave."""
    rng, n = np.random.default_rng(seed), pair.features.frame.height
    return changed(pair, **{name: value + size * rng.standard_normal(n) for name, value in values.items()})


def exact(pair, values):
    n = pair.features.frame.height
    return changed(pair, **{name: np.full(n, value) for name, value in values.items()})


def fit(pair, recipe, prior=None, cutoff_ms=None):
    return fit_pair(pair.features, pair.labels, recipe, prior, cutoff_ms=cutoff_ms or pair.cutoff_ms, seed=1)


def solo(name, make_recipe, **rules):
    spec = all_engines()[name]
    use = EngineUse(name=name, version=spec.version, estimator=spec.estimator, parameters=spec.parameters)
    return replace(make_recipe("linear", **rules), engines=(use,))


def same_forecasts(one, other):
    assert one.engines == other.engines
    for frame in ("forecasts", "edges"):
        left, right = getattr(one, frame).select(one.engines), getattr(other, frame).select(other.engines)
        np.testing.assert_allclose(left.to_numpy(), right.to_numpy(), rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(seed=8, days=45, planted={"drift_t_1440": 5.0})


@pytest.mark.parametrize("name", RIDGE)
@pytest.mark.parametrize(("level", "size"), [(0.0, 1e-13), (1.0, 1e-14), (3e6, 1e-9)], ids=["zero", "one", "large"])
def test_noise_around_a_constant_is_that_constant(pair, make_recipe, name, level, size):
    spec, recipe = all_engines()[name], solo(name, make_recipe)
    optional = next(feature for feature in spec.wants if feature not in spec.required and feature != "sigma_day_bps")
    one = fit(noisy(pair, {optional: level}, size=size), recipe)
    same_forecasts(one, fit(exact(pair, {optional: level}), recipe))
    assert np.abs(one.coef).max() < SANE
    assert one.forecasts[name].is_finite().all()
    assert f"feature {optional} stands still but for rounding and is left out" in one.notes
    assert optional not in one.feature_names


@pytest.mark.parametrize("name", [name for name in RIDGE if all_engines()[name].required])
def test_an_engine_abstains_where_a_required_feature_stands_still(pair, make_recipe, name):
    needed = all_engines()[name].required[0]
    others = [other for other in RIDGE if needed not in all_engines()[other].required]
    recipe = make_recipe("linear")
    trained = fit(noisy(pair, {needed: 0.0}), recipe)
    assert trained.forecasts[name].is_nan().all()
    assert not trained.coef[trained.engines.index(name)].any()
    assert not trained.intercept[trained.engines.index(name)].any()
    assert f"{name} abstains tonight without {needed}" in trained.notes
    for other in others:
        assert trained.forecasts[other].is_finite().all()


@pytest.mark.slow
def test_trees_do_not_split_on_rounding(pair, make_recipe):
    recipe = solo("trees", make_recipe)
    one, other = fit(noisy(pair, CONSTANTS), recipe), fit(exact(pair, CONSTANTS), recipe)
    same_forecasts(one, other)
    assert not set(CONSTANTS) & set(one.feature_names)
    assert one.forests[0].feature.max() < len(one.feature_names)
    np.testing.assert_array_equal(one.forests[0].threshold, other.forests[0].threshold)


def test_a_pair_whose_engines_all_lost_their_feature_is_refused(pair, make_recipe):
    with pytest.raises(TrainingRefused, match="relative_strength_240 stands still") as refused:
        fit(noisy(pair, CONSTANTS), solo("leader", make_recipe))
    assert refused.value.code is SkipCode.BAD_FEATURES


def test_a_fold_knows_a_dead_feature_from_its_own_rows(make_pair, make_recipe):
    """Dead for 40 days, then alive: the engine speaks once the clip bounds have seen that, and nothing before changes."""
    pair = make_pair(seed=5, days=90)
    time = pair.features.frame["decision_time"].to_numpy()
    awake = int(time[0]) + 40 * DAY_MS
    values = pair.features.frame["relative_strength_240"].fill_nan(0.0).to_numpy()
    noise = 1e-13 * np.random.default_rng(0).standard_normal(time.size)
    late = changed(pair, relative_strength_240=np.where(time < awake, noise, values))
    recipe = make_recipe("linear")
    full = fit(late, recipe)
    early = fit(late, recipe, cutoff_ms=awake - HOUR_MS)
    leader, day = full.forecasts["leader"], full.forecasts["fold_day"]
    assert leader.filter(day <= awake // DAY_MS).is_nan().all()
    assert leader.filter(day > awake // DAY_MS + CLIP_BLOCK_DAYS).is_finite().all()
    assert np.abs(full.coef).max() < SANE
    assert early.forecasts.equals(full.forecasts.head(early.forecasts.height))
    assert early.edges.equals(full.edges.head(early.edges.height))


@pytest.mark.parametrize("name", RIDGE)
def test_a_feature_that_falls_silent_leaves_no_residue(make_pair, make_recipe, name):
    """Alive at first, then constant for longer than the window: differences of long sums must not revive it."""
    pair = make_pair(seed=6, days=110)
    spec = all_engines()[name]
    feature = next(one for one in spec.wants if one not in spec.required and one != "sigma_day_bps")
    time = pair.features.frame["decision_time"].to_numpy()
    old = pair.features.frame[feature].fill_nan(0.0).to_numpy()
    quiet = changed(pair, **{feature: np.where(time < time[0] + 60 * DAY_MS, old, 0.731)})
    trained = fit(quiet, solo(name, make_recipe, lookback_days=34))
    assert np.abs(trained.coef).max() < SANE
    assert feature not in trained.feature_names


def test_a_feature_quiet_in_one_regime_has_no_slope_there(make_pair, make_recipe):
    pair = make_pair(seed=7, days=150)
    frame = pair.features.frame
    steady = frame["regime"].to_numpy() == 1.0
    values = np.where(steady, 1e-4 * frame["beta"].to_numpy(), frame["beta"].to_numpy())
    trained = fit(changed(pair, beta=np.nan_to_num(values)), solo("leader", make_recipe, min_regime_rows=50))
    place = trained.feature_names.index("beta")
    assert trained.coef[0, 1, place] == 0.0
    assert trained.coef[0, 0, place] != 0.0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    level=st.floats(-1e9, 1e9, allow_nan=False),
    size=st.floats(0.0, 1e-13),
    twin=st.booleans(),
)
def test_dead_and_collinear_columns_have_bounded_coefficients(seed, level, size, twin):
    """Columns that are a constant plus rounding get nought; copies of one another, up to rounding, share one slope."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 4))
    x[:, 1] = x[:, 0] * (1.0 + 1e-15 * rng.standard_normal(400)) if twin else level + size * rng.standard_normal(400)
    y, w = x[:, 0] * 20 + rng.normal(size=400) * 50, rng.uniform(0.1, 1.0, 400)
    early = x[:100]
    scale = unit_of(early.std(axis=0), early.mean(axis=0))
    z = np.column_stack([np.ones(400), (x - early.mean(axis=0)) / scale, y])
    of = moments(grouped_grams(z, w, np.zeros(400, dtype=np.int64), 1)[0])
    standard = shrink_to_prior(of.correlation, of.rows, np.arange(4), np.full(4, 0.1), 50.0)
    slope = raw_coefficients(standard, of, np.arange(4))[0] / scale
    assert np.abs(slope).max() < SANE
    if twin:
        assert slope[0] == pytest.approx(slope[1], rel=1e-6)
    else:
        assert slope[1] == 0.0


def test_a_window_of_days_holds_no_rounding_of_the_days_before_it():
    by_day = np.zeros((90, 4, 3, 3))
    by_day[:40] = np.random.default_rng(0).normal(size=(40, 4, 3, 3)) * 1e9
    by_day[40:] = 0.1
    got = windows(by_day, np.arange(3), np.array([80, 90]), 30)
    np.testing.assert_allclose(got, 3.0, rtol=1e-14)


def test_a_dead_feature_of_one_coin_teaches_its_pool_nothing(make_pair, make_recipe):
    recipe = make_recipe("linear", min_regime_rows=50)
    members = [make_pair(seed=seed, days=60, planted={"relative_strength_240": 15.0}) for seed in (1, 2)]
    market = noisy(make_pair(seed=3, days=60), CONSTANTS)
    grams = [pair_grams(one.features, one.labels, recipe, cutoff_ms=one.cutoff_ms) for one in (*members, market)]
    alone, together = pool_prior(grams[:2], recipe), pool_prior(grams, recipe)
    wants = all_engines()["leader"].wants
    days = np.array([(alone.first_week + alone.coef.shape[0] - 1) * 7])
    np.testing.assert_array_equal(alone.known_at(days, "leader", wants), together.known_at(days, "leader", wants))
    trend = all_engines()["trend"].wants
    assert (alone.known_at(days, "trend", trend) != together.known_at(days, "trend", trend)).any()


def test_the_pool_does_not_mistake_its_own_precision_for_variation():
    """Single precision loses a spread below a thousandth of the level, so it must not be read off as one."""
    z = np.column_stack([np.ones(500), np.full(500, 7.3), np.random.default_rng(0).normal(size=500)])
    gram = grouped_grams(z, np.ones(500), np.zeros(500, dtype=np.int64), 1)[0].astype(np.float32).astype(np.float64)
    of = cell_moments(with_pooled(np.repeat(gram[None], 4, axis=0)), 1e-6)
    assert not of.sd[..., 0].any()
    assert not of.correlation[..., 0, 1].any()


def test_a_forecast_of_rounding_gets_no_slope_of_its_own():
    rng = np.random.default_rng(0)
    n = 400
    forecast, y, day = 1e-13 * rng.normal(size=(n, 1)), rng.normal(size=n) * 50, np.arange(n) // 4
    found = slopes(forecast, y, np.ones(n), closing_day=day, days=np.array([99]), policy=TrainingPolicy())
    assert 0.0 <= found[0, 0] <= 0.25
    forecast[:200] = rng.normal(size=(200, 1)) * 1e4  # long ago it said a lot
    late = slopes(
        forecast, y, np.ones(n), closing_day=day, days=np.array([99]), policy=TrainingPolicy(lookback_days=34)
    )
    assert 0.0 <= late[0, 0] <= 0.25


@pytest.mark.parametrize(("level", "size"), [(0.0, 1e-12), (1.0, 1e-13), (1e9, 1e-5)])
def test_the_trainer_that_stands_in_ignores_dead_features_too(level, size):
    rng = np.random.default_rng(0)
    features = {"a": rng.normal(size=300), "still": level + size * rng.standard_normal(300)}
    job = {"features": features, "labels": 10 * features["a"] + rng.normal(size=300), "weights": np.ones(300)}
    model = least_squares_trainer(job)["model"]
    assert model.coef_[1] == 0.0
    assert np.abs(model.coef_).max() < SANE


@pytest.fixture(scope="module")
def market():
    """Features and labels of BTC, which is the market, and of a coin that follows it, on bars of a quarter of an hour."""
    bars = {
        coin: coin_bars(coin, days=80, interval_ms=15 * MINUTE_MS, seed=seed, beta=0.8 * (coin != "BTC"))
        for seed, coin in enumerate(("BTC", "SOL", "XRP"))
    }
    context = build_context(bars, list(bars))
    found = {}
    for coin in ("BTC", "SOL"):
        features = build_features(bars[coin], context)
        labels = label_forward_returns(bars[coin], features.frame["decision_time"].to_numpy(), Horizon.parse("4h"), 30)
        found[coin] = features, labels
    return found


@pytest.mark.slow
@pytest.mark.parametrize("coin", ["BTC", "SOL"])
@pytest.mark.parametrize("name", ["linear", "boosted"])
def test_every_engine_is_bounded_on_the_market_itself(market, coin, name):
    features, labels = market[coin]
    recipe = built_in_recipes([name], feature_recipe=features.recipe_id)[0]
    cutoff_ms = int(features.frame["decision_time"][-1])
    trained = fit_pair(features, labels, recipe, None, cutoff_ms=cutoff_ms, seed=1)
    reach = np.abs(trained.coef) * (trained.clip_high - trained.clip_low)
    assert np.nan_to_num(reach).max() < SANE
    assert np.abs(trained.coef).max() < SANE
    if coin == "SOL":
        assert not [note for note in trained.notes if "stands still" in note]
        return
    assert not set(CONSTANTS) & set(trained.feature_names)
    n = features.frame.height
    still = features.frame.with_columns(
        **{
            column: pl.when(pl.col(column).is_nan())
            .then(pl.col(column))
            .otherwise(pl.Series(column, np.full(n, value)))
            for column, value in CONSTANTS.items()
        }
    )
    same_forecasts(trained, fit_pair(replace(features, frame=still), labels, recipe, None, cutoff_ms=cutoff_ms, seed=1))


@pytest.mark.slow
def test_every_shipped_feature_varies_far_above_rounding(market):
    features, _ = market["SOL"]
    design = prepare(features, TrainingPolicy(), cutoff_ms=int(features.frame["decision_time"][-1]))
    spread = design.x[design.usable].std(axis=0)
    assert {name for name, one in zip(design.names, spread, strict=True) if one < 1e-3} == set()
