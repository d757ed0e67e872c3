"""How hypotheses enter the ledger: with their history the first time, afresh when the champion changed, wider after a breach."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from huracan.domain.time import day_iso
from huracan.promotion.alpha_budget import cohort_of
from huracan.promotion.bounds import Exposure, bound_bps
from huracan.promotion.days import taxed_start
from huracan.promotion.evaluation import Book, Path, Waiting, path_of
from huracan.promotion.hypothesis import BREACH_WINDOW, NOTHING, Lineage, LineageRow
from huracan.promotion.series import PoolEvidence
from huracan.stats.evalues import FRESH, e_value, log_e_value, stake

F64 = NDArray[np.float64]

HOPELESS: Final = "hopeless: "
"""Reasons of expiry that start like this last until the champion or the recipe changes."""
HOPELESS_LOG_E: Final = -4.0
WIDER_AFTER_BREACH: Final = 1.25
"""A re-admitted lineage's bound is at least this multiple of the worst loss that broke the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What a lineage starts with."""

    first_day: int
    bound_champion: float
    bound_nothing: float
    start_champion: tuple[float, ...] = FRESH
    start_nothing: tuple[float, ...] = FRESH
    trials: int = 0


def open_missing(book: Book, day: int, *, newcomers: bool) -> None:
    """Admit every hypothesis of tonight's evidence that has no lineage against the present champion.

    `newcomers` False (a missed night is being caught up) leaves out recipes that were never admitted to the cell; these also
    wait where tonight's past is not whole.
    """
    for key, evidence in book.evidence.items():
        book.waiting.pop(key, None)
        cell, recipe_id = evidence.cell, evidence.recipe_id
        champion_id = book.champion_of(cell)
        known = book.of_recipe(cell, recipe_id)
        if recipe_id == champion_id or not (known or newcomers) or not _wanted(book, known, book.epoch_of(cell)):
            continue
        if evidence.unready and not known:
            book.waiting[key] = _waiting(evidence, evidence.unready)
            continue
        champion = book.evidence.get((*cell, champion_id))
        if champion is None and champion_id != NOTHING:
            book.waiting[key] = _waiting(evidence, f"no results of the champion {champion_id} tonight to compare with")
            continue
        slot = book.draw_slot(evidence, day, first_admission=not known)
        if slot is None:
            book.waiting[key] = _waiting(
                evidence, f"no slot is left in the cohort of {cohort_of(day)}; waits for the next"
            )
            continue
        _admit(book, evidence, champion, day, slot)


def _wanted(book: Book, known: list[Lineage], epoch: int) -> bool:
    if not known:
        return True
    last = book.last(known[-1].id)
    hopeless = last.status == "expired" and last.reason.startswith(HOPELESS)
    if known[-1].epoch != epoch:  # the champion changed, but what lost against doing nothing need not try again
        return not (hopeless and log_e_value(last.log_wealth_nothing) < HOPELESS_LOG_E)
    return last.status == "expired" and not hopeless


def _admit(
    book: Book, evidence: PoolEvidence, champion: PoolEvidence | None, day: int, slot: tuple[str, float]
) -> None:
    cell, recipe_id = evidence.cell, evidence.recipe_id
    known = book.of_recipe(cell, recipe_id)
    registered = book.registered_day(recipe_id, day)
    path = path_of(evidence, champion, registered)
    if not known:
        terms = _first_terms(book, evidence, champion, path, day)
    else:
        terms = _further_terms(book, evidence, champion, path, day, known[-1])
    epoch = book.epoch_of(cell)
    lineage = Lineage(
        pool=evidence.pool,
        horizon=evidence.horizon,
        recipe_id=recipe_id,
        recipe_name=evidence.recipe.name,
        champion_id=book.champion_of(cell),
        epoch=epoch,
        opening=sum(other.epoch == epoch for other in known),
        cohort=cohort_of(day),
        slot=slot[0],
        gamma=slot[1],
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
    book.admit(lineage)
    book.paths[lineage.id] = path


def _first_terms(book: Book, evidence: PoolEvidence, champion: PoolEvidence | None, path: Path, day: int) -> _Terms:
    """Terms of a first admission: history counts as far as rule 11 lets it."""
    past = path.series.days <= day
    counted = path.series.days[path.full & past]
    first_day = int(counted[0]) if counted.size else day + 1
    bound_champion, bound_nothing = _bounds(book, evidence, champion, path, first_day)
    looked_at = ~path.full & past & path.both
    trials = len(book.trials)
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


def _further_terms(
    book: Book, evidence: PoolEvidence, champion: PoolEvidence | None, path: Path, day: int, previous: Lineage
) -> _Terms:
    """Terms of a re-opening: the e-value against the champion restarts; the other runs on unless it was disproved."""
    last = book.last(previous.id)
    bound_champion, bound_nothing = _bounds(book, evidence, champion, path, day + 1)
    broken = last.status == "expired" and not last.reason.startswith(HOPELESS)
    if broken or _demoted(book, evidence):
        worst_champion, worst_nothing = _worst_losses(book.rows(previous.id))
        return _Terms(
            first_day=day + 1,
            bound_champion=max(bound_champion, WIDER_AFTER_BREACH * worst_champion),
            bound_nothing=max(bound_nothing, previous.bound_nothing_bps, WIDER_AFTER_BREACH * worst_nothing),
        )
    return _Terms(
        first_day=day + 1,
        bound_champion=bound_champion,
        bound_nothing=previous.bound_nothing_bps,
        start_nothing=last.log_wealth_nothing,
    )


def _demoted(book: Book, evidence: PoolEvidence) -> bool:
    event = book.reigns.get(evidence.cell)
    return event is not None and event.reason == "demoted" and event.predecessor == evidence.recipe_id


def _bounds(
    book: Book, evidence: PoolEvidence, champion: PoolEvidence | None, path: Path, first_day: int
) -> tuple[float, float]:
    """B against the champion and against nothing, from data before the first scored day."""
    earlier = path.both & (path.series.days < first_day)
    table, block = book.tonight.stress_table, evidence.block_days
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
    """Words for the summary: since when, and with what in hand."""
    taxed = f", after a tax of {lineage.start_trials} trials" if lineage.start_trials else ""
    return f"scored from {day_iso(lineage.first_day)}, started at e = {lineage.start_e:.2f}{taxed}"
