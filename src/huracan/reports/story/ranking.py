"""What a night's hypotheses and coins are compared by: how much of the evidence is there, which is nearest, what is
closed.
"""

import math
from collections.abc import Sequence
from typing import Final

from huracan.reports.night_summary import BlockedRow, HypothesisRow, NightSummary
from huracan.reports.story.words import gate_words

NOT_PROVEN: Final = "NOT_PROVEN"
"""The one code on the do-not-trade list under which a candidate may still be entered on paper."""


def share_of(row: HypothesisRow) -> float:
    """How much of a hypothesis' evidence is there, 0 to 1."""
    return 0.0 if row.e is None or row.needed is None else evidence_share(row.e, row.needed)


def interval_of(row: HypothesisRow) -> tuple[float, float] | None:
    """The confidence interval of the observed days; None without a day, or where it is open."""
    low, high = row.confidence_champion_bps
    return None if not row.observed_days or low is None or high is None else (low, high)


def gates_of(row: HypothesisRow) -> tuple[str, ...]:
    """What is in the way of a promotion, in words."""
    return tuple(gate_words(gate) for gate in row.closed_gates)


def evidence_share(e: float, needed: float) -> float:
    """How much of the evidence is there, 0 to 1, in the unit in which it grows from night to night.

    >>> evidence_share(1.0, 120.0), round(evidence_share(11.0, 120.0), 2), evidence_share(0.2, 120.0)
    (0.0, 0.5, 0.0)
    """
    if not (e > 1.0 and needed > 1.0):
        return 0.0
    return min(1.0, math.log(e) / math.log(needed))


def entries_closed(summary: NightSummary) -> dict[str, BlockedRow]:
    """The do-not-trade row of each coin whose candidates may not be entered either: anything but a lack of proof.

    A summary of an earlier version names none.
    """
    return {row.coin: row for row in summary.do_not_trade if row.code != NOT_PROVEN}


def nearest_first(rows: Sequence[HypothesisRow]) -> list[HypothesisRow]:
    """Open ones first, by their earliest night, then by evidence, then by how little is asked."""
    return sorted(
        rows,
        key=lambda one: (
            not one.is_open,
            one.earliest_day or "9999",
            -share_of(one),
            one.needed or math.inf,
            one.horizon,
            one.recipe,
        ),
    )
