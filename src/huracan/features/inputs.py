"""Bars as arrays: effective prices, returns and volumes per bar, and which bar a decision looks back from.

A repaired or halted bar repeats the last real close: its return is zero and its volume is no observation.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.frames import HALT, REPAIRED, MarketContext
from huracan.domain.time import HOUR_MS, MINUTE_MS, iso
from huracan.errors import DataError
from huracan.stats.kernel import kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

PATIENCE_MS = 10 * MINUTE_MS
UNREAL = REPAIRED | HALT
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
def _path(
    open_: F64, high: F64, low: F64, close: F64, real: NDArray[np.bool_], segment: I64
) -> tuple[F64, F64, F64, F64, I64]:
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


def real_bars(frame: pl.DataFrame) -> NDArray[np.bool_]:
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
    closes = open_time + interval_ms
    last = np.searchsorted(closes, decision_times, side="right") - 1
    age = decision_times - closes[np.maximum(last, 0)] if closes.size else np.zeros_like(decision_times)
    last = np.where((last >= 0) & (age < max(PATIENCE_MS, interval_ms)), last, -1)
    hour = -(-closes // HOUR_MS)
    sample = np.flatnonzero(np.append(hour[1:] > hour[:-1], True)) if closes.size else np.empty(0, np.int64)
    bars = np.union1d(last[last >= 0], sample).astype(np.int64)
    position = np.where(last >= 0, np.searchsorted(bars, np.maximum(last, 0)), -1)
    return Rows(
        bars=bars,
        decision=position.astype(np.int64),
        sample=np.searchsorted(bars, sample).astype(np.int64),
        sample_time=hour[sample] * HOUR_MS,
    )


def market_levels(context: MarketContext, open_time: I64, interval_ms: int) -> tuple[F64, F64, F64]:
    """What a bar's close knows of the market: log level, log level one bar earlier, dispersion; each shape (n,).

    NaN before the context's first bar, and where its newest bar is more than an hour old.
    """
    times = context.frame["open_time"].to_numpy()
    level = np.log(context.frame["market_close"].to_numpy())
    dispersion = context.frame["dispersion"].to_numpy()
    now, before = _as_of(times, open_time), _as_of(times, open_time - interval_ms)
    return _pick(level, now), _pick(level, before), _pick(dispersion, now)


def _as_of(times: I64, wanted: I64) -> I64:
    index = np.searchsorted(times, wanted, side="right") - 1
    age = wanted - times[np.maximum(index, 0)] if times.size else wanted
    return np.where((index >= 0) & (age <= MARKET_PATIENCE_MS), index, -1).astype(np.int64)


def _pick(values: F64, index: I64) -> F64:
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan) if values.size else np.full(index.size, np.nan)
