"""Bars as integers: decimals scaled by a power of ten, high, low and close relative to the open.

Exchanges publish decimals of few digits, which as binary fractions do not compress: 48 bytes a row as floats, 26 as
these integers, for half the writing time. Nothing is rounded: a column that is no such decimal keeps its bits.
By hand: open = open / 10^price_scale, high = (open + high) / 10^price_scale, volume = volume / 10^volume_scale.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.model import F64, I64

PRICES: Final = ("open", "high", "low", "close")
SIZES: Final = ("volume", "quote_volume", "trades", "taker_base", "taker_quote")
_SCALES: Final = {"price_scale": PRICES, **{f"{name}_scale": (name,) for name in SIZES}}
PACKED_SCHEMA: Final = {
    "open_time": pl.Int64,
    **dict.fromkeys((*PRICES, *SIZES), pl.Int64),
    **dict.fromkeys(_SCALES, pl.Int8),
}

_BITS: Final = -1  # the integers are the floats' own bits
_MOST_DECIMALS: Final = 10
_EXACT: Final = 2.0**53
_SAMPLE: Final = 64
_POWERS: Final = np.array([10.0**decimals for decimals in range(_MOST_DECIMALS + 1)])


def pack_bars(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of BAR_SCHEMA and further columns, the former as PACKED_SCHEMA; `unpack_bars` gives back equal values."""
    columns: list[pl.Series] = [frame["open_time"]]
    scales: list[pl.Series] = []
    for scale_name, names in _SCALES.items():
        values = [frame[name].fill_null(0.0).to_numpy() for name in names]
        holes = any(frame[name].null_count() for name in names)
        scale, packed = _integers(values) if not holes or len(names) == 1 else (_BITS, _bits(values))
        if scale != _BITS:
            packed = [packed[0], *(array - packed[0] for array in packed[1:])]
        columns += [_with_nulls(pl.Series(n, array), frame[n]) for n, array in zip(names, packed, strict=True)]
        scales.append(pl.Series(scale_name, np.full(frame.height, scale, dtype=np.int8)))
    rest = [frame[name] for name in frame.columns if name not in BAR_SCHEMA]
    return pl.DataFrame([*columns, *scales, *rest])


def unpack_bars(frame: pl.DataFrame) -> pl.DataFrame:
    """Packed rows as BAR_SCHEMA and the further columns, bit for bit."""
    columns: list[pl.Series] = [frame["open_time"]]
    for scale_name, names in _SCALES.items():
        scale: NDArray[np.int8] = frame[scale_name].to_numpy()
        stored = [frame[name].fill_null(0).to_numpy() for name in names]
        for name, array in zip(names, stored, strict=True):
            first = stored[0] if name != names[0] else None
            columns.append(_with_nulls(pl.Series(name, _floats(array, first, scale)), frame[name]))
    rest = [frame[name] for name in frame.columns if name not in PACKED_SCHEMA]
    return pl.DataFrame([*columns, *rest])


def _integers(values: list[F64]) -> tuple[int, list[I64]]:
    """The fewest decimals that write every value of every array exactly, and the integers; else _BITS and the bits."""
    usable = all(np.isfinite(array).all() and not np.signbit(array[array == 0]).any() for array in values)
    for decimals in range(_MOST_DECIMALS + 1 if usable else 0):
        if all(_whole(array[:_SAMPLE], decimals) is not None for array in values):
            packed = [_whole(array, decimals) for array in values]
            if all(array is not None for array in packed):
                return decimals, [array for array in packed if array is not None]
    return _BITS, _bits(values)


def _whole(values: F64, decimals: int) -> I64 | None:
    power = _POWERS[decimals]
    with np.errstate(over="ignore"):
        whole = np.rint(values * power)
    exact = (np.abs(whole) < _EXACT).all() and np.array_equal(whole / power, values)
    return whole.astype(np.int64) if exact else None


def _bits(values: list[F64]) -> list[I64]:
    return [np.ascontiguousarray(array).view(np.int64) for array in values]


def _floats(stored: I64, first: I64 | None, scale: NDArray[np.int8]) -> F64:
    """Values of one column; numpy divides exactly where polars would multiply by the reciprocal."""
    if scale.size and (scale[0] != _BITS) and (scale == scale[0]).all():
        return np.asarray((stored if first is None else stored + first) / _POWERS[scale[0]])
    bits = scale == _BITS
    whole = stored if first is None else np.where(bits, stored, stored + first)
    return np.where(bits, np.ascontiguousarray(whole).view(np.float64), whole / _POWERS[np.maximum(scale, 0)])


def _with_nulls(values: pl.Series, like: pl.Series) -> pl.Series:
    if not like.null_count():
        return values
    return pl.select(pl.when(like.is_not_null()).then(values).alias(values.name)).to_series()
