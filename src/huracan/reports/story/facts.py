"""What the story is told from: a night's summary, read once into records."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from huracan.reports.story.words import gate_words

Row = Mapping[str, Any]
NOT_PROVEN: Final = "NOT_PROVEN"
"""The one code on the do-not-trade list under which a candidate may still be entered on paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One recipe in one pool at one horizon, as the ledger has it; days are counts of observations unless they are dates."""

    pool: str
    horizon: str
    recipe: str
    status: str
    reason: str
    reigns: bool
    suspended: bool
    against_champion: bool
    share: float
    needed: float
    nights_left: float | None
    mean_bps: float | None
    interval_bps: tuple[float, float] | None
    observed: int
    wanted: int
    with_position: int
    wanted_with_position: int
    history_days: int
    looked_at_days: int
    looked_at_by: str
    walk_days: int
    walk_mean_bps: float | None
    walk_low_bps: float | None
    walk_high_bps: float | None
    nights: int
    block_days: int
    earliest_day: str | None
    missing: int
    waits_for: str
    gates: tuple[str, ...]
    tonight: str
    alpha: float

    @property
    def cell(self) -> str:
        """Pool, horizon and recipe as one name."""
        return f"{self.pool}/{self.horizon}/{self.recipe}"

    @property
    def is_open(self) -> bool:
        """Whether it may still be promoted."""
        return self.status == "open"


def standing_of(row: Row) -> Standing:
    """A row of the evidence table as a record."""
    interval = row["confidence_champion_bps"]
    return Standing(
        pool=row["pool"],
        horizon=row["horizon"],
        recipe=row["recipe"],
        status=row["status"],
        reason=row["reason"],
        reigns=row["reigns"],
        suspended=row["suspended"],
        against_champion=row["champion_id"] != "none",
        share=evidence_share(row["e"], row["needed"]),
        needed=row["needed"],
        nights_left=row["nights_until_decidable"],
        mean_bps=row["mean_bps"],
        interval_bps=(interval[0], interval[1]) if row["observed_days"] and None not in interval else None,
        observed=row["observed_days"],
        wanted=row["days_wanted"],
        with_position=row["position_days"],
        wanted_with_position=row["position_days_wanted"],
        history_days=row["history_days"],
        looked_at_days=row["looked_at_days"],
        looked_at_by=row["looked_at_by"],
        walk_days=row["walk_days"],
        walk_mean_bps=row["walk_mean_bps"],
        walk_low_bps=row["walk_low_bps"],
        walk_high_bps=row["walk_high_bps"],
        nights=row["nights"],
        block_days=row["block_days"],
        earliest_day=row["earliest_day"],
        missing=row["observations_missing"],
        waits_for=row["waits_for"],
        gates=tuple(gate_words(gate) for gate in row["closed_gates"]),
        tonight=row["tonight"],
        alpha=row["alpha"],
    )


def evidence_share(e: float, needed: float) -> float:
    """How much of the evidence is there, 0 to 1, in the unit in which it grows from night to night.

    >>> evidence_share(1.0, 120.0), round(evidence_share(11.0, 120.0), 2), evidence_share(0.2, 120.0)
    (0.0, 0.5, 0.0)
    """
    if not (e > 1.0 and needed > 1.0):
        return 0.0
    return min(1.0, math.log(e) / math.log(needed))


def entries_closed(summary: Row) -> dict[str, Row]:
    """The do-not-trade row of each coin whose candidates may not be entered either: anything but a lack of proof.

    A summary of an earlier version names none.
    """
    return {row["coin"]: row for row in summary.get("do_not_trade") or () if row["code"] != NOT_PROVEN}


def nearest_first(standings: tuple[Standing, ...]) -> list[Standing]:
    """Open ones first, by their earliest night, then by evidence, then by how little is asked."""
    return sorted(
        standings,
        key=lambda one: (not one.is_open, one.earliest_day or "9999", -one.share, one.needed, one.horizon, one.recipe),
    )
