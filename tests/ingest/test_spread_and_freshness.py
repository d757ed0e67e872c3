"""EDGE recovers a planted spread; age, daily volume and tier are plain arithmetic."""

import math

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import CLEAN_SCHEMA, REPAIRED, Bars
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.ingest import edge_spread_bps, median_daily_quote, staleness_minutes

START = 20_000 * DAY_MS


def traded_bars(days, spread_bps, *, seed=0, tick=0.0, interval=MINUTE_MS, flags=0, price=100.0):
    """Minutes of ten trades each at bid or ask around a random walk."""
    rng = np.random.default_rng(seed)
    n = days * DAY_MS // interval
    mid = price * np.exp(np.cumsum(rng.normal(0, 2e-4, (n, 10)).ravel()))
    trades = (mid * (1 + rng.choice([-0.5, 0.5], mid.size) * spread_bps * 1e-4)).reshape(n, 10)
    frame = pl.DataFrame(
        {
            "open_time": START + np.arange(n) * interval,
            "open": trades[:, 0],
            "high": trades.max(axis=1),
            "low": trades.min(axis=1),
            "close": trades[:, -1],
            "volume": np.full(n, 2.0),
            **dict.fromkeys(["quote_volume", "trades", "taker_base", "taker_quote"], np.full(n, 200.0)),
            "flags": np.full(n, flags),
            "segment": np.zeros(n),
        }
    ).cast(CLEAN_SCHEMA)
    instrument = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT", tick_size=tick)
    return Bars(instrument=instrument, interval_ms=interval, frame=frame)


@pytest.mark.parametrize("spread", [10.0, 30.0])
def test_edge_finds_the_planted_spread(spread):
    assert edge_spread_bps(traded_bars(8, spread)) == pytest.approx(spread, rel=0.25)


def test_the_estimate_is_never_below_one_tick():
    assert edge_spread_bps(traded_bars(4, 0.0, tick=1.0)) == pytest.approx(100.0, rel=0.1)


def test_an_estimate_below_zero_without_a_tick_says_nothing():
    found = [edge_spread_bps(traded_bars(4, 0.0, seed=seed)) for seed in range(6)]
    assert None in found
    assert all(value is None or value > 0 for value in found)


def test_only_the_last_days_count():
    bars = traded_bars(12, 20.0)
    late = Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=bars.frame.tail(7 * 1440))
    assert edge_spread_bps(bars) == edge_spread_bps(late)


@pytest.mark.parametrize(
    "bars",
    [
        traded_bars(30, 10.0, interval=HOUR_MS),
        traded_bars(2, 10.0),
        traded_bars(8, 10.0, flags=REPAIRED),
        Bars(
            instrument=traded_bars(1, 1.0).instrument,
            interval_ms=MINUTE_MS,
            frame=traded_bars(1, 1.0).frame.clear(),
        ),
    ],
    ids=["hourly", "two days", "repaired", "empty"],
)
def test_too_little_to_see_gives_none(bars):
    assert edge_spread_bps(bars) is None


def test_prices_that_never_move_give_none():
    bars = traded_bars(4, 0.0)
    still = bars.frame.with_columns(pl.lit(5.0).alias(c) for c in ("open", "high", "low", "close"))
    assert edge_spread_bps(Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=still)) is None


def test_age_counts_from_the_close_of_the_last_bar():
    bars = traded_bars(1, 1.0)
    assert staleness_minutes(bars, START + DAY_MS + 90 * MINUTE_MS) == 90.0
    empty = Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=bars.frame.clear())
    assert staleness_minutes(empty, START) == math.inf


def test_the_daily_volume_is_the_median_of_whole_days():
    bars = traded_bars(3, 1.0)
    day = (pl.col("open_time") - START) // DAY_MS
    frame = bars.frame.with_columns(quote_volume=(day + 1).cast(pl.Float64)).head(2 * 1440 + 10)
    assert median_daily_quote(Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=frame)) == 1.5 * 1440


def test_volume_times_close_stands_in_where_quote_volume_is_absent():
    bars = traded_bars(2, 0.0)
    frame = bars.frame.with_columns(quote_volume=pl.lit(None, dtype=pl.Float64), close=pl.lit(3.0))
    assert median_daily_quote(Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=frame)) == 1440 * 6.0


def test_no_whole_day_gives_no_volume():
    bars = traded_bars(1, 1.0)
    assert median_daily_quote(bars) is None
    empty = Bars(instrument=bars.instrument, interval_ms=MINUTE_MS, frame=bars.frame.clear())
    assert median_daily_quote(empty) is None
