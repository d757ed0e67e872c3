"""Features of a coin against the market: relative strength, beta, residuals, the market's own moves, dispersion."""

from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import MarketContext
from huracan.domain.time import MINUTE_MS
from huracan.features.inputs import PricePath, market_levels
from huracan.features.names import CONSTANTS
from huracan.features.price_rows import clip
from huracan.features.windows import bars_in, decayed_means, net_moves, read_sums, sum_table, windows_in
from huracan.stats.kernel import kernel

MINUTES: Final = (60, 240, 1440)
LEAST_DISPERSION_MEMBERS: Final = 3
DISPERSION_FLOOR: Final = 1e-8


@kernel
def _market_moves(market: F64, before: F64, place: I64, rows: I64, windows: I64, out: F64) -> None:
    """The market's log return over the bars a coin's window holds (w, m); NaN when too young or unknown."""
    for index in range(windows.shape[0]):
        window = windows[index]
        for row in range(rows.shape[0]):
            bar = rows[row]
            out[index, row] = np.nan
            if place[bar] >= window:
                out[index, row] = market[bar] - market[bar - window]
            elif place[bar] + 1 == window:
                out[index, row] = market[bar] - before[bar + 1 - window]


@kernel
def _step_products(level: F64, market: F64, before: F64, place: I64, step: int, out: F64) -> None:
    """Step return of coin times market, and of the market squared (2, n); NaN where either is unknown."""
    for bar in range(level.shape[0]):
        spot = place[bar]
        if spot + 1 < step:
            out[0, bar] = out[1, bar] = np.nan
            continue
        coin = level[bar] - level[bar - step] if spot >= step else level[bar]
        move = market[bar] - (market[bar - step] if spot >= step else before[bar + 1 - step])
        out[0, bar] = coin * move
        out[1, bar] = move * move


NAMES: Final = (
    "relative_strength_60",
    "relative_strength_240",
    "relative_strength_1440",
    "beta",
    "residual_240",
    "residual_1440",
    "market_ret_60",
    "market_ret_240",
)


@kernel
def _against_market(
    coin: F64, market: F64, average: F64, sigma: F64, windows: I64, step: int, limits: F64, out: F64
) -> None:
    """The eight features of `NAMES` (8, m) from net moves (3, m) of both and the averaged step products (2, m)."""
    floor, limit, beta_limit = limits
    roots = np.sqrt(windows)
    beta, own = out[3], np.empty(sigma.shape[0])
    for row in range(sigma.shape[0]):
        variance = max(average[1, row], floor * floor * step) if average[1, row] == average[1, row] else np.nan
        beta[row] = clip(average[0, row] / variance, beta_limit)
        own[row] = np.sqrt(variance / step)
    for index in range(3):
        root, net, move, column = roots[index], coin[index], market[index], out[index]
        for row in range(sigma.shape[0]):
            column[row] = clip((net[row] - move[row]) / (sigma[row] * root), limit)
    for index in range(1, 3):
        root, net, move, column = roots[index], coin[index], market[index], out[3 + index]
        for row in range(sigma.shape[0]):
            column[row] = clip((net[row] - beta[row] * move[row]) / (sigma[row] * root), limit)
    for index in range(2):
        root, move, column = roots[index], market[index], out[6 + index]
        for row in range(sigma.shape[0]):
            column[row] = clip(move[row] / (own[row] * root), limit)


def market_features(
    context: MarketContext,
    path: PricePath,
    rows: I64,
    *,
    sigma_bar: F64,
    open_time: I64,
    interval_minutes: int,
) -> dict[str, F64]:
    """Values by feature name (m,), unmasked; NaN where the market was unknown. No `dispersion` from too few members."""
    market, before, dispersion = market_levels(context, open_time, interval_minutes * MINUTE_MS)
    windows = windows_in(MINUTES, interval_minutes)
    step = bars_in(CONSTANTS.volatility_step, interval_minutes)
    keep = 0.5 ** (1.0 / max(1.0, CONSTANTS.volatility_half_life / interval_minutes))
    products = np.empty((2, path.level.size))
    _step_products(path.level, market, before, path.place, step, products)
    average = decayed_means(products, np.array([keep, keep]), path.place, rows)
    coin = net_moves(path.level, path.place, rows, windows)
    moves = np.empty_like(coin)
    _market_moves(market, before, path.place, rows, windows, moves)
    limits = np.array([CONSTANTS.volatility_floor, CONSTANTS.score_limit, CONSTANTS.beta_limit])
    out = np.empty((len(NAMES), rows.size))
    _against_market(coin, moves, average, sigma_bar, windows, step, limits, out)
    values = dict(zip(NAMES, out, strict=True))
    if len(context.members) >= LEAST_DISPERSION_MEMBERS:
        values["dispersion"] = _dispersion(dispersion, path.place, rows, interval_minutes)
    return values


def _dispersion(dispersion: F64, place: I64, rows: I64, interval_minutes: int) -> F64:
    """Log of dispersion against its mean of three days; NaN when less than half of them is known."""
    window = windows_in((CONSTANTS.warm_up,), interval_minutes)
    columns, after, sums = np.empty((3, 2, place.size))
    _known_columns(dispersion, columns)
    read_sums(sum_table(columns, window, place, after), rows, sums[np.newaxis])
    return _against_mean(dispersion, rows, sums, window[0], CONSTANTS.log_ratio_limit)


@kernel
def _known_columns(values: F64, out: F64) -> None:
    """Values with 0 for NaN, and one where they are known (2, n)."""
    for bar in range(values.shape[0]):
        known = not np.isnan(values[bar])
        out[0, bar] = values[bar] if known else 0.0
        out[1, bar] = 1.0 if known else 0.0


@kernel
def _against_mean(values: F64, rows: I64, sums: F64, window: int, limit: float) -> F64:
    out = np.full(rows.shape[0], np.nan)
    for row in range(rows.shape[0]):
        total, known = sums[0, row], sums[1, row]
        if 2.0 * known >= window:
            floored = (values[rows[row]] + DISPERSION_FLOOR) / (total / known + DISPERSION_FLOOR)
            out[row] = clip(np.log(floored), limit)
    return out
