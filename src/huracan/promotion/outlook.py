"""What a morning shows of a lineage besides its evidence: its age, the days that are wanted, the earliest promotion."""

from dataclasses import dataclass
from typing import Literal

from huracan.domain.time import day_iso
from huracan.promotion.alpha_budget import POOL_ALPHA
from huracan.promotion.earliest import WaitsFor, earliest_promotion
from huracan.promotion.evaluate_day import Results
from huracan.promotion.evaluation import Evaluation
from huracan.promotion.gates import MIN_OBSERVED, MIN_WITH_POSITION
from huracan.promotion.hypothesis import Lineage, LineageRow, RowKind
from huracan.promotion.series import block_days

TonightKind = Literal["observed", "void", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Days are ISO dates of data days, counts are observations.

    `earliest_day` is the first day that could promote if every day to come were as good as one can count (None: none
    can). `observations_missing` is what is wanted until then, `waits_for` the rule that puts it there. `looked_at_days`
    were backtested, but had been looked at before the registration and do not count. `tonight` is what became of the
    night's own day.
    """

    admitted: str
    nights: int
    block_days: int
    earliest_day: str | None
    observations_missing: int
    waits_for: WaitsFor
    days_wanted: int
    position_days_wanted: int
    looked_at_days: int
    tonight: TonightKind
    alpha: float


def outlook_of(evaluation: Evaluation, lineage: Lineage, row: LineageRow, results: Results) -> Outlook:
    """The outlook of a lineage at the end of the night."""
    today, block = evaluation.tonight.day, block_days(lineage.horizon)
    evidence = evaluation.evidence.get(lineage.key)
    preset = None if evidence is None else evidence.recipe.sizing.risk_preset
    earliest = earliest_promotion(lineage, row, results.net, today=today, block_days=block, preset=preset)
    return Outlook(
        admitted=day_iso(lineage.admitted_day),
        nights=today - lineage.admitted_day + 1,
        block_days=block,
        earliest_day=None if earliest.day is None else day_iso(earliest.day),
        observations_missing=earliest.observations,
        waits_for=earliest.waits_for,
        days_wanted=MIN_OBSERVED,
        position_days_wanted=MIN_WITH_POSITION,
        looked_at_days=_looked_at(evaluation, lineage),
        tonight=_tonight(row, today),
        alpha=POOL_ALPHA,
    )


def _looked_at(evaluation: Evaluation, lineage: Lineage) -> int:
    path = evaluation.path(lineage)
    if path is None:
        return 0
    return int((~path.full & path.both & (path.series.days <= evaluation.tonight.day)).sum())


def _tonight(row: LineageRow, today: int) -> TonightKind:
    if row.day != today or row.kind is RowKind.STATUS:
        return "none"
    return "void" if row.net_bps is None else "observed"
