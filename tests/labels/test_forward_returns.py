"""Labels: the first price a decision could have had, ten minutes of patience, and a weight for what overlaps."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import CLEAN_SCHEMA, HALT, REPAIRED, Bars
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, MINUTE_MS, Horizon
from huracan.errors import DataError
from huracan.labels import average_uniqueness, label_forward_returns
from huracan.labels.uniqueness import _sweep

HOUR = Horizon.parse("1h")
TEN = 10 * MINUTE_MS


def bars_of(open_, minutes=1, volume=None, flags=None, times=None):
    n = len(open_)
    frame = pl.DataFrame(
        {
            "open_time": np.arange(n) * minutes * MINUTE_MS if times is None else times,
            **dict.fromkeys(("open", "high", "low", "close"), np.asarray(open_, float)),
            "volume": np.ones(n) if volume is None else np.asarray(volume, float),
            **dict.fromkeys(("quote_volume", "trades", "taker_base", "taker_quote"), np.ones(n)),
            "flags": np.zeros(n, np.int32) if flags is None else np.asarray(flags, np.int32),
            "segment": np.zeros(n, np.int32),
        },
        schema=CLEAN_SCHEMA,
    )
    instrument = Instrument(market="spot", symbol="ALFAUSDT", base="ALFA", quote="USDT")
    return Bars(instrument=instrument, interval_ms=minutes * MINUTE_MS, frame=frame)


def slow_labels(bars, times, horizon, latency_ms):
    """The definition, one decision at a time."""
    rows = [
        row for row in bars.frame.iter_rows(named=True) if row["volume"] > 0 and not row["flags"] & (REPAIRED | HALT)
    ]

    def first(wanted):
        later = [row for row in rows if row["open_time"] >= wanted]
        return later[0] if later and later[0]["open_time"] - wanted <= TEN else None

    out = []
    for time in times:
        fill = first(time + latency_ms)
        end = fill and first(fill["open_time"] + horizon.ms)
        out.append(
            (
                fill and fill["open_time"],
                fill and fill["open_time"] + horizon.ms,
                end and end["open_time"],
                (end["open"] / fill["open"] - 1) * 1e4 if end else None,
            )
        )
    lives = [(row[0], row[1]) for row in out if row[3] is not None]
    weights = iter(slow_uniqueness(lives))
    return [(*row, next(weights) if row[3] is not None else None) for row in out]


def slow_uniqueness(lives, step=MINUTE_MS):
    """Minute by minute: one over the number of labels alive, averaged over each label's life."""
    return [np.mean([1 / sum(a <= t < b for a, b in lives) for t in range(start, end, step)]) for start, end in lives]


