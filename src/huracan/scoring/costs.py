"""What a round trip costs at each decision: two taker fees, two half spreads, impact both ways."""

import math
from typing import ClassVar

import numpy as np

from huracan.domain.arrays import F64, Bool
from huracan.domain.frames import FeatureFrame
from huracan.domain.recipe import CostPolicy, Recipe
from huracan.domain.time import Horizon
from huracan.errors import DataError
from huracan.stats.decide import position_fraction
from huracan.stats.kernel import kernel


class CostUnknownError(DataError, ValueError):
    """Spread or volume of a tradable row is unknown; a cost of zero would be a lie, so nothing is scored."""

    code: ClassVar[str] = "SPREAD_UNKNOWN"


def fees_bps(policy: CostPolicy, market: str) -> tuple[float, float]:
    """(maker, taker) fee of a market, bps of notional one way. Raises CostUnknownError for a market without one.

    >>> fees_bps(CostPolicy(), "um")
    (2.0, 5.0)
    """
    for name, maker, taker in policy.fees_bps:
        if name == market:
            return maker, taker
    known = ", ".join(name for name, _, _ in policy.fees_bps)
    raise CostUnknownError(f"no fees for market {market!r}, only for {known}: add them to the recipe's cost policy")


@kernel
def impact_bps(sigma_day_bps: float, volume_day_quote: float, traded_quote: float, y: float) -> float:
    """Impact of one order, bps of its notional: ``Y * sigma_day * sqrt(Q / V)`` (the square-root law)."""
    return y * sigma_day_bps * math.sqrt(traded_quote / volume_day_quote)


@kernel
def _full_sizes(sigma: F64, days: float, risk: float, leverage: float, floor: float, largest: float) -> F64:
    """Position of full conviction at each row's volatility, shape (n,)."""
    out = np.empty(sigma.size)
    for row in range(sigma.size):
        out[row] = position_fraction(1.0, 0.0, sigma[row], days, risk, leverage, floor, largest)
    return out


def row_costs(features: FeatureFrame, recipe: Recipe, horizon: Horizon) -> F64:
    """Cost of one round trip at each decision, bps of notional, shape (n,); NaN where the row is not valid.

    Fees and half spread are paid twice; impact is that of the largest position the sizing allows at the row's
    volatility, in and out. Funding is not a cost of turning over and is booked by its events. Raises
    CostUnknownError when a valid row has no spread or no volume.
    """
    policy, sizing = recipe.costs, recipe.sizing
    valid = features.warm.to_numpy()
    sigma = features.frame["sigma_day_bps"].to_numpy()
    spread, volume = known_liquidity(features)
    _, taker = fees_bps(policy, features.instrument.market)
    size = _full_sizes(
        sigma,
        horizon.days,
        sizing.per_trade_risk,
        sizing.leverage_cap,
        sizing.sigma_floor_day_bps,
        sizing.largest_position(horizon),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        impact = policy.impact_y * sigma * np.sqrt(policy.capital_quote * size / volume)
    cost: F64 = np.where(valid, 2.0 * taker + spread + 2.0 * impact, np.nan)
    return cost


def known_liquidity(features: FeatureFrame) -> tuple[F64, F64]:
    """(full spread in bps, daily volume in quote currency) of each row, NaN where not valid and not known.

    Raises CostUnknownError when a valid row lacks one of them, or has a negative spread or no volume at all.
    """
    frame = features.frame
    valid = frame["valid"].to_numpy()
    spread = frame["spread_bps"].cast(float).to_numpy()
    volume = frame["volume_day_quote"].cast(float).to_numpy()
    _refuse(features, valid & ~(np.isfinite(spread) & (spread >= 0.0)), "spread_bps", "at least 0")
    _refuse(features, valid & ~(np.isfinite(volume) & (volume > 0.0)), "volume_day_quote", "above 0")
    return spread, volume


def _refuse(features: FeatureFrame, bad: Bool, column: str, wanted: str) -> None:
    if bad.any():
        first = features.frame["decision_time"][int(np.argmax(bad))]
        seen = features.frame[column][int(np.argmax(bad))]
        raise CostUnknownError(
            f"{features.instrument.id}: {column} is {seen} in {int(bad.sum())} valid rows (first at {first}), wanted a "
            f"number {wanted}: measure it from the book or from 1-minute bars, or skip the coin"
        )
