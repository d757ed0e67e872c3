"""Liquidity tiers: pools, stress tables and spreads of unquoted pairs go by them."""

from typing import Final, Literal

Tier = Literal["A", "B", "C"]

TIERS: Final[tuple[Tier, ...]] = ("A", "B", "C")
TIER_FLOORS_GBP: Final[tuple[tuple[Tier, float], ...]] = (("A", 100e6), ("B", 10e6))


def tier_of(median_volume_gbp: float) -> Tier:
    """Tier by the median quote volume of the last 30 days, GBP a day.

    >>> tier_of(2e8), tier_of(1e7), tier_of(5e5)
    ('A', 'B', 'C')
    """
    for tier, floor in TIER_FLOORS_GBP:
        if median_volume_gbp >= floor:
            return tier
    return "C"
