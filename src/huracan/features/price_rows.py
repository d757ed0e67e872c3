"""Features of a coin's own prices and volumes, a chunk of bars at a time.

Sums, averages and net moves of a chunk stay in the processor's cache until its features are made of them. Each column
is filled by a loop of its own, quotients first and logarithms behind them, so that the compiler can vectorise what has
no call in it.
"""

from typing import Final, NamedTuple

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.features.windows import SumTable, fill_moves, read_sums
from huracan.stats.kernel import kernel

CHUNK: Final = 4096  # bars; what is made of them fills two megabytes

RETURN_MINUTES: Final = (5, 15, 60, 240, 1440, 4320)
RETURN_NAMES: Final = tuple(f"ret_{m}" for m in RETURN_MINUTES)
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
RANGE_NAMES: Final = (
    "range_position_240",
    "range_position_1440",
    "range_position_4320",
    "max_distance_1440",
    "max_distance_4320",
    "min_distance_1440",
    "min_distance_4320",
)
VOLUME_NAMES: Final = ("volume_z_60", "volume_z_240", "signed_volume_240", "amihud_240")
NAMES: Final = (*RETURN_NAMES, *VOLATILITY_NAMES, *TREND_NAMES, *RANGE_NAMES, *VOLUME_NAMES)
VOLATILITY_AT: Final = len(RETURN_NAMES)
TREND_AT: Final = VOLATILITY_AT + len(VOLATILITY_NAMES)
RANGE_AT: Final = TREND_AT + len(TREND_NAMES)
VOLUME_AT: Final = RANGE_AT + len(RANGE_NAMES)


class Sums(NamedTuple):
    """Tables of a coin's windowed sums: squared and absolute returns, volumes, signed volume, shapes."""

    moves: SumTable
    volumes: SumTable
    signed: SumTable
    shape: SumTable


class Constants(NamedTuple):
    """Constants of the price features.

    step: bars of a volatility return. keep (10,): weights of `averages`. returns, extremes: windows in bars. day: bars
    of a day. floor: least volatility of a bar, and floor_squared. score, log_ratio: limits that values are clipped to.
    """

    step: int
    keep: F64
    returns: I64
    extremes: I64
    day: float
    floor: float
    floor_squared: float
    score: float
    log_ratio: float


class Side(NamedTuple):
    """What others need beside the features, all (m,): see `PriceFeatures`."""

    sigma: F64
    illiquidity: F64
    volatility: F64
    drawdown: F64


@kernel
def clip(value: float, limit: float) -> float:
    """Value within +-limit; NaN stays NaN."""
    return max(-limit, min(limit, value)) if value == value else value  # noqa: PLR0124


@kernel
def averages(level: F64, place: I64, rows: I64, since: int, constants: Constants, state: F64, out: F64) -> int:
    """Decayed means (10, m): squared step return, squared return fast and slow, gains and losses twice, three EMAs.

    `state` (2, 10), totals and weights, is carried on from bar `since`; returns the bar to go on with.
    """
    step, keep = constants.step, constants.keep
    total, weight, x = state[0], state[1], np.zeros(10)
    row, end = 0, int(rows[-1]) + 1
    for bar in range(since, end):
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
        if rows[row] == bar:
            for column in range(10):
                out[column, row] = total[column] / weight[column]
            row += 1
    return end


@kernel
def _sigmas(average: F64, constants: Constants, out: F64) -> None:
    """Volatility of one bar, from the mean squared step return."""
    for row in range(out.shape[0]):
        out[row] = np.sqrt(np.maximum(average[row] / constants.step, constants.floor_squared))


@kernel
def _clipped_over(gap: F64, sigma: F64, root: float, limit: float, out: F64) -> None:
    """A log distance over the volatility expected of its window, clipped; may work in place."""
    for row in range(out.shape[0]):
        out[row] = clip(gap[row] / (sigma[row] * root), limit)


@kernel
def _sd_ratio(above: F64, above_bars: float, below: F64, below_bars: float, constants: Constants, out: F64) -> None:
    """Half the log of the ratio of two variances, that of standard deviations, each from a sum over bars, with a floor
    under both.
    """
    floor = constants.floor * constants.floor
    for row in range(out.shape[0]):
        out[row] = (above[row] / above_bars + floor) / (below[row] / below_bars + floor)
    for row in range(out.shape[0]):
        out[row] = clip(0.5 * np.log(out[row]), constants.log_ratio)


