"""Reports on disk: whole, never over one another, readable, and true."""

import errno
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from sample_night import sample_night

from huracan.adapters import reports
from huracan.adapters.reports import (
    ReportsGenerator,
    write_atomically,
    write_events,
    write_night_page,
    write_summary,
)
from huracan.errors import DiskFullError
from huracan.reports import CostReport, DataIntegrityReport, DecisionLog, MetricsReport, RegimeMapReport

NOW = datetime(2026, 5, 1, 0, 14, 9, tzinfo=UTC)
METRICS = {
    "sharpe_ratio": 1.5,
    "sortino_ratio": 2.5,
    "max_drawdown": 0.04,
    "hit_rate": 0.55,
    "profit_factor": None,
    "turnover": 3.0,
    "capacity_estimate": 1e6,
}
COSTS = {
    "fees_bps": 10.0,
    "spread_bps": 1.0,
    "slippage_bps": 0.5,
    "funding_bps": float("nan"),
    "net_edge_after_cost_bps": 8.7,
}
DATA = {"gaps": [], "outliers": [{"bars": 1}], "vendor_mismatches": [], "data_quality_score": 0.99}


@pytest.fixture
def generator(tmp_path) -> ReportsGenerator:
    return ReportsGenerator(tmp_path / "reports")


def read(path: Path) -> object:
    assert path.stat().st_mode & 0o777 == 0o644
    return json.loads(path.read_text())


def test_reports_may_be_given_as_records_or_as_values(generator):
    record = MetricsReport("BTC", "1h", *METRICS.values(), timestamp="2026-05-01T00:00:00Z")
    by_record = read(generator.generate_metrics_report(record))
    path = generator.generate_metrics_report("BTC", "1h", {**METRICS, "timestamp": "2026-05-01T00:00:00Z"})
    assert read(path) == by_record
    assert path == generator.output_dir / "BTC" / "1h" / "metrics.json"
    assert by_record["win_rate"] == 0.55


def test_a_win_rate_is_a_hit_rate(generator):
    values = {"win_rate": 0.6, **{k: v for k, v in METRICS.items() if k != "hit_rate"}}
    assert read(generator.generate_metrics_report("BTC", "1h", values))["hit_rate"] == 0.6


def test_a_report_without_a_timestamp_gets_the_time_of_writing(generator):
    before = datetime.now(UTC)
    stamp = read(generator.generate_cost_report("BTC", "1h", COSTS))["timestamp"]
    assert before <= datetime.fromisoformat(stamp) <= datetime.now(UTC)


def test_missing_numbers_are_named_and_never_made_up(generator):
    with pytest.raises(ValueError, match="BTC 1h: DataIntegrityReport lacks data_quality_score"):
        generator.generate_data_integrity_report(
            "BTC", "1h", {k: v for k, v in DATA.items() if k != "data_quality_score"}
        )
    with pytest.raises(ValueError, match="CostReport lacks fees_bps, spread_bps"):
        generator.generate_cost_report(
            "BTC", "1h", {"slippage_bps": 1.0, "funding_bps": 0.0, "net_edge_after_cost_bps": 0.0}
        )
    with pytest.raises(ValueError, match="wanted a MetricsReport, or coin, horizon and values; got str"):
        generator.generate_metrics_report("BTC")
    assert not generator.output_dir.exists()


def test_nan_is_null_in_every_file(generator):
    assert read(generator.generate_cost_report("BTC", "1h", COSTS))["funding_bps"] is None
    record = CostReport("BTC", "1h", 1.0, 1.0, 1.0, float("inf"), 1.0, NOW)
    assert read(generator.generate_cost_report(record))["funding_bps"] is None
    written = read(
        generator.generate_data_integrity_report(DataIntegrityReport("BTC", "1h", [], [], [], float("nan"), NOW))
    )
    assert written["data_quality_score"] is None
    assert read(generator.generate_data_integrity_report("BTC", "1h", DATA))["outliers"] == [{"bars": 1}]


def test_decision_logs_are_a_list_of_records_or_mappings(generator):
    log = DecisionLog(NOW, "BTC", "1h", 0.6, {"trend": 12.0}, 0.7, "enter", 21.0, 9.5)
    written = read(
        generator.generate_decision_logs("BTC", "1h", [log, {"action_taken": "hold", "edge_bps": float("nan")}])
    )
    assert written[0]["votes"] == {"trend": 12.0}
    assert written[1] == {"action_taken": "hold", "edge_bps": None}


