"""The lineage table: for every hypothesis, how far it is from proof, and why it is not there yet."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from huracan.domain.time import day_iso
from huracan.promotion.admission import describe_start
from huracan.promotion.alpha_budget import POOL_ALPHA
from huracan.promotion.evaluate_day import (
    PLANNED_SHARPE,
    Results,
    forecast,
    frozen_pools,
    gates_of,
    ledger_of,
    results_of,
)
from huracan.promotion.evaluation import Book
from huracan.promotion.gates import MIN_OBSERVED
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRow, Status
from huracan.promotion.outlook import Outlook, outlook_of
from huracan.stats.evalues import confidence_sequence, detector_value
from huracan.stats.hac import hac_standard_error
from huracan.stats.shrinkage import shrink

UNDECIDED_DELTA: Final = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageView:
    """One line of the table; bps of capital a day (or block), None where there is nothing to say yet.

    `e` is the smaller of the two e-values (frozen for a promoted lineage), `needed` what the ledger asks tonight.
    `nights_until_decidable` assumes the shrunk measured edge (None: not in sight at that edge), `nights_if_planned` an
    edge of .31 daily Sharpe; both at least the days that the gates still want. Confidence sequences hold at every night at once.
    `history_days` were walked forward at admission, `live_days` scored since.
    """

    lineage_id: str
    pool: str
    horizon: str
    recipe_id: str
    recipe: str
    champion_id: str
    cohort: int
    slot: str
    gamma: float
    status: Status
    reason: str
    reigns: bool
    suspended: bool
    e: float
    e_champion: float
    e_nothing: float
    needed: float
    bound_champion_bps: float
    bound_nothing_bps: float
    bound_over_sd: float | None
    mean_bps: float | None
    sd_bps: float | None
    hac_se_bps: float | None
    shrunk_bps: float | None
    nights_until_decidable: float | None
    nights_if_planned: float | None
    confidence_champion_bps: tuple[float, float]
    confidence_nothing_bps: tuple[float, float]
    observed_days: int
    position_days: int
    zero_days: int
    void_days: int
    breach_days: int
    history_days: int
    live_days: int
    closed_gates: tuple[str, ...]
    detector: float
    watch: float
    drawdown_bps: float
    evidence: str
    outlook: Outlook

    def as_row(self) -> dict[str, Any]:
        """All fields by name, those of the outlook among them, fit for JSON."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "outlook"}
        return {**own, **asdict(self.outlook)}


def table_of(book: Book, day: int) -> tuple[LineageView, ...]:
    """Every lineage that is open against today's champion, reigns, or expired against today's champion."""
    shown = [key for cell in sorted(book.by_cell) for key in book.by_cell[cell] if _is_shown(book, key)]
    frozen = frozen_pools(book, day)
    gates = {key: gates_of(book, key, frozen) for key in book.open_ids()}
    results = {key: results_of(book.rows(key)) for key in shown}
    shrunk = _shrunk_edges(results)
    rejected = {}
    for cohort in {book.records[key].lineage.cohort for key in shown}:
        rejected[cohort] = len(ledger_of(book, cohort, gates)[1])
    return tuple(
        _view(book, key, results[key], shrunk.get(key), rejected[book.records[key].lineage.cohort], gates.get(key, ()))
        for key in shown
    )


def _is_shown(book: Book, lineage_id: str) -> bool:
    lineage, status = book.records[lineage_id].lineage, book.last(lineage_id).status
    cell = (lineage.pool, lineage.horizon)
    if status == "promoted":
        return _reigns(book, lineage)
    if lineage.epoch != book.epoch_of(cell) or status == "closed":
        return False
    return lineage.id == book.of_recipe(cell, lineage.recipe_id)[-1].id


def _reigns(book: Book, lineage: Lineage) -> bool:
    event = book.reigns.get((lineage.pool, lineage.horizon))
    return event is not None and event.lineage_id == lineage.id