@kernel
def _volatility(moves: F64, shape: F64, average: F64, sigma: F64, w: I64, constants: Constants, out: F64) -> None:
    day = np.sqrt(constants.day) * 1e4
    total = moves[3, 0]
    for row in range(sigma.shape[0]):
        out[0, row] = sigma[row] * day
        out[6, row] = shape[2, row] / total[row] - 0.5 if total[row] > 0.0 else 0.0
    for index in range(3):
        long = index + 2
        _sd_ratio(moves[index, 0], w[index], moves[long, 0], w[long], constants, out[1 + index])
    _sd_ratio(average[1], 1.0, average[2], 1.0, constants, out[4])
    _sd_ratio(shape[3], 4.0 * np.log(2.0) * w[3], total, w[3], constants, out[5])


@kernel
def _moments(net: F64, total: F64, shape: F64, bars: int, constants: Constants, skew: F64, kurtosis: F64) -> None:
    """Skewness, and the log of one plus the kurtosis, of the returns of a day."""
    floor = constants.floor * constants.floor
    for row in range(skew.shape[0]):
        mean, square = net[row] / bars, total[row] / bars
        variance = square - mean * mean
        third = shape[0, row] / bars - 3.0 * mean * square + 2.0 * mean**3
        fourth = shape[1, row] / bars - 4.0 * mean * shape[0, row] / bars + 6.0 * mean**2 * square - 3.0 * mean**4
        moved = variance > floor
        skew[row] = clip(third / (variance * np.sqrt(variance)), constants.score) if moved else 0.0
        kurtosis[row] = 1.0 + max(fourth, 0.0) / variance**2 if moved else 4.0
    for row in range(skew.shape[0]):
        kurtosis[row] = np.log(kurtosis[row])


@kernel
def _trend(here: F64, nets: F64, moves: F64, average: F64, sigma: F64, w: I64, constants: Constants, out: F64) -> None:
    floor, limit, root = constants.floor * constants.floor, constants.score, np.sqrt(w)
    for index in range(3):
        net, travelled, column = nets[index + 2], moves[index + 1, 1], out[index]
        for row in range(sigma.shape[0]):
            column[row] = net[row] / travelled[row] if travelled[row] > 0.0 else 0.0
    for index in range(2):
        window, net, total, column = w[index + 3], nets[index + 4], moves[index + 3, 0], out[3 + index]
        for row in range(sigma.shape[0]):
            mean = net[row] / window
            variance = total[row] / window - mean * mean
            column[row] = clip(mean * root[index + 3] / np.sqrt(max(variance, 0.0) + floor), limit)
    for index in range(3):
        for row in range(sigma.shape[0]):
            out[5 + index, row] = here[row] - average[7 + index, row]
        _clipped_over(out[5 + index], sigma, root[index + 1], limit, out[5 + index])
    for index in range(2):
        for row in range(sigma.shape[0]):
            out[8 + index, row] = average[7 + index, row] - average[8 + index, row]
        _clipped_over(out[8 + index], sigma, root[index + 2], limit, out[8 + index])
        gain, loss, column = average[3 + 2 * index], average[4 + 2 * index], out[10 + index]
        for row in range(sigma.shape[0]):
            both = gain[row] + loss[row]
            column[row] = (gain[row] - loss[row]) / both if both > 0.0 else 0.0


@kernel
def _range(last: F64, highest: F64, lowest: F64, sigma: F64, constants: Constants, drawdown: F64, out: F64) -> None:
    """Places in the range and distances from its ends; the drawdown from the high of a day is not clipped."""
    root = np.sqrt(constants.extremes)
    for index in range(3):
        high, low, column = highest[index], lowest[index], out[index]
        for row in range(sigma.shape[0]):
            width = high[row] - low[row]
            column[row] = (last[row] - low[row]) / width - 0.5 if width > 0.0 else 0.0
    for index in range(4):
        edge = highest[1 + index] if index < 2 else lowest[index - 1]
        column, scale = out[3 + index], root[1 + index % 2]
        for row in range(sigma.shape[0]):
            column[row] = last[row] / edge[row]
        for row in range(sigma.shape[0]):
            column[row] = np.log(column[row])
        if index == 0:
            for row in range(sigma.shape[0]):
                drawdown[row] = column[row] / (sigma[row] * scale)
        _clipped_over(column, sigma, scale, constants.score, column)


