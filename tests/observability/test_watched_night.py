"""A whole night under the eyes of a real Prometheus, node_exporter, Pushgateway and an OTLP receiver."""

import json
import re

import pytest
from listening import NODE_EXPORTER, PROMETHEUS, PUSHGATEWAY
from nights import built_once
from prometheus_client.parser import text_string_to_metric_families
from watched import JOBS, ROOT, renderer, watch_night

from huracan.adapters.telemetry.names import METRICS
from huracan.night.stages import STEPS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        None in (PROMETHEUS, NODE_EXPORTER, PUSHGATEWAY),
        reason="needs Debian's prometheus, prometheus-node-exporter and prometheus-pushgateway",
    ),
]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "huracan.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.fixture(scope="module")
def watched(shared_folder):
    return json.loads((built_once(shared_folder, "watched", watch_night) / "watched.json").read_text())


def values(text):
    """Every sample of an exposition by name and labels, without what a Pushgateway adds."""
    return {
        (
            sample.name,
            tuple(sorted((k, plain(k, v)) for k, v in sample.labels.items() if k not in {"job", "instance"})),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("huracan_")
    }


def plain(label, value):
    """A bucket's bound however it is written: 1 and 1.0 are one bound."""
    return f"{float(value):g}" if label == "le" else value


def told(watched, name):
    return [fields for seen, fields in watched["events"] if seen == name]


def test_prometheus_saw_the_night_while_it_ran(watched):
    assert watched["result"]["success"]
    assert len(watched["alive"]) >= 4
    assert watched["live"]["huracan_run_active"] == 1
    assert watched["live"]["huracan_jobs_running"] >= 1
    assert watched["live"]["huracan_jobs_waiting"] >= 1


def test_the_metrics_agree_with_the_result_and_with_what_was_told(watched):
    result, seen = watched["result"], values(watched["text"])

    def total(name, **labels):
        return sum(v for (n, ls), v in seen.items() if n == name and set(labels.items()) <= set(ls))

    assert total("huracan_champions") == len(result["champions"]) > 0
    assert total("huracan_candidates") == len(result["candidates"]) > 0
    assert total("huracan_skips") == len(result["skipped"]) > 0
    assert total("huracan_pairs", state="listed") == len(result["coin_universe"])
    assert total("huracan_pairs", state="trained") == told(watched, "pairs_trained")[0]["pairs"] > 0
    assert total("huracan_jobs_completed_total") == len(told(watched, "job_finished")) > 30
    assert total("huracan_jobs_started_total") == len(told(watched, "job_started"))
    assert total("huracan_job_duration_seconds_count") == len(told(watched, "job_finished"))
    assert total("huracan_e_value_max") == max(row["e"] for row in told(watched, "pool_evaluated"))
    assert total("huracan_promotions_total") == len(told(watched, "pool_promoted")) == 1
    assert total("huracan_published_version", target="folder") == told(watched, "set_published")[0]["version"]
    assert (total("huracan_run_active"), total("huracan_jobs_running"), total("huracan_jobs_waiting")) == (0, 0, 0)
    assert total("huracan_errors_total") == 0
    assert total("huracan_worker_peak_resident_bytes") > 50e6
    assert {dict(ls)["step"] for (n, ls) in seen if n == "huracan_stage_duration_seconds"} == set(STEPS)
    worked = {dict(ls)["step"]: value for (n, ls), value in seen.items() if n == "huracan_stage_job_seconds"}
    assert {step for step, seconds in worked.items() if seconds > 0} == set(STEPS[1:7])


def test_the_pushgateway_holds_what_the_textfile_holds(watched):
    moving = {"huracan_driver_resident_bytes", "huracan_disk_free_bytes"}
    pushed, written = ({k: v for k, v in values(watched[w]).items() if k[0] not in moving} for w in ("pushed", "text"))
    assert pushed == written
    assert len(written) > 60


def test_no_metric_names_a_coin_a_run_or_a_folder(watched):
    coins = set(watched["result"]["coin_universe"])
    shown = {value for _, labels in values(watched["text"]) for _, value in labels}
    assert not shown & coins
    assert watched["result"]["run_id"] not in watched["text"]
    assert "/" not in "".join(shown)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_data_or_says_when_it_is_empty(watched, job, panel):
    series = watched["panels"][job][panel["title"]]
    if not series:
        assert re.search(r"\bEmpty\b", panel["description"]), panel["title"]
    empty_after_a_good_night = {"Jobs that went wrong", "Errors by code"}
    if job != "huracan":
        assert bool(series) == (panel["title"] not in empty_after_a_good_night)


def test_the_rendered_page_has_every_panel(watched):
    for panel in DASHBOARD["panels"]:
        assert f">{panel['title']}<".replace("'", "&#x27;") in watched["page"]
    assert watched["page"].count('class="none"') == 2
    assert "<script" not in watched["page"]
    assert renderer().shown(0.5, {"mappings": [], "unit": "percentunit"}) == "50.0 %"


def test_spans_are_one_tree_of_run_steps_waves_and_jobs(watched):
    spans = {span["id"]: span for span in watched["spans"]}
    assert len({span["trace"] for span in spans.values()}) == 1
    (root,) = (span for span in spans.values() if not span["parent"])
    assert root["name"] == "run"
    below = sorted((s for s in spans.values() if s["parent"] == root["id"]), key=lambda s: s["start"])
    assert [span["name"] for span in below] == [f"step {n} {step}" for n, step in enumerate(STEPS, 1)]
    waves = {s["name"]: spans[s["parent"]]["name"] for s in spans.values() if s["name"].startswith("wave ")}
    assert waves == {"wave ingest": "step 2 ingest", "wave prepare": "step 3 features", "wave train": "step 5 train"}
    jobs = [span for span in spans.values() if span["name"].startswith("job ")]
    assert len(jobs) == len(told(watched, "job_finished"))
    assert all(spans[job["parent"]]["name"] == job["name"].replace("job", "wave") for job in jobs)
    assert len(spans) == 1 + 9 + 3 + len(jobs)


def test_spans_lie_within_their_parents_and_carry_the_ids(watched):
    spans = {span["id"]: span for span in watched["spans"]}
    for span in spans.values():
        assert not span["error"]
        if span["parent"]:
            parent = spans[span["parent"]]
            assert parent["start"] <= span["start"] <= span["end"] <= parent["end"]
        if span["name"] != "step 1 universe":
            assert span["attributes"]["run_id"] == watched["result"]["run_id"]
        if span["name"].startswith("job "):
            assert span["attributes"]["coin"] in watched["result"]["coin_universe"]
    assert {resource["service.name"] for resource in watched["resources"]} == {"huracan"}


def test_every_metric_in_the_textfile_is_listed_with_its_help(watched):
    families = {
        f.name if f.type != "counter" else f"{f.name}_total": f for f in text_string_to_metric_families(watched["text"])
    }
    assert families.keys() <= METRICS.keys()
    assert all(families[name].documentation == METRICS[name].help for name in families)
    assert METRICS.keys() - families.keys() <= {"huracan_pools_frozen"}
