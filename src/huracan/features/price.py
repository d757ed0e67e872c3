"""Features of a coin's own prices and volumes: one value per reported bar from windows that are already summed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.features.inputs import PricePath, quote_volume, real_bars
from huracan.features.names import CONSTANTS
from huracan.features.price_rows import NAMES, RETURN_MINUTES, Constants, Prices, Side, Sums, fill_features
from huracan.features.windows import SumTable, bars_in, fill_zscores, sum_table, window_extremes, windows_in
from huracan.stats.kernel import kernel

MOVE_MINUTES: Final = (15, 60, 240, 1440, 4320)
VOLUME_MINUTES: Final = (60, 240, 4320)
EXTREME_MINUTES: Final = (240, 1440, 4320)
SCORE_MINUTES: Final = (240, 1440)
SCORE_NAMES: Final = tuple(f"zscore_{m}" for m in SCORE_MINUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFeatures:
    """Values by feature name, the volatility of one bar, and the regime's inputs; all shape (m,), unmasked."""

    values: dict[str, F64]
    sigma_bar: F64
    illiquidity: F64
    volatility: F64
    drawdown: F64


@kernel
def _move_columns(level: F64, place: I64, out: F64) -> None:
    """Squared and absolute returns (2, n)."""
    for bar in range(level.shape[0]):
        move = level[bar] - level[bar - 1] if place[bar] > 0 else level[bar]
        out[0, bar] = move * move
        out[1, bar] = abs(move)


@kernel
def _volume_columns(quote: F64, real: Bool, out: F64) -> None:
    """Quote volume, its root, and one for every bar that counts (3, n)."""
    for bar in range(quote.shape[0]):
        out[0, bar] = quote[bar] if real[bar] else 0.0
        out[1, bar] = np.sqrt(quote[bar]) if real[bar] else 0.0
        out[2, bar] = 1.0 if real[bar] else 0.0


@kernel
def _shape_columns(path: F64, top: F64, bottom: F64, real: Bool, place: I64, out: F64) -> None:
    """Third and fourth powers of returns, squares of falls, squared log ranges (4, n)."""
    for bar in range(path.shape[0]):
        move = path[bar] - path[bar - 1] if place[bar] > 0 else path[bar]
        square = move * move
        out[0, bar] = square * move
        out[1, bar] = square * square
        out[2, bar] = square if move < 0.0 else 0.0
        spread = np.log(top[bar] / bottom[bar]) if real[bar] else 0.0
        out[3, bar] = spread * spread


@kernel
def _signed_volume(level: F64, quote: F64, real: Bool, place: I64, out: F64) -> None:
    """Quote volume with the sign of the return (1, n)."""
    for bar in range(level.shape[0]):
        move = level[bar] - level[bar - 1] if place[bar] > 0 else level[bar]
        out[0, bar] = quote[bar] * np.sign(move) if real[bar] else 0.0


def price_features(frame: pl.DataFrame, path: PricePath, rows: I64, interval_minutes: int) -> PriceFeatures:
    """All features that need nothing but the coin's own bars. Values of windows that are not full mean nothing yet."""
    level, place = path.level, path.place
    real, quote = real_bars(frame), quote_volume(frame)
    constants = _constants(interval_minutes)

    columns, after = np.empty((2, 10, level.size))
    moves, volumes, signed, shape = slice(0, 2), slice(2, 5), slice(5, 6), slice(6, 10)
    _move_columns(level, place, columns[moves])
    _volume_columns(quote, real, columns[volumes])
    _signed_volume(level, quote, real, place, columns[signed])
    _shape_columns(level, path.top, path.bottom, real, place, columns[shape])

    def table(part: slice, minutes: tuple[int, ...]) -> SumTable:
        return sum_table(columns[part], windows_in(minutes, interval_minutes), place, after[part])

    sums = Sums(
        moves=table(moves, MOVE_MINUTES),
        volumes=table(volumes, VOLUME_MINUTES),
        signed=table(signed, (240,)),
        shape=table(shape, (1440,)),
    )
    highest, lowest = window_extremes(path.top, path.bottom, constants.extremes, place, rows)
    prices = Prices(level=level, last=path.last, place=place, rows=rows, highest=highest, lowest=lowest)
    names = (*NAMES, *SCORE_NAMES)
    out = np.empty((len(names) + 4, rows.size))
    side = Side(*out[len(names) :])
    fill_features(prices, sums, constants, out, side)
    scores = out[len(NAMES) : len(names)]
    fill_zscores(level, windows_in(SCORE_MINUTES, interval_minutes), place, rows, constants.floor, scores)
    np.clip(scores, -constants.score, constants.score, out=scores)
    return PriceFeatures(
        values=dict(zip(names, out, strict=False)),
        sigma_bar=side.sigma,
        illiquidity=side.illiquidity,
        volatility=side.volatility,
        drawdown=side.drawdown,
    )


def _constants(interval_minutes: int) -> Constants:
    return Constants(
        step=bars_in(CONSTANTS.volatility_step, interval_minutes),
        keep=_keeps(interval_minutes),
        returns=windows_in(RETURN_MINUTES, interval_minutes),
        extremes=windows_in(EXTREME_MINUTES, interval_minutes),
        day=1440 / interval_minutes,
        floor=CONSTANTS.volatility_floor,
        floor_squared=CONSTANTS.volatility_floor**2,
        score=CONSTANTS.score_limit,
        log_ratio=CONSTANTS.log_ratio_limit,
    )


def _keeps(interval_minutes: int) -> F64:
    def half_life(minutes: float) -> float:
        return float(0.5 ** (1.0 / max(1.0, minutes / interval_minutes)))

    wilder = [1.0 - 1.0 / bars_in(m, interval_minutes) for m in (60, 60, 240, 240)]
    span = [1.0 - 2.0 / (bars_in(m, interval_minutes) + 1.0) for m in (60, 240, 1440)]
    slow, fast = half_life(CONSTANTS.volatility_half_life), half_life(CONSTANTS.fast_half_life)
    return np.array([slow, fast, slow, *wilder, *span])
