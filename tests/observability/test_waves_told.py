"""What the waves of pair jobs tell: starts, ends, repetitions, lost workers, and jobs that a deadline ended."""

import asyncio

import pytest
from records import prepared, trained

import huracan.app.wiring
from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.wiring import OrchestratedWaves, SystemClock
from huracan.domain.codec import to_json
from huracan.domain.night_records import Done, TrainTask
from huracan.errors import DataError, WorkerLostError
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.plan import NightPlan
from huracan.night.state import PairWork
from huracan.settings import load_settings

PLAN = NightPlan(
    now_ms=5, cutoff_ms=5, history_days=1, min_history_days=1, interval_ms=1, horizons=("1h",), recipes=(), members=(),
    max_spread_bps=1.0, stale_after_minutes=1.0, quote_per_gbp=(), leak_exempt=(), gate=(), seed=0, code_hash="c",
)  # fmt: skip


TASK = TrainTask(prepared=prepared(), priors=(), ended_ms=None)


def answer(job, **given):
    """What a worker answers."""
    return {**to_json(Done(record=trained(job.coin), **given)), "success": True}


@pytest.fixture
def told(tmp_path, monkeypatch):
    async def told(function, coins, *, deadline_ms=None):
        monkeypatch.setattr(huracan.app.wiring, "run_pair_job", function)
        heard = RecordingTelemetry()
        ledger = SqliteLedger(tmp_path / "ledger.sqlite")
        waves = OrchestratedWaves(
            settings=load_settings(None, ["training.num_workers=2"], {}),
            folder=tmp_path,
            wiring={"lake": str(tmp_path / "lake"), "artefacts": str(tmp_path / "artefacts")},
            telemetry=heard,
            ledger=ledger,
            artefacts=Artefacts(LocalArtefacts(tmp_path / "artefacts")),
            deadline_ms=deadline_ms,
        )
        try:
            outcomes = await waves.run(PLAN, [PairWork(coin=coin, task=TASK) for coin in coins])
        finally:
            await waves.stop()
            ledger.close()
        return {outcome.coin: outcome for outcome in outcomes}, heard

    return told


async def test_a_job_is_told_from_start_to_end_and_what_it_took_is_no_part_of_its_record(told):
    def work(job):
        return answer(job, cached=job.coin == "A", seconds_by_step={5: 1.0, 6: 0.5}, peak_bytes=7)

    outcomes, heard = await told(work, ["A", "B"])
    assert outcomes["A"].result.record == trained("A")
    assert heard.named("wave_started") == [{"wave": "train", "jobs": 2}]
    assert [row["backend"] for row in heard.named("backend_started")] == ["asyncio"]
    assert sorted(row["coin"] for row in heard.named("job_started")) == ["A", "B"]
    ended = {row["coin"]: row for row in heard.named("job_finished")}
    assert ended["A"] == {
        "coin": "A", "wave": "train", "attempt": 1, "seconds": 1.5, "peak_memory_bytes": 7, "cached": True,
    }  # fmt: skip
    assert ended["B"]["cached"] is False
    assert heard.events[-1][0] == "wave_finished"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"coin": "A"}, "no "),
        ({**to_json(Done(record=trained("B"))), "success": True}, "the record of B"),
        ({**to_json(Done(record=prepared("A"))), "success": True}, "a PrepareRecord"),
    ],
)
async def test_an_answer_that_is_not_of_its_job_fails_that_job_alone(told, said, words):
    outcomes, heard = await told(lambda job: said if job.coin == "A" else answer(job), ["A", "C"])
    assert (outcomes["A"].code, outcomes["C"].code) == ("JOB_FAILED", "")
    assert words in outcomes["A"].result.error
    assert [(row["coin"], row["code"]) for row in heard.named("job_failed")] == [("A", "JOB_FAILED")]
    assert [row["coin"] for row in heard.named("job_finished")] == ["C"]


async def test_a_lost_worker_is_told_beside_the_repetition(told):
    def work(job):
        if job.coin == "A" and job.attempts == 1:
            raise WorkerLostError("worker 7 ended")
        return answer(job)

    outcomes, heard = await told(work, ["A"])
    assert outcomes["A"].result.record == trained("A")
    assert heard.named("worker_lost") == [{"coin": "A", "wave": "train", "attempt": 1}]
    assert [row["code"] for row in heard.named("job_retried")] == ["WORKER_LOST"]
    assert heard.named("job_finished")[0]["attempt"] == 2
    assert heard.named("job_failed") == []


async def test_a_failure_is_told_once_with_its_code(told):
    def work(job):
        raise DataError("bad bars")

    outcomes, heard = await told(work, ["A"])
    assert outcomes["A"].code == "DATA"
    assert [(row["code"], row["error"]) for row in heard.named("job_failed")] == [("DATA", "bad bars")]
    assert heard.named("job_finished") == heard.named("job_cancelled") == []


async def test_jobs_that_the_deadline_ended_are_cancelled_not_failed(told):
    async def forever(job):
        await asyncio.Event().wait()

    outcomes, heard = await told(forever, ["A", "B"], deadline_ms=SystemClock().now_ms())
    assert {outcome.code for outcome in outcomes.values()} == {"DEADLINE"}
    assert sorted((row["coin"], row["code"]) for row in heard.named("job_cancelled")) == [
        ("A", "DEADLINE"),
        ("B", "DEADLINE"),
    ]
    assert heard.named("job_failed") == []
