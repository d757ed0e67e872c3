"""What is counted: jobs and their queue, evidence, ages, ends of runs; with labels that stay few."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from huracan.adapters.telemetry import memory
from huracan.adapters.telemetry.metrics import MetricsTelemetry
from huracan.adapters.telemetry.names import MOST_VALUES, OTHER

COINS = [f"COIN{n}" for n in range(12)]


class Watched:
    """A MetricsTelemetry with a clock that a test moves, and its samples."""

    def __init__(self, folder):
        self.now = 1000.0
        self.telemetry = MetricsTelemetry(folder, now=lambda: self.now)

    def __call__(self, name, **fields):
        self.telemetry.event(name, **fields)

    @property
    def text(self):
        return generate_latest(self.telemetry.collector).decode()

    def __getitem__(self, name):
        """The value without labels, None when it is not shown; or a dict of label values."""
        rows = {
            tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == f"huracan_{name}"
        }
        return rows.get(()) if set(rows) <= {()} else {k[0] if len(k) == 1 else k: v for k, v in rows.items()}


def job(coin="BTC", wave="train", **more):
    return {"coin": coin, "wave": wave, "attempt": 1, **more}


def done(coin="BTC", wave="train", **more):
    return job(coin, wave, **{"seconds": 1.5, "peak_memory_bytes": 10, "cached": False, **more})


def test_the_queue_is_what_is_neither_running_nor_settled(tmp_path):
    seen = Watched(tmp_path)
    seen("backend_started", backend="asyncio", slots=2)
    seen("wave_started", wave="train", jobs=5)
    assert (seen["jobs_waiting"], seen["jobs_running"], seen["worker_slots"]) == (5, 0, 2)
    seen("job_started", **job("A"))
    seen("job_started", **job("B"))
    assert (seen["jobs_waiting"], seen["jobs_running"]) == (3, 2)
    seen("job_retried", **job("B", code="WORKER_LOST", error="x"))
    assert (seen["jobs_waiting"], seen["jobs_running"]) == (4, 1)
    seen("job_finished", **done("A"))
    seen("job_started", **job("B"))
    seen("job_failed", **job("B", code="WORKER_LOST", error="x"))
    seen("job_cancelled", **job("C", code="DEADLINE", error="x"))
    seen("job_refused", **job("D", code="BAD_DATA", error="x"))
    assert (seen["jobs_waiting"], seen["jobs_running"]) == (1, 0)
    assert (seen["jobs_started_total"]["train"], seen["jobs_completed_total"]["train"]) == (3, 1)
    assert seen["jobs_failed_total"] == seen["jobs_retried_total"] == {("WORKER_LOST", "train"): 1} or seen[
        "jobs_failed_total"
    ] == {("train", "WORKER_LOST"): 1}
    assert (seen["deadline_misses_total"], seen["errors_total"]) == (1, {"WORKER_LOST": 1})


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(["start", "finish", "retry", "fail", "cancel"]), st.sampled_from(COINS)), max_size=40
    )
)
def test_waiting_and_running_are_counts_whatever_is_told(tmp_path_factory, steps):
    seen = Watched(tmp_path_factory.getbasetemp())
    seen("wave_started", wave="train", jobs=len(COINS))
    running, settled = set(), 0
    for what, coin in steps:
        if what == "start":
            running.add(coin)
            seen("job_started", **job(coin))
            continue
        running.discard(coin)
        settled += what != "retry"
        facts = done(coin) if what == "finish" else job(coin, code="X", error="x")
        seen(
            {"finish": "job_finished", "retry": "job_retried", "fail": "job_failed", "cancel": "job_cancelled"}[what],
            **facts,
        )
    assert seen["jobs_running"] == len(running)
    assert seen["jobs_waiting"] == max(0, len(COINS) - settled - len(running))


def test_what_a_job_took_is_kept_per_wave_and_the_largest_worker_stands(tmp_path):
    seen = Watched(tmp_path)
    for size, cached in ((5, True), (9, False), (7, None)):
        seen("job_finished", **done(peak_memory_bytes=size, cached=cached))
    seen("job_finished", **done(wave="ingest", seconds=None, peak_memory_bytes=None, cached=None))
    assert seen["worker_peak_resident_bytes"] == 9
    assert seen["job_duration_seconds_count"] == {"ingest": 0, "train": 3} or seen["job_duration_seconds_count"] == {
        "train": 3
    }
    assert sum(seen["cache_lookups_total"].values()) == 2


def test_nothing_unknown_is_shown_as_zero(tmp_path):
    seen = Watched(tmp_path)
    for name in (
        "last_success_timestamp_seconds",
        "run_duration_seconds",
        "candidates",
        "worker_slots",
        "data_age_seconds",
    ):
        assert not seen[name], name
    assert "_created" not in seen.text
    assert seen["workers_lost_total"] == 0
    assert seen["driver_resident_bytes"] > 1e6
    assert 0 < seen["disk_free_bytes"] <= seen["disk_size_bytes"]
    assert seen["machine_memory_bytes"] > seen["driver_resident_bytes"]


def test_yesterdays_success_stands_until_tonight_succeeds(tmp_path):
    seen = Watched(tmp_path / "not" / "there" / "yet")
    seen("workdir_opened", folder="w", last_success_ms=500_000)
    seen("stage_started", step="universe", number=1)
    assert (seen["last_success_timestamp_seconds"], seen["run_active"]) == (500, 1)
    seen("run_started", run_id="r", horizons=("1h", "4h"), dry_run=False)
    assert seen["demotions_total"] == {"1h": 0, "4h": 0}
    seen.now = 1060.0
    seen("run_finished", run_id="r", champions=0)
    assert (seen["last_success_timestamp_seconds"], seen["run_duration_seconds"], seen["run_active"]) == (1060, 60, 0)
    assert seen["champions"] == {"promoted": 0, "refreshed": 0, "kept": 0}
    assert seen["candidates"] == 0


def test_a_dry_run_is_no_success(tmp_path):
    seen = Watched(tmp_path)
    seen("run_started", run_id="r", horizons=("1h",), dry_run=True)
    seen("stage_failed", step="export", number=9, seconds=1.0, code="X")
    seen("run_finished", run_id="r", champions=0)
    assert seen["last_success_timestamp_seconds"] is None
    assert not seen["publish_pending"]


def test_a_refused_run_is_an_error_and_leaves_no_job_behind(tmp_path):
    seen = Watched(tmp_path)
    seen("stage_started", step="ingest", number=2)
    seen("wave_started", wave="ingest", jobs=3)
    seen("job_started", **job(wave="ingest"))
    seen.now += 7
    seen("run_refused", code="STALE", error="x")
    assert (seen["run_active"], seen["jobs_running"], seen["jobs_waiting"], seen["run_duration_seconds"]) == (
        0,
        0,
        0,
        7,
    )
    assert seen["errors_total"] == seen["runs_refused_total"] == {"STALE": 1}
    assert seen["last_success_timestamp_seconds"] is None
    seen("run_crashed", error="KeyError: x")
    assert seen["runs_refused_total"] == {"STALE": 1, "CRASHED": 1}


def test_other_failures_count_as_errors_by_code(tmp_path):
    seen = Watched(tmp_path)
    seen("export_failed", coin="BTC", horizon="1h", code="BUNDLE_FORMAT", error="x")
    seen("pair_failed", coin="BTC", wave="train", code="TRAINING_FAILED", error="x")
    seen("telemetry_failed", listener="traces", error="x")
    seen("traces_lost", spans=3)
    seen("worker_lost", **job())
    assert seen["errors_total"] == {"BUNDLE_FORMAT": 1, "TRAINING_FAILED": 1, "TELEMETRY": 1, "TRACES": 1}
    assert seen["workers_lost_total"] == 1


def test_publishing_is_pending_from_a_failed_export_until_a_set_is_out(tmp_path):
    seen = Watched(tmp_path)
    seen("stage_failed", step="train", number=5, seconds=1.0, code="X")
    assert not seen["publish_pending"]
    seen("stage_failed", step="export", number=9, seconds=2.0, code="DISK_FULL")
    assert seen["publish_pending"] == {"folder": 1}
    seen("set_published", target="folder", version=7, members=1)
    assert (seen["publish_pending"], seen["published_version"]) == ({"folder": 0}, {"folder": 7})


def test_a_copy_is_pending_from_a_failed_push_until_one_is_through(tmp_path):
    seen = Watched(tmp_path)
    seen("push_failed", target="s3", store="s3://a/b", code="PUBLISH_PENDING", error="gone")
    assert seen["publish_pending"] == {"s3": 1}
    seen("push_finished", target="s3", store="s3://a/b", version=9, files=3, pruned=0)
    assert (seen["publish_pending"], seen["published_version"]) == ({"s3": 0}, {"s3": 9})


def test_evidence_shows_the_strongest_pool_and_the_nearest_decision(tmp_path):
    seen = Watched(tmp_path)
    evaluated = {"pool": "um-A", "horizon": "1h", "recipe": "linear", "status": "open"}
    seen("pool_evaluated", **evaluated, e=3.0, needed=120.0, nights_until_decidable=None)
    assert not seen["nights_until_decidable"]
    seen("pool_evaluated", **evaluated, e=9.0, needed=240.0, nights_until_decidable=50.0)
    seen("pool_evaluated", **evaluated, e=2.0, needed=60.0, nights_until_decidable=30.0)
    ((_, best),) = seen["e_value_max"].items()
    ((_, needed),) = seen["e_value_needed"].items()
    ((_, nights),) = seen["nights_until_decidable"].items()
    assert (best, needed, nights) == (9, 240, 30)
    seen("pool_promoted", horizon="1h", pool="um-A")
    seen("champion_demoted", horizon="4h", pool="um-A")
    seen("pool_frozen", pool="um-A")
    assert (seen["promotions_total"], seen["demotions_total"], seen["pools_frozen"]) == ({"1h": 1}, {"4h": 1}, 1)


def test_data_and_universe_are_shown_in_base_units(tmp_path):
    seen = Watched(tmp_path)
    seen("data_aged", pairs=3, max_minutes=90.0, median_minutes=1.5)
    seen("bars_repaired", coin="BTC", bars=4)
    seen("universe_built", members=3, pairs=10, now="x")
    seen("pair_skipped", coin="BTC", horizon="1h", step=1, code="PEGGED")
    seen("champion_kept", coin="BTC", horizon="1h", version=1)
    seen("candidate_published", coin="BTC", horizon="4h", recipe="linear", version=1)
    assert seen["data_age_seconds"] == {"max": 5400, "median": 90}
    assert seen["bars_repaired_total"] == 4
    assert seen["pairs"] == {"listed": 10, "members": 3}
    seen("pairs_trained", pairs=2)
    assert seen["pairs"] == {"listed": 10, "members": 3, "trained": 2}
    assert (seen["skips"], seen["champions"], seen["candidates"]) == ({"PEGGED": 1}, {"kept": 1}, 1)


@pytest.mark.slow
@settings(max_examples=25)
@example([f"CODE{n}" for n in range(MOST_VALUES + 6)])
@given(st.lists(st.text(max_size=12), min_size=1, max_size=200))
def test_a_label_never_shows_more_values_than_it_may(tmp_path_factory, words):
    seen = Watched(tmp_path_factory.getbasetemp())
    for word in words:
        seen("export_failed", code=word, error="x")
    shown = [s for f in seen.telemetry.collector.collect() if f.name == "huracan_errors" for s in f.samples]
    assert len(shown) <= MOST_VALUES + 1
    assert sum(sample.value for sample in shown) == len(words)
    if len(set(words)) > MOST_VALUES:
        assert OTHER in {sample.labels["code"] for sample in shown}


def test_facts_and_progress_that_count_nothing_change_nothing(tmp_path):
    seen = Watched(tmp_path)
    before = [line for line in seen.text.splitlines() if "resident" not in line and "disk" not in line]
    seen("decision_made", coin="BTC", anything=1)
    seen("keys_created", folder="x")
    seen.telemetry.progress("train", 1, 2)
    after = [line for line in seen.text.splitlines() if "resident" not in line and "disk" not in line]
    assert after == before


def test_memory_is_read_from_proc_and_falls_back_to_the_peak(monkeypatch, tmp_path):
    now, peak = memory.resident_bytes(), memory.peak_resident_bytes()
    assert 1e6 < now <= peak
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "missing")
    assert memory.resident_bytes() == memory.peak_resident_bytes() > 1e6
