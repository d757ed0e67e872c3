"""One day of evidence for all lineages: score, admit, ask the ledger, demote, expire, re-open, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.time import day_iso
from huracan.promotion.admission import HOPELESS_LOG_E, open_missing
from huracan.promotion.alpha_budget import COHORT_SLOTS, POOL_ALPHA
from huracan.promotion.champions import breaker_bps, demote, follow_champions
from huracan.promotion.evaluation import Evaluation
from huracan.promotion.expiry import ExpiryKind, expiry_reason
from huracan.promotion.gates import MIN_OBSERVED, closed_gates, read_gates
from huracan.promotion.hypothesis import BREACH_LIMIT, BREACH_WINDOW, LineageRow, RowKind, step
from huracan.promotion.keys import PoolHorizon
from huracan.stats.evalues import log_e_value, nights_until_decidable, weighted_ebh
from huracan.stats.hac import hac_standard_error

FREEZE_SHARE: Final = 1 / 3
FORECAST_LIMIT: Final = 730.0
FORECAST_EVERY: Final = 30
"""Observed days between two looks at whether a lineage is still decidable."""
PLANNED_SHARPE: Final = 0.31
"""Daily Sharpe ratio that a lineage is planned to detect; no forecast assumes less."""
UPPER_Z: Final = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A lineage's scored days that count, shape (n,): day, difference to the champion and own net, bps of capital."""

    days: I64
    differences: F64
    net: F64
    with_position: int

    @property
    def champion(self) -> F64:
        """What the champion earned on the same days."""
        return self.net - self.differences


def evaluate_day(evaluation: Evaluation, day: int, *, newcomers: bool) -> None:
    """Move the working state through one UTC day; a day that was evaluated before changes nothing."""
    _advance(evaluation, day)
    follow_champions(evaluation, day)
    open_missing(evaluation, day, newcomers=newcomers)
    _advance(evaluation, day)
    _promote(evaluation, day)
    demote(evaluation, day)
    _expire(evaluation, day)
    open_missing(evaluation, day, newcomers=newcomers)
    _close(evaluation, day)


def results_of(rows: Sequence[LineageRow]) -> Results:
    """The observed days of a lineage's rows."""
    seen = [row for row in rows if row.kind is RowKind.OBSERVED]
    return Results(
        days=np.array([row.day for row in seen], dtype=np.int64),
        differences=np.array([row.difference_bps or 0.0 for row in seen], dtype=np.float64),
        net=np.array([row.net_bps or 0.0 for row in seen], dtype=np.float64),
        with_position=sum(row.has_position for row in seen),
    )


def gates_of(evaluation: Evaluation, lineage_id: str, frozen: frozenset[str]) -> tuple[str, ...]:
    """Why this lineage could not be promoted now, whatever its e-value; empty when all gates are open."""
    lineage = evaluation.records[lineage_id].lineage
    evidence = evaluation.evidence.get(lineage.key)
    if evidence is None:
        return ("no results tonight",)
    results = results_of(evaluation.rows(lineage_id))
    at = np.isin(evidence.series.days, results.days)
    reading = read_gates(
        results.net,
        evidence.series.stressed[at],
        results.champion,
        with_position=results.with_position,
        preset=evidence.recipe.sizing.risk_preset,
    )
    return (*closed_gates(reading), *(("promotions of the pool are frozen",) if lineage.pool in frozen else ()))


def frozen_pools(evaluation: Evaluation, day: int) -> frozenset[str]:
    """Pools with three days in 365 nights, since the last note, on which a third of their lineages broke a bound."""
    pools = {place.pool for place in evaluation.by_pool_horizon}
    return frozenset(pool for pool in pools if len(common_breaches(evaluation, pool, day)) >= BREACH_LIMIT)


def common_breaches(evaluation: Evaluation, pool: str, day: int) -> tuple[int, ...]:
    """The days of the last 365 on which at least a third of a pool's lineages breached, each once."""
    ids = [
        lineage_id
        for place, members in evaluation.by_pool_horizon.items()
        if place.pool == pool
        for lineage_id in members
    ]
    noted = max((note.day for note in evaluation.state.unfreezes if note.pool == pool), default=day - BREACH_WINDOW)
    candidates = {
        at
        for lineage_id in ids
        for at in evaluation.last(lineage_id).breaches
        if max(noted, day - BREACH_WINDOW) < at <= day
    }
    common = []
    for at in sorted(candidates):
        scored = [row for lineage_id in ids if (row := _row_of(evaluation, lineage_id, at)) and row.net_bps is not None]
        if sum(row.breached() for row in scored) >= FREEZE_SHARE * len(scored):
            common.append(at)
    return tuple(common)


def forecast(
    results: Results, row: LineageRow, *, wanted_e: float, sharpe: float | None = None, edge_bps: float | None = None
) -> float | None:
    """Nights until e reaches `wanted_e`, the larger of the forecasts against champion and nothing; None: never.

    Assumes a daily edge of `edge_bps` against both, or of `sharpe` standard deviations of each.
    """
    longest = 0.0
    for values, bound, log_e in (
        (results.differences, row.bound_champion_bps, row.log_wealth_champion),
        (results.net, row.bound_nothing_bps, row.log_wealth_nothing),
    ):
        if values.size < 2:
            return None
        mean = edge_bps if edge_bps is not None else (sharpe or 0.0) * float(values.std(ddof=1))
        nights = nights_until_decidable(values, bound, log_e=log_e_value(log_e), wanted_e=wanted_e, assumed_mean=mean)
        if nights is None:
            return None
        longest = max(longest, nights)
    return longest


