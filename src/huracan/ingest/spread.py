"""Spread from bars where no book was quoted: EDGE, day by day."""

import math
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.frames import REPAIRED, Bars
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.stats.edge import edge_spread

MIN_BARS_A_DAY: Final = 720
MIN_DAYS: Final = 3


def edge_spread_bps(bars: Bars, days: int = 7) -> float | None:
    """Full effective spread in bps of price over the last `days` UTC days of bars, or None.

    EDGE (Ardia, Guidotti, Kroencke 2024) per UTC day on traded minutes, signed so that noise averages out, mean over
    the days, never below one tick. None for other intervals than one minute, for fewer than three days with at
    least 720 real bars each, and where neither the estimate nor the tick size says anything.
    """
    if bars.interval_ms != MINUTE_MS or bars.frame.is_empty():
        return None
    first_day = int(bars.frame["open_time"][-1]) // DAY_MS - days + 1
    recent = bars.frame.filter(
        (pl.col("open_time") >= first_day * DAY_MS) & (pl.col("flags") & REPAIRED == 0)
    ).with_columns(day=pl.col("open_time") // DAY_MS)
    estimates = []
    for day in recent.partition_by("day", maintain_order=True):
        if day.height < MIN_BARS_A_DAY:
            continue
        prices = (day[name].to_numpy() for name in ("open", "high", "low", "close"))
        estimate = edge_spread(*prices)
        if math.isfinite(estimate):
            estimates.append(estimate)
    if len(estimates) < MIN_DAYS:
        return None
    tick_bps = bars.instrument.tick_size / float(recent["close"][-1]) * 1e4
    spread = max(float(np.mean(estimates)) * 1e4, tick_bps)
    return spread if spread > 0 else None
