"""Data that cannot be trained on are refused with a code, what was measured and what was wanted."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from huracan.domain.recipe import EngineUse
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS
from huracan.training import TrainingRefused, fit_pair, pair_grams, prepare


def refusal(pair, recipe, **changes):
    parts = {"features": pair.features, "labels": pair.labels, "cutoff_ms": pair.cutoff_ms, **changes}
    with pytest.raises(TrainingRefused) as refused:
        fit_pair(parts["features"], parts["labels"], recipe, None, cutoff_ms=parts["cutoff_ms"], seed=1)
    return refused.value


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("linear")


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(seed=1, days=45)


def test_a_short_history_says_how_short(make_pair, recipe):
    short = make_pair(days=30)
    error = refusal(short, recipe)
    assert (error.code, error.measured, error.wanted) == (SkipCode.SHORT_HISTORY, 27.0, 31.0)
    skip = error.skip("SOL", "1h")
    assert (skip.step, skip.coin, skip.horizon, skip.code) == (5, "SOL", "1h", SkipCode.SHORT_HISTORY)
    assert "SOLUSDT-um" in skip.reason
    with pytest.raises(TrainingRefused):
        pair_grams(short.features, short.labels, recipe, cutoff_ms=short.cutoff_ms)


def test_labels_of_other_rows_are_refused(pair, recipe):
    shifted = replace(pair.labels, frame=pair.labels.frame.with_columns(pl.col("decision_time") + 1))
    assert refusal(pair, recipe, labels=shifted).code is SkipCode.BAD_LABELS
    fewer = replace(pair.labels, frame=pair.labels.frame.head(100))
    assert refusal(pair, recipe, labels=fewer).code is SkipCode.BAD_LABELS


def test_too_few_closed_labels_are_refused(pair, recipe):
    empty = pair.labels.frame.with_columns(forward_bps=pl.lit(None, pl.Float64), weight=pl.lit(None, pl.Float64))
    error = refusal(pair, recipe, labels=replace(pair.labels, frame=empty))
    assert (error.code, error.measured) == (SkipCode.TOO_FEW_ROWS, 0.0)
    nothing_lately = pl.when(pl.col("decision_time") < pair.cutoff_ms - 35 * DAY_MS).then(pl.col("weight"))
    old = replace(pair.labels, frame=pair.labels.frame.with_columns(weight=nothing_lately))
    rolling = replace(recipe, training=replace(recipe.training, lookback_days=34))
    assert refusal(pair, rolling, labels=old).code is SkipCode.TOO_FEW_ROWS


def test_features_without_warm_rows_or_volatility_are_refused(pair, recipe):
    cold = replace(pair.features, frame=pair.features.frame.with_columns(valid=pl.lit(value=False)))
    assert refusal(pair, recipe, features=cold).code is SkipCode.BAD_FEATURES
    names = tuple(name for name in pair.features.names if name != "sigma_day_bps")
    blind = replace(pair.features, names=names, frame=pair.features.frame.drop("sigma_day_bps"))
    assert refusal(pair, recipe, features=blind).code is SkipCode.BAD_FEATURES


def test_a_recipe_whose_engines_all_abstain_is_refused(make_pair, recipe):
    spot = make_pair(days=40, absent=("funding_last",))
    carry = replace(recipe, engines=(EngineUse(name="funding"),))
    assert refusal(spot, carry).code is SkipCode.BAD_FEATURES


def test_absent_columns_silence_only_the_engines_that_need_them(make_pair, recipe):
    spot = make_pair(days=45, absent=("funding_last", "funding_mean_4320", "taker_imbalance_240", "rsi_60"))
    trained = fit_pair(spot.features, spot.labels, recipe, None, cutoff_ms=spot.cutoff_ms, seed=1)
    assert set(trained.engines) == {use.name for use in recipe.engines} - {"funding", "flow"}
    assert "funding abstains: its features are not there" in trained.notes
    assert trained.coef.shape == (6, 4, len(trained.feature_names))
    assert not {"funding_last", "taker_imbalance_60"} & set(trained.feature_names)


def test_a_column_that_starts_late_takes_no_rows_from_the_others(pair, recipe):
    late = pl.when(pl.col("decision_time") > pair.cutoff_ms - 10 * DAY_MS).then(pl.col("taker_imbalance_60"))
    frame = pair.features.frame.with_columns(taker_imbalance_60=late.otherwise(float("nan")))
    trained = fit_pair(replace(pair.features, frame=frame), pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert "feature taker_imbalance_60 starts too late and is left out" in trained.notes
    assert trained.forecasts["trend"].is_finite().all()
    assert "taker_imbalance_60" not in trained.feature_names


def test_rows_with_a_gap_abstain_and_train_nothing(pair, recipe):
    gap = (pl.col("decision_time") // DAY_MS) % 5 == 0
    frame = pair.features.frame.with_columns(
        beta=pl.when(gap).then(float("nan")).otherwise(pl.col("beta")),
        regime=pl.when(~gap & (pl.col("decision_time") % DAY_MS == 0)).then(7.0).otherwise(pl.col("regime")),
    )
    holed = replace(pair.features, frame=frame)
    trained = fit_pair(holed, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    abstained = trained.forecasts["trend"].is_nan()
    midnight = trained.forecasts["decision_time"] % DAY_MS == 0
    expected = (trained.forecasts["fold_day"] % 5 == 0) | midnight
    assert abstained.to_list() == expected.to_list()
    assert (trained.forecasts.filter(midnight & (trained.forecasts["fold_day"] % 5 != 0))["regime"] == -1).all()


def test_features_without_regimes_train_the_pooled_model_alone(make_pair, recipe):
    plain = make_pair(seed=3, days=45, absent=("regime",))
    trained = fit_pair(plain.features, plain.labels, recipe, None, cutoff_ms=plain.cutoff_ms, seed=1)
    assert "regime" not in trained.feature_names
    for code in range(1, 4):
        np.testing.assert_array_equal(trained.coef[:, code], trained.coef[:, 0])
    assert (trained.forecasts["regime"] == 0).all()
    assert trained.forecasts["trend"].is_finite().all()


def test_one_design_serves_several_horizons(make_pair, recipe):
    hour, four = make_pair(seed=4, days=45), make_pair(seed=4, days=45, horizon="4h")
    design = prepare(hour.features, recipe.training, cutoff_ms=hour.cutoff_ms)
    for one in (hour, four):
        shared = fit_pair(one.features, one.labels, recipe, None, cutoff_ms=one.cutoff_ms, seed=1, design=design)
        alone = fit_pair(one.features, one.labels, recipe, None, cutoff_ms=one.cutoff_ms, seed=1)
        assert shared.edges.equals(alone.edges)


def test_weekly_refits_hold_their_model_for_a_week(make_pair, make_recipe):
    pair = make_pair(seed=5, days=60)
    weekly = make_recipe("linear", ridge_refit_days=7, min_regime_rows=10**6)
    trained = fit_pair(pair.features, pair.labels, weekly, None, cutoff_ms=pair.cutoff_ms, seed=1)
    daily = fit_pair(
        pair.features,
        pair.labels,
        make_recipe("linear", min_regime_rows=10**6),
        None,
        cutoff_ms=pair.cutoff_ms,
        seed=1,
    )
    same = trained.forecasts.filter((trained.forecasts["trend"] - daily.forecasts["trend"]).abs() < 1e-9)[
        "fold_day"
    ].unique()
    aligned = {day for day in daily.forecasts["fold_day"].unique() if day % 7 == 0}
    assert set(same) == aligned | {daily.forecasts["fold_day"][0]}
