"""Features of a coin's own prices and volumes: one value per reported bar from windows that are already summed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.features.inputs import PricePath, quote_volume, real_bars
from huracan.features.names import RULES
from huracan.features.windows import bars_in, net_moves, window_extremes, window_sums, window_zscores, windows_in
from huracan.stats.kernel import kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MOVE_MINUTES: Final = (15, 60, 240, 1440, 4320)
VOLUME_MINUTES: Final = (60, 240, 4320)
EXTREME_MINUTES: Final = (240, 1440, 4320)
SCORE_MINUTES: Final = (240, 1440)
RETURN_MINUTES: Final = (5, 15, 60, 240, 1440, 4320)
LIMITS: Final = np.array([RULES.volatility_floor, RULES.score_limit, RULES.log_ratio_limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFeatures:
    """Values by feature name, the volatility of one bar, and the regime's inputs; all shape (m,), unmasked."""

    values: dict[str, F64]
    sigma_bar: F64
    illiquidity: F64
    volatility: F64
    drawdown: F64


@kernel
def _move_columns(level: F64, place: I64) -> F64:
    """Squared and absolute returns (n, 2)."""
    out = np.empty((level.shape[0], 2))
    for bar in range(level.shape[0]):
        move = level[bar] - level[bar - 1] if place[bar] > 0 else level[bar]
        out[bar, 0] = move * move
        out[bar, 1] = abs(move)
    return out


@kernel
def _volume_columns(quote: F64, real: NDArray[np.bool_]) -> F64:
    """Quote volume, its root, and one for every bar that counts (n, 3)."""
    out = np.zeros((quote.shape[0], 3))
    for bar in range(quote.shape[0]):
        if real[bar]:
            out[bar, 0] = quote[bar]
            out[bar, 1] = np.sqrt(quote[bar])
            out[bar, 2] = 1.0
    return out


@kernel
def _shape_columns(path: F64, top: F64, bottom: F64, real: NDArray[np.bool_], place: I64) -> F64:
    """Third and fourth powers of returns, squares of falls, squared log ranges (n, 4)."""
    out = np.zeros((path.shape[0], 4))
    for bar in range(path.shape[0]):
        move = path[bar] - path[bar - 1] if place[bar] > 0 else path[bar]
        square = move * move
        out[bar, 0] = square * move
        out[bar, 1] = square * square
        if move < 0.0:
            out[bar, 2] = square
        if real[bar]:
            spread = np.log(top[bar] / bottom[bar])
            out[bar, 3] = spread * spread
    return out


@kernel
def _signed_volume(level: F64, quote: F64, real: NDArray[np.bool_], place: I64) -> F64:
    """Quote volume with the sign of the return (n, 1)."""
    out = np.zeros((level.shape[0], 1))
    for bar in range(level.shape[0]):
        if real[bar]:
            move = level[bar] - level[bar - 1] if place[bar] > 0 else level[bar]
            out[bar, 0] = quote[bar] * np.sign(move)
    return out


@kernel
def _averages(level: F64, place: I64, rows: I64, step: int, keep: F64, out: F64) -> None:
    """Decayed means (10, m): squared step return, squared return fast and slow, gains and losses twice, three EMAs."""
    total, weight, x = np.zeros(10), np.zeros(10), np.zeros(10)
    row = 0
    for bar in range(level.shape[0]):
        spot = place[bar]
        if spot == 0:
            total[:] = 0.0
            weight[:] = 0.0
        move = level[bar] - level[bar - 1] if spot > 0 else level[bar]
        x[1] = x[2] = move * move
        x[3] = x[5] = max(move, 0.0)
        x[4] = x[6] = max(-move, 0.0)
        x[7] = x[8] = x[9] = level[bar]
        first = 1
        if spot + 1 >= step:
            far = level[bar] - level[bar - step] if spot >= step else level[bar]
            x[0] = far * far
            first = 0
        for column in range(first, 10):
            total[column] = keep[column] * total[column] + x[column]
            weight[column] = keep[column] * weight[column] + 1.0
        if row < rows.shape[0] and rows[row] == bar:
            for column in range(10):
                out[column, row] = total[column] / weight[column]
            row += 1


@kernel
def clip(value: float, limit: float) -> float:
    """Value within +-limit; NaN stays NaN."""
    return max(-limit, min(limit, value)) if value == value else value  # noqa: PLR0124


@kernel
def half_log_ratio(a: float, b: float, floor: float, limit: float) -> float:
    """Half the log of the ratio of two variances: that of standard deviations, with a floor under both."""
    return clip(0.5 * np.log((a + floor * floor) / (b + floor * floor)), limit)


VOLATILITY_NAMES: Final = (
    "sigma_day_bps",
    "vol_ratio_15_240",
    "vol_ratio_60_1440",
    "vol_ratio_240_4320",
    "ewma_vol_ratio_60_1440",
    "parkinson_ratio_1440",
    "downside_share_1440",
    "skew_1440",
    "kurtosis_1440",
)


