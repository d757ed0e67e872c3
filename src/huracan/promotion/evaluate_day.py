"""One judged day: score, admit, ask the ledger, depose, expire, re-open; in this order, for every lineage at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from huracan.domain.time import day_iso
from huracan.promotion.admission import HOPELESS, HOPELESS_LOG_E, open_missing
from huracan.promotion.alpha_budget import COHORT_SLOTS, POOL_ALPHA
from huracan.promotion.champions import breaker_bps, depose, follow_champions
from huracan.promotion.evaluation import Book
from huracan.promotion.gates import MIN_OBSERVED, closed_gates, read_gates
from huracan.promotion.hypothesis import BREACH_LIMIT, BREACH_WINDOW, LineageRow, step
from huracan.stats.evalues import log_e_value, nights_until_decidable, weighted_ebh
from huracan.stats.hac import hac_standard_error

F64 = NDArray[np.float64]

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

    days: NDArray[np.int64]
    differences: F64
    net: F64
    with_position: int

    @property
    def champion(self) -> F64:
        """What the champion earned on the same days."""
        return self.net - self.differences


def judge_day(book: Book, day: int, *, newcomers: bool) -> None:
    """Move the book through one UTC day; a day that was judged before changes nothing."""
    _advance(book, day)
    follow_champions(book, day)
    open_missing(book, day, newcomers=newcomers)
    _advance(book, day)
    _promote(book, day)
    depose(book, day)
    _expire(book, day)
    open_missing(book, day, newcomers=newcomers)
    _close(book, day)


def results_of(rows: Sequence[LineageRow]) -> Results:
    """The observed days of a lineage's rows."""
    seen = [row for row in rows if row.kind == "observed"]
    return Results(
        days=np.array([row.day for row in seen], dtype=np.int64),
        differences=np.array([row.difference_bps or 0.0 for row in seen], dtype=np.float64),
        net=np.array([row.net_bps or 0.0 for row in seen], dtype=np.float64),
        with_position=sum(row.has_position for row in seen),
    )


def gates_of(book: Book, lineage_id: str, frozen: frozenset[str]) -> tuple[str, ...]:
    """Why this lineage could not be promoted now, whatever its e-value; empty when all gates are open."""
    lineage = book.records[lineage_id].lineage
    evidence = book.evidence.get((lineage.pool, lineage.horizon, lineage.recipe_id))
    if evidence is None:
        return ("no results tonight",)
    results = results_of(book.rows(lineage_id))
    at = np.isin(evidence.series.days, results.days)
    reading = read_gates(
        results.net,
        evidence.series.stressed[at],
        results.champion,
        with_position=results.with_position,
        preset=evidence.recipe.sizing.risk_preset,
    )
    return (*closed_gates(reading), *(("promotions of the pool are frozen",) if lineage.pool in frozen else ()))


def frozen_pools(book: Book, day: int) -> frozenset[str]:
    """Pools with three days within 365 nights on which a third of their lineages broke their bounds, since the last note."""
    return frozenset(
        pool for pool in {cell[0] for cell in book.by_cell} if len(common_breaches(book, pool, day)) >= BREACH_LIMIT
    )


def common_breaches(book: Book, pool: str, day: int) -> tuple[int, ...]:
    """The days of the last 365 on which at least a third of a pool's lineages breached; several in one day count once."""
    ids = [lineage_id for cell, members in book.by_cell.items() if cell[0] == pool for lineage_id in members]
    noted = max((note.day for note in book.state.unfreezes if note.pool == pool), default=day - BREACH_WINDOW)
    candidates = {
        at for lineage_id in ids for at in book.last(lineage_id).breaches if max(noted, day - BREACH_WINDOW) < at <= day
    }
    common = []
    for at in sorted(candidates):
        scored = [row for lineage_id in ids if (row := _row_of(book, lineage_id, at)) and row.net_bps is not None]
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


def ledger_of(book: Book, cohort: int, gates: dict[str, tuple[str, ...]]) -> tuple[list[str], tuple[int, ...]]:
    """Lineages of a cohort and the indices that weighted e-BH rejects: promoted ones keep their e, closed gates make it 0."""
    ids = sorted(key for key, record in book.records.items() if record.lineage.cohort == cohort)
    e_values = []
    for lineage_id in ids:
        row = book.last(lineage_id)
        if row.frozen_e is not None:
            e_values.append(row.frozen_e)
        else:
            e_values.append(row.e if gates.get(lineage_id) == () else 0.0)
    gammas = [book.records[lineage_id].lineage.gamma for lineage_id in ids]
    return ids, weighted_ebh(e_values, gammas, POOL_ALPHA)


