"""Poison jobs: what they may cost in one run, and that a run started again remembers them."""

import asyncio
import os

import jobs_for_workers as work
import pytest
from conformance import LightJob
from records import ingested
from sizes import size

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.backends import AsyncioPool, InProcess, TrainingOrchestrator
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import wiring
from huracan.app.wiring import UNHEARD_PER_DEATH, OrchestratedWaves, SystemClock
from huracan.domain.codec import to_json
from huracan.domain.night_records import Done, IngestTask
from huracan.domain.time import DAY_MS
from huracan.errors import WorkerLostError
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.plan import NightPlan
from huracan.night.state import PairWork
from huracan.settings import load_settings
from huracan.training.jobs import TrainingConfig, TrainingJob

JOBS = int(os.environ.get("HURACAN_TEST_POISON_JOBS", size(200, 1000)))
POISON = JOBS // 50


@pytest.mark.slow
@pytest.mark.guarantee("R4", cases=JOBS)
async def test_two_poison_jobs_of_a_hundred_cost_three_starts_each_and_nothing_else(tmp_path):
    pool = AsyncioPool(slots=2)
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record_run("r", started_ms=1, facts={})
        made = TrainingOrchestrator(TrainingConfig(num_workers=2, retry_backoff_s=0), pool)
        made.register_training_function(work.behave_as_named)
        made.on_start = ledger.record_attempt
        made.on_finished = lambda job: ledger.note_end(job, job.error_code, job.error)
        made.add_jobs(LightJob(f"C{n}", "*", payload={"what": "die" if n % 50 == 7 else "work"}) for n in range(JOBS))
        summary = await made.train_all()
        await made.shutdown()
        ledger.flush_jobs()
        rows = ledger.attempts("r")
    await pool.stop()
    assert (summary["completed"], summary["failed"]) == (JOBS - POISON, POISON)
    assert {job.error_code for job in made.get_failed_jobs()} == {"WORKER_LOST"}
    assert len(rows) == JOBS - POISON + 3 * POISON


async def test_the_counter_is_on_disk_before_the_job_starts(tmp_path):
    seen = []
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger, SqliteLedger(tmp_path / "ledger.sqlite") as other:
        ledger.record_run("r", started_ms=1, facts={})
        made = TrainingOrchestrator(TrainingConfig(), InProcess())
        made.on_start = ledger.record_attempt
        made.add_job(TrainingJob("BTC", "*"))

        async def here(job):
            seen.extend(other.attempts("r"))

        made.register_training_function(here)
        await made.train_all()
    assert [(row.coin, row.attempt, row.status) for row in seen] == [("BTC", 1, "pending")]


def plan(now_ms: int = 5, code_hash: str = "c") -> NightPlan:
    return NightPlan(
        now_ms=now_ms,
        cutoff_ms=5,
        history_days=1,
        min_history_days=1,
        interval_ms=1,
        horizons=("1h",),
        recipes=(),
        members=(),
        max_spread_bps=1.0,
        stale_after_minutes=1.0,
        quote_per_gbp=((f"USDT{now_ms}", 1.0),),
        leak_exempt=(),
        gate=(),
        seed=0,
        code_hash=code_hash,
    )


class Poisoned(InProcess):
    """A backend on which BAD kills its worker, and which counts starts."""

    starts = ()

    async def run(self, function, job):
        type(self).starts += (job.coin,)
        if job.coin == "BAD":
            raise WorkerLostError("gone")
        return {**to_json(Done(record=ingested(job.coin))), "success": True}


def wave_run(folder, number, *, code_hash="c", killed=False):
    """One run of a wave of two jobs in a workdir; `killed` ends it as kill -9 would, with BAD's end unheard."""
    Poisoned.starts = ()
    telemetry = RecordingTelemetry()
    with SqliteLedger(folder / "ledger.sqlite") as ledger:
        waves = OrchestratedWaves(
            settings=load_settings(None, (), {}),
            folder=folder,
            wiring={"lake": str(folder / "lake"), "artefacts": str(folder / "artefacts")},
            telemetry=telemetry,
            ledger=ledger,
            artefacts=Artefacts(LocalArtefacts(folder / "artefacts")),
        )
        ledger.record_run(f"r{number}", started_ms=SystemClock().now_ms(), facts={})
        work_of_wave = [PairWork(coin=coin, task=IngestTask()) for coin in ("BAD", "GOOD")]
        if killed:
            (bad, _) = waves._jobs(plan(number, code_hash), work_of_wave, {})
            ledger.record_attempt(bad, 1)
            return None
        outcomes = asyncio.run(waves.run(plan(number, code_hash), work_of_wave))
    return {outcome.coin: outcome.code for outcome in outcomes}, Poisoned.starts, telemetry


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Waves get the backend on which BAD kills its worker."""

    async def no_wait(_seconds):
        await asyncio.sleep(0)

    monkeypatch.setattr(
        wiring, "TrainingOrchestrator", lambda config: TrainingOrchestrator(config, Poisoned(), sleep=no_wait)
    )


def test_a_run_started_again_leaves_out_what_killed_three_workers_before(tmp_path):
    outcomes, starts, _ = wave_run(tmp_path, 1)
    assert outcomes["BAD"] == "WORKER_LOST"
    assert sorted(starts) == ["BAD", "BAD", "BAD", "GOOD"]
    outcomes, starts, telemetry = wave_run(tmp_path, 2)
    assert (outcomes["BAD"], starts) == ("WORKER_LOST", ("GOOD",))
    assert "left out" in telemetry.named("job_failed")[0]["error"]
    _, starts, _ = wave_run(tmp_path, 3, code_hash="repaired")
    assert sorted(starts) == ["BAD", "BAD", "BAD", "GOOD"]


def test_a_job_that_ends_the_run_itself_is_left_out_too_but_not_after_three_kills(tmp_path):
    for number in range(3):
        wave_run(tmp_path, number, killed=True)
    _, starts, _ = wave_run(tmp_path, 3)
    assert starts.count("BAD") == 2
    (tmp_path / "again").mkdir()
    for number in range(3 * UNHEARD_PER_DEATH):
        wave_run(tmp_path / "again", number, killed=True)
    assert wave_run(tmp_path / "again", 9)[1] == ("GOOD",)


def test_deaths_of_another_day_are_forgotten(tmp_path):
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        job = TrainingJob("BAD", "*")
        ledger.record_run("r", started_ms=0, facts={})
        ledger.record_attempt(job, 1)
        ledger.note_end(job, "WORKER_LOST", "gone")
        ledger.flush_jobs()
        assert ledger.past_starts(DAY_MS) == {}
