"""No price stands on both sides of a fold: neither on minutes nor on long bars, neither walking forward nor inside."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bars import FIRST_DAY, coin_bars

from huracan.domain.recipe import TrainingPolicy
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, Horizon
from huracan.labels import label_forward_returns
from huracan.training import PairGrams, prepare
from huracan.training.design import align
from huracan.training.folds import NEVER, closing_days, walk_forward
from huracan.training.gram import gram_rows, grams_by
from huracan.training.inner import inner_folds
from huracan.training.prior import _without_week


def prices_used(frame, rows):
    """Every moment at which a price serves these decisions: what they fill at and what they close at."""
    used = set()
    for row in rows:
        for column in ("fill_time", "exit_time"):
            moment = frame[column][int(row)]
            if moment is not None:
                used.add(moment)
    return used


def stretches(frame, rows):
    """[fill, exit] of every label of these rows, the slow way."""
    return [(frame["fill_time"][int(row)], frame["exit_time"][int(row)]) for row in rows]


def touched(spans, moments):
    return [(span, moment) for span in spans for moment in moments if span[0] <= moment <= span[1]]


intervals = pytest.mark.parametrize("interval_ms", [MINUTE_MS, 15 * MINUTE_MS, HOUR_MS], ids=["1m", "15m", "1h"])


@intervals
@settings(max_examples=6, deadline=None)
@given(
    horizon=st.sampled_from(["1h", "4h", "1d"]),
    latency_s=st.sampled_from([0, 30]),
    refit_days=st.integers(1, 7),
    silent=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**16),
)
def test_no_train_label_touches_a_price_of_a_test_decision(interval_ms, horizon, latency_s, refit_days, silent, seed):
    bars = coin_bars(days=16, interval_ms=interval_ms, silent=silent, seed=seed)
    time = FIRST_DAY * DAY_MS + np.arange(16 * 24, dtype=np.int64) * HOUR_MS
    frame = label_forward_returns(bars, time, Horizon.parse(horizon), latency_s).frame
    exits = frame["exit_time"].fill_null(NEVER).to_numpy()
    rules = TrainingPolicy(first_window_days=5, lookback_days=34)
    folds = walk_forward(time, exits, FIRST_DAY, FIRST_DAY + 15, rules, refit_days=refit_days)
    trained = 0
    for block in range(folds.starts.size):
        train = folds.train_rows(block)
        trained += train.size
        assert touched(stretches(frame, train[-30:]), prices_used(frame, folds.test_rows(block)[:40])) == []
    assert trained > 0


@intervals
@pytest.mark.parametrize("horizon", ["1h", "1d", "5d"])
@pytest.mark.parametrize("weeks", [1, 2])
def test_no_price_stands_on_both_sides_of_an_inner_fold(make_pair, interval_ms, horizon, weeks):
    pair = make_pair(seed=1, days=45, horizon=horizon)
    bars = coin_bars(days=46, interval_ms=interval_ms, silent=0.05, seed=2)
    time = pair.features.frame["decision_time"].to_numpy()
    labels = label_forward_returns(bars, time, Horizon.parse(horizon), 30)
    rules = TrainingPolicy()
    design = prepare(pair.features, rules, cutoff_ms=pair.cutoff_ms)
    known = align(design, labels, rules)
    folds = inner_folds(design, known, weeks=weeks, horizon_ms=Horizon.parse(horizon).ms)
    assert sum(fold.train.size for fold in folds) > 0
    for fold in folds:
        moments = prices_used(labels.frame, fold.test)
        low, high = min(moments), max(moments)
        for fill, exit_ in stretches(labels.frame, fold.train):
            assert exit_ < low or fill > high


def test_a_label_that_closes_at_the_cutoff_waits_for_the_next_night(make_pair):
    pair = make_pair(seed=1, days=45)
    shifted = pair.labels.frame.with_columns(
        pl.col("label_end") - MINUTE_MS, pl.col("exit_time") - MINUTE_MS, pl.col("fill_time") - MINUTE_MS
    )
    labels = replace(pair.labels, frame=shifted)
    cutoff_ms = (FIRST_DAY + 40) * DAY_MS
    design = prepare(pair.features, TrainingPolicy(), cutoff_ms=cutoff_ms)
    known = align(design, labels, TrainingPolicy())
    closed = known.closed_ms[known.weight > 0]
    assert closed.max() == cutoff_ms - HOUR_MS


@pytest.mark.parametrize("horizon", ["1h", "4d", "7d"])
def test_the_pool_calibrates_a_week_on_labels_apart_from_it(make_pair, make_recipe, horizon):
    span = Horizon.parse(horizon)
    pair = make_pair(seed=1, days=60, horizon=horizon, start_day=FIRST_DAY - FIRST_DAY % 7)
    rules = make_recipe("linear").training
    design = prepare(pair.features, rules, cutoff_ms=pair.cutoff_ms)
    known = align(design, pair.labels, rules)
    week_ms = 7 * DAY_MS
    for week in range(4):
        begin = int(design.decision_time[0]) + week * week_ms
        inside = (design.decision_time >= begin) & (design.decision_time < begin + week_ms) & (known.weight > 0)
        last = known.closed_ms[inside].max()
        later = np.flatnonzero((known.weight > 0) & (known.start_ms <= last) & (design.decision_time >= begin))
        first_week = int(design.decision_time[0]) // week_ms + 1
        member = weekly_sums(design, known, later, first_week, span)
        assert later.size > 0
        assert _without_week(member, first_week, 11)[week, -1, 0, 0] == 0.0


def weekly_sums(design, known, rows, first_week, span):
    """What a pair gives its pool, of these rows alone."""
    alone = np.zeros(known.weight.size)
    alone[rows] = known.weight[rows]
    z = gram_rows(design, replace(known, weight=alone), ("ret_60",))
    grams = grams_by(z, -(-closing_days(z.closed_ms) // 7), first_week, 12)
    upper = np.triu_indices(3)
    return PairGrams(
        names=("ret_60",),
        horizon_minutes=span.minutes,
        first_week=first_week,
        increments=grams[..., upper[0], upper[1]].astype(np.float32),
    )