def test_a_regime_map_belongs_to_the_coin(generator):
    path = generator.generate_regime_map("BTC", {"1h": {"regimes": {}}})
    assert path == generator.output_dir / "BTC" / "regime_map.json"
    assert read(path)["horizons"] == {"1h": {"regimes": {}}}
    record = RegimeMapReport("ETH", {}, NOW)
    assert read(generator.generate_regime_map("ETH", record)) == {
        "coin": "ETH",
        "horizons": {},
        "timestamp": "2026-05-01T00:14:09Z",
    }


@pytest.mark.parametrize("coin", ["../../etc", "币安人生", "a/b", "..", "x\0y"])
def test_names_never_leave_the_folder(generator, coin):
    path = generator.generate_decision_logs(coin, "1h", [])
    assert path.resolve().parents[2] == generator.output_dir.resolve()


@pytest.mark.parametrize(
    ("processed", "champions", "skipped", "rate", "codes"),
    [
        (3, 1, ["A", "B", "C"], 0.25, {"SKIPPED": 3}),
        (["A", "B"], ["A_1h"], {"B": "illiquid"}, 0.5, {"SKIPPED": 1}),
        (["A"], {"A_1h": {"success": True}}, [{"coin": "B", "code": "STALE"}, {"coin": "C"}], 1 / 3, {"SKIPPED": 1, "STALE": 1}),
        (0, 0, [], None, {}),
    ],
)  # fmt: skip
def test_the_documented_summary_counts_right(generator, processed, champions, skipped, rate, codes):
    path = generator.generate_daily_summary(processed, champions, skipped, ["boom"])
    summary = read(path)
    assert path.parent == generator.output_dir / "summaries"
    assert summary["success_rate"] == rate
    assert summary["skip_counts"] == codes
    assert summary["errors"] == ["boom"]
    assert summary["champions_exported"] == summary["champions_count"]
    assert summary["coins_processed"] == (processed if isinstance(processed, int) else len(processed))


def test_summaries_of_the_same_second_stand_side_by_side_in_order(tmp_path):
    paths = [write_summary(tmp_path, {"n": n}, NOW) for n in range(3)]
    assert [path.name for path in paths] == [
        "20260501_001409_summary.json",
        "20260501_001409_summary_002.json",
        "20260501_001409_summary_003.json",
    ]
    assert sorted(tmp_path.iterdir()) == paths
    assert [read(path)["n"] for path in paths] == [0, 1, 2]


def test_the_page_and_its_script_stand_side_by_side_and_nights_share_the_script(tmp_path):
    first = write_night_page(tmp_path / "night1", sample_night())
    second = write_night_page(tmp_path / "night2", sample_night(proven=False))
    write_night_page(tmp_path / "night2", sample_night(proven=False))
    scripts = [page.parent / "plotly.min.js" for page in (first, second)]
    assert scripts[0].stat().st_size > 1_000_000
    assert scripts[0].samefile(scripts[1])
    assert sorted(path.name for path in second.parent.iterdir()) == ["index.html", "plotly.min.js"]
    assert first.read_text() != second.read_text()


def test_a_script_of_another_version_is_replaced_and_links_are_no_must(tmp_path, monkeypatch):
    write_night_page(tmp_path / "night1", sample_night())
    stale = tmp_path / "night2" / "plotly.min.js"
    stale.parent.mkdir()
    stale.write_text("old")

    def no_links(*paths):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(reports.os, "link", no_links)
    write_night_page(tmp_path / "night2", sample_night())
    assert stale.read_bytes() == (tmp_path / "night1" / "plotly.min.js").read_bytes()


def test_events_are_parquet_in_the_order_of_time(tmp_path):
    path = write_events(tmp_path / "run", pl.DataFrame({"time": [2, 1], "coin": ["B", "A"]}))
    assert pl.read_parquet(path)["coin"].to_list() == ["A", "B"]
    assert [p.name for p in path.parent.iterdir()] == ["decision_events.parquet"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_old_report_and_says_what_to_do(tmp_path, monkeypatch, call):
    target = write_atomically(tmp_path / "a.json", b"old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif call == "fsync":
        monkeypatch.setattr(reports.os, "fsync", full)
    else:
        monkeypatch.setattr(reports.tempfile, "mkstemp", full)
    with pytest.raises(DiskFullError, match="free some space"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_other_troubles_of_the_disk_keep_their_names(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "file" / "a.json", b"x")
    with pytest.raises(FileExistsError):
        write_events(tmp_path / "file", pl.DataFrame({"time": [1]}))
