"""How much of the year's error budget a hypothesis may spend. Declared at admission, never used again.

Per cohort (calendar year) the gammas sum to one: 3 primary lineages at 1/6, 6 secondary at 1/24, 30 others at 1/120.
The pools' share of the false discovery rate is .05, so a first promotion needs e of 120, 480 or 2,400.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from huracan.domain.time import DAY_MS

POOL_ALPHA: Final = 0.05
PRIMARY_GAMMA: Final = 1 / 6
SECONDARY_GAMMA: Final = 1 / 24
OTHER_GAMMA: Final = 1 / 120
OTHER_SLOTS: Final = 30
COHORT_SLOTS: Final = 9 + OTHER_SLOTS
NAMED_HORIZONS: Final = ("1h", "4h", "1d")
TIERS: Final = ("A", "B", "C")
SMALLEST_PRIMARY_POOL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One share of a cohort's budget, used once."""

    name: str
    gamma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """How many members one of tonight's pools has."""

    pool: str
    market: str
    tier: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """The pools that hold the named slots tonight; None where no pool is large enough, or no tier is left below."""

    primary_pool: str | None
    next_pool: str | None


def cohort_of(day: int) -> int:
    """Calendar year (UTC) of a data day.

    >>> cohort_of(20454), cohort_of(20453)
    (2026, 2025)
    """
    return datetime.fromtimestamp(day * DAY_MS / 1000, tz=UTC).year


def seats(pools: Sequence[PoolSize]) -> Seats:
    """The highest tier with at least 8 members in the market with most members, and the pool of the next tier down."""
    by_market: dict[str, dict[str, PoolSize]] = {}
    for pool in pools:
        tiers = by_market.setdefault(pool.market, {})
        if pool.tier not in tiers or tiers[pool.tier].members < pool.members:
            tiers[pool.tier] = pool
    if not by_market:
        return Seats(primary_pool=None, next_pool=None)
    market = min(by_market, key=lambda name: (-sum(pool.members for pool in by_market[name].values()), name))
    tiers = by_market[market]
    for rank, tier in enumerate(TIERS):
        if tier in tiers and tiers[tier].members >= SMALLEST_PRIMARY_POOL:
            below = next((tiers[name].pool for name in TIERS[rank + 1 :] if name in tiers), None)
            return Seats(primary_pool=tiers[tier].pool, next_pool=below)
    return Seats(primary_pool=None, next_pool=None)


def pick_slot(
    used: Collection[str],
    held: Seats,
    *,
    pool: str,
    horizon: str,
    recipe_name: str,
    first_admission: bool,
    primary_recipe: str = "linear",
) -> Slot | None:
    """The slot this lineage draws from its cohort; None when all that it may draw are used up: it waits.

    Re-openings (`first_admission` False) draw from the 30 others, and so does a named lineage whose own slot is gone.
    """
    if first_admission and horizon in NAMED_HORIZONS:
        named = _named_slot(held, pool, horizon, "linear" if recipe_name == primary_recipe else recipe_name)
        if named is not None and named.name not in used:
            return named
    for number in range(1, OTHER_SLOTS + 1):
        name = f"other/{number}"
        if name not in used:
            return Slot(name=name, gamma=OTHER_GAMMA)
    return None


def _named_slot(held: Seats, pool: str, horizon: str, recipe_name: str) -> Slot | None:
    if pool == held.primary_pool and recipe_name == "linear":
        return Slot(name=f"primary/{horizon}", gamma=PRIMARY_GAMMA)
    if pool == held.primary_pool and recipe_name == "boosted":
        return Slot(name=f"secondary/boosted/{horizon}", gamma=SECONDARY_GAMMA)
    if pool == held.next_pool and recipe_name == "linear":
        return Slot(name=f"secondary/next_tier/{horizon}", gamma=SECONDARY_GAMMA)
    return None