@kernel
def _volatility(
    nets: F64, moves: F64, shape: F64, average: F64, sigma: F64, w: I64, day_bars: float, limits: F64, out: F64
) -> None:
    floor, score_limit, ratio_limit = limits
    day = np.sqrt(day_bars) * 1e4
    for row in range(sigma.shape[0]):
        v15, v60, v240 = moves[0, 0, row] / w[0], moves[1, 0, row] / w[1], moves[2, 0, row] / w[2]
        v1440, v4320 = moves[3, 0, row] / w[3], moves[4, 0, row] / w[4]
        out[0, row] = sigma[row] * day
        out[1, row] = half_log_ratio(v15, v240, floor, ratio_limit)
        out[2, row] = half_log_ratio(v60, v1440, floor, ratio_limit)
        out[3, row] = half_log_ratio(v240, v4320, floor, ratio_limit)
        out[4, row] = half_log_ratio(average[1, row], average[2, row], floor, ratio_limit)
        parkinson = shape[3, row] / (4.0 * np.log(2.0) * w[3])
        out[5, row] = half_log_ratio(parkinson, v1440, floor, ratio_limit)
        total = moves[3, 0, row]
        out[6, row] = shape[2, row] / total - 0.5 if total > 0.0 else 0.0
        mean = nets[4, row] / w[3]
        variance = v1440 - mean * mean
        out[7, row], out[8, row] = 0.0, np.log(4.0)
        if variance > floor * floor:
            third = shape[0, row] / w[3] - 3.0 * mean * v1440 + 2.0 * mean**3
            fourth = shape[1, row] / w[3] - 4.0 * mean * shape[0, row] / w[3] + 6.0 * mean**2 * v1440 - 3.0 * mean**4
            out[7, row] = clip(third / (variance * np.sqrt(variance)), score_limit)
            out[8, row] = np.log(1.0 + max(fourth, 0.0) / variance**2)


TREND_NAMES: Final = (
    "efficiency_60",
    "efficiency_240",
    "efficiency_1440",
    "drift_t_1440",
    "drift_t_4320",
    "ema_distance_60",
    "ema_distance_240",
    "ema_distance_1440",
    "ema_cross_60_240",
    "ema_cross_240_1440",
    "rsi_60",
    "rsi_240",
)


@kernel
def _trend(here: F64, nets: F64, moves: F64, average: F64, sigma: F64, w: I64, limits: F64, out: F64) -> None:
    floor, limit = limits[0], limits[1]
    root = np.sqrt(w)
    for row in range(here.shape[0]):
        for index in range(3):
            walked = moves[index + 1, 1, row]
            out[index, row] = nets[index + 2, row] / walked if walked > 0.0 else 0.0
        for index in range(2):
            window = w[index + 3]
            mean = nets[index + 4, row] / window
            variance = moves[index + 3, 0, row] / window - mean * mean
            out[3 + index, row] = clip(mean * root[index + 3] / np.sqrt(max(variance, 0.0) + floor * floor), limit)
        for index in range(3):
            gap = here[row] - average[7 + index, row]
            out[5 + index, row] = clip(gap / (sigma[row] * root[index + 1]), limit)
        for index in range(2):
            gap = average[7 + index, row] - average[8 + index, row]
            out[8 + index, row] = clip(gap / (sigma[row] * root[index + 2]), limit)
            gain, loss = average[3 + 2 * index, row], average[4 + 2 * index, row]
            out[10 + index, row] = (gain - loss) / (gain + loss) if gain + loss > 0.0 else 0.0


RANGE_NAMES: Final = (
    "range_position_240",
    "range_position_1440",
    "range_position_4320",
    "max_distance_1440",
    "max_distance_4320",
    "min_distance_1440",
    "min_distance_4320",
)


@kernel
def _range(last: F64, highest: F64, lowest: F64, sigma: F64, windows: I64, limit: float, out: F64) -> F64:
    """The drawdown from the high of a day in its own sigmas (m,), before it is clipped."""
    drawdown, root = np.empty(last.shape[0]), np.sqrt(windows)
    for row in range(last.shape[0]):
        price = last[row]
        for index in range(3):
            width = highest[index, row] - lowest[index, row]
            out[index, row] = (price - lowest[index, row]) / width - 0.5 if width > 0.0 else 0.0
        for index in range(2):
            scale = sigma[row] * root[index + 1]
            below = np.log(price / highest[index + 1, row]) / scale
            above = np.log(price / lowest[index + 1, row]) / scale
            if index == 0:
                drawdown[row] = below
            out[3 + index, row], out[5 + index, row] = clip(below, limit), clip(above, limit)
    return drawdown


VOLUME_NAMES: Final = ("volume_z_60", "volume_z_240", "signed_volume_240", "amihud_240")

PARTS: Final = (
    tuple(f"ret_{m}" for m in RETURN_MINUTES),
    tuple(f"zscore_{m}" for m in SCORE_MINUTES),
    VOLATILITY_NAMES,
    TREND_NAMES,
    RANGE_NAMES,
    VOLUME_NAMES,
)
NAMES: Final = tuple(name for part in PARTS for name in part)


