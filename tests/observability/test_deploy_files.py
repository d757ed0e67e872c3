"""Dashboard and alerts: every name and label is one we export, promtool agrees, and no rule is untested."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from listening import PROMTOOL
from watched import ROOT, renderer

from huracan.adapters.telemetry.names import METRICS
from huracan.night.stages import STEPS
from huracan.settings import load_settings

pytestmark = pytest.mark.slow

PROMETHEUS_FILES = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "huracan.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = yaml.safe_load((PROMETHEUS_FILES / "alerts.yml").read_text())["groups"][0]["rules"]
RULE_TESTS = ["alerts_test.yml", "alerts_day_test.yml"]
FROM_PROMETHEUS = {"job", "instance"}
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs Debian's prometheus package (promtool)")


GRID_PX, GRID_GAP_PX, BAR_GAP_PX = 38, 8, 10
CHROME_PX = 58
"""Title, padding and border of a panel, as Grafana 13 draws them."""


def panel_of(title):
    return next(panel for panel in PANELS if panel["title"] == title)


def selectors(expression):
    """(metric without a histogram's suffix, labels matched on, whether it is buckets) of every selector."""
    for name, inside in re.findall(r"\b(huracan_\w+)(?:\{([^}]*)\})?", expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in METRICS else name
        yield base, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)), name.endswith("_bucket")


def faults(expression):
    """What an expression asks that we do not export."""
    known = set(FROM_PROMETHEUS)
    for name, labels, buckets in selectors(expression):
        if name not in METRICS:
            yield f"no metric {name}"
            continue
        own = {*METRICS[name].labels, *FROM_PROMETHEUS, *({"le"} if buckets else ())}
        known |= own
        yield from (f"{name} has no label {label}" for label in labels - own)
        if buckets and METRICS[name].kind != "histogram":
            yield f"{name} has no buckets"
    for grouped in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        yield from (
            f"nothing there has label {label}" for label in {g.strip() for g in grouped.split(",")} - known - {""}
        )


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_we_export(panel):
    for target in panel["targets"]:
        assert list(faults(target["expr"])) == []
        grouped = {name.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in group.split(",")}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped
        assert all('job="$job"' in inside for inside in re.findall(r"huracan_\w+(\{[^}]*\})", target["expr"]))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_we_export_and_says_what_to_do(rule):
    assert list(faults(rule["expr"])) == []
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["description"]) > 30


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(huracan_nothing_total)", "no metric huracan_nothing_total"),
        ('huracan_champions{coin="BTC"}', "huracan_champions has no label coin"),
        ("sum by (coin) (huracan_champions)", "nothing there has label coin"),
        ("huracan_champions_bucket", "huracan_champions has no buckets"),
    ],
)
def test_the_check_finds_what_is_wrong(expression, fault):
    assert fault in list(faults(expression))


def test_every_metric_is_on_the_dashboard():
    asked = {name for panel in PANELS for target in panel["targets"] for name, _, _ in selectors(target["expr"])}
    told_by_alerts_alone = {"huracan_runs_refused_total", "huracan_jobs_started_total"}
    assert METRICS.keys() - asked == told_by_alerts_alone


def test_the_alerts_cover_what_may_go_wrong():
    asked = {name for rule in ALERTS for name, _, _ in selectors(rule["expr"])}
    assert asked >= {
        "huracan_last_success_timestamp_seconds", "huracan_publish_pending", "huracan_jobs_failed_total",
        "huracan_data_age_seconds", "huracan_demotions_total", "huracan_workers_lost_total",
        "huracan_disk_free_bytes", "huracan_worker_peak_resident_bytes", "huracan_errors_total",
    }  # fmt: skip


def test_panels_fill_the_grid_without_overlapping():
    taken = {}
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        assert 0 <= grid["x"] < grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len(taken) == 24 * (max(y for _, y in taken) + 1)
    assert all(panel["title"] and panel["description"] for panel in PANELS)


@pytest.mark.parametrize("title", ["Last successful night", "Publishing", "Waiting to be published"])
def test_a_panel_that_knows_nothing_is_not_green(title):
    steps = panel_of(title)["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[0]["value"] is None
    assert steps[0]["color"] != "green"
    assert steps[1] == {"color": "green", "value": 0}


def test_every_step_of_a_night_has_a_bar_in_sight():
    panel = panel_of("Time of each step")
    room = panel["gridPos"]["h"] * GRID_PX - GRID_GAP_PX - CHROME_PX
    assert len(STEPS) * (panel["options"]["minVizHeight"] + BAR_GAP_PX) - BAR_GAP_PX <= room


def test_the_error_rate_is_a_share_beside_two_counts():
    panel = panel_of("Error rate")
    shown = renderer().stat([("failed", [(0.0, 0.0123)]), ("workers lost", [(0.0, 2.0)])], panel)
    assert re.findall(r"([\d.]+(?: %)?)</div>", shown) == ["1.2 %", "2"]


def test_the_scrape_file_says_how_to_open_each_way():
    text = (PROMETHEUS_FILES / "prometheus.yml").read_text()
    overrides = [part.rstrip(",;") for part in re.findall(r"metrics\.\w+=\S+", text)]
    assert len(overrides) == 3
    assert load_settings(None, overrides, {}).metrics.port == 9464
    assert "127.0.0.1:9464" in text


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", *RULE_TESTS]],
)
def test_promtool_finds_nothing_wrong(command):
    done = subprocess.run([PROMTOOL, *command], cwd=PROMETHEUS_FILES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
@pytest.mark.parametrize("never", [True, False], ids=["never", "always"])
def test_an_alert_that_never_or_always_fires_is_caught_by_its_test(tmp_path, rule, never):
    for file in PROMETHEUS_FILES.iterdir():
        shutil.copy(file, tmp_path)
    changed = [
        {**r, "expr": "vector(1) < 0" if never else "vector(1)", "for": "0s"} if r is rule else r for r in ALERTS
    ]
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump({"groups": [{"name": "huracan", "rules": changed}]}))
    done = subprocess.run([PROMTOOL, "test", "rules", *RULE_TESTS], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0


@needs_promtool
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_promql_of_a_panel_parses(tmp_path, panel):
    rules = [{"record": "x", "expr": renderer().expression(target, "huracan")} for target in panel["targets"]]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", "--lint=none", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
