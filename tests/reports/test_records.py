"""Records and builders: numbers as measured, None for undefined, valid JSON, nothing made up."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.frames import DAILY_SCHEMA, PANEL_SCHEMA, TRADE_SCHEMA, empty
from huracan.domain.records import DecisionEvent, IntegrityIssue, IntegrityReport, Skip, SkipCode
from huracan.domain.results import ConsensusPath, Scorecard
from huracan.reports import (
    CostReport,
    DataIntegrityReport,
    DecisionLog,
    MetricsReport,
    RegimeMapReport,
    Scored,
    bundle_reports,
    cost_report,
    daily_summary,
    decision_logs,
    integrity_report,
    json_text,
    plain,
    regime_map_report,
    scorecard_reports,
)
from huracan.reports.bundle import LISTED_ISSUES

NOW = "2026-05-01T00:00:00Z"
METRICS = {
    "sharpe_ratio": 1.5,
    "sortino_ratio": 2.5,
    "max_drawdown": 0.04,
    "hit_rate": 0.55,
    "win_rate": 0.55,
    "profit_factor": None,
    "turnover": 3.0,
    "capacity_estimate": 1e6,
    "days": 85,
    "without_best_day": {"sharpe_ratio": 1.1},
}
COSTS = {
    "fees": 10.0,
    "spread": 1.0,
    "slippage": 0.5,
    "funding": -0.2,
    "gross": 20.0,
    "net": 8.7,
    "maker": 0.0,
    "taker": 10.0,
    "break_even": 20.2,
    "p10": 11.0,
    "p50": 11.3,
    "p90": 12.0,
    "round_trips": 212,
}
EVENT = {
    "coin": "BTC",
    "horizon": "1h",
    "recipe": "linear-1",
    "action": "enter",
    "side": 1,
    "score": 0.6,
    "edge_bps": 21.0,
    "net_edge_bps": 9.5,
    "position": 0.05,
    "price": 100.0,
}


def events(*times: int) -> pl.DataFrame:
    return pl.DataFrame([{"time": time, **EVENT} for time in times])


def issue(kind: str, start_ms: int) -> IntegrityIssue:
    return IntegrityIssue(kind=kind, action="flagged", start_ms=start_ms, bars=2, detail="seen")


def integrity(*issues: IntegrityIssue, quality: float = 0.98) -> IntegrityReport:
    return IntegrityReport(
        instrument_id="BTCUSDT-um",
        vendor="binance",
        rows_in=100,
        rows_out=99,
        repaired=1,
        cut=2,
        issues=issues,
        quality=quality,
        counts={"duplicates": 3},
    )


def test_metrics_keep_the_measured_numbers_and_the_alias():
    card = Scorecard(
        coin="BTC",
        horizon="1h",
        recipe_id="r",
        panel=empty(PANEL_SCHEMA),
        daily=empty(DAILY_SCHEMA),
        trades=empty(TRADE_SCHEMA),
        metrics=METRICS,
        costs=COSTS,
        notes=("funding unknown",),
    )
    metrics, costs = scorecard_reports(card, NOW)
    shown = metrics.as_dict()
    assert shown["win_rate"] == shown["hit_rate"] == metrics.win_rate == 0.55
    assert shown["profit_factor"] is None
    assert shown["without_best_day"] == {"sharpe_ratio": 1.1}
    assert shown["details"] == {"days": 85, "notes": ["funding unknown"]}
    assert costs.net_edge_after_cost_bps == 8.7


def test_costs_name_fees_by_kind_and_quantiles():
    report = cost_report("BTC", "1h", COSTS, NOW)
    assert (report.fees_bps, report.maker_fees_bps, report.taker_fees_bps) == (10.0, 0.0, 10.0)
    assert (report.p10_bps, report.p50_bps, report.p90_bps) == (11.0, 11.3, 12.0)
    assert report.break_even_cost_bps == 20.2
    assert report.round_trips == 212


def test_a_scorecard_without_a_documented_number_is_an_error_and_not_a_zero():
    with pytest.raises(KeyError, match="sharpe_ratio"):
        bundle_reports(
            coin="BTC", horizon="1h", timestamp=NOW, scored=Scored(metrics={}, costs=COSTS), events=events(), gate={}, integrity=integrity()
        )  # fmt: skip


def test_decision_logs_carry_the_votes_and_the_confidence_known_at_the_action():
    path = ConsensusPath(
        frame=pl.DataFrame({"decision_time": [3_600_000, 7_200_000], "confidence": [0.7, 0.9]}),
        weight=np.ones(2),
        enabled=np.ones((2, 4), dtype=np.int64),
        threshold=0.5,
        penalty=0.0,
        reliability={},
        correlation={},
    )
    edges = pl.DataFrame(
        {
            "decision_time": [3_600_000, 7_200_000],
            "fold_day": [0, 0],
            "regime": [0, 1],
            "trend": [12.0, math.nan],
            "flow": [-3.0, 4.0],
        }
    )
    first, second, third = decision_logs(events(7_260_000, 60_000, 3_660_000), path, edges)
    assert (first.timestamp, first.confidence, first.votes) == (
        "1970-01-01T00:01:00Z",
        None,
        {"trend": None, "flow": None},
    )
    assert (second.confidence, second.votes) == (0.7, {"trend": 12.0, "flow": -3.0})
    assert (third.confidence, third.votes) == (0.9, {"trend": None, "flow": 4.0})
    assert decision_logs(events(7_200_000), path, edges)[0].confidence == 0.7
    assert (third.action_taken, third.consensus_score, third.edge_bps, third.net_edge_bps) == ("enter", 0.6, 21.0, 9.5)


def test_decision_logs_without_a_path_claim_no_confidence():
    (log,) = decision_logs(events(60_000))
    assert (log.confidence, log.votes) == (None, {})


def test_decision_events_as_records_make_the_same_logs():
    record = DecisionEvent(time=60_000, **EVENT)
    frame = pl.DataFrame([{f: getattr(record, f) for f in record.__slots__}])
    assert decision_logs(frame) == decision_logs(events(60_000))


def test_issues_are_listed_newest_and_all_counted():
    many = [issue("gap", 60_000 * n) for n in range(LISTED_ISSUES + 50)]
    report = integrity_report("BTC", "1h", integrity(*many, issue("outlier", 0), issue("halt", 0)), NOW)
    assert len(report.gaps) == LISTED_ISSUES
    assert report.gaps[0]["start"] == "1970-01-01T00:50:00Z"
    assert report.counts == {
        "rows_in": 100, "rows_out": 99, "repaired": 1, "cut": 2, "gap_issues": 250, "outlier_issues": 1, "duplicates": 3,
    }  # fmt: skip
    assert (report.vendor, report.data_quality_score) == ("binance", 0.98)


def test_an_integrity_report_that_came_through_json_makes_the_same_report():
    report = integrity(issue("gap", 60_000))
    assert integrity_report("BTC", "1h", json.loads(json_text(report)), NOW) == integrity_report(
        "BTC", "1h", report, NOW
    )


def test_the_gates_map_stands_under_its_horizon():
    report = regime_map_report("BTC", {"1h": {"coin": "BTC", "regimes": {}, "performance": {}}}, NOW)
    assert report.as_dict() == {"coin": "BTC", "horizons": {"1h": {"regimes": {}, "performance": {}}}, "timestamp": NOW}


def test_a_bundles_reports_are_five_files_of_valid_json_with_nulls_for_nan():
    spoiled = {**METRICS, "sharpe_ratio": math.nan, "without_best_day": {"sharpe_ratio": math.inf}}
    files = bundle_reports(
        coin="BTC",
        horizon="1h",
        timestamp=NOW,
        scored=Scored(metrics=spoiled, costs={**COSTS, "net": -math.inf}),
        events=events(60_000).with_columns(edge_bps=pl.lit(math.nan)),
        gate={"coin": "BTC", "performance": {"trend_flow": {"sharpe_ratio": math.nan}}},
        integrity=integrity(quality=math.nan),
    )
    assert set(files) == {
        "metrics.json", "cost_report.json", "decision_logs.json", "regime_map.json", "data_integrity.json",
    }  # fmt: skip
    json.dumps(files, allow_nan=False)
    assert files["metrics.json"]["sharpe_ratio"] is None
    assert files["metrics.json"]["without_best_day"] == {"sharpe_ratio": None}
    assert files["cost_report.json"]["net_edge_after_cost_bps"] is None
    assert files["decision_logs.json"][0]["edge_bps"] is None
    assert files["data_integrity.json"]["data_quality_score"] is None


@pytest.mark.parametrize("value", [-0.01, 1.01, math.inf])
def test_shares_outside_nought_to_one_are_refused(value):
    with pytest.raises(ValueError, match=f"hit_rate is {value}"):
        MetricsReport("BTC", "1h", 1.0, 1.0, 0.1, value, 1.0, 1.0, 1.0, NOW)
    with pytest.raises(ValueError, match="max_drawdown"):
        MetricsReport("BTC", "1h", 1.0, 1.0, value, 0.5, 1.0, 1.0, 1.0, NOW)
    with pytest.raises(ValueError, match="data_quality_score"):
        DataIntegrityReport("BTC", "1h", [], [], [], value, NOW)


def test_reports_take_datetimes_and_show_utc():
    moment = datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert CostReport("BTC", "1h", 1.0, 1.0, 1.0, 1.0, 1.0, moment).as_dict()["timestamp"] == NOW
    assert DecisionLog(moment, "BTC", "1h", 0.5, [], 0.5, "hold", 0.0, 0.0).as_dict()["timestamp"] == NOW
    assert RegimeMapReport("BTC", {}, datetime(2026, 5, 1)).as_dict()["timestamp"] == NOW  # noqa: DTZ001


class Colour(StrEnum):
    RED = "red"


def test_every_kind_of_value_has_a_json_form():
    value = {
        1: (np.float64(1.5), np.int64(2), np.bool_(True), np.array([1.0, math.nan])),
        "set": {"b", "a"},
        "enum": Colour.RED,
        "day": date(2026, 1, 1),
        "error": ValueError("x"),
        "moment": datetime(2026, 1, 1, tzinfo=UTC),
    }
    assert json.loads(json_text(value)) == {
        "1": [1.5, 2, True, [1.0, None]],
        "set": ["a", "b"],
        "enum": "red",
        "day": "2026-01-01",
        "error": "x",
        "moment": "2026-01-01T00:00:00Z",
    }


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=12,
    )
)
def test_whatever_goes_in_comes_out_as_valid_json(value):
    def refuse(name):
        raise AssertionError(name)

    assert json.loads(json_text(value), parse_constant=refuse) == plain(value)


def skip(coin: str, code: SkipCode) -> Skip:
    return Skip(coin=coin, horizon="1h", step=1, code=code, reason="why", measured=math.nan, wanted=5.0)


def test_the_summary_counts_every_skip_by_its_reason():
    skips = [skip("A", SkipCode.ILLIQUID), skip("B", SkipCode.ILLIQUID), skip("C", SkipCode.PEGGED)]
    summary = daily_summary(
        timestamp=NOW,
        run_id="r1",
        coin_universe_size=5,
        coins_processed=2,
        champions_count=2,
        export_results={"BTC_1h": {"success": True, "coin": "BTC", "horizon": "1h"}},
        skips=skips,
        errors=[ValueError("x")],
        evidence=[{"e": math.inf}],
        extra={"dry_run": False},
    )
    assert summary["skip_counts"] == {"ILLIQUID": 2, "PEGGED": 1}
    assert summary["skipped_count"] == sum(summary["skip_counts"].values()) == len(summary["skipped"])
    assert summary["skipped"][0] == {
        "coin": "A", "horizon": "1h", "step": 1, "code": "ILLIQUID", "reason": "why", "measured": None, "wanted": 5.0,
    }  # fmt: skip
    assert (summary["errors"], summary["evidence"], summary["dry_run"]) == (["x"], [{"e": None}], False)
    assert {"timestamp", "coin_universe_size", "champions_count", "export_results", "coins_processed", "run_id"} <= set(
        summary
    )


def test_extra_keys_never_replace_the_summarys_own():
    with pytest.raises(ValueError, match="champions_count"):
        daily_summary(
            timestamp=NOW, run_id=None, coin_universe_size=0, coins_processed=0, champions_count=0, export_results={}, skips=[], extra={"champions_count": 9}
        )  # fmt: skip