@kernel
def _volume(moves: F64, volumes: F64, signed: F64, w: I64, constants: Constants, impact: F64, out: F64) -> None:
    """Volume features; `impact` is the log of price impact per quote volume over four hours, inf without trades."""
    traded, roots, seen = volumes[2, 0], volumes[2, 1], volumes[2, 2]
    for index in range(2):
        near, count, column = volumes[index, 1], volumes[index, 2], out[index]
        for row in range(impact.shape[0]):
            mean = roots[row] / seen[row]
            variance = traded[row] / seen[row] - mean * mean
            varies = (seen[row] > 0.0) & (traded[row] > 0.0) & (variance > 1e-12 * traded[row] / seen[row])
            score = clip((near[row] / count[row] - mean) / np.sqrt(variance), constants.score)
            column[row] = score if varies & (count[row] > 0.0) else 0.0
    lately, far = volumes[1, 0], out[3]
    for row in range(impact.shape[0]):
        out[2, row] = signed[row] / lately[row] if lately[row] > 0.0 else 0.0
        impact[row] = (moves[2, 1, row] / w[2] + constants.floor) / (lately[row] / volumes[1, 2, row])
        far[row] = (moves[4, 1, row] / w[4] + constants.floor) / (traded[row] / seen[row])
    for row in range(impact.shape[0]):
        if lately[row] > 0.0:
            impact[row] = np.log(impact[row])
            far[row] = clip(impact[row] - np.log(far[row]), constants.log_ratio)
        else:
            impact[row], far[row] = np.inf, 0.0


class Prices(NamedTuple):
    """Series of all bars (n,), and of the bars to report (m,) the highest and lowest prices (3, m) of their windows."""

    level: F64
    last: F64
    place: I64
    rows: I64
    highest: F64
    lowest: F64


@kernel
def fill_features(prices: Prices, sums: Sums, constants: Constants, out: F64, side: Side) -> None:
    """Write the features (k, m), k as in `NAMES`, and what stands beside them."""
    state, bar = np.zeros((2, 10)), 0
    for first in range(0, prices.rows.shape[0], CHUNK):
        end = min(first + CHUNK, prices.rows.shape[0])
        rows = prices.rows[first:end]
        average = np.empty((10, end - first))
        bar = averages(prices.level, prices.place, rows, bar, constants, state, average)
        made, beside = _chunk(prices, first, average, sums, constants)
        for column in range(made.shape[0]):
            out[column, first:end] = made[column]
        side.sigma[first:end], side.illiquidity[first:end], side.drawdown[first:end] = beside[0], beside[1], beside[2]
        side.volatility[first:end] = average[1]


@kernel
def _chunk(prices: Prices, first: int, average: F64, sums: Sums, constants: Constants) -> tuple[F64, F64]:
    """Features of a few bars (k, m), and their volatility, illiquidity and drawdown (3, m)."""
    m, w = average.shape[1], sums.moves.windows
    rows = prices.rows[first : first + m]
    out, beside, nets = np.empty((len(NAMES), m)), np.empty((3, m)), np.empty((constants.returns.shape[0], m))
    moves, volumes, signed, shape = np.empty((5, 2, m)), np.empty((3, 3, m)), np.empty((1, 1, m)), np.empty((1, 4, m))
    read_sums(sums.moves, rows, moves)
    read_sums(sums.volumes, rows, volumes)
    read_sums(sums.signed, rows, signed)
    read_sums(sums.shape, rows, shape)
    fill_moves(prices.level, prices.place, rows, constants.returns, nets)
    sigma, impact, drawdown = beside[0], beside[1], beside[2]
    _sigmas(average[0], constants, sigma)
    for index in range(nets.shape[0]):
        _clipped_over(nets[index], sigma, np.sqrt(constants.returns[index]), constants.score, out[index])
    volatility = out[VOLATILITY_AT:TREND_AT]
    _volatility(moves, shape[0], average, sigma, w, constants, volatility)
    _moments(nets[4], moves[3, 0], shape[0], w[3], constants, volatility[7], volatility[8])
    _trend(prices.level[rows], nets, moves, average, sigma, w, constants, out[TREND_AT:RANGE_AT])
    highest = np.ascontiguousarray(prices.highest[:, first : first + m])
    lowest = np.ascontiguousarray(prices.lowest[:, first : first + m])
    _range(prices.last[rows], highest, lowest, sigma, constants, drawdown, out[RANGE_AT:VOLUME_AT])
    _volume(moves, volumes, signed[0, 0], w, constants, impact, out[VOLUME_AT:])
    return out, beside
