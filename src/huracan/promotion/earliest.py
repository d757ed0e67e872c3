"""The first night on which a hypothesis could be promoted, if every day from now on were as good as a day can count.

A lower bound, not a forecast. Three rules want days: the gate on observed days, the gate on days with a position, and
the e-process, whose gain of a day is capped. The drawdown gate against doing nothing never opens again once it is
closed.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from huracan.domain.arrays import F64
from huracan.domain.recipe import DRAWDOWN_LIMIT, RiskPreset
from huracan.promotion.alpha_budget import COHORT_SLOTS, POOL_ALPHA
from huracan.promotion.gates import MIN_OBSERVED, MIN_WITH_POSITION
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRow
from huracan.stats.bootstrap import max_drawdown
from huracan.stats.evalues import GAIN_CAP, e_process_step, log_e_value

WaitsFor = Literal["days", "positions", "evidence", "drawdown", "ended"]
"""The rule that puts the earliest night where it is."""

MOST_OBSERVATIONS: Final = 3_650
"""What is further away than this many perfect days is called out of reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earliest:
    """`day` is the first data day that could promote, None where none can; `observations` are wanted before it."""

    day: int | None
    observations: int
    waits_for: WaitsFor


def earliest_promotion(
    lineage: Lineage,
    row: LineageRow,
    net_bps: F64,
    *,
    today: int,
    block_days: int,
    preset: RiskPreset | None,
) -> Earliest:
    """The bound of one lineage after the day `today`.

    `net_bps` are its observed days, `preset` is None where nothing is known tonight. The threshold taken is the lowest
    that the ledger could ask: all slots of the cohort rejected at once.
    """
    if row.status != "open":
        return Earliest(day=None, observations=0, waits_for="ended")
    if lineage.champion_id == NOTHING and _fell_too_far(net_bps, preset):
        return Earliest(day=None, observations=0, waits_for="drawdown")
    wanted: tuple[tuple[int, WaitsFor], ...] = (
        (MIN_OBSERVED - row.observed, "days"),
        (MIN_WITH_POSITION - (row.observed - row.zero), "positions"),
        (_observations_to(math.log(1.0 / (POOL_ALPHA * lineage.gamma * COHORT_SLOTS)), row), "evidence"),
    )
    observations, waits_for = max(wanted, key=lambda item: item[0])
    if observations >= MOST_OBSERVATIONS:
        return Earliest(day=None, observations=0, waits_for="evidence")
    if observations < 1:
        return Earliest(day=today + 1, observations=0, waits_for="evidence")
    return Earliest(
        day=max(today + 1, _observation_day(row.day, observations, block_days)),
        observations=observations,
        waits_for=waits_for,
    )


def _fell_too_far(net_bps: F64, preset: RiskPreset | None) -> bool:
    """Whether the drawdown gate is closed for good: more days never make a largest drawdown smaller."""
    return preset is not None and max_drawdown(net_bps) * 1e-4 > DRAWDOWN_LIMIT[preset]


def _observations_to(log_wanted: float, row: LineageRow) -> int:
    """Observations at the capped gain until both e-values reach a threshold."""
    return max(_until(log_wanted, row.log_wealth_champion), _until(log_wanted, row.log_wealth_nothing))


def _until(log_wanted: float, log_wealth: tuple[float, ...]) -> int:
    for count in range(MOST_OBSERVATIONS):
        if log_e_value(log_wealth) >= log_wanted - 1e-9:
            return count
        log_wealth = e_process_step(log_wealth, GAIN_CAP, 1.0)
    return MOST_OBSERVATIONS


def _observation_day(last_day: int, observations: int, block_days: int) -> int:
    """Day of the n-th observation after a day; observations of several days end where the day number says.

    >>> _observation_day(10, 2, 1), _observation_day(10, 1, 3), _observation_day(11, 2, 3)
    (12, 11, 17)
    """
    first = last_day + 1 + (-(last_day + 2)) % block_days
    return first + (observations - 1) * block_days
