"""The progress file: what it says while a night runs, how often it is written, and that a night never needs it."""

import asyncio
import json
import stat

import pytest
from nights import in_this_process, night_settings, run_pipeline, small_world

from huracan.adapters.progress import EVERY_S, ProgressFile
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


class Times:
    """A clock that stands until it is moved, seconds."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def now_ms(self):
        return round(self.now * 1000)


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def told():
    return RecordingTelemetry()


@pytest.fixture
def progress(tmp_path, told, times):
    return ProgressFile(
        tmp_path / "progress.json",
        told,
        workers=2,
        backend="asyncio",
        now_ms=times.now_ms,
        monotonic=times.monotonic,
    )


def read(tmp_path):
    return json.loads((tmp_path / "progress.json").read_text())


def test_jobs_are_running_from_their_start_to_their_end(progress, tmp_path, times, told):
    times.now += 1
    progress.event("run_started", run_id="r")
    progress.event("universe_built", members=2, pairs=3, now="2026-05-01T00:00:00Z")
    times.now += 1
    progress.event("job_started", coin="BTC", wave="ingest", attempt=1)
    times.now += 1
    progress.event("job_started", coin="ETH", wave="ingest", attempt=1)
    times.now += 1
    progress.event("job_retried", coin="BTC", wave="ingest", attempt=1, code="WORKER_LOST", error="died")
    assert [row["coin"] for row in read(tmp_path)["running"]] == ["ETH"]
    times.now += 1
    progress.event("job_started", coin="BTC", wave="ingest", attempt=2)
    times.now += 1
    progress.event("job_finished", coin="ETH", wave="ingest", status="completed")
    times.now += 1
    progress.progress("ingest", 1, 2)
    body = read(tmp_path)
    assert body["running"] == [{"coin": "BTC", "wave": "ingest", "attempt": 2, "since_ms": 1_005_000}]
    assert (body["run_id"], body["retried"], body["failed"], body["members"], body["pairs"]) == ("r", 1, 0, 2, 3)
    assert [row["name"] for row in body["stages"]] == ["universe", "ingest"]
    assert body["stages"][1] | {"done": 1, "total": 2} == body["stages"][1]
    assert [row["event"] for row in body["recent"]] == ["universe_built", "job_retried"]
    assert told.stages == [("ingest", 1, 2)]
    assert [name for name, _ in told.events[:2]] == ["run_started", "universe_built"]


def test_a_burst_of_jobs_is_one_write_and_the_last_word_still_comes(tmp_path, told):
    async def burst():
        progress = ProgressFile(tmp_path / "progress.json", told, workers=2, backend="asyncio")
        inodes = {(tmp_path / "progress.json").stat().st_ino}
        for number in range(200):
            progress.event("job_started", coin=f"C{number}", wave="train", attempt=1)
            inodes.add((tmp_path / "progress.json").stat().st_ino)
        assert len(inodes) == 1
        await asyncio.sleep(2 * EVERY_S)
        assert len(read(tmp_path)["running"]) == 200
        progress.event("job_finished", coin="C0", wave="train", status="completed")
        progress.event("job_failed", coin="C1", wave="train", attempt=3, code="JOB_FAILED", error="x")
        progress.close(state="refused", code="STALE", error="too old")

    asyncio.run(burst())
    body = read(tmp_path)
    assert (body["state"], body["code"], body["error"], body["running"]) == ("refused", "STALE", "too old", [])
    assert body["failed"] == 1


def test_only_what_matters_is_told_and_only_the_newest_of_it(progress, tmp_path, times):
    for number in range(30):
        times.now += 1
        progress.event("set_published", version=number, members=1, more=["not", "plain"], long="x" * 1000)
        progress.event("decision_made", coin="BTC")
    recent = read(tmp_path)["recent"]
    assert [row["version"] for row in recent] == list(range(18, 30))
    assert set(recent[0]) == {"event", "at_ms", "version", "members", "long"}
    assert len(recent[0]["long"]) == 300


def test_nobody_else_may_read_it_and_nothing_is_left_beside_it(progress, tmp_path):
    progress.close(state="finished")
    assert [file.name for file in tmp_path.iterdir()] == ["progress.json"]
    assert stat.S_IMODE((tmp_path / "progress.json").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_disturbs_nobody(tmp_path, told):
    progress = ProgressFile(tmp_path / "missing" / "progress.json", told, workers=2, backend="asyncio")
    progress.event("universe_built", members=2, pairs=3)
    progress.close(state="finished")
    assert [name for name, _ in told.events] == ["universe_built"]
    assert list(tmp_path.iterdir()) == []


def test_a_refused_night_says_why_it_was_refused(tmp_path):
    with ReplayExchange(small_world(coins=2), stress_file=tmp_path / "stress.json") as exchange:
        urls = dict(exchange.urls)
    with in_this_process():
        result, _ = run_pipeline(tmp_path, night_settings(urls, binance__connect_timeout_s=0.2))
    assert result["code"] == "UPSTREAM"
    body = read(tmp_path / "workdir")
    assert (body["state"], body["code"]) == ("refused", "UPSTREAM")
    assert body["error"] == result["error"].removeprefix("UPSTREAM: ")
