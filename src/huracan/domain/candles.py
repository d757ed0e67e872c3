"""Candles that others have written: the unit of their times by what stands there."""

from typing import Any, Final, Literal

import polars as pl

TimeUnit = Literal["datetime", "s", "ms", "us", "ns"]

_FIRST_S: Final = 1_262_304_000  # 2010
_LAST_S: Final = 4_102_444_800  # 2100
_PER_SECOND: Final[dict[TimeUnit, int]] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WANTED_TIMES: Final = "datetimes, or whole s, ms, us or ns of 2010 to 2100, all in one unit"


def time_unit(dtype: Any, first: Any, last: Any) -> TimeUnit:
    """The unit of times of this type, by their least and greatest; ValueError saying what was seen and wanted.

    >>> time_unit(pl.Int64, 1_762_450_800, 1_762_570_740)
    's'
    """
    if dtype == pl.Datetime:
        return "datetime"
    if dtype.is_numeric() and first is not None:
        for unit, factor in _PER_SECOND.items():
            if _FIRST_S * factor <= first and last < _LAST_S * factor:
                return unit
    raise ValueError(f"holds {dtype} from {first} to {last}; wanted {WANTED_TIMES}")


def in_ms(column: str, unit: TimeUnit) -> pl.Expr:
    """The times of a column in milliseconds; a datetime without a zone is UTC."""
    times = pl.col(column)
    if unit == "datetime":
        return times.dt.epoch("ms")
    whole = times.cast(pl.Int64)
    return whole * 1000 if unit == "s" else whole // (_PER_SECOND[unit] // 1000)
