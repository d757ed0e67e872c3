"""Watching champions: the detector that demotes, the comparison that rolls back, the breaker that suspends."""

from dataclasses import replace
from typing import Final

import numpy as np

from huracan.domain.ids import random_seed
from huracan.shadow.book import Book, path_of
from huracan.shadow.lineage import BREACH_WINDOW, NOTHING, ZEROS, LineageRow, Observation
from huracan.shadow.state import Cell, ChampionEvent
from huracan.stats.bootstrap import drawdown_quantile
from huracan.stats.evalues import detector_step, detector_value

ALARM: Final = 1_000.0
WATCH_NIGHTS: Final = 180
BREAKER_QUANTILE: Final = 0.99
BREAKER_DAYS: Final = 365


def follow_champions(book: Book, day: int) -> None:
    """One row per champion and day: its own detector, the watch against its predecessor, the drawdown breaker."""
    for cell, event in sorted(book.reigns.items()):
        if event.recipe_id == NOTHING or event.lineage_id is None:
            continue
        own = book.evidence.get((*cell, event.recipe_id))
        if own is None:
            book.notes.append(f"{event.recipe_id} reigns in {cell[0]} at {cell[1]}, but has no results tonight")
            continue
        watched = event.predecessor if event.reason == "promoted" else NOTHING
        rival = book.evidence.get((*cell, watched)) if watched != NOTHING else None
        path = path_of(own, rival, event.day)
        last = book.last(event.lineage_id)
        for observation in path.after(max(last.day, event.day), day):
            last = _reign_row(last, observation, event, watched=rival is not None)
            book.write(last)


def depose(book: Book, day: int) -> None:
    """Demote or roll back champions whose alarm rang by this day, unless a challenger replaced them today."""
    for cell, event in sorted(book.reigns.items()):
        if event.recipe_id == NOTHING or event.lineage_id is None or event.day >= day:
            continue
        last = book.last(event.lineage_id)
        if last.kind != "reign" or last.day <= event.day:
            continue
        loss, behind = detector_value(last.detector), detector_value(last.watch)
        if loss >= ALARM:
            book.enthrone(cell, day, NOTHING, None, "demoted", f"detector at {loss:.0f}, alarm at {ALARM:.0f}")
        elif behind >= ALARM:
            _roll_back(book, cell, event, day, behind)


def breaker_bps(rows: tuple[LineageRow, ...]) -> float | None:
    """The drawdown that a year of such days exceeds once in a hundred; None without an observed day."""
    net = np.array([row.net_bps for row in rows if row.net_bps is not None])
    if net.size == 0:
        return None
    rng = np.random.default_rng(random_seed(0, "drawdown breaker", rows[-1].lineage_id))
    return drawdown_quantile(net, quantile=BREAKER_QUANTILE, length=BREAKER_DAYS, rng=rng)


def _reign_row(last: LineageRow, observation: Observation, event: ChampionEvent, *, watched: bool) -> LineageRow:
    began = last.kind == "reign" and last.day > event.day
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
    limit = last.breaker_bps
    tripped = limit is not None and drawdown > (0.5 * limit if began and last.suspended else limit)
    return replace(
        last,
        day=observation.day,
        kind="reign",
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


def _roll_back(book: Book, cell: Cell, event: ChampionEvent, day: int, behind: float) -> None:
    history = (*book.state.champions, *book.events)
    back = next(
        (
            e.lineage_id
            for e in reversed(history)
            if (e.pool, e.horizon) == cell and e.recipe_id == event.predecessor and e.lineage_id is not None
        ),
        None,
    )
    detail = f"behind its predecessor: detector at {behind:.0f}, alarm at {ALARM:.0f}"
    book.enthrone(cell, day, event.predecessor, back, "rolled_back", detail)
