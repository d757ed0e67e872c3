"""Step 8's decision: from the ledger and tonight's pool results to the verdict, missed nights first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from huracan.domain.time import day_iso
from huracan.errors import LedgerError
from huracan.promotion.evaluate_day import frozen_pools, judge_day
from huracan.promotion.evaluation import Book, NightContext, Waiting, open_book
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRow
from huracan.promotion.ledger_state import Cell, ChampionEvent, LedgerState, Trial, with_rows
from huracan.promotion.restated import Restatement, restatements
from huracan.promotion.series import PoolEvidence
from huracan.promotion.table import LineageView, table_of

BUILT_IN: Final = ("linear", "boosted", "blend", "pooled")
"""Names of shipped recipes; only these are offered as candidates for paper trading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a night decided. `lineages`, `rows`, `events` and `trials` are what the ledger must append, all of it or nothing.

    `champions` and `candidates` name the recipe id per (pool, horizon); cells without a champion are left out of the former.
    `advanced` says that the night was not judged before. A suspended cell keeps its champion but takes no new entries. `promotions` and `demotions` are this night's changes of champion,
    also when the night is judged again. `state` is the ledger afterwards.
    """

    day: int
    advanced: bool
    lineages: tuple[Lineage, ...]
    rows: tuple[LineageRow, ...]
    events: tuple[ChampionEvent, ...]
    trials: frozenset[Trial]
    table: tuple[LineageView, ...]
    champions: dict[Cell, str]
    candidates: dict[Cell, str]
    promotions: tuple[ChampionEvent, ...]
    demotions: tuple[ChampionEvent, ...]
    suspended: tuple[Cell, ...]
    frozen_pools: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    notes: tuple[str, ...]
    restated: tuple[Restatement, ...]
    state: LedgerState

    @property
    def is_empty(self) -> bool:
        """Whether the ledger has nothing to append."""
        return not (self.lineages or self.rows or self.events or self.trials or self.advanced)

    def table_rows(self) -> list[dict[str, Any]]:
        """The table as plain dicts."""
        return [view.as_row() for view in self.table]


def judge_night(state: LedgerState, pools: Sequence[PoolEvidence], tonight: NightContext) -> Verdict:
    """Judge every night since the last judged one, in order, ending with tonight; a night judged before changes nothing.

    Missed nights are caught up with the results of tonight's evidence up to each of them; recipes that were never admitted join
    tonight. Results of recorded days are not read again: where they now differ, the verdict says so in `restated` and the recorded
    ones stand. Raises LedgerError for a night before the last judged one.
    """
    first = tonight.day if state.judged_day is None else state.judged_day + 1
    if state.judged_day is not None and tonight.day < state.judged_day:
        raise LedgerError(
            f"the ledger has judged {day_iso(state.judged_day)}, this run ends with {day_iso(tonight.day)}: a past night cannot be "
            "judged again; use a workdir of its own for runs as of the past"
        )
    book = open_book(state, pools, tonight)
    restated = restatements(book)
    for day in range(min(first, tonight.day), tonight.day + 1):
        judge_day(book, day, newcomers=day == tonight.day)
    return _verdict(book, restated)


def _verdict(book: Book, restated: tuple[Restatement, ...]) -> Verdict:
    state, day = book.state, book.tonight.day
    table = table_of(book, day)
    rows, lineages, events = book.sealed(), tuple(book.opened), tuple(book.events)
    trials = book.trials - state.trials
    after = with_rows(state, lineages=lineages, rows=rows, champions=events, trials=trials, judged_day=day)
    tonight = [event for event in after.champions if event.day == day]
    return Verdict(
        day=day,
        advanced=state.judged_day != day,
        lineages=lineages,
        rows=rows,
        events=events,
        trials=trials,
        table=table,
        champions={cell: event.recipe_id for cell, event in sorted(book.reigns.items()) if event.recipe_id != NOTHING},
        candidates=_candidates(book, table),
        promotions=tuple(event for event in tonight if event.reason == "promoted"),
        demotions=tuple(event for event in tonight if event.reason != "promoted"),
        suspended=tuple((view.pool, view.horizon) for view in table if view.reigns and view.suspended),
        frozen_pools=tuple(sorted(frozen_pools(book, day))),
        waiting=tuple(book.waiting[key] for key in sorted(book.waiting)),
        notes=(*dict.fromkeys(book.notes), *_waiting_notes(book)),
        restated=restated,
        state=after,
    )


def _waiting_notes(book: Book) -> list[str]:
    reasons = Counter(one.reason for one in book.waiting.values())
    return [f"not admitted: {number} of tonight's hypotheses; {reason}" for reason, number in sorted(reasons.items())]


def _candidates(book: Book, table: Sequence[LineageView]) -> dict[Cell, str]:
    """Built-in recipe with the largest e-value per cell without a champion (ties: linear), whatever its sign."""
    best: dict[Cell, LineageView] = {}
    names = {*BUILT_IN, book.tonight.primary_recipe}
    for view in table:
        cell = (view.pool, view.horizon)
        if view.recipe not in names or book.champion_of(cell) != NOTHING:
            continue
        if cell not in best or _rank(view) < _rank(best[cell]):
            best[cell] = view
    return {cell: best[cell].recipe_id for cell in sorted(best)}


def _rank(view: LineageView) -> tuple[float, bool, str]:
    return -view.e, view.recipe != "linear", view.recipe_id