def _advance(book: Book, day: int) -> None:
    for lineage_id in book.open_ids():
        path = book.path(book.records[lineage_id].lineage)
        if path is None:
            continue
        last = book.last(lineage_id)
        for observation in path.after(last.day, day):
            last = step(last, observation)
            book.write(last)
            if last.status != "open":
                break


def _promote(book: Book, day: int) -> None:
    candidates = [key for key in book.open_ids() if book.writable(key, day) and _within_reach(book, key)]
    if not candidates:
        return
    frozen = frozen_pools(book, day)
    gates = {lineage_id: gates_of(book, lineage_id, frozen) for lineage_id in candidates}
    proven: list[str] = []
    for cohort in sorted({book.records[lineage_id].lineage.cohort for lineage_id in candidates}):
        ids, chosen = ledger_of(book, cohort, gates)
        proven += [ids[at] for at in chosen if book.last(ids[at]).frozen_e is None]
    proven.sort(key=lambda key: (-book.last(key).e, book.records[key].lineage.recipe_name != "linear", key))
    crowned: set[tuple[str, str]] = set()
    for lineage_id in proven:
        lineage, row = book.records[lineage_id].lineage, book.last(lineage_id)
        cell = (lineage.pool, lineage.horizon)
        book.conclude(
            lineage_id,
            day,
            "promoted",
            f"e = {row.e:.1f} against {lineage.champion_id}",
            frozen_e=row.e,
            breaker_bps=breaker_bps(book.rows(lineage_id)),
        )
        if cell not in crowned:
            crowned.add(cell)
            book.enthrone(cell, day, lineage.recipe_id, lineage_id, "promoted", f"e = {row.e:.1f}")


def _within_reach(book: Book, lineage_id: str) -> bool:
    """Whether the e-value could be rejected if every lineage of the cohort were: others need no gates read."""
    row = book.last(lineage_id)
    return row.e * POOL_ALPHA * row.gamma * COHORT_SLOTS >= 1.0


def _expire(book: Book, day: int) -> None:
    for lineage_id in book.open_ids():
        if not book.writable(lineage_id, day):
            continue
        row = book.last(lineage_id)
        if row.log_e < HOPELESS_LOG_E:
            book.conclude(lineage_id, day, "expired", f"{HOPELESS}log e = {row.log_e:.2f}")
        elif row.observed >= MIN_OBSERVED and (
            row.observed % FORECAST_EVERY == 0 or book.records[lineage_id].lineage.admitted_day == day
        ):
            _expire_undecidable(book, lineage_id, row, day)


def _expire_undecidable(book: Book, lineage_id: str, row: LineageRow, day: int) -> None:
    """Expire what no plausible edge would decide within 730 nights.

    Plausible is the larger of the planned Sharpe ratio and the upper 95% point of the measured one: the point estimate of a few
    dozen days would expire half of all good recipes.
    """
    results = results_of(book.rows(lineage_id))
    sd = float(results.differences.std(ddof=1))
    if sd == 0.0:
        return
    upper = (float(results.differences.mean()) + UPPER_Z * hac_standard_error(results.differences)) / sd
    wanted = 1.0 / (POOL_ALPHA * row.gamma)
    nights = forecast(results, row, wanted_e=wanted, sharpe=max(PLANNED_SHARPE, upper))
    if nights is None or nights > FORECAST_LIMIT:
        told = "never" if nights is None else f"{nights:.0f} nights"
        book.conclude(lineage_id, day, "expired", f"{HOPELESS}decidable in {told}, at most {FORECAST_LIMIT:.0f} wanted")


def _close(book: Book, day: int) -> None:
    """End lineages whose champion no longer reigns."""
    for cell, ids in book.by_cell.items():
        for lineage_id in ids:
            if book.records[lineage_id].lineage.epoch == book.epoch_of(cell) or book.last(lineage_id).status != "open":
                continue
            if book.writable(lineage_id, day):
                book.conclude(lineage_id, day, "closed", f"the champion changed on {day_iso(book.reigns[cell].day)}")


def _row_of(book: Book, lineage_id: str, day: int) -> LineageRow | None:
    for row in reversed(book.fresh.get(lineage_id, ())):
        if row.day == day:
            return row
    return book.records[lineage_id].row_of(day)
