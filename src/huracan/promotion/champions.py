"""Watching champions: the detector that demotes, the comparison that rolls back, the breaker that suspends."""

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from huracan.domain.arrays import F64
from huracan.domain.ids import random_seed
from huracan.promotion.evaluation import Evaluation, path_of
from huracan.promotion.hypothesis import BREACH_LIMIT, BREACH_WINDOW, NOTHING, ZEROS, LineageRow, Observation, RowKind
from huracan.promotion.keys import EvidenceKey
from huracan.promotion.ledger_state import ChampionEvent
from huracan.stats.bootstrap import drawdown_quantile
from huracan.stats.evalues import detector_step, detector_value

ALARM: Final = 1_000.0
WATCH_NIGHTS: Final = 180
BREAKER_QUANTILE: Final = 0.9
BREAKER_DAYS: Final = 365
CRASH_BOUNDS: Final = 2.0
"""A day that loses more than so many bounds suspends at once, as it ends an open lineage."""


def follow_champions(evaluation: Evaluation, day: int) -> None:
    """One row per champion and day: its own detector, the watch against its predecessor, the drawdown breaker."""
    for place, event in sorted(evaluation.incumbents.items()):
        if event.recipe_id == NOTHING or event.lineage_id is None:
            continue
        own = evaluation.evidence.get(EvidenceKey(*place, event.recipe_id))
        if own is None:
            evaluation.notes.append(
                f"{event.recipe_id} is the champion of {place.pool} at {place.horizon}, but has no results tonight"
            )
            continue
        watched = event.predecessor if event.reason == "promoted" else NOTHING
        rival = evaluation.evidence.get(EvidenceKey(*place, watched)) if watched != NOTHING else None
        path = path_of(own, rival, event.day)
        last = replace(evaluation.last(event.lineage_id), breaker_bps=breaker_bps(evaluation.rows(event.lineage_id)))
        for observation in path.after(max(last.day, event.day), day):
            last = _champion_row(last, observation, event, watched=rival is not None)
            evaluation.write(last)


def demote(evaluation: Evaluation, day: int) -> None:
    """Demote or roll back champions whose alarm rang by this day, unless a challenger replaced them today."""
    for place, event in sorted(evaluation.incumbents.items()):
        if event.recipe_id == NOTHING or event.lineage_id is None or event.day >= day:
            continue
        last = evaluation.last(event.lineage_id)
        if last.kind is not RowKind.CHAMPION or last.day <= event.day:
            continue
        loss, behind = detector_value(last.detector), detector_value(last.watch)
        if loss >= ALARM:
            detail = f"detector at {loss:.0f}, alarm at {ALARM:.0f}"
            evaluation.change_champion(place, day, NOTHING, lineage_id=None, reason="demoted", detail=detail)
        elif behind >= ALARM:
            _roll_back(evaluation, event, day, behind)


def breaker_bps(rows: tuple[LineageRow, ...]) -> float | None:
    """The limit from a lineage's observed days before its promotion; None without any."""
    net = tuple(row.net_bps for row in rows if row.kind is RowKind.OBSERVED and row.net_bps is not None)
    return _limit_of(rows[-1].lineage_id, net) if net else None


@lru_cache(maxsize=256)
def _limit_of(lineage_id: str, net_bps: tuple[float, ...]) -> float | None:
    return breaker_limit(np.array(net_bps), np.random.default_rng(random_seed(0, "drawdown breaker", lineage_id)))


def breaker_limit(net_bps: F64, rng: np.random.Generator) -> float | None:
    """The drawdown that a year of these days, less their mean, exceeds once in ten; None where they do not vary.

    The days that led to a promotion are better and calmer than those that follow, by selection. With their mean, a
    champion whose edge is constant fell further in every second year. `benchmarks/breaker.py` measures both.
    """
    limit = drawdown_quantile(net_bps - net_bps.mean(), quantile=BREAKER_QUANTILE, length=BREAKER_DAYS, rng=rng)
    return limit if limit > 0.0 else None


def suspends(
    net_bps: float | None,
    drawdown_bps: float,
    *,
    limit_bps: float | None,
    bound_bps: float,
    breaches: int,
    suspended: bool,
) -> bool:
    """Whether a champion takes no new entries after a day.

    It stops at a drawdown beyond the limit, at a day below minus two bounds, and at the third day below minus one
    within 365. It goes on once the drawdown is down to half the limit, or to one bound where that is less.
    """
    limit = np.inf if limit_bps is None else limit_bps
    lost = 0.0 if net_bps is None else -net_bps
    crashed = lost > CRASH_BOUNDS * bound_bps or (lost > bound_bps and breaches >= BREACH_LIMIT)
    return bool(crashed or drawdown_bps > (min(0.5 * limit, bound_bps) if suspended else limit))


def _champion_row(last: LineageRow, observation: Observation, event: ChampionEvent, *, watched: bool) -> LineageRow:
    began = last.kind is RowKind.CHAMPION and last.day > event.day
    detector, watch = (last.detector, last.watch) if began else (ZEROS, ZEROS)
    drawdown = last.drawdown_bps if began else 0.0
    breaches, broke = last.breaches, False
    net, difference = observation.net_bps, observation.difference_bps if watched else None
    if net is not None:
        detector = detector_step(detector, net, last.bound_nothing_bps)
        drawdown = max(0.0, drawdown - net)
        broke = net < -last.bound_nothing_bps
        breaches = tuple(at for at in breaches if at > observation.day - BREACH_WINDOW)
        breaches = (*breaches, observation.day) if broke else breaches
    if difference is not None and observation.day <= event.day + WATCH_NIGHTS:
        watch = detector_step(watch, difference, last.bound_champion_bps)
    tripped = suspends(
        net,
        drawdown,
        limit_bps=last.breaker_bps,
        bound_bps=last.bound_nothing_bps,
        breaches=len(breaches),
        suspended=began and last.suspended,
    )
    return replace(
        last,
        day=observation.day,
        kind=RowKind.CHAMPION,
        status="promoted",
        difference_bps=difference,
        net_bps=net,
        has_position=observation.has_position,
        breach_days=last.breach_days + broke,
        breaches=breaches,
        detector=detector,
        watch=watch,
        drawdown_bps=drawdown,
        suspended=tripped,
        reason="drawdown breaker" if tripped else "",
    )


def _roll_back(evaluation: Evaluation, event: ChampionEvent, day: int, behind: float) -> None:
    place, history = event.pool_horizon, (*evaluation.state.champions, *evaluation.changes)
    back = next(
        (
            e.lineage_id
            for e in reversed(history)
            if e.pool_horizon == place and e.recipe_id == event.predecessor and e.lineage_id is not None
        ),
        None,
    )
    detail = f"behind its predecessor: detector at {behind:.0f}, alarm at {ALARM:.0f}"
    evaluation.change_champion(place, day, event.predecessor, lineage_id=back, reason="rolled_back", detail=detail)
