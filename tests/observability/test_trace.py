"""Spans, as a real OTLP/HTTP receiver gets them."""

import subprocess
import sys

import pytest
from listening import free_port, otlp_receiver

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.adapters.telemetry.trace import TraceTelemetry
from huracan.app.observing import Observers
from huracan.errors import ConfigError
from huracan.settings import load_settings

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver():
    with otlp_receiver() as received:
        yield received


def told(receiver, *facts):
    traces = TraceTelemetry(receiver.url, timeout_s=5.0, version="1")
    for name, fields in facts:
        traces.event(name, **fields)
        traces.progress("train", 1, 2)
    assert traces.close() == 0
    return {
        (span["name"], span["attributes"].get("coin"), span["attributes"].get("attempt")): span
        for span in receiver.spans
    }


def job(coin="BTC", attempt=1, **more):
    return {"coin": coin, "wave": "train", "attempt": attempt, **more}


def test_a_retried_job_has_a_span_for_each_attempt(receiver):
    spans = told(
        receiver,
        ("stage_started", {"step": "train", "number": 5}),
        ("wave_started", {"wave": "train", "jobs": 1}),
        ("job_started", job()),
        ("job_retried", job(code="WORKER_LOST", error="worker 7 ended")),
        ("job_started", job(attempt=2)),
        ("job_finished", job(attempt=2, seconds=1.5, peak_memory_bytes=5, cached=False)),
        ("wave_finished", {"wave": "train", "seconds": 2.0}),
        ("stage_finished", {"step": "train", "number": 5, "seconds": 2.0}),
    )
    first, second = spans["job train", "BTC", 1], spans["job train", "BTC", 2]
    assert (first["error"], first["message"], first["attributes"]["code"]) == (True, "WORKER_LOST", "WORKER_LOST")
    assert (second["error"], second["attributes"]["cached"], second["attributes"]["seconds"]) == (False, False, 1.5)
    assert first["parent"] == second["parent"] == spans["wave train", None, None]["id"]


def test_the_texts_of_errors_stay_at_home(receiver):
    secret = "sl.canary"
    told(
        receiver,
        ("job_started", job()),
        ("job_failed", job(code="JOB_FAILED", error=f"401 for {secret}")),
        ("run_refused", {"code": "PUBLISH_PENDING", "error": secret, "folder": f"/home/{secret}"}),
    )
    assert secret not in str(receiver.spans)
    (root,) = (span for span in receiver.spans if span["name"] == "run")
    assert (root["error"], root["message"]) == (True, "PUBLISH_PENDING")


def test_what_a_crash_left_open_is_ended_with_the_run(receiver):
    spans = told(
        receiver,
        ("run_started", {"run_id": "r1", "dry_run": False, "horizons": ("1h",)}),
        ("stage_started", {"step": "ingest", "number": 2}),
        ("wave_started", {"wave": "ingest", "jobs": 2}),
        ("job_started", job() | {"wave": "ingest"}),
        ("run_crashed", {"error": "KeyError"}),
    )
    assert {name for name, _, _ in spans} == {"run", "step 2 ingest", "wave ingest", "job ingest"}
    root = spans["run", None, None]
    assert root["attributes"] == {"run_id": "r1", "dry_run": False}
    assert (root["error"], root["message"]) == (True, "run_crashed")
    assert all(span["end"] >= span["start"] for span in spans.values())


def test_a_failed_step_says_so_and_jobs_cancelled_before_their_start_have_no_span(receiver):
    spans = told(
        receiver,
        ("stage_started", {"step": "ingest", "number": 2}),
        ("job_cancelled", job(code="DEADLINE", error="x")),
        ("stage_failed", {"step": "ingest", "number": 2, "seconds": 0.1, "code": "STALE"}),
        ("job_refused", job(code="BAD_DATA", error="x")),
    )
    assert spans.keys() == {("run", None, None), ("step 2 ingest", None, None)}
    assert spans["step 2 ingest", None, None]["message"] == "STALE"


@pytest.mark.parametrize("how", ["refused", "status 400"])
def test_spans_that_never_arrive_are_counted_and_hurt_nobody(tmp_path, receiver, how):
    receiver.status = 400
    url = receiver.url if how == "status 400" else f"http://127.0.0.1:{free_port()}"
    heard = RecordingTelemetry()
    settings = load_settings(None, [f"telemetry.otlp_endpoint={url}", "telemetry.timeout_s=0.3"], {})
    with Observers(settings, tmp_path, heard) as watching:
        watching.telemetry.event("stage_started", step="ingest", number=2)
    assert heard.events == [("stage_started", {"step": "ingest", "number": 2}), ("traces_lost", {"spans": 2})]


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"huracan-engine\[otel\]"):
        TraceTelemetry("http://localhost:4318", timeout_s=1.0, version="1")


def test_neither_prometheus_nor_opentelemetry_is_loaded_unless_asked_for():
    code = "import sys, huracan.cli.main, huracan.adapters.telemetry, huracan.app.observing;print(sorted(m for m in sys.modules if m.split('.')[0] in {'prometheus_client', 'opentelemetry'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
