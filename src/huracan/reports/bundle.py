"""From what the steps found to the five reports of a bundle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Final, TypedDict, cast

import polars as pl
from pydantic import TypeAdapter

from huracan.domain.json import Json, JsonObject
from huracan.domain.records import IntegrityIssue, IntegrityReport
from huracan.domain.results import ConsensusPath, Scorecard
from huracan.domain.time import iso
from huracan.reports.night_summary import Number
from huracan.reports.plain import plain
from huracan.reports.reading import record_of
from huracan.reports.records import (
    CostReport,
    DataIntegrityReport,
    DecisionLog,
    MetricsReport,
    RegimeMapReport,
)

LISTED_ISSUES: Final = 200
EVENTS_FILE: Final = "decision_events.parquet among the reports of the run"
METRICS: Final = (
    "sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "hit_rate",
    "profit_factor",
    "turnover",
    "capacity_estimate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the simulation of a model measured, as a Scorecard has it; `decisions` is None for as many as are given."""

    metrics: Mapping[str, object]
    costs: Mapping[str, object]
    notes: Sequence[str] = ()
    decisions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBars:
    """What validation found in a pair's bars, and what a comparison with other sources found since."""

    issues: tuple[IntegrityIssue, ...]
    rows_in: int
    rows_out: int
    repaired: int
    cut: int
    quality: Number | None
    vendor: str
    counts: Mapping[str, int]
    vendor_mismatches: tuple[JsonObject, ...]
    vendor_check: JsonObject = field(default_factory=dict)


class EventRow(TypedDict):
    """A row of DecisionEvent, with the confidence of the decision before it."""

    time: int
    coin: str
    horizon: str
    score: float | None
    action: str
    edge_bps: float | None
    net_edge_bps: float | None
    position: float | None
    price: float | None
    said_confidence: float | None


def bundle_reports(
    *,
    coin: str,
    horizon: str,
    timestamp: str,
    scored: Scored,
    events: pl.DataFrame,
    gate: Mapping[str, object],
    integrity: IntegrityReport | Mapping[str, object],
    path: pl.DataFrame | ConsensusPath | None = None,
    edges: pl.DataFrame | None = None,
) -> dict[str, Json]:
    """The five reports by file name, JSON types only.

    `events`, `path` and `edges` are as for `decision_logs`. Where the logs are the newest of more, ``metrics.json``
    says how many there are.
    """
    in_all = events.height if scored.decisions is None else scored.decisions
    counts = {"logged": events.height, "in_all": in_all, "all_of_them": EVENTS_FILE}
    metrics = metrics_report(coin, horizon, {**scored.metrics, "decisions": counts}, timestamp, notes=scored.notes)
    logs = decision_logs(events, path, edges)
    return {
        "metrics.json": metrics.as_dict(),
        "cost_report.json": cost_report(coin, horizon, scored.costs, timestamp).as_dict(),
        "decision_logs.json": [log.as_dict() for log in logs],
        "regime_map.json": regime_map_report(coin, {horizon: gate}, timestamp).as_dict(),
        "data_integrity.json": integrity_report(coin, horizon, integrity, timestamp).as_dict(),
    }


def scorecard_reports(card: Scorecard, timestamp: str) -> tuple[MetricsReport, CostReport]:
    """Metrics and costs of one scorecard."""
    return (
        metrics_report(card.coin, card.horizon, card.metrics, timestamp, notes=card.notes),
        cost_report(card.coin, card.horizon, card.costs, timestamp),
    )


def metrics_report(
    coin: str, horizon: str, metrics: Mapping[str, object], timestamp: str, *, notes: Iterable[str] = ()
) -> MetricsReport:
    """The documented metrics; everything else that was measured goes to `details`."""
    known = {*METRICS, "win_rate", "without_best_day"}
    details = {name: plain(value) for name, value in metrics.items() if name not in known}
    return MetricsReport(
        coin=coin,
        horizon=horizon,
        **{name: plain(metrics[name]) for name in METRICS},
        timestamp=timestamp,
        without_best_day=plain(metrics.get("without_best_day", {})),
        details={**details, "notes": list(notes)},
    )