@kernel
def _volume(moves: F64, volumes: F64, signed: F64, w: I64, limits: F64, out: F64) -> F64:
    """The log of price impact per quote volume over four hours (m,), inf without trades."""
    floor, score_limit, ratio_limit = limits
    m = moves.shape[2]
    impact = np.full(m, np.inf)
    for row in range(m):
        out[:, row] = 0.0
        traded, seen = volumes[2, 0, row], volumes[2, 2, row]
        if seen > 0.0 and traded > 0.0:
            mean = volumes[2, 1, row] / seen
            variance = traded / seen - mean * mean
            if variance > 1e-12 * traded / seen:
                for index in range(2):
                    if volumes[index, 2, row] > 0.0:
                        recent = volumes[index, 1, row] / volumes[index, 2, row]
                        out[index, row] = clip((recent - mean) / np.sqrt(variance), score_limit)
        if volumes[1, 0, row] > 0.0:
            out[2, row] = signed[0, row] / volumes[1, 0, row]
            near = np.log((moves[2, 1, row] / w[2] + floor) / (volumes[1, 0, row] / volumes[1, 2, row]))
            far = np.log((moves[4, 1, row] / w[4] + floor) / (traded / seen))
            impact[row] = near
            out[3, row] = clip(near - far, ratio_limit)
    return impact


def price_features(frame: pl.DataFrame, path: PricePath, rows: I64, interval_minutes: int) -> PriceFeatures:
    """All features that need nothing but the coin's own bars. Values of windows that are not full mean nothing yet."""
    level, place = path.level, path.place
    real, quote = real_bars(frame), quote_volume(frame)

    def sums(columns: F64, minutes: tuple[int, ...]) -> F64:
        return window_sums(columns, windows_in(minutes, interval_minutes), place, rows)

    w = windows_in(MOVE_MINUTES, interval_minutes)
    moves = sums(_move_columns(level, place), MOVE_MINUTES)
    volumes = sums(_volume_columns(quote, real), VOLUME_MINUTES)
    signed = sums(_signed_volume(level, quote, real, place), (240,))[0]
    shape = sums(_shape_columns(level, path.top, path.bottom, real, place), (1440,))[0]
    step = bars_in(RULES.volatility_step, interval_minutes)
    average = np.empty((10, rows.size))
    _averages(level, place, rows, step, _keeps(interval_minutes), average)
    sigma = np.sqrt(np.maximum(average[0] / step, RULES.volatility_floor**2))
    return_windows = windows_in(RETURN_MINUTES, interval_minutes)
    nets = net_moves(level, place, rows, return_windows)
    extreme_windows = windows_in(EXTREME_MINUTES, interval_minutes)
    highest, lowest = window_extremes(path.top, path.bottom, extreme_windows, place, rows)
    scores = window_zscores(level, windows_in(SCORE_MINUTES, interval_minutes), place, rows, RULES.volatility_floor)
    out = np.empty((len(NAMES), rows.size))  # one block from numpy: large pages, a fraction of the page faults
    returns, score, volatility, trend, ranges, volume = np.split(out, np.cumsum([len(part) for part in PARTS[:-1]]))
    _over_sigma(nets, sigma, return_windows, LIMITS[1], returns)
    np.clip(scores, -LIMITS[1], LIMITS[1], out=score)
    _volatility(nets, moves, shape, average, sigma, w, 1440 / interval_minutes, LIMITS, volatility)
    _trend(level[rows], nets, moves, average, sigma, w, LIMITS, trend)
    drawdown = _range(path.last[rows], highest, lowest, sigma, extreme_windows, LIMITS[1], ranges)
    impact = _volume(moves, volumes, signed, w, LIMITS, volume)
    values = dict(zip(NAMES, out, strict=True))
    return PriceFeatures(values=values, sigma_bar=sigma, illiquidity=impact, volatility=average[1], drawdown=drawdown)


@kernel
def _over_sigma(nets: F64, sigma: F64, windows: I64, limit: float, out: F64) -> None:
    """Net moves (w, m) over the volatility expected of their windows, clipped."""
    for index in range(windows.shape[0]):
        root = np.sqrt(windows[index])
        for row in range(sigma.shape[0]):
            out[index, row] = clip(nets[index, row] / (sigma[row] * root), limit)


def _keeps(interval_minutes: int) -> F64:
    def half_life(minutes: float) -> float:
        return float(0.5 ** (1.0 / max(1.0, minutes / interval_minutes)))

    wilder = [1.0 - 1.0 / bars_in(m, interval_minutes) for m in (60, 60, 240, 240)]
    span = [1.0 - 2.0 / (bars_in(m, interval_minutes) + 1.0) for m in (60, 240, 1440)]
    slow, fast = half_life(RULES.volatility_half_life), half_life(RULES.fast_half_life)
    return np.array([slow, fast, slow, *wilder, *span])
