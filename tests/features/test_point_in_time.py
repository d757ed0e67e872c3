"""What a decision knows: nothing that closed after it, nothing before its windows are full, nothing across a long hole."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import DataError
from huracan.features import SPECS, build_context, build_features

RANK = ["BTC", "ETH", "SOL"]


def cut(bars, time):
    """The bars as they were known at a time."""
    return replace(
        bars,
        frame=bars.frame.filter(pl.col("open_time") + bars.interval_ms <= time),
        funding=bars.funding.filter(pl.col("funding_time") <= time),
    )


def cut_context(context, time, interval_ms):
    return replace(context, frame=context.frame.filter(pl.col("open_time") + interval_ms <= time))


@pytest.fixture(scope="module")
def coins(make_bars, make_members):
    """Four coins with their features on all data: minutes and quarters, broken and clean."""
    out = []
    for seed, (minutes, n) in enumerate([(1, 11_000), (1, 11_000), (15, 1200), (15, 1200)]):
        bars = make_bars(n, seed=seed, minutes=minutes, broken=seed % 2 == 0)
        context = build_context(make_members(2 * n, RANK, minutes), RANK)
        out.append((bars, context, build_features(bars, context, interval_minutes=15)))
    return out


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_features_of_data_cut_at_a_decision_equal_those_of_all_data(coins, data):
    bars, context, full = coins[data.draw(st.integers(0, 3), label="coin")]
    row = data.draw(st.integers(full.frame.height // 4, full.frame.height - 1), label="row")
    time = full.frame["decision_time"][row]
    known = build_features(cut(bars, time), cut_context(context, time, bars.interval_ms), np.array([time]))
    assert known.names == full.names
    seen = np.array(known.frame.select(known.names).row(0))
    wanted = np.array(full.frame.select(full.names).row(row))
    np.testing.assert_allclose(seen, wanted, rtol=0, atol=1e-12)
    assert known.frame["volume_day_quote"][0] == full.frame["volume_day_quote"][row]
    assert known.frame["valid"][0] == full.frame["valid"][row]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    index=st.integers(5_000, 10_900), column=st.sampled_from(["close", "high", "low", "volume", "taker_base", "flags"])
)
def test_changing_a_future_bar_changes_no_past_feature(coins, index, column):
    bars, context, full = coins[1]
    here = pl.int_range(pl.len()) == index
    changed = pl.when(here).then(1 if column == "flags" else pl.col(column) * 1.5).otherwise(pl.col(column))
    frame = bars.frame.with_columns(changed.cast(bars.frame.schema[column]).alias(column))
    other = build_features(replace(bars, frame=frame), context, interval_minutes=15)
    closes = bars.frame["open_time"][index] + bars.interval_ms
    past = pl.col("decision_time") < closes
    assert other.frame.filter(past).equals(full.frame.filter(past), null_equal=True)
    now = pl.col("decision_time") == (closes // (15 * MINUTE_MS) + 1) * 15 * MINUTE_MS
    assert not other.frame.filter(now).equals(full.frame.filter(now))


def test_a_feature_is_missing_until_its_window_is_full(make_bars):
    bars = make_bars(4500, seed=5)
    every = bars.frame["open_time"].to_numpy() + bars.interval_ms
    built = build_features(bars, None, every)
    for spec in SPECS:
        if spec.name not in built.names or spec.need == "funding":
            continue
        missing = np.isnan(built.frame[spec.name].to_numpy())
        wanted = 24 * 60 if spec.name == "regime" else spec.longest
        assert missing[: wanted - 1].all(), spec.name
        assert not missing[wanted + 59 :].any(), spec.name
    assert built.frame["valid"].to_numpy().argmax() == 4320 - 1  # warm-up is three days, no more


def test_windows_start_afresh_after_a_long_hole(make_bars):
    bars = make_bars(13_000, seed=4, broken=True)
    second = replace(bars, frame=bars.frame.filter(pl.col("segment") == 1))
    both, alone = build_features(bars, None), build_features(second, None)
    after = both.frame.filter(pl.col("decision_time") >= alone.frame["decision_time"][0])
    assert after.select(both.names).equals(alone.frame.select(alone.names), null_equal=True)
    assert alone.frame["valid"].any()


def test_a_live_process_with_forty_days_of_bars_stands_where_training_stood(make_bars):
    bars = make_bars(80 * 96, seed=12, minutes=15)
    late = replace(bars, frame=bars.frame.tail(40 * 96))
    full, live = (build_features(part, None).frame.tail(48) for part in (bars, late))
    names = [name for name in build_features(late, None).names if name != "regime"]
    np.testing.assert_allclose(live.select(names).to_numpy(), full.select(names).to_numpy(), rtol=1e-6, atol=1e-8)
    assert live["regime"].to_list() == full["regime"].to_list()


def test_a_decision_in_a_hole_has_no_features(make_bars):
    bars = make_bars(9000, seed=6)
    hole = (bars.frame["open_time"] >= bars.frame["open_time"][8000]) & (
        bars.frame["open_time"] < bars.frame["open_time"][8000] + 2 * HOUR_MS
    )
    holed = replace(bars, frame=bars.frame.filter(~hole))
    start = int(bars.frame["open_time"][8000])
    times = start + np.array([0, 9, 10, 60, 121]) * MINUTE_MS
    built = build_features(holed, None, times)
    assert built.frame["valid"].to_list() == [True, True, False, False, True]
    assert np.isnan(built.frame[2].select(built.names).to_numpy()).all()


def test_decisions_default_to_whole_intervals_whose_bars_have_closed(make_bars):
    bars = make_bars(200, start=1_767_225_600_000 + 7 * MINUTE_MS)
    times = build_features(bars, None).frame["decision_time"].to_numpy()
    assert (times % HOUR_MS == 0).all()
    assert times[0] == 1_767_225_600_000 + HOUR_MS
    assert times[-1] == 1_767_225_600_000 + 3 * HOUR_MS
    quarters = build_features(bars, None, interval_minutes=15).frame["decision_time"].to_numpy()
    assert (np.diff(quarters) == 15 * MINUTE_MS).all()


@pytest.mark.slow
def test_decisions_outside_the_bars_are_answered_with_nothing(make_bars):
    bars = make_bars(100)
    first, last = bars.frame["open_time"][0], bars.frame["open_time"][-1]
    built = build_features(bars, None, np.array([first, first + DAY_MS, last + DAY_MS]))
    assert not built.frame["valid"].any()
    empty = build_features(replace(bars, frame=bars.frame.clear()), None, np.array([first]))
    assert empty.frame.height == 1
    assert not empty.frame["valid"][0]
    assert build_features(replace(bars, frame=bars.frame.clear()), None).frame.is_empty()


def test_unordered_decisions_and_odd_bars_are_refused(make_bars):
    bars = make_bars(100)
    with pytest.raises(DataError, match="do not ascend"):
        build_features(bars, None, np.array([2, 1]))
    with pytest.raises(DataError, match="whole minutes"):
        build_features(replace(bars, interval_ms=30_000), None)
