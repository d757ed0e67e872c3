"""Bars as arrays: effective prices, returns and volumes per bar, and which bar a decision looks back from.

A repaired or halted bar repeats the last real close: its return is zero and its volume is no observation.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import PATIENCE_MS, UNREAL, MarketContext
from huracan.domain.time import HOUR_MS, iso
from huracan.errors import DataError
from huracan.stats.kernel import kernel

MARKET_PATIENCE_MS = HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePath:
    """Prices without what we invented: all shape (n,).

    level: log price, zero at its segment's first open. last, top, bottom: close, high and low, the last real close
    where nothing real happened. place: number of the bar inside its segment.
    """

    level: F64
    last: F64
    top: F64
    bottom: F64
    place: I64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Bars to report, ascending: those decisions look back from and those that sample the hourly regime.

    bars (m,). decision (d,): index into `bars`, -1 where no bar is young enough. sample (s,): index into `bars`.
    sample_time (s,): the whole hour a sample is known at.
    """

    bars: I64
    decision: I64
    sample: I64
    sample_time: I64


@kernel
def _path(open_: F64, high: F64, low: F64, close: F64, real: Bool, segment: I64) -> tuple[F64, F64, F64, F64, I64]:
    n = close.shape[0]
    level, last, top, bottom = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    place = np.empty(n, np.int64)
    before, total = 0.0, 0.0
    for bar in range(n):
        if bar == 0 or segment[bar] != segment[bar - 1]:
            place[bar] = 0
            before = open_[bar] if real[bar] else close[bar]
            total = 0.0
        else:
            place[bar] = place[bar - 1] + 1
        if real[bar]:
            total += np.log(close[bar] / before)
            last[bar], top[bar], bottom[bar] = close[bar], high[bar], low[bar]
            before = close[bar]
        else:
            last[bar], top[bar], bottom[bar] = before, before, before
        level[bar] = total
    return level, last, top, bottom, place


def price_path(frame: pl.DataFrame) -> PricePath:
    """The effective price path of clean bars."""
    open_, high, low, close = (frame[name].to_numpy() for name in ("open", "high", "low", "close"))
    segment = frame["segment"].cast(pl.Int64).to_numpy()
    level, last, top, bottom, place = _path(open_, high, low, close, real_bars(frame), segment)
    return PricePath(level=level, last=last, top=top, bottom=bottom, place=place)


def real_bars(frame: pl.DataFrame) -> Bool:
    """True where a bar is neither repaired nor part of a halt."""
    return np.asarray((frame["flags"].to_numpy() & UNREAL) == 0)


def quote_volume(frame: pl.DataFrame) -> F64:
    """Volume in quote currency per bar; close times base volume where the source has none."""
    return frame.select(pl.coalesce("quote_volume", pl.col("close") * pl.col("volume"))).to_series().to_numpy()


def default_decisions(open_time: I64, interval_ms: int, step_ms: int) -> I64:
    """Every whole step after the first bar's open up to the last bar's close.

    >>> default_decisions(np.array([0, 60_000, 120_000]), 60_000, 120_000)
    array([120000])
    """
    if open_time.size == 0:
        return np.empty(0, np.int64)
    first = (int(open_time[0]) // step_ms + 1) * step_ms
    return np.arange(first, int(open_time[-1]) + interval_ms + 1, step_ms, dtype=np.int64)


def choose_rows(open_time: I64, interval_ms: int, decision_times: I64, who: str) -> Rows:
    """Which bars to report. Raises DataError unless decisions ascend strictly."""
    if decision_times.size and np.any(np.diff(decision_times) <= 0):
        at = int(np.flatnonzero(np.diff(decision_times) <= 0)[0])
        raise DataError(
            f"{who}: decision times do not ascend at {iso(int(decision_times[at]))}; sort them and drop duplicates"
        )
    bars, decision, sample, sample_time = _chosen(open_time, interval_ms, decision_times)
    return Rows(bars=bars, decision=decision, sample=sample, sample_time=sample_time)


@kernel
def _chosen(open_time: I64, interval_ms: int, times: I64) -> tuple[I64, I64, I64, I64]:
    """The four arrays of `Rows`: each bar meets the decisions up to the next bar's close."""
    n = open_time.shape[0]
    bars, sample, sample_time = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    decision = np.full(times.shape[0], -1)
    patience = max(PATIENCE_MS, interval_ms)
    count, samples, row = 0, 0, 0
    for bar in range(n):
        close = open_time[bar] + interval_ms
        hour = -(-close // HOUR_MS)
        wanted = bar + 1 == n or -(-(open_time[bar + 1] + interval_ms) // HOUR_MS) > hour
        if wanted:
            sample[samples], sample_time[samples] = count, hour * HOUR_MS
            samples += 1
        while row < times.shape[0] and (bar + 1 == n or times[row] < open_time[bar + 1] + interval_ms):
            if 0 <= times[row] - close < patience:
                decision[row] = count
                wanted = True
            row += 1
        if wanted:
            bars[count] = bar
            count += 1
    return bars[:count].copy(), decision, sample[:samples].copy(), sample_time[:samples].copy()


def market_levels(context: MarketContext, open_time: I64, interval_ms: int) -> tuple[F64, F64, F64]:
    """What a bar's close knows of the market: log level, log level one bar earlier, dispersion; each shape (n,).

    NaN before the context's first bar, and where its newest bar is more than an hour old.
    """
    frame = context.frame
    level = np.log(frame["market_close"].to_numpy())
    times, dispersion = frame["open_time"].to_numpy(), frame["dispersion"].to_numpy()
    now, spread = _as_of(times, level, dispersion, open_time, 0)
    before, _ = _as_of(times, level, dispersion, open_time, interval_ms)
    return now, before, spread


@kernel
def _as_of(times: I64, first: F64, second: F64, wanted: I64, lag: int) -> tuple[F64, F64]:
    """Two series (n,) as of `lag` before the wanted times (d,); NaN where the newest is too old."""
    one, other = np.full(wanted.shape[0], np.nan), np.full(wanted.shape[0], np.nan)
    index = -1
    for row in range(wanted.shape[0]):
        time = wanted[row] - lag
        while index + 1 < times.shape[0] and times[index + 1] <= time:
            index += 1
        if index >= 0 and time - times[index] <= MARKET_PATIENCE_MS:
            one[row], other[row] = first[index], second[index]
    return one, other


@kernel
def last_at_or_before(times: I64, wanted: I64) -> I64:
    """Index of the last of the ascending times (n,) at or before each of the ascending wanted (d,), else -1.

    >>> last_at_or_before(np.array([10, 20]), np.array([5, 10, 25]))
    array([-1,  0,  1])
    """
    out = np.empty(wanted.shape[0], np.int64)
    index = -1
    for row in range(wanted.shape[0]):
        while index + 1 < times.shape[0] and times[index + 1] <= wanted[row]:
            index += 1
        out[row] = index
    return out
