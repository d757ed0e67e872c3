"""Tonight's evidence about a recipe in a pool, and the observations made of it."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import DAILY_SCHEMA, check_schema
from huracan.domain.recipe import Recipe
from huracan.domain.time import Horizon
from huracan.promotion.hypothesis import Observation
from huracan.promotion.keys import EvidenceKey, PoolHorizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Observations in day order without holes, shape (n,): bps of capital; a void one has `valid` False and zeros.

    Horizons over a day give one observation per block of that length, dated by its last day.
    """

    days: I64
    net: F64
    stressed: F64
    has_position: Bool
    valid: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEvidence:
    """One recipe's daily results in one pool at one horizon, backtested with models of the time.

    `pool` names market and tier, not the horizon. `daily` is DAILY_SCHEMA, bps of the pool's capital, history and live
    days alike. Caps are fractions of capital that the simulation enforced. `market` "spot" is long or flat. `members`
    are tonight's. `former` are the historical constituents, which only past days count. `unready` says why its past is
    not whole tonight: then nothing is admitted with it.
    """

    pool: str
    tier: str
    market: str
    horizon: str
    recipe: Recipe
    members: tuple[str, ...]
    daily: pl.DataFrame
    net_cap: float
    gross_cap: float
    former: tuple[str, ...] = ()
    unready: str = ""
    recipe_id: str = field(init=False)
    series: Series = field(init=False)

    def __post_init__(self) -> None:
        check_schema(self.daily, DAILY_SCHEMA, f"daily results of {self.recipe.name} in {self.pool} at {self.horizon}")
        object.__setattr__(self, "recipe_id", self.recipe.id)  # hashing a recipe takes a millisecond
        object.__setattr__(self, "series", observations(self.daily, block_days(self.horizon)))

    @property
    def pool_horizon(self) -> PoolHorizon:
        """Where the recipe competes."""
        return PoolHorizon(self.pool, self.horizon)

    @property
    def key(self) -> EvidenceKey:
        """What this is evidence of."""
        return EvidenceKey(self.pool, self.horizon, self.recipe_id)

    @property
    def block_days(self) -> int:
        """Days per observation."""
        return block_days(self.horizon)


def block_days(horizon: str) -> int:
    """Whole days that one observation covers: 1, or the length of a horizon over a day.

    >>> block_days("4h"), block_days("1d"), block_days("3d")
    (1, 1, 3)
    """
    return max(1, -(-Horizon.parse(horizon).minutes // 1440))


def observations(daily: pl.DataFrame, block: int) -> Series:
    """The series of a DAILY_SCHEMA frame; days it leaves out between its first and last are void.

    Blocks are aligned to the UTC day number, so that all lineages share them; a block with one void day is void, and
    one that is not whole yet is left out.
    """
    if daily.height == 0:
        return _empty()
    rows = daily.sort("day")
    first, last = int(rows["day"][0]), int(rows["day"][-1])
    at = rows["day"].to_numpy() - first
    if len(np.unique(at)) != len(at):
        raise ValueError(f"daily results name a day twice between day {first} and day {last}; wanted one row a day")
    n = last - first + 1
    costs = rows["fees_bps"] + rows["spread_bps"] + rows["impact_bps"]
    net, stressed, exposure = np.zeros(n), np.zeros(n), np.zeros(n)
    valid = np.zeros(n, dtype=np.bool_)
    net[at] = rows["net_bps"].to_numpy()
    stressed[at] = (rows["net_bps"] - 0.5 * costs).to_numpy()
    exposure[at] = rows["exposure"].to_numpy()
    valid[at] = rows["valid"].to_numpy()
    valid = valid & np.isfinite(net) & np.isfinite(stressed)
    net[~valid], stressed[~valid] = 0.0, 0.0
    days = np.arange(first, first + n, dtype=np.int64)
    single = Series(days=days, net=net, stressed=stressed, has_position=exposure > 0.0, valid=valid)
    return _blocks(single, block) if block > 1 else single


def difference(own: Series, champion: Series | None) -> tuple[F64, Bool]:
    """Own result minus the champion's on the same days (None: do nothing), and where both are valid; shape of `own`."""
    if champion is None:
        return own.net, own.valid
    other, both = np.zeros_like(own.net), np.zeros_like(own.valid)
    _, mine, theirs = np.intersect1d(own.days, champion.days, assume_unique=True, return_indices=True)
    other[mine] = champion.net[theirs]
    both[mine] = champion.valid[theirs]
    both = both & own.valid
    return np.where(both, own.net - other, 0.0), both


def observation_at(own: Series, differences: F64, both: Bool, at: int) -> Observation:
    """One observation in plain numbers."""
    day = int(own.days[at])
    if not both[at]:
        return Observation(day=day, difference_bps=None, net_bps=None, valid=False, has_position=False)
    return Observation(
        day=day,
        difference_bps=float(differences[at]),
        net_bps=float(own.net[at]),
        valid=True,
        has_position=bool(own.has_position[at]),
    )


def _blocks(daily: Series, block: int) -> Series:
    skip = -int(daily.days[0]) % block
    whole = (daily.net.size - skip) // block
    if whole < 1:
        return _empty()
    part = slice(skip, skip + whole * block)
    shape = (whole, block)
    return Series(
        days=daily.days[part].reshape(shape)[:, -1],
        net=daily.net[part].reshape(shape).sum(axis=1),
        stressed=daily.stressed[part].reshape(shape).sum(axis=1),
        has_position=np.any(daily.has_position[part].reshape(shape), axis=1),
        valid=np.all(daily.valid[part].reshape(shape), axis=1),
    )


def _empty() -> Series:
    none, never = np.empty(0), np.empty(0, dtype=np.bool_)
    return Series(days=np.empty(0, dtype=np.int64), net=none, stressed=none, has_position=never, valid=never)