@st.composite
def gappy_bars(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = 420
    keep = np.flatnonzero(rng.random(n) > draw(st.sampled_from([0.0, 0.1, 0.9])))
    volume = np.where(rng.random(n) < 0.1, 0.0, 1.0)
    flags = np.where(rng.random(n) < 0.1, rng.choice([REPAIRED, HALT, 4, 8], n), 0)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    return bars_of(price[keep], volume=volume[keep], flags=flags[keep], times=keep * MINUTE_MS)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(bars=gappy_bars(), latency_s=st.sampled_from([0, 30, 60, 300]), step=st.sampled_from([15, 37]))
def test_labels_equal_the_slow_definition(bars, latency_s, step):
    times = np.arange(0, 420, step) * MINUTE_MS
    frame = label_forward_returns(bars, times, HOUR, latency_s).frame
    wanted = slow_labels(bars, times.tolist(), HOUR, latency_s * 1000)
    seen = frame.select("fill_time", "label_end", "exit_time", "forward_bps", "weight").rows()
    for one, other in zip(seen, wanted, strict=True):
        assert one[:3] == other[:3]
        assert (one[3] is None) == (other[3] is None)
        if one[3] is not None:
            assert one[3:] == pytest.approx(other[3:], rel=1e-9)


def test_a_fill_is_the_first_minute_after_the_latency():
    bars = bars_of(np.arange(100.0, 200.0))
    row = label_forward_returns(bars, np.array([5 * MINUTE_MS]), HOUR).frame.row(0, named=True)
    assert row["fill_time"] == 6 * MINUTE_MS
    assert row["label_end"] == row["exit_time"] == 66 * MINUTE_MS
    assert row["forward_bps"] == pytest.approx((166 / 106 - 1) * 1e4)
    assert row["weight"] == 1.0


@pytest.mark.parametrize("unreal", ["repaired", "halted", "silent"])
def test_a_bar_without_a_trade_is_no_fill(unreal):
    flags, volume = np.zeros(100), np.ones(100)
    flags[6:9] = {"repaired": REPAIRED, "halted": HALT, "silent": 0}[unreal]
    volume[6:9] = 0.0 if unreal == "silent" else 1.0
    bars = bars_of(np.arange(100.0, 200.0), flags=flags, volume=volume)
    row = label_forward_returns(bars, np.array([5 * MINUTE_MS]), HOUR).frame.row(0, named=True)
    assert row["fill_time"] == 9 * MINUTE_MS
    assert row["label_end"] == 69 * MINUTE_MS


def test_nobody_waits_longer_than_ten_minutes():
    volume = np.ones(200)
    volume[1:11] = 0.0
    bars = bars_of(np.full(200, 5.0), volume=volume)
    times = np.array([0, MINUTE_MS])
    assert label_forward_returns(bars, times, HOUR, 0).frame["fill_time"].to_list() == [0, 11 * MINUTE_MS]
    volume[11] = 0.0
    refused = label_forward_returns(bars_of(np.full(200, 5.0), volume=volume), times, HOUR, 0).frame.row(1, named=True)
    assert [refused[name] for name in ("fill_time", "fill_price", "label_end", "forward_bps", "weight")] == [None] * 5


def test_a_label_whose_exit_is_not_known_yet_is_null_but_its_fill_stands():
    bars = bars_of(np.full(90, 5.0))
    row = label_forward_returns(bars, np.array([60 * MINUTE_MS]), HOUR).frame.row(0, named=True)
    assert row["fill_time"] == 61 * MINUTE_MS
    assert row["fill_price"] == 5.0
    assert row["exit_time"] is row["exit_price"] is row["forward_bps"] is row["weight"] is None


@pytest.mark.parametrize("minutes", [15, 60])
def test_on_longer_bars_the_fill_is_the_next_bars_open(minutes):
    bars = bars_of(np.arange(10.0, 40.0), minutes=minutes)
    row = label_forward_returns(bars, np.array([4 * HOUR_MS]), Horizon.parse("1h")).frame.row(0, named=True)
    assert row["fill_time"] == 4 * HOUR_MS
    assert row["exit_time"] == 5 * HOUR_MS


def test_overlapping_labels_weigh_less():
    bars = bars_of(np.full(2000, 5.0))
    hourly = np.arange(20) * HOUR_MS
    assert label_forward_returns(bars, hourly, HOUR).frame["weight"].to_list() == [1.0] * 20
    four = label_forward_returns(bars, hourly, Horizon.parse("4h")).frame["weight"].to_numpy()
    np.testing.assert_allclose(four[6:14], 0.25)
    assert four[0] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert four.sum() == pytest.approx(23 / 4, rel=1e-12)  # the span of all labels, in labels


def test_a_future_price_changes_no_earlier_label():
    bars = bars_of(np.linspace(100, 110, 600))
    times = np.arange(0, 600, 30) * MINUTE_MS
    before = label_forward_returns(bars, times, HOUR).frame
    changed = bars.frame.with_columns(
        pl.when(pl.col("open_time") >= 300 * MINUTE_MS).then(1.0).otherwise(pl.col("open")).alias("open")
    )
    after = label_forward_returns(replace(bars, frame=changed), times, HOUR).frame
    past = pl.col("exit_time") < 300 * MINUTE_MS
    assert before.filter(past).equals(after.filter(past))


def test_no_bars_no_labels():
    bars = bars_of(np.empty(0))
    frame = label_forward_returns(bars, np.array([0, HOUR_MS]), HOUR).frame
    assert frame["forward_bps"].null_count() == 2
    assert label_forward_returns(bars, np.empty(0, np.int64), HOUR).frame.is_empty()


def test_unordered_decisions_and_negative_latencies_are_refused():
    bars = bars_of(np.full(10, 5.0))
    with pytest.raises(DataError, match="strictly ascending"):
        label_forward_returns(bars, np.array([5, 5]), HOUR)
    with pytest.raises(DataError, match="latency -1"):
        label_forward_returns(bars, np.array([5]), HOUR, -1)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 20))
def test_uniqueness_equals_the_slow_count_and_its_plain_twin(starts, length):
    start = np.sort(np.array(starts, dtype=np.int64))
    end = start + length
    seen = average_uniqueness(start, end)
    np.testing.assert_allclose(
        seen, slow_uniqueness(list(zip(start.tolist(), end.tolist(), strict=True)), 1), rtol=1e-12
    )
    np.testing.assert_allclose(seen, _sweep.py_func(start, end), rtol=1e-15)
    assert average_uniqueness(start[:0], end[:0]).size == 0
