"""How hypotheses enter the ledger: with their history first, new when the champion changed, wider after a breach."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.time import day_iso
from huracan.promotion.alpha_budget import Slot, cohort_of
from huracan.promotion.bounds import Exposure, bound_bps
from huracan.promotion.days import taxed_start
from huracan.promotion.evaluation import Evaluation, Path, Waiting, path_of
from huracan.promotion.expiry import ExpiryKind
from huracan.promotion.hypothesis import BREACH_WINDOW, NOTHING, Lineage, LineageRow
from huracan.promotion.keys import EvidenceKey
from huracan.promotion.series import PoolEvidence
from huracan.stats.evalues import NEW_WEALTH, e_value, log_e_value, stake

HOPELESS_LOG_E: Final = -4.0
WIDER_AFTER_BREACH: Final = 1.25
"""A re-admitted lineage's bound is at least this multiple of the worst loss that broke the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Applicant:
    """A hypothesis that is admitted on a day: its evidence, the champion's (None: do nothing), and its observations."""

    evidence: PoolEvidence
    champion: PoolEvidence | None
    path: Path
    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What a lineage starts with."""

    first_day: int
    bound_champion: float
    bound_nothing: float
    start_champion: tuple[float, ...] = NEW_WEALTH
    start_nothing: tuple[float, ...] = NEW_WEALTH
    trials: int = 0


def open_missing(evaluation: Evaluation, day: int, *, newcomers: bool) -> None:
    """Admit every hypothesis of tonight's evidence that has no lineage against the present champion.

    `newcomers` False (a missed night is being caught up) leaves out recipes that were never admitted there. These also
    wait where tonight's past is not whole.
    """
    for key, evidence in evaluation.evidence.items():
        evaluation.waiting.pop(key, None)
        place, recipe_id = key.pool_horizon, key.recipe_id
        champion_id = evaluation.champion_of(place)
        known = evaluation.of_recipe(place, recipe_id)
        if recipe_id == champion_id or not (known or newcomers) or not _wanted(evaluation, known):
            continue
        if evidence.unready and not known:
            evaluation.waiting[key] = _waiting(evidence, evidence.unready)
            continue
        champion = evaluation.evidence.get(EvidenceKey(*place, champion_id))
        if champion is None and champion_id != NOTHING:
            reason = f"no results of the champion {champion_id} tonight to compare with"
            evaluation.waiting[key] = _waiting(evidence, reason)
            continue
        slot = evaluation.draw_slot(evidence, day, first_admission=not known)
        if slot is None:
            reason = f"no slot is left in the cohort of {cohort_of(day)}; waits for the next"
            evaluation.waiting[key] = _waiting(evidence, reason)
            continue
        _admit(evaluation, evidence, champion, day, slot)


def _wanted(evaluation: Evaluation, known: list[Lineage]) -> bool:
    if not known:
        return True
    last = evaluation.last(known[-1].id)
    hopeless = last.expiry is ExpiryKind.HOPELESS
    if not evaluation.is_current(known[-1]):  # a new champion; but what lost against doing nothing need not try again
        return not (hopeless and log_e_value(last.log_wealth_nothing) < HOPELESS_LOG_E)
    return last.expiry is ExpiryKind.BREACHED


def _admit(evaluation: Evaluation, evidence: PoolEvidence, champion: PoolEvidence | None, day: int, slot: Slot) -> None:
    place, recipe_id = evidence.pool_horizon, evidence.recipe_id
    known = evaluation.of_recipe(place, recipe_id)
    registered = evaluation.registered_day(recipe_id, day)
    path = path_of(evidence, champion, registered)
    applicant = _Applicant(evidence=evidence, champion=champion, path=path, day=day)
    terms = _further_terms(evaluation, applicant, known[-1]) if known else _first_terms(evaluation, applicant)
    number = evaluation.champion_number(place)
    lineage = Lineage(
        pool=evidence.pool,
        horizon=evidence.horizon,
        recipe_id=recipe_id,
        recipe_name=evidence.recipe.name,
        champion_id=evaluation.champion_of(place),
        champion_number=number,
        opening=sum(other.champion_number == number for other in known),
        cohort=cohort_of(day),
        slot=slot.name,
        gamma=slot.gamma,
        admitted_day=day,
        registered_day=registered,
        first_day=terms.first_day,
        bound_champion_bps=terms.bound_champion,
        bound_nothing_bps=terms.bound_nothing,
        start_champion=terms.start_champion,
        start_nothing=terms.start_nothing,
        start_e=min(e_value(terms.start_champion), e_value(terms.start_nothing)),
        start_trials=terms.trials,
    )
    evaluation.admit(lineage)
    evaluation.paths[lineage.id] = path


def _first_terms(evaluation: Evaluation, new: _Applicant) -> _Terms:
    """Terms of a first admission: history counts in full where it had not been looked at, else after a tax."""
    path, day = new.path, new.day
    past = path.series.days <= day
    counted = path.series.days[path.full & past]
    first_day = int(counted[0]) if counted.size else day + 1
    bound_champion, bound_nothing = _bounds(evaluation, new, first_day)
    looked_at = ~path.full & past & path.both
    trials = len(evaluation.trials)
    against_champion = taxed_start(path.differences[looked_at], bound_champion, trials)
    against_nothing = taxed_start(path.series.net[looked_at], bound_nothing, trials)
    return _Terms(
        first_day=first_day,
        bound_champion=bound_champion,
        bound_nothing=bound_nothing,
        start_champion=stake(against_champion.e),
        start_nothing=stake(against_nothing.e),
        trials=max(against_champion.trials, against_nothing.trials),
    )


def _further_terms(evaluation: Evaluation, new: _Applicant, previous: Lineage) -> _Terms:
    """Terms of a re-opening: the e-value against the champion restarts; the other runs on unless it was disproved."""
    last, first_day = evaluation.last(previous.id), new.day + 1
    bound_champion, bound_nothing = _bounds(evaluation, new, first_day)
    if last.expiry is ExpiryKind.BREACHED or _demoted(evaluation, new.evidence):
        worst_champion, worst_nothing = _worst_losses(evaluation.rows(previous.id))
        return _Terms(
            first_day=first_day,
            bound_champion=max(bound_champion, WIDER_AFTER_BREACH * worst_champion),
            bound_nothing=max(bound_nothing, previous.bound_nothing_bps, WIDER_AFTER_BREACH * worst_nothing),
        )
    return _Terms(
        first_day=first_day,
        bound_champion=bound_champion,
        bound_nothing=previous.bound_nothing_bps,
        start_nothing=last.log_wealth_nothing,
    )


def _demoted(evaluation: Evaluation, evidence: PoolEvidence) -> bool:
    event = evaluation.incumbents.get(evidence.pool_horizon)
    return event is not None and event.reason == "demoted" and event.predecessor == evidence.recipe_id


def _bounds(evaluation: Evaluation, new: _Applicant, first_day: int) -> tuple[float, float]:
    """B against the champion and against nothing, from data before the first scored day."""
    evidence, champion, path = new.evidence, new.champion, new.path
    earlier = path.both & (path.series.days < first_day)
    table, block = evaluation.tonight.stress_table, evidence.block_days
    own = Exposure(
        tier=evidence.tier,
        n_members=len(evidence.members),
        net_cap=evidence.net_cap,
        gross_cap=evidence.gross_cap,
        allow_short=evidence.market != "spot",
    )
    nothing = bound_bps(table, own, path.series.net[earlier], block_days=block)
    if champion is None:
        return nothing, nothing
    # Two portfolios inside their caps can be a sum of caps apart, and short of each other even on spot.
    apart = Exposure(
        tier=evidence.tier,
        n_members=min(len(evidence.members), len(champion.members)),
        net_cap=evidence.net_cap + champion.net_cap,
        gross_cap=evidence.gross_cap + champion.gross_cap,
        allow_short=True,
    )
    return bound_bps(table, apart, path.differences[earlier], block_days=block), nothing


def _worst_losses(rows: tuple[LineageRow, ...]) -> tuple[float, float]:
    recent = [row for row in rows if row.net_bps is not None and row.day > rows[-1].day - BREACH_WINDOW]
    against_champion = max((-row.difference_bps for row in recent if row.difference_bps is not None), default=0.0)
    return max(0.0, against_champion), max((-row.net_bps for row in recent if row.net_bps is not None), default=0.0)


def _waiting(evidence: PoolEvidence, reason: str) -> Waiting:
    return Waiting(pool=evidence.pool, horizon=evidence.horizon, recipe_id=evidence.recipe_id, reason=reason)


def describe_start(lineage: Lineage) -> str:
    """Words for the summary: the first scored day, and the e-value before it."""
    taxed = f", after a tax of {lineage.start_trials} trials" if lineage.start_trials else ""
    return f"scored from {day_iso(lineage.first_day)}, started at e = {lineage.start_e:.2f}{taxed}"
