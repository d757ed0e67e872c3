"""The lineage table: for every hypothesis, how far it is from proof, and why it is not there yet."""

from dataclasses import asdict, dataclass, fields
from typing import Final

import numpy as np

from huracan.domain.json import JsonObject
from huracan.domain.time import day_iso
from huracan.promotion.admission import describe_start
from huracan.promotion.alpha_budget import POOL_ALPHA
from huracan.promotion.evaluate_day import (
    PLANNED_SHARPE,
    Results,
    forecast,
    frozen_pools,
    gates_of,
    rejected_of,
    results_of,
)
from huracan.promotion.evaluation import Evaluation
from huracan.promotion.gates import MIN_OBSERVED
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRow, Status
from huracan.promotion.keys import PoolHorizon
from huracan.promotion.outlook import Outlook, outlook_of
from huracan.stats.evalues import confidence_sequence, detector_value
from huracan.stats.hac import hac_standard_error
from huracan.stats.shrinkage import shrink

UNDECIDED_DELTA: Final = 0.10
PUBLISHED_NAMES: Final = {"is_champion": "reigns"}
"""Fields that summaries and reports have under a name of the first release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageView:
    """One line of the table; bps of capital a day (or block), None where there is nothing to say yet.

    `e` is the smaller of the two e-values (frozen for a promoted lineage), `needed` what the ledger asks tonight.
    `nights_until_decidable` assumes the shrunk measured edge (None: not in sight at that edge), `nights_if_planned` an
    edge of .31 daily Sharpe. Both are at least the days that the gates still want. Confidence sequences hold at every
    night at once. `history_days` were backtested at admission, `live_days` scored since.
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
    is_champion: bool
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

    @property
    def pool_horizon(self) -> PoolHorizon:
        """Where it competes."""
        return PoolHorizon(self.pool, self.horizon)

    def as_dict(self) -> JsonObject:
        """As the summary has it: all fields under their published names, those of the outlook among them."""
        own = {
            PUBLISHED_NAMES.get(field.name, field.name): getattr(self, field.name)
            for field in fields(self)
            if field.name != "outlook"
        }
        return {**own, **asdict(self.outlook)}


def table_of(evaluation: Evaluation, day: int) -> tuple[LineageView, ...]:
    """Every champion's lineage, and every lineage that is open or expired against today's champion."""
    lineages = evaluation.by_pool_horizon
    shown = [key for place in sorted(lineages) for key in lineages[place] if _is_shown(evaluation, key)]
    frozen = frozen_pools(evaluation, day)
    gates = {key: gates_of(evaluation, key, frozen) for key in evaluation.open_ids()}
    results = {key: results_of(evaluation.rows(key)) for key in shown}
    shrunk = _shrunk_edges(results)
    rejected = {}
    for cohort in {evaluation.records[key].lineage.cohort for key in shown}:
        rejected[cohort] = len(rejected_of(evaluation, cohort, gates)[1])
    lines = [
        _Line(
            lineage=(record := evaluation.records[key]).lineage,
            row=evaluation.last(key),
            results=results[key],
            shrunk=shrunk.get(key),
            rejected=rejected[record.lineage.cohort],
        )
        for key in shown
    ]
    return tuple(_view(evaluation, line, gates.get(line.lineage.id, ())) for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What one line is made of; `rejected` lineages of its cohort are proven tonight, itself among them or not."""

    lineage: Lineage
    row: LineageRow
    results: Results
    shrunk: float | None
    rejected: int

    @property
    def share(self) -> float:
        """The level at which e-BH asks for this lineage: 1 over the e-value that is needed."""
        least = max(1, self.rejected) if self.row.frozen_e is not None else self.rejected + 1
        return POOL_ALPHA * self.lineage.gamma * least

    @property
    def live(self) -> int:
        """Days scored since the admission."""
        return int((self.results.days > self.lineage.admitted_day).sum())


def _is_shown(evaluation: Evaluation, lineage_id: str) -> bool:
    lineage, status = evaluation.records[lineage_id].lineage, evaluation.last(lineage_id).status
    if status == "promoted":
        return _is_champion(evaluation, lineage)
    if not evaluation.is_current(lineage) or status == "closed":
        return False
    return lineage.id == evaluation.of_recipe(lineage.pool_horizon, lineage.recipe_id)[-1].id


def _is_champion(evaluation: Evaluation, lineage: Lineage) -> bool:
    event = evaluation.incumbents.get(lineage.pool_horizon)
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


def _view(evaluation: Evaluation, line: _Line, gates: tuple[str, ...]) -> LineageView:
    lineage, row, results = line.lineage, line.row, line.results
    spread = _spread(row, results)
    champion, nothing = _confidence(line)
    observed = int(results.days.size)
    wanted_e = 1.0 / line.share
    return LineageView(
        lineage_id=lineage.id,
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
        is_champion=row.frozen_e is not None and _is_champion(evaluation, lineage),
        suspended=row.suspended,
        e=row.frozen_e if row.frozen_e is not None else row.e,
        e_champion=row.e_champion,
        e_nothing=row.e_nothing,
        needed=wanted_e,
        bound_champion_bps=row.bound_champion_bps,
        bound_nothing_bps=row.bound_nothing_bps,
        bound_over_sd=spread.bound_over_sd,
        mean_bps=float(results.differences.mean()) if observed else None,
        sd_bps=spread.sd_bps,
        hac_se_bps=hac_standard_error(results.differences) if observed > 1 else None,
        shrunk_bps=line.shrunk,
        nights_until_decidable=_nights(line, wanted_e, line.shrunk) if line.shrunk is not None else None,
        nights_if_planned=_nights(line, wanted_e, None),
        confidence_champion_bps=champion,
        confidence_nothing_bps=nothing,
        observed_days=row.observed,
        position_days=row.observed - row.zero,
        zero_days=row.zero,
        void_days=row.void,
        breach_days=row.breach_days,
        history_days=observed - line.live,
        live_days=line.live,
        closed_gates=gates,
        detector=detector_value(row.detector),
        watch=detector_value(row.watch),
        drawdown_bps=row.drawdown_bps,
        evidence=_evidence_text(lineage, observed - line.live, line.live),
        outlook=outlook_of(evaluation, lineage, row, results),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """How much a day's difference varies, and the smaller bound in such standard deviations; None where it does not."""

    sd_bps: float | None
    bound_over_sd: float | None


def _spread(row: LineageRow, results: Results) -> _Spread:
    sd, own_sd = _sd(results.differences), _sd(results.net)
    ratio = min(row.bound_champion_bps / sd, row.bound_nothing_bps / own_sd) if sd and own_sd else None
    return _Spread(sd_bps=sd, bound_over_sd=ratio)


def _confidence(line: _Line) -> tuple[tuple[float, float], tuple[float, float]]:
    """Confidence sequences of the daily mean against the champion, and against nothing."""
    row, results = line.row, line.results
    delta = line.share if row.frozen_e is not None else UNDECIDED_DELTA
    champion = confidence_sequence(results.differences, row.bound_champion_bps, delta)
    if line.lineage.champion_id == NOTHING and row.bound_champion_bps == row.bound_nothing_bps:
        return champion, champion
    return champion, confidence_sequence(results.net, row.bound_nothing_bps, delta)


def _evidence_text(lineage: Lineage, history: int, live: int) -> str:
    start, admitted = describe_start(lineage), day_iso(lineage.admitted_day)
    return f"history {history} days, live {live} days; {start}, admitted {admitted}"


def _nights(line: _Line, wanted_e: float, edge_bps: float | None) -> float | None:
    row, results = line.row, line.results
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