def rejected_of(
    evaluation: Evaluation, cohort: int, gates: dict[str, tuple[str, ...]]
) -> tuple[list[str], tuple[int, ...]]:
    """Lineages of a cohort and the indices that weighted e-BH rejects.

    Promoted ones keep their e, closed gates make it 0.
    """
    ids = sorted(key for key, record in evaluation.records.items() if record.lineage.cohort == cohort)
    e_values = []
    for lineage_id in ids:
        row = evaluation.last(lineage_id)
        if row.frozen_e is not None:
            e_values.append(row.frozen_e)
        else:
            e_values.append(row.e if gates.get(lineage_id) == () else 0.0)
    gammas = [evaluation.records[lineage_id].lineage.gamma for lineage_id in ids]
    return ids, weighted_ebh(e_values, gammas, POOL_ALPHA)


def _advance(evaluation: Evaluation, day: int) -> None:
    for lineage_id in evaluation.open_ids():
        path = evaluation.path(evaluation.records[lineage_id].lineage)
        if path is None:
            continue
        last = evaluation.last(lineage_id)
        for observation in path.after(last.day, day):
            last = step(last, observation)
            evaluation.write(last)
            if last.status != "open":
                break


def _promote(evaluation: Evaluation, day: int) -> None:
    candidates = [
        key for key in evaluation.open_ids() if evaluation.writable(key, day) and _within_reach(evaluation, key)
    ]
    if not candidates:
        return
    frozen = frozen_pools(evaluation, day)
    gates = {lineage_id: gates_of(evaluation, lineage_id, frozen) for lineage_id in candidates}
    proven: list[str] = []
    for cohort in sorted({evaluation.records[lineage_id].lineage.cohort for lineage_id in candidates}):
        ids, chosen = rejected_of(evaluation, cohort, gates)
        proven += [ids[at] for at in chosen if evaluation.last(ids[at]).frozen_e is None]
    proven.sort(key=lambda key: (-evaluation.last(key).e, evaluation.records[key].lineage.recipe_name != "linear", key))
    changed: set[PoolHorizon] = set()
    for lineage_id in proven:
        lineage, row = evaluation.records[lineage_id].lineage, evaluation.last(lineage_id)
        breaker = breaker_bps(evaluation.rows(lineage_id))
        evaluation.promote(lineage_id, day, f"e = {row.e:.1f} against {lineage.champion_id}", breaker_bps=breaker)
        place = lineage.pool_horizon
        if place not in changed:
            changed.add(place)
            evaluation.change_champion(
                place, day, lineage.recipe_id, lineage_id=lineage_id, reason="promoted", detail=f"e = {row.e:.1f}"
            )


def _within_reach(evaluation: Evaluation, lineage_id: str) -> bool:
    """Whether the e-value could be rejected if every lineage of the cohort were: others need no gates read."""
    row = evaluation.last(lineage_id)
    return row.e * POOL_ALPHA * row.gamma * COHORT_SLOTS >= 1.0


def _expire(evaluation: Evaluation, day: int) -> None:
    for lineage_id in evaluation.open_ids():
        if not evaluation.writable(lineage_id, day):
            continue
        row = evaluation.last(lineage_id)
        if row.log_e < HOPELESS_LOG_E:
            reason = expiry_reason(ExpiryKind.HOPELESS, f"log e = {row.log_e:.2f}")
            evaluation.decide(lineage_id, day, "expired", reason)
        elif row.observed >= MIN_OBSERVED and (
            row.observed % FORECAST_EVERY == 0 or evaluation.records[lineage_id].lineage.admitted_day == day
        ):
            _expire_undecidable(evaluation, lineage_id, row, day)


def _expire_undecidable(evaluation: Evaluation, lineage_id: str, row: LineageRow, day: int) -> None:
    """Expire what no plausible edge would decide within 730 nights.

    Plausible is the larger of the planned Sharpe ratio and the upper 95% point of the measured one: the point estimate
    of a few dozen days would expire half of all good recipes.
    """
    results = results_of(evaluation.rows(lineage_id))
    sd = float(results.differences.std(ddof=1))
    if sd == 0.0:
        return
    upper = (float(results.differences.mean()) + UPPER_Z * hac_standard_error(results.differences)) / sd
    wanted = 1.0 / (POOL_ALPHA * row.gamma)
    nights = forecast(results, row, wanted_e=wanted, sharpe=max(PLANNED_SHARPE, upper))
    if nights is None or nights > FORECAST_LIMIT:
        when = "never" if nights is None else f"{nights:.0f} nights"
        detail = f"decidable in {when}, at most {FORECAST_LIMIT:.0f} wanted"
        evaluation.decide(lineage_id, day, "expired", expiry_reason(ExpiryKind.HOPELESS, detail))


def _close(evaluation: Evaluation, day: int) -> None:
    """End lineages that are compared with a former champion."""
    for place, ids in evaluation.by_pool_horizon.items():
        for lineage_id in ids:
            lineage = evaluation.records[lineage_id].lineage
            if evaluation.is_current(lineage) or evaluation.last(lineage_id).status != "open":
                continue
            if evaluation.writable(lineage_id, day):
                reason = f"the champion changed on {day_iso(evaluation.incumbents[place].day)}"
                evaluation.decide(lineage_id, day, "closed", reason)


def _row_of(evaluation: Evaluation, lineage_id: str, day: int) -> LineageRow | None:
    for row in reversed(evaluation.new_rows.get(lineage_id, ())):
        if row.day == day:
            return row
    return evaluation.records[lineage_id].row_of(day)
