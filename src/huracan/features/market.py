"""Features of a coin against the market: relative strength, beta, residuals, the market's own moves, dispersion."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from huracan.domain.frames import MarketContext
from huracan.features.inputs import PricePath, market_levels
from huracan.features.names import RULES
from huracan.features.windows import bars_in, decayed_means, net_moves, window_sums, windows_in
from huracan.stats.kernel import kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MINUTES: Final = (60, 240, 1440)
BETA_LIMIT: Final = 5.0
DISPERSION_FLOOR: Final = 1e-8


@kernel
def _market_moves(market: F64, before: F64, place: I64, rows: I64, windows: I64) -> F64:
    """The market's log return over the bars a coin's window holds (w, m); NaN when too young or unknown."""
    out = np.full((windows.shape[0], rows.shape[0]), np.nan)
    for index in range(windows.shape[0]):
        window = windows[index]
        for row in range(rows.shape[0]):
            bar = rows[row]
            if place[bar] >= window:
                out[index, row] = market[bar] - market[bar - window]
            elif place[bar] + 1 == window:
                out[index, row] = market[bar] - before[bar + 1 - window]
    return out


@kernel
def _step_products(level: F64, market: F64, before: F64, place: I64, step: int) -> F64:
    """Step return of coin times market, and of the market squared (n, 2); NaN where either is unknown."""
    out = np.full((level.shape[0], 2), np.nan)
    for bar in range(level.shape[0]):
        spot = place[bar]
        if spot + 1 < step:
            continue
        coin = level[bar] - level[bar - step] if spot >= step else level[bar]
        move = market[bar] - (market[bar - step] if spot >= step else before[bar + 1 - step])
        out[bar, 0] = coin * move
        out[bar, 1] = move * move
    return out


def market_features(
    context: MarketContext,
    path: PricePath,
    rows: I64,
    sigma_bar: F64,
    open_time: I64,
    interval_minutes: int,
) -> dict[str, F64]:
    """Values by feature name (m,), unmasked; NaN where the market was unknown. `dispersion` only if the context has it."""
    market, before, dispersion = market_levels(context, open_time, interval_minutes * 60_000)
    windows = windows_in(MINUTES, interval_minutes)
    step = bars_in(RULES.volatility_step, interval_minutes)
    keep = 0.5 ** (1.0 / max(1.0, RULES.volatility_half_life / interval_minutes))
    products = _step_products(path.level, market, before, path.place, step)
    covariance, variance = decayed_means(products, np.array([keep, keep]), path.place, rows)
    floor = RULES.volatility_floor**2 * step
    beta = np.clip(covariance / np.maximum(variance, floor), -BETA_LIMIT, BETA_LIMIT)
    sigma_market = np.sqrt(np.maximum(variance, floor) / step)
    coin = net_moves(path.level, path.place, rows, windows)
    moves = _market_moves(market, before, path.place, rows, windows)
    scale = np.sqrt(windows)[:, None]
    relative = _clip((coin - moves) / (sigma_bar * scale))
    residual = _clip((coin - beta * moves) / (sigma_bar * scale))
    own = _clip(moves / (sigma_market * scale))
    values = {f"relative_strength_{minutes}": relative[index] for index, minutes in enumerate(MINUTES)}
    values |= {"beta": beta, "residual_240": residual[1], "residual_1440": residual[2]}
    values |= {"market_ret_60": own[0], "market_ret_240": own[1]}
    if context.frame["dispersion"].is_not_null().any():
        values["dispersion"] = _dispersion(dispersion, path.place, rows, interval_minutes)
    return values


def _dispersion(dispersion: F64, place: I64, rows: I64, interval_minutes: int) -> F64:
    """Log of dispersion against its mean of three days; NaN when less than half of them is known."""
    known = ~np.isnan(dispersion)
    window = windows_in((RULES.warm_up,), interval_minutes)
    columns = np.column_stack([np.where(known, dispersion, 0.0), known.astype(np.float64)])
    sums = window_sums(columns, window, place, rows)[:, 0, :]
    mean = np.where(sums[:, 1] * 2 >= window[0], sums[:, 0] / np.maximum(sums[:, 1], 1.0), np.nan)
    ratio = np.log((dispersion[rows] + DISPERSION_FLOOR) / (mean + DISPERSION_FLOOR))
    return np.asarray(np.clip(ratio, -RULES.log_ratio_limit, RULES.log_ratio_limit))


def _clip(values: F64) -> F64:
    return np.asarray(np.clip(values, -RULES.score_limit, RULES.score_limit))
