"""Records to JSON and HTML, as dicts and strings: what a bundle carries, the daily summary, the page of a night."""

from huracan.reports.bundle import (
    Scored,
    bundle_reports,
    cost_report,
    decision_logs,
    integrity_report,
    metrics_report,
    regime_map_report,
    scorecard_reports,
)
from huracan.reports.html import night_page
from huracan.reports.night import Curve, NightReport, curve_from_daily
from huracan.reports.plain import json_text, plain
from huracan.reports.records import (
    CostReport,
    DataIntegrityReport,
    DecisionLog,
    MetricsReport,
    RegimeMapReport,
)
from huracan.reports.summary import daily_summary

__all__ = [
    "CostReport",
    "Curve",
    "DataIntegrityReport",
    "DecisionLog",
    "MetricsReport",
    "NightReport",
    "RegimeMapReport",
    "Scored",
    "bundle_reports",
    "cost_report",
    "curve_from_daily",
    "daily_summary",
    "decision_logs",
    "integrity_report",
    "json_text",
    "metrics_report",
    "night_page",
    "plain",
    "regime_map_report",
    "scorecard_reports",
]