def cost_report(coin: str, horizon: str, costs: Mapping[str, object], timestamp: str) -> CostReport:
    """Means per round trip as a scorecard's `costs` has them."""
    return CostReport(
        coin=coin,
        horizon=horizon,
        fees_bps=plain(costs["fees"]),
        spread_bps=plain(costs["spread"]),
        slippage_bps=plain(costs["slippage"]),
        funding_bps=plain(costs["funding"]),
        net_edge_after_cost_bps=plain(costs["net"]),
        timestamp=timestamp,
        maker_fees_bps=plain(costs.get("maker")),
        taker_fees_bps=plain(costs.get("taker")),
        gross_edge_bps=plain(costs.get("gross")),
        p10_bps=plain(costs.get("p10")),
        p50_bps=plain(costs.get("p50")),
        p90_bps=plain(costs.get("p90")),
        break_even_cost_bps=plain(costs.get("break_even")),
        round_trips=plain(costs.get("round_trips")),
        spread_source=plain(costs.get("spread_source")),
        rebalance_bps=plain(costs.get("rebalance")),
        maker_fill_share=plain(costs.get("maker_fill_share")),
        fees_if_maker_bps=plain(costs.get("fees_if_maker")),
        maker_rate_bps=plain(costs.get("maker_rate")),
        taker_rate_bps=plain(costs.get("taker_rate")),
    )


def decision_logs(
    events: pl.DataFrame, path: pl.DataFrame | ConsensusPath | None = None, edges: pl.DataFrame | None = None
) -> list[DecisionLog]:
    """One log a simulated action, in time order.

    `events` has the columns of DecisionEvent; `path` (a ConsensusPath or its frame) adds the confidence and `edges`
    (calibrated, FORECAST_SCHEMA_HEAD and one column per engine) the votes, both of the last decision before the action:
    a fill at a later decision's very instant was decided by the one before.
    """
    frame = events.sort("time", maintain_order=True)
    if path is not None:
        said = path.frame if isinstance(path, ConsensusPath) else path
        said = said.select(pl.col("decision_time"), pl.col("confidence").alias("said_confidence"))
        frame = frame.join_asof(
            said.sort("decision_time"), left_on="time", right_on="decision_time", allow_exact_matches=False
        )
    engines: list[str] = []
    if edges is not None:
        engines = [name for name in edges.columns if name not in {"decision_time", "fold_day", "regime"}]
        voted = edges.select("decision_time", *(pl.col(name).alias(f"vote_{name}") for name in engines))
        frame = frame.join_asof(
            voted.sort("decision_time"), left_on="time", right_on="decision_time", allow_exact_matches=False
        )
    return [
        _log(cast("EventRow", row), {name: plain(row[f"vote_{name}"]) for name in engines})
        for row in frame.iter_rows(named=True)
    ]


def regime_map_report(coin: str, horizons: Mapping[str, Mapping[str, object]], timestamp: str) -> RegimeMapReport:
    """The gate's map of each horizon; the coin's name stands once, at the top."""
    maps = {h: {key: plain(v) for key, v in gate.items() if key != "coin"} for h, gate in horizons.items()}
    return RegimeMapReport(coin=coin, horizons=maps, timestamp=timestamp)


def integrity_report(
    coin: str, horizon: str, report: IntegrityReport | Mapping[str, object], timestamp: str
) -> DataIntegrityReport:
    """What validation found; the newest issues are listed, all are counted."""
    found = record_of(_checked_bars(), asdict(report) if isinstance(report, IntegrityReport) else report)
    gaps, outliers = (tuple(one for one in found.issues if one.kind == kind) for kind in ("gap", "outlier"))
    rows = {"rows_in": found.rows_in, "rows_out": found.rows_out, "repaired": found.repaired, "cut": found.cut}
    issues = {"gap_issues": len(gaps), "outlier_issues": len(outliers)}
    return DataIntegrityReport(
        coin=coin,
        horizon=horizon,
        gaps=_listed(gaps),
        outliers=_listed(outliers),
        vendor_mismatches=[plain(row) for row in found.vendor_mismatches],
        data_quality_score=plain(found.quality),
        timestamp=timestamp,
        vendor=found.vendor,
        vendor_check=plain(found.vendor_check),
        counts={**rows, **issues, **found.counts},
    )


def _listed(issues: Iterable[IntegrityIssue]) -> list[JsonObject]:
    newest = sorted(issues, key=lambda issue: issue.start_ms)[-LISTED_ISSUES:]
    return [
        {"start": iso(issue.start_ms), "bars": issue.bars, "action": issue.action, "detail": issue.detail}
        for issue in newest
    ]


@cache
def _checked_bars() -> TypeAdapter[CheckedBars]:
    return TypeAdapter(CheckedBars)


def _log(row: EventRow, votes: JsonObject) -> DecisionLog:
    return DecisionLog(
        timestamp=iso(row["time"]),
        coin=row["coin"],
        horizon=row["horizon"],
        consensus_score=plain(row["score"]),
        votes=votes,
        confidence=plain(row.get("said_confidence")),
        action_taken=row["action"],
        edge_bps=plain(row["edge_bps"]),
        net_edge_bps=plain(row["net_edge_bps"]),
        position=plain(row.get("position")),
        price=plain(row.get("price")),
    )
