"""How old and how liquid the bars are."""

import math

import polars as pl

from huracan.domain.frames import Bars, silence_ms
from huracan.domain.time import DAY_MS, MINUTE_MS


def staleness_minutes(bars: Bars, now_ms: int) -> float:
    """Minutes between the close of the last bar that was delivered and now, silent or not; infinite without bars."""
    if bars.frame.is_empty():
        return math.inf
    return (now_ms - int(bars.frame["open_time"][-1]) - bars.interval_ms) / MINUTE_MS


def silence_minutes(bars: Bars, now_ms: int) -> float:
    """Minutes between the close of the last real bar and now: how old the newest price is. Infinite without one."""
    return silence_ms(bars, now_ms) / MINUTE_MS


def median_daily_quote(bars: Bars, days: int = 30) -> float | None:
    """Median quote volume of the last `days` UTC days that are whole, in quote currency; None without one.

    A day is whole when a bar of the next day exists. Where the source has no quote volume, volume x close stands in.
    """
    if bars.frame.is_empty():
        return None
    last_day = int(bars.frame["open_time"][-1]) // DAY_MS
    day = pl.col("open_time") // DAY_MS
    daily = (
        bars.frame.lazy()
        .filter(day.is_between(last_day - days, last_day - 1))
        .group_by(day)
        .agg(pl.coalesce("quote_volume", pl.col("volume") * pl.col("close")).sum().alias("quote"))
        .select(pl.col("quote").median())
        .collect()
        .item()
    )
    return None if daily is None else float(daily)
