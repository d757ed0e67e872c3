"""How bad one day can be: the bound B of a lineage, from a table of worst days and the caps a recipe declares.

A standard deviation alone is no bound: six of them, taken from 45 recorded days, were broken on up to 2.7% of the days
that followed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from huracan.domain.arrays import F64
from huracan.domain.json import JsonObject
from huracan.errors import ConfigError

SMALLEST_LAW_POOL: Final = 27
"""From this many members on, the law for pools holds; below, it is interpolated to the single pair."""
EARLIER_DAYS: Final = 180
EARLIER_SD: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a portfolio may hold: caps are fractions of capital, enforced; `allow_short` False means long or flat."""

    tier: str
    n_members: int
    net_cap: float
    gross_cap: float
    allow_short: bool = True

    def __post_init__(self) -> None:
        if self.n_members < 1 or not 0.0 <= self.net_cap <= self.gross_cap or not 0.0 < self.gross_cap < math.inf:
            raise ValueError(
                f"{self.n_members} members with net cap {self.net_cap} and gross cap {self.gross_cap}; "
                "wanted at least one member and 0 <= net <= gross, gross above 0"
            )


@cache
def _shipped_text() -> str:
    return files("huracan.promotion").joinpath("stress_table.json").read_text(encoding="utf-8")


def shipped_stress_table() -> JsonObject:
    """The table of worst days that is part of the package; `tools/stress_table.py` made it."""
    table: JsonObject = json.loads(_shipped_text())
    return table


def stress_bps(table: JsonObject, exposure: Exposure) -> float:
    """Worst day in bps of capital that the table allows for this exposure; raises ConfigError for an unusable table.

    Tables of kind ``market`` hold worst days per tier and side and the law for pools; those of kind ``world`` are true
    bounds that a simulated world declares: `factor_bps` of net, `idio_bps` of gross, `one_pair_bps` of a lone pair.
    """
    kind = table.get("kind")
    if kind == "world":
        if exposure.n_members == 1:
            return _number(table, "one_pair_bps") * exposure.gross_cap
        return _number(table, "factor_bps") * exposure.net_cap + _number(table, "idio_bps") * exposure.gross_cap
    if kind == "market":
        return _market_stress(table, exposure)
    raise ConfigError(f"the stress table's kind is {kind!r}, wanted 'market' or 'world'")


def bound_bps(table: JsonObject, exposure: Exposure, earlier_bps: F64 | None = None, *, block_days: int = 1) -> float:
    """Bound B in bps of capital: the table's worst day, or six sds of 180 or more earlier observations if that is more.

    `earlier_bps` (n,) are valid results from before the first scored day; an sd of scored days would break the e-value.
    An observation of `block_days` days may lose that many worst days.
    """
    stress = block_days * stress_bps(table, exposure)
    if earlier_bps is None or earlier_bps.size < EARLIER_DAYS:
        return stress
    return max(stress, EARLIER_SD * float(np.std(earlier_bps, ddof=1)))


def _market_stress(table: JsonObject, exposure: Exposure) -> float:
    tiers = table.get("tiers")
    tier = tiers.get(exposure.tier) if isinstance(tiers, Mapping) else None
    if not isinstance(tier, Mapping):
        raise ConfigError(f"the stress table has no tier {exposure.tier!r}; wanted A, B and C under 'tiers'")
    worst = _number(tier, "long_bps")
    if exposure.allow_short:
        worst = max(worst, _number(tier, "short_bps"))
    alone = worst * exposure.gross_cap
    if exposure.n_members == 1:
        return alone
    factor, idio = _number(table, "factor_bps") * exposure.net_cap, _number(table, "idio_bps") * exposure.gross_cap
    if exposure.n_members >= SMALLEST_LAW_POOL:
        return factor + idio / math.sqrt(exposure.n_members)
    edge = 1.0 / math.sqrt(SMALLEST_LAW_POOL)
    law = factor + idio * edge
    return law + (alone - law) * (1.0 / math.sqrt(exposure.n_members) - edge) / (1.0 - edge)


def _number(table: JsonObject, key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ConfigError(f"the stress table's {key!r} is {value!r}, wanted a number of basis points above 0")
    return float(value)
