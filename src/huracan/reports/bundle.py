"""From what the steps found to the five reports of a bundle."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from huracan.domain.records import IntegrityReport
from huracan.domain.results import ConsensusPath, Scorecard
from huracan.domain.time import iso
from huracan.reports.plain import plain
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


def bundle_reports(
    *,
    coin: str,
    horizon: str,
    timestamp: str,
    cell: Mapping[str, Any],
    events: pl.DataFrame,
    gate: Mapping[str, Any],
    integrity: IntegrityReport | Mapping[str, Any],
    path: pl.DataFrame | ConsensusPath | None = None,
    edges: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """The five reports by file name, JSON types only.

    `cell` holds `metrics`, `costs` and `notes` as a Scorecard does, and how many `decisions` there are; `events`,
    `path` and `edges` as for `decision_logs`. Where the logs are the newest of more, ``metrics.json`` says how many
    there are.
    """
    counts = {"logged": events.height, "in_all": cell.get("decisions", events.height), "all_of_them": EVENTS_FILE}
    metrics = metrics_report(
        coin, horizon, {**cell["metrics"], "decisions": counts}, timestamp, notes=cell.get("notes", ())
    )
    logs = decision_logs(events, path, edges)
    return {
        "metrics.json": metrics.as_dict(),
        "cost_report.json": cost_report(coin, horizon, cell["costs"], timestamp).as_dict(),
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
    coin: str, horizon: str, metrics: Mapping[str, Any], timestamp: str, *, notes: Iterable[str] = ()
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


def cost_report(coin: str, horizon: str, costs: Mapping[str, Any], timestamp: str) -> CostReport:
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
        round_trips=costs.get("round_trips"),
        spread_source=costs.get("spread_source"),
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
        cast = edges.select("decision_time", *(pl.col(name).alias(f"vote_{name}") for name in engines))
        frame = frame.join_asof(
            cast.sort("decision_time"), left_on="time", right_on="decision_time", allow_exact_matches=False
        )
    return [_log(row, engines) for row in frame.iter_rows(named=True)]


def regime_map_report(coin: str, horizons: Mapping[str, Any], timestamp: str) -> RegimeMapReport:
    """The gate's map of each horizon; the coin's name stands once, at the top."""
    maps = {h: {key: plain(v) for key, v in gate.items() if key != "coin"} for h, gate in horizons.items()}
    return RegimeMapReport(coin=coin, horizons=maps, timestamp=timestamp)


def integrity_report(
    coin: str, horizon: str, report: IntegrityReport | Mapping[str, Any], timestamp: str
) -> DataIntegrityReport:
    """What validation found; the newest issues are listed, all are counted."""
    found = asdict(report) if isinstance(report, IntegrityReport) else dict(report)
    issues = found["issues"]
    kinds = {kind: [issue for issue in issues if issue["kind"] == kind] for kind in ("gap", "outlier")}
    counts = {name: found[name] for name in ("rows_in", "rows_out", "repaired", "cut")}
    return DataIntegrityReport(
        coin=coin,
        horizon=horizon,
        gaps=_listed(kinds["gap"]),
        outliers=_listed(kinds["outlier"]),
        vendor_mismatches=[plain(row) for row in found["vendor_mismatches"]],
        data_quality_score=plain(found["quality"]),
        timestamp=timestamp,
        vendor=found["vendor"],
        vendor_check=plain(found.get("vendor_check", {})),
        counts={**counts, **{f"{kind}_issues": len(rows) for kind, rows in kinds.items()}, **found["counts"]},
    )


def _listed(issues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    newest = sorted(issues, key=lambda issue: int(issue["start_ms"]))[-LISTED_ISSUES:]
    return [
        {
            "start": iso(issue["start_ms"]),
            "bars": issue["bars"],
            "action": issue["action"],
            "detail": issue.get("detail", ""),
        }
        for issue in newest
    ]


def _log(row: Mapping[str, Any], engines: list[str]) -> DecisionLog:
    return DecisionLog(
        timestamp=iso(row["time"]),
        coin=row["coin"],
        horizon=row["horizon"],
        consensus_score=plain(row["score"]),
        votes={name: plain(row[f"vote_{name}"]) for name in engines},
        confidence=plain(row.get("said_confidence")),
        action_taken=row["action"],
        edge_bps=plain(row["edge_bps"]),
        net_edge_bps=plain(row["net_edge_bps"]),
        position=plain(row.get("position")),
        price=plain(row.get("price")),
    )
