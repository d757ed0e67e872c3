"""Quote volume by UTC day: what a pair's costs and its pool are decided by."""

from statistics import median
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.time import DAY_MS
from huracan.features.inputs import quote_volume, real_bars
from huracan.stats.kernel import kernel

VOLUME_DAYS: Final = 30


class DailyVolume(NamedTuple):
    """Days that have bars, ascending, their quote volume, and its median over the last 30 such days, the day included.

    A first day that does not begin at midnight is no whole day: NaN in `median`, and in no other day's.
    """

    day: I64
    quote: F64
    median: F64


def daily_volume(frame: pl.DataFrame) -> DailyVolume:
    """The volumes of bars (BAR_SCHEMA with flags), in quote currency; repaired and silent bars count nothing."""
    if frame.is_empty():
        return DailyVolume(np.empty(0, np.int64), np.empty(0), np.empty(0))
    open_time = frame["open_time"].to_numpy()
    days, quote = _daily_sums(open_time, quote_volume(frame), real_bars(frame))
    first = 1 if open_time[0] % DAY_MS else 0
    medians = np.full(days.size, np.nan)
    for place in range(first, days.size):
        medians[place] = median(quote[max(first, place + 1 - VOLUME_DAYS) : place + 1].tolist())
    return DailyVolume(days, quote, medians)


def volume_before(frame: pl.DataFrame, times: I64) -> F64:
    """Median of the last 30 whole UTC days' quote volume before each decision's day; NaN before the first."""
    known = daily_volume(frame)
    place = np.searchsorted((known.day + 1) * DAY_MS, times, side="right")
    return np.append(np.nan, known.median)[place]


@kernel
def _daily_sums(open_time: I64, quote: F64, real: Bool) -> tuple[I64, F64]:
    """Days that have bars, and their sums in the order of the bars (a parallel sum would differ in its last digits)."""
    most = (open_time[-1] - open_time[0]) // DAY_MS + 2
    days, sums = np.empty(most, np.int64), np.zeros(most)
    count, end = 0, open_time[0]
    for bar in range(open_time.shape[0]):
        if open_time[bar] >= end:
            days[count] = open_time[bar] // DAY_MS
            end = (days[count] + 1) * DAY_MS
            count += 1
        if real[bar]:
            sums[count - 1] += quote[bar]
    return days[:count], sums[:count]
