"""What a pair's price did on each UTC day: what tells pegged coins, and copies of another series."""

from typing import NamedTuple

import polars as pl

from huracan.domain.arrays import F64, I64
from huracan.domain.time import DAY_MS
from huracan.features.inputs import real_bars


class DailyPrices(NamedTuple):
    """Days that have a real bar, ascending, the last close of each, and its high over its low in bps."""

    day: I64
    close: F64
    range_bps: F64


def daily_prices(frame: pl.DataFrame) -> DailyPrices:
    """The days of bars (BAR_SCHEMA with flags); repaired and silent bars say nothing."""
    days = (
        frame.filter(real_bars(frame))
        .group_by(pl.col("open_time") // DAY_MS, maintain_order=True)
        .agg(pl.col("close").last(), high=pl.col("high").max(), low=pl.col("low").min())
    )
    return DailyPrices(
        days["open_time"].to_numpy(),
        days["close"].to_numpy(),
        (days["high"].to_numpy() / days["low"].to_numpy() - 1.0) * 1e4,
    )
