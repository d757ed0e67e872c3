"""Workers that die and jobs that kill them: what it costs is counted, on the default backend."""

import importlib
import sys
from pathlib import Path

import pytest
from sizes import size

from huracan.adapters.backends import AsyncioPool, TrainingOrchestrator
from huracan.errors import WorkerLostError
from huracan.training.jobs import TrainingConfig, TrainingJob

pytestmark = pytest.mark.slow

WORKERS = Path(__file__).parents[1] / "backends" / "workers"
JOBS = size(4, 24)


@pytest.fixture(scope="module")
def work():
    """Functions that worker processes import by name."""
    sys.path.insert(0, str(WORKERS))
    try:
        yield importlib.import_module("jobs_for_workers")
    finally:
        sys.path.remove(str(WORKERS))


@pytest.fixture
def light(work):
    """A job that crosses the pipe as one whose module imports next to nothing."""
    kind = type("LightJob", (TrainingJob,), {"to_json": lambda self: {"coin": self.coin, "payload": self.payload}})
    kind.__module__, kind.__qualname__ = work.SmallJob.__module__, work.SmallJob.__qualname__
    return kind


async def nothing(_seconds):
    """No wait between attempts."""


def orchestrator(work, *, slots, attempts):
    started = []
    made = TrainingOrchestrator(
        TrainingConfig(max_concurrent_jobs=slots, max_attempts=attempts), AsyncioPool(slots=slots), sleep=nothing
    )
    made.register_training_function(work.behave_as_named)
    made.on_start = lambda job, attempt: started.append((job.coin, attempt))
    return made, started


@pytest.mark.guarantee("R3")
async def test_a_worker_killed_in_any_job_costs_exactly_that_job(work, light, counted):
    """Tried three times, then WORKER_LOST; every other job is done, at its first attempt."""
    for killer in range(JOBS):
        made, started = orchestrator(work, slots=2, attempts=3)
        jobs = [
            light(f"C{number}", "1h", payload={"what": "die" if number == killer else "work"}) for number in range(JOBS)
        ]
        made.add_jobs(jobs)
        summary = await made.train_all()
        assert (summary["completed"], summary["failed"]) == (JOBS - 1, 1)
        assert (jobs[killer].error_code, jobs[killer].attempts) == (WorkerLostError.code, 3)
        assert [job.attempts for number, job in enumerate(jobs) if number != killer] == [1] * (JOBS - 1)
        assert started.count((f"C{killer}", 3)) == 1
        await made.shutdown()
        counted()


@pytest.mark.guarantee("R4")
async def test_poison_jobs_are_given_up_after_three_attempts_and_the_others_are_done(work, light, counted):
    total, poisoned = size(50, 1_000), size(2, 20)
    every = total // poisoned
    made, started = orchestrator(work, slots=2, attempts=3)
    jobs = [
        light(f"C{number}", "1h", payload={"what": "die" if number % every == 7 else "work"}) for number in range(total)
    ]
    made.add_jobs(jobs)
    summary = await made.train_all()
    await made.shutdown()
    assert (summary["completed"], summary["failed"]) == (total - poisoned, poisoned)
    poison = {job.coin for job in jobs if job.payload["what"] == "die"}
    assert len(poison) == poisoned
    assert sum(coin in poison for coin, _ in started) <= 3 * poisoned
    assert {job.error_code for job in jobs if job.coin in poison} == {WorkerLostError.code}
    counted(total)


@pytest.mark.guarantee("R4")
async def test_the_attempt_is_stored_before_the_job_starts(work, light, counted, tmp_path):
    """Or a job that takes the machine down with it would start anew for ever."""
    log = tmp_path / "log"
    made, _ = orchestrator(work, slots=1, attempts=1)
    seen = []
    made.on_start = lambda job, attempt: seen.append((job.coin, attempt, log.exists()))
    made.add_jobs([light("C", "1h", payload={"what": "die", "log": str(log)})])
    await made.train_all()
    await made.shutdown()
    assert seen == [("C", 1, False)]
    assert log.read_text() == "C die\n"
    counted()
