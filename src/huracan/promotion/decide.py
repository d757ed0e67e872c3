"""Step 8's decision: from the ledger and tonight's pool results to the verdict, missed nights first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from huracan.domain.time import day_iso
from huracan.errors import LedgerError
from huracan.promotion.evaluate_day import evaluate_day, frozen_pools
from huracan.promotion.evaluation import Evaluation, NightContext, Waiting, open_evaluation
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRow
from huracan.promotion.keys import PoolHorizon, Trial
from huracan.promotion.ledger_state import ChampionEvent, LedgerState, with_rows
from huracan.promotion.restated import Restatement, restatements
from huracan.promotion.series import PoolEvidence
from huracan.promotion.table import LineageView, table_of

BUILT_IN: Final = ("linear", "boosted", "blend", "pooled")
"""Names of shipped recipes; only these are offered as candidates for paper trading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a night decided; the ledger must append `lineages`, `rows`, `events` and `trials`, all of it or nothing.

    `champions` and `candidates` name the recipe id per (pool, horizon). What has no champion is left out of the former.
    `advanced` says that the night was not evaluated before. Where promotion is suspended, the champion stays and takes
    no new entries. `promotions` and `demotions` are this night's changes of champion, also when the night is evaluated
    again. `state` is the ledger afterwards.
    """

    day: int
    advanced: bool
    lineages: tuple[Lineage, ...]
    rows: tuple[LineageRow, ...]
    events: tuple[ChampionEvent, ...]
    trials: frozenset[Trial]
    table: tuple[LineageView, ...]
    champions: dict[PoolHorizon, str]
    candidates: dict[PoolHorizon, str]
    promotions: tuple[ChampionEvent, ...]
    demotions: tuple[ChampionEvent, ...]
    suspended: tuple[PoolHorizon, ...]
    frozen_pools: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    notes: tuple[str, ...]
    restated: tuple[Restatement, ...]
    state: LedgerState

    @property
    def is_empty(self) -> bool:
        """Whether the ledger has nothing to append."""
        return not (self.lineages or self.rows or self.events or self.trials or self.advanced)


def evaluate_night(state: LedgerState, pools: Sequence[PoolEvidence], tonight: NightContext) -> Verdict:
    """Decide every night since the last one, in order, ending with tonight; a night evaluated before changes nothing.

    Missed nights are caught up with the results of tonight's evidence up to each of them. Recipes that were never
    admitted join tonight. Results of recorded days are not read again: where they now differ, the verdict says so in
    `restated` and the recorded ones stand. Raises LedgerError for a night before the last one.
    """
    first = tonight.day if state.evaluated_day is None else state.evaluated_day + 1
    if state.evaluated_day is not None and tonight.day < state.evaluated_day:
        raise LedgerError(
            f"the ledger has decided {day_iso(state.evaluated_day)}, this run ends with {day_iso(tonight.day)}: a past night "
            "cannot be decided again; use a workdir of its own for runs as of the past"
        )
    evaluation = open_evaluation(state, pools, tonight)
    restated = restatements(evaluation)
    for day in range(min(first, tonight.day), tonight.day + 1):
        evaluate_day(evaluation, day, newcomers=day == tonight.day)
    return _verdict(evaluation, restated)


def _verdict(evaluation: Evaluation, restated: tuple[Restatement, ...]) -> Verdict:
    state, day = evaluation.state, evaluation.tonight.day
    table = table_of(evaluation, day)
    rows, lineages, events = evaluation.sealed(), tuple(evaluation.admitted), tuple(evaluation.changes)
    trials = evaluation.trials - state.trials
    after = with_rows(state, lineages=lineages, rows=rows, champions=events, trials=trials, evaluated_day=day)
    tonight = [event for event in after.champions if event.day == day]
    return Verdict(
        day=day,
        advanced=state.evaluated_day != day,
        lineages=lineages,
        rows=rows,
        events=events,
        trials=trials,
        table=table,
        champions={
            place: event.recipe_id
            for place, event in sorted(evaluation.incumbents.items())
            if event.recipe_id != NOTHING
        },
        candidates=_candidates(evaluation, table),
        promotions=tuple(event for event in tonight if event.reason == "promoted"),
        demotions=tuple(event for event in tonight if event.reason != "promoted"),
        suspended=tuple(view.pool_horizon for view in table if view.is_champion and view.suspended),
        frozen_pools=tuple(sorted(frozen_pools(evaluation, day))),
        waiting=tuple(evaluation.waiting[key] for key in sorted(evaluation.waiting)),
        notes=(*dict.fromkeys(evaluation.notes), *_waiting_notes(evaluation)),
        restated=restated,
        state=after,
    )


def _waiting_notes(evaluation: Evaluation) -> list[str]:
    reasons = Counter(one.reason for one in evaluation.waiting.values())
    return [f"not admitted: {number} of tonight's hypotheses; {reason}" for reason, number in sorted(reasons.items())]


def _candidates(evaluation: Evaluation, table: Sequence[LineageView]) -> dict[PoolHorizon, str]:
    """Built-in recipe with the largest e-value wherever there is no champion (ties: linear), whatever its sign."""
    best: dict[PoolHorizon, LineageView] = {}
    names = {*BUILT_IN, evaluation.tonight.primary_recipe}
    for view in table:
        place = view.pool_horizon
        if view.recipe not in names or evaluation.champion_of(place) != NOTHING:
            continue
        if place not in best or _rank(view) < _rank(best[place]):
            best[place] = view
    return {place: best[place].recipe_id for place in sorted(best)}


def _rank(view: LineageView) -> tuple[float, bool, str]:
    return -view.e, view.recipe != "linear", view.recipe_id
