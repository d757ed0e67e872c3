"""What a pair's spread is likely to be where nobody quotes it: the median of its liquidity tier's books."""

from collections.abc import Iterable
from statistics import median
from typing import Final

from huracan.domain.ids import Market
from huracan.domain.tiers import tier_of

MIN_BOOKS: Final = 5
"""Fewer books say something of these pairs, and nothing of a tier."""


def tier_key(market: Market, volume_gbp: float) -> str:
    """Name of a market's tier.

    >>> tier_key("um", 2e8)
    'um-A'
    """
    return f"{market}-{tier_of(volume_gbp)}"


def tier_medians(books: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Median full spread in bps by tier, from (tier, spread in bps) of every quoted pair; none for a tier with few.

    >>> tier_medians([("um-A", float(bps)) for bps in (1, 2, 3, 4, 90)] + [("um-B", 5.0)])
    {'um-A': 3.0}
    """
    known: dict[str, list[float]] = {}
    for tier, bps in books:
        known.setdefault(tier, []).append(bps)
    return {tier: median(found) for tier, found in sorted(known.items()) if len(found) >= MIN_BOOKS}