def _shrunk_edges(results: dict[str, Results]) -> dict[str, float]:
    """Empirical-Bayes mean difference of each lineage, bps; shrunk as Sharpe ratios, since horizons differ in scale."""
    keys, ratios, errors, scales = [], [], [], []
    for key, result in results.items():
        sd = _sd(result.differences)
        error = hac_standard_error(result.differences)
        if sd and error > 0.0:
            keys.append(key)
            ratios.append(float(result.differences.mean()) / sd)
            errors.append(error / sd)
            scales.append(sd)
    if not keys:
        return {}
    means = shrink(np.array(ratios), np.array(errors)).mean
    return {key: float(mean) * scale for key, mean, scale in zip(keys, means, scales, strict=True)}


def _view(
    book: Book, key: str, results: Results, shrunk: float | None, rejected: int, gates: tuple[str, ...]
) -> LineageView:
    lineage, row = book.records[key].lineage, book.last(key)
    promoted = row.frozen_e is not None
    share = POOL_ALPHA * lineage.gamma * (max(1, rejected) if promoted else rejected + 1)
    delta = share if promoted else UNDECIDED_DELTA
    sd = _sd(results.differences)
    own_sd = _sd(results.net)
    live = int((results.days > lineage.admitted_day).sum())
    ratio = min(row.bound_champion_bps / sd, row.bound_nothing_bps / own_sd) if sd and own_sd else None
    against_champion = confidence_sequence(results.differences, row.bound_champion_bps, delta)
    same = lineage.champion_id == NOTHING and row.bound_champion_bps == row.bound_nothing_bps
    return LineageView(
        lineage_id=key,
        pool=lineage.pool,
        horizon=lineage.horizon,
        recipe_id=lineage.recipe_id,
        recipe=lineage.recipe_name,
        champion_id=lineage.champion_id,
        cohort=lineage.cohort,
        slot=lineage.slot,
        gamma=lineage.gamma,
        status=row.status,
        reason=row.reason,
        reigns=promoted and _reigns(book, lineage),
        suspended=row.suspended,
        e=row.frozen_e if row.frozen_e is not None else row.e,
        e_champion=row.e_champion,
        e_nothing=row.e_nothing,
        needed=1.0 / share,
        bound_champion_bps=row.bound_champion_bps,
        bound_nothing_bps=row.bound_nothing_bps,
        bound_over_sd=ratio,
        mean_bps=float(results.differences.mean()) if results.days.size else None,
        sd_bps=sd,
        hac_se_bps=hac_standard_error(results.differences) if results.days.size > 1 else None,
        shrunk_bps=shrunk,
        nights_until_decidable=_nights(results, row, wanted_e=1.0 / share, edge_bps=shrunk)
        if shrunk is not None
        else None,
        nights_if_planned=_nights(results, row, wanted_e=1.0 / share, edge_bps=None),
        confidence_champion_bps=against_champion,
        confidence_nothing_bps=against_champion
        if same
        else confidence_sequence(results.net, row.bound_nothing_bps, delta),
        observed_days=row.observed,
        position_days=row.observed - row.zero,
        zero_days=row.zero,
        void_days=row.void,
        breach_days=row.breach_days,
        history_days=int(results.days.size) - live,
        live_days=live,
        closed_gates=gates,
        detector=detector_value(row.detector),
        watch=detector_value(row.watch),
        drawdown_bps=row.drawdown_bps,
        evidence=_told(lineage, int(results.days.size) - live, live),
        outlook=outlook_of(book, lineage, row, results),
    )


def _told(lineage: Lineage, history: int, live: int) -> str:
    start, admitted = describe_start(lineage), day_iso(lineage.admitted_day)
    return f"history {history} days, live {live} days; {start}, admitted {admitted}"


def _nights(results: Results, row: LineageRow, *, wanted_e: float, edge_bps: float | None) -> float | None:
    if row.frozen_e is not None:
        return 0.0
    sharpe = None if edge_bps is not None else PLANNED_SHARPE
    nights = forecast(results, row, wanted_e=wanted_e, sharpe=sharpe, edge_bps=edge_bps)
    return None if nights is None else max(nights, float(MIN_OBSERVED - row.observed), 0.0)


def _sd(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    if values.size < 2:
        return None
    sd = float(values.std(ddof=1))
    return sd if sd > 0.0 else None
