"""No forecast, edge or slope depends on anything after its day; no train row leaks into an inner fold."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.recipe import TrainingPolicy
from huracan.domain.time import DAY_MS, Horizon
from huracan.training import fit_pair, prepare
from huracan.training.calibrate import slopes
from huracan.training.design import align, clip_bounds
from huracan.training.inner import DECORRELATION_MS, inner_folds


@pytest.mark.parametrize(("name", "horizon"), [("linear", "4h"), ("boosted", "1h")])
def test_a_future_change_changes_no_past_forecast_or_edge(make_pair, make_recipe, relabel, name, horizon):
    pair = make_pair(seed=3, days=48, horizon=horizon, planted={"ret_60": 10.0})
    recipe = make_recipe(name)
    time = pair.labels.frame["decision_time"].to_numpy()
    change_ms = int(time[0]) + 40 * DAY_MS
    before = fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    forward = pair.labels.frame["forward_bps"].fill_null(0.0).to_numpy().copy()
    forward[time + Horizon.parse(horizon).ms >= change_ms] *= -3.0
    later = pl.col("decision_time") >= change_ms
    touched = [name for name in pair.features.names if name not in {"regime", "sigma_day_bps"}]
    frame = pair.features.frame.with_columns(
        pl.when(later).then(pl.col(name) * 2.0 + 1.0).otherwise(pl.col(name)).alias(name) for name in touched
    )
    changed = replace(pair.features, frame=frame)
    labels = relabel(time, forward, Horizon.parse(horizon), int(time[1] - time[0]))
    after = fit_pair(changed, labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    for one, other in ((before.forecasts, after.forecasts), (before.edges, after.edges)):
        past = one["decision_time"] < change_ms
        assert one.filter(past).equals(other.filter(past))
        assert not one.equals(other)


def test_a_cutoff_in_the_past_gives_what_was_known_then(make_pair, make_recipe):
    pair = make_pair(seed=4, days=50)
    recipe = make_recipe("linear")
    then = pair.cutoff_ms - 9 * DAY_MS
    full = fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    early = fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=then, seed=1)
    assert early.forecasts.equals(full.forecasts.head(early.forecasts.height))
    assert early.edges.equals(full.edges.head(early.edges.height))
    assert early.n_effective < full.n_effective


@settings(max_examples=15, deadline=None)
@given(hours=st.integers(1, 72), weeks=st.integers(1, 3), warm=st.integers(1, 6), shift=st.integers(0, 6))
def test_inner_folds_train_on_nothing_near_the_weeks_they_test(make_pair, hours, weeks, warm, shift):
    pair = make_pair(seed=1, days=45, horizon=f"{hours}h", warm_days=warm, start_day=20454 + shift)
    design = prepare(pair.features, TrainingPolicy(), cutoff_ms=pair.cutoff_ms)
    labels = align(design, pair.labels, TrainingPolicy())
    horizon_ms = hours * 3_600_000
    folds = inner_folds(design, labels, weeks=weeks, horizon_ms=horizon_ms)
    tested = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(design.day < design.first_test_day))
    for fold in folds:
        begin, end = design.decision_time[fold.test[0]], design.decision_time[fold.test[-1]]
        assert (labels.closed_ms[fold.train] < design.first_test_day * DAY_MS).all()
        precedes = labels.closed_ms[fold.train] < begin
        follows = design.decision_time[fold.train] >= end + max(horizon_ms, DECORRELATION_MS)
        assert (precedes | follows).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), lookback=st.integers(3, 40))
def test_slopes_equal_a_slow_sum_over_closed_labels(seed, lookback):
    rng = np.random.default_rng(seed)
    n = 300
    f, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    f[rng.random((n, 2)) < 0.2] = np.nan
    w, day = rng.uniform(0, 1, n) * (rng.random(n) > 0.1), rng.integers(100, 140, size=n)
    rules = TrainingPolicy(lookback_days=lookback)
    days = np.arange(120, 138)
    got = slopes(f, y, w, closing_day=day, days=days, policy=rules)
    for position, d in enumerate(days):
        for engine in range(2):
            rows = (day <= d) & (day > d - lookback) & np.isfinite(f[:, engine])
            a, b, c = f[rows, engine], y[rows], w[rows]
            own = (c * a * b).sum() / (c * a * a).sum() if c.sum() else 0.0
            expected = max(0.0, (c.sum() * own + 25.0) / (c.sum() + 100.0))
            assert got[position, engine] == pytest.approx(expected, abs=1e-9)


def test_an_engine_without_forecasts_keeps_the_prior_slope():
    nothing = np.full((10, 1), np.nan)
    day = np.arange(10)
    assert (
        slopes(nothing, np.ones(10), np.ones(10), closing_day=day, days=np.array([9]), policy=TrainingPolicy())[0, 0]
        == 0.25
    )
    assert (
        slopes(
            np.zeros((10, 1)), np.ones(10), np.ones(10), closing_day=day, days=np.array([9]), policy=TrainingPolicy()
        )[0, 0]
        == 0.25
    )


def test_clip_bounds_use_rows_before_their_block_only():
    rng = np.random.default_rng(0)
    x, day = rng.normal(size=(400, 2)), np.repeat(np.arange(40), 10)
    usable, starts = np.ones(400, dtype=bool), np.array([10, 20, 30])
    low, high = clip_bounds(x, day, usable, starts, 15)
    x[day >= 20] *= 100
    low_after, high_after = clip_bounds(x, day, usable, starts, 15)
    np.testing.assert_array_equal(low[:2], low_after[:2])
    np.testing.assert_array_equal(high[:2], high_after[:2])
    assert (high_after[2] > high[2]).all()
    usable[day >= 10] = False
    kept, _ = clip_bounds(x, day, usable, np.array([10, 30]), 15)
    np.testing.assert_array_equal(kept[0], kept[1])
