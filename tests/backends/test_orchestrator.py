"""The orchestrator: order, limit, retries, time-outs, cancellation; and that no job is ever lost."""

import asyncio
import threading

import jobs_for_workers as work
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.backends import InProcess, TrainingOrchestrator
from huracan.adapters.backends import orchestrator as orchestrator_module
from huracan.errors import BackendError, ConfigError, DataError, UpstreamError, WorkerLostError
from huracan.training.jobs import TrainingConfig, TrainingJob


def jobs(*coins: str, **fields) -> list[TrainingJob]:
    return [TrainingJob(coin, "1h", **fields) for coin in coins]


class LightJob(TrainingJob):
    """Crosses the pipe as a `SmallJob`: a worker that dies young need not import the training room first."""

    def to_json(self):
        return {"coin": self.coin, "horizon": self.horizon, "payload": self.payload}


LightJob.__module__, LightJob.__qualname__ = work.SmallJob.__module__, work.SmallJob.__qualname__


class Naps:
    """Stands for the clock: remembers how long it was asked to wait."""

    def __init__(self):
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def orchestrate(function=None, *, backend=None, naps=None, **config) -> TrainingOrchestrator:
    made = TrainingOrchestrator(TrainingConfig(**config), backend or InProcess(slots=1000), sleep=naps or Naps())
    if function is not None:
        made.register_training_function(function)
    return made


async def test_without_a_function_nothing_starts():
    with pytest.raises(ValueError, match="no training function is registered"):
        await orchestrate().train_all()


async def test_no_jobs_are_a_finished_run():
    assert await orchestrate(lambda job: 1).train_all() == {"total_jobs": 0, "completed": 0, "failed": 0, "results": {}}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_results_stand_under_their_jobs_ids(kind):
    def plain(job):
        return {"success": True, "coin": job.coin}

    async def later(job):
        await asyncio.sleep(0)
        return {"success": True, "coin": job.coin}

    made = orchestrate(plain if kind == "sync" else later)
    taken = jobs("BTC", "ETH")
    made.add_jobs(taken)
    assert [made.get_job_status(job.job_id).status for job in taken] == ["pending", "pending"]
    summary = await made.train_all()
    assert [made.get_job_status(job.job_id) for job in taken] == taken
    assert [(job["status"], job["result"]["coin"]) for job in taken] == [("completed", "BTC"), ("completed", "ETH")]
    assert summary == {
        "total_jobs": 2,
        "completed": 2,
        "failed": 0,
        "results": {job.job_id: {"success": True, "coin": job.coin} for job in taken},
    }
    assert made.get_all_jobs() == made.get_completed_jobs() == taken
    assert made.get_failed_jobs() == []
    assert made.get_job_status("nobody") is None
    assert all(job.created_at.tzinfo is not None and job.attempts == 1 for job in taken)


async def test_higher_priorities_start_first_and_equals_in_order():
    seen = []
    made = orchestrate(lambda job: seen.append(job.coin), max_concurrent_jobs=1)
    made.add_jobs([*jobs("low", priority=-1), *jobs("a", "b"), *jobs("top", priority=9), *jobs("c")])
    await made.train_all()
    assert seen == ["top", "a", "b", "c", "low"]


@pytest.mark.parametrize("limit", [1, 3])
async def test_the_limit_is_never_exceeded_and_always_used(limit):
    running, most = 0, 0

    async def count(job):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1

    made = orchestrate(count, max_concurrent_jobs=limit)
    made.add_jobs(jobs(*"abcdefgh"))
    await made.train_all()
    assert most == limit


async def test_threads_of_sync_functions_obey_the_limit_and_leave_the_loop_free():
    barrier = threading.Barrier(3)
    made = orchestrate(lambda job: barrier.wait(timeout=20), max_concurrent_jobs=3)
    made.add_jobs(jobs("a", "b", "c"))
    assert (await made.train_all())["completed"] == 3


async def test_the_backends_slots_bound_the_limit_too():
    most = []

    class Two(InProcess):
        running = 0

        async def run(self, function, job):
            type(self).running += 1
            most.append(self.running)
            await asyncio.sleep(0)
            type(self).running -= 1

    made = orchestrate(lambda job: 1, backend=Two(slots=2), max_concurrent_jobs=10)
    made.add_jobs(jobs(*"abcdef"))
    await made.train_all()
    assert max(most) == 2


async def test_a_failing_job_is_tried_again_with_growing_waits_and_then_given_up():
    naps, starts, retried, given_up = Naps(), [], [], []

    def fail(job):
        raise RuntimeError(f"attempt {job.attempts}")

    made = orchestrate(fail, naps=naps, max_attempts=4, retry_backoff_s=0.5)
    made.on_start = lambda job, attempt: starts.append((attempt, job.status))
    made.on_retry = lambda job, error: retried.append(str(error))
    made.on_failure = lambda job, error: given_up.append(error)
    (job,) = jobs("BTC")
    made.add_job(job)
    summary = await made.train_all()
    assert naps.seconds == [0.5, 1.0, 2.0]
    assert starts == [(1, "pending"), (2, "pending"), (3, "pending"), (4, "pending")]
    assert len(retried) == 3
    assert "in fail" in given_up[0].traceback
    assert (job.status, job.error_code, job.attempts) == ("failed", "JOB_FAILED", 4)
    assert job.error == "BTC 1h: RuntimeError: attempt 4"
    assert summary["results"][job.job_id] == {"success": False, "error": job.error, "code": "JOB_FAILED"}


@pytest.mark.parametrize(
    ("error", "attempts", "code"),
    [
        (WorkerLostError("gone"), 3, "WORKER_LOST"),
        (UpstreamError("no answer"), 3, "UPSTREAM"),
        (DataError("bad"), 1, "DATA"),
        (ConfigError("bad"), 1, "CONFIG"),
    ],
)
async def test_only_what_may_pass_is_tried_again(error, attempts, code):
    def fail(job):
        raise error

    made = orchestrate(fail)
    made.add_jobs(jobs("BTC"))
    await made.train_all()
    (job,) = made.get_failed_jobs()
    assert (job.attempts, job.error_code) == (attempts, code)


async def test_a_job_that_recovers_completes():
    def third_time(job):
        if job.attempts < 3:
            raise UpstreamError("no answer")
        return "well"

    made = orchestrate(third_time)
    made.add_jobs(jobs("BTC"))
    summary = await made.train_all()
    assert list(summary["results"].values()) == ["well"]


async def test_a_trainer_that_says_it_failed_has_failed_once():
    made = orchestrate(lambda job: {"success": False, "error": "too few rows", "code": "TOO_FEW_ROWS"})
    made.add_jobs(jobs("BTC"))
    await made.train_all()
    (job,) = made.get_failed_jobs()
    assert (job.error, job.error_code, job.attempts) == ("too few rows", "TOO_FEW_ROWS", 1)
    made.clear()
    made.register_training_function(lambda job: {"success": False})
    made.add_jobs(jobs("BTC"))
    await made.train_all()
    assert made.get_failed_jobs()[0].error_code == "JOB_FAILED"


@pytest.mark.parametrize("nonsense", [None, float("nan"), [1, 2, 3, 4, 5], "text", {}, object()])
async def test_a_strange_result_is_kept_as_it_is_and_sinks_nothing(nonsense):
    made = orchestrate(lambda job: nonsense if job.coin == "odd" else "fine")
    made.add_jobs(jobs("odd", "BTC"))
    summary = await made.train_all()
    assert (summary["completed"], summary["failed"]) == (2, 0)


async def test_a_job_over_its_time_is_ended_once_and_named():
    async def hang(job):
        if job.coin == "slow":
            await asyncio.Event().wait()
        return 1

    made = orchestrate(hang, job_timeout_s=0.02)
    made.add_jobs(jobs("slow", "BTC"))
    summary = await made.train_all()
    (job,) = made.get_failed_jobs()
    assert summary["completed"] == 1
    assert (job.coin, job.error_code, job.attempts) == ("slow", "TIMED_OUT", 1)
    assert "job_timeout_s = 0.02" in job.error


async def test_a_time_out_of_the_jobs_own_is_an_ordinary_failure():
    async def raise_it(job):
        raise TimeoutError("socket")

    made = orchestrate(raise_it, max_attempts=1)
    made.add_jobs(jobs("BTC"))
    await made.train_all()
    assert made.get_failed_jobs()[0].error_code == "JOB_FAILED"


async def test_progress_counts_every_job_once():
    seen = []
    made = orchestrate(lambda job: {"success": job.coin != "b"})
    made.on_progress = lambda done, total: seen.append((done, total))
    made.add_jobs(jobs("a", "b", "c"))
    await made.train_all()
    assert seen == [(1, 3), (2, 3), (3, 3)]


async def test_one_job_can_be_cancelled_before_and_while_it_runs():
    started = asyncio.Event()

    async def hang(job):
        if job.coin == "running":
            started.set()
            await asyncio.Event().wait()
        return job.coin

    made = orchestrate(hang, max_concurrent_jobs=1)
    before, running, other = taken = jobs("before", "running", "other")
    made.add_jobs(taken)
    assert made.cancel_job(before.job_id)
    task = asyncio.create_task(made.train_all())
    await started.wait()
    assert made.get_job_status(running.job_id).status == "running"
    assert made.cancel_job(running.job_id, code="DEADLINE")
    summary = await task
    assert (summary["completed"], summary["failed"]) == (1, 2)
    assert (before.error_code, running.error_code, other.result) == ("CANCELLED", "DEADLINE", "other")
    assert not made.cancel_job(other.job_id)
    assert not made.cancel_job("nobody")


async def test_a_deadline_cancels_all_that_is_left_and_keeps_what_is_done():
    made = orchestrate(None, max_concurrent_jobs=2)

    async def until_the_deadline(job):
        if job.coin == "last":
            made.cancel_all("DEADLINE")
            await asyncio.Event().wait()
        return 1

    made.register_training_function(until_the_deadline)
    made.add_jobs([*jobs("a", "b", priority=9), *jobs("last", priority=5), *jobs("c", "d", "e")])
    summary = await made.train_all()
    assert summary["completed"] + summary["failed"] == summary["total_jobs"] == 6
    assert {job.error_code for job in made.get_failed_jobs()} == {"DEADLINE"}
    assert {"last", "c", "d", "e"} <= {job.coin for job in made.get_failed_jobs()}


async def test_cancelling_the_run_itself_leaves_jobs_pending_for_the_next_one():
    started = asyncio.Event()

    async def hang(job):
        started.set()
        await asyncio.Event().wait()

    made = orchestrate(hang)
    made.add_jobs(jobs("a", "b"))
    task = asyncio.create_task(made.train_all())
    await started.wait()
    with pytest.raises(BackendError, match="still running"):
        made.clear()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [job.status for job in made.get_all_jobs()] == ["pending", "pending"]
    made.register_training_function(lambda job: 1)
    assert (await made.train_all())["completed"] == 2


async def test_a_lost_backend_ends_the_run_with_its_own_error_and_jobs_stay_pending():
    class Lost(InProcess):
        async def run(self, function, job):
            raise BackendError("the scheduler is gone")

    made = orchestrate(lambda job: 1, backend=Lost())
    made.add_jobs(jobs("a", "b"))
    with pytest.raises(BackendError, match="scheduler is gone"):
        await made.train_all()
    assert [job.status for job in made.get_all_jobs()] == ["pending", "pending"]


async def test_a_counter_that_cannot_be_stored_ends_the_run_before_the_job_starts():
    ran = []
    made = orchestrate(ran.append)

    def full(job, attempt):
        raise OSError("no space")

    made.on_start = full
    made.add_jobs(jobs("a"))
    with pytest.raises(OSError, match="no space"):
        await made.train_all()
    assert ran == []


async def test_the_same_work_is_taken_once_and_a_failed_job_may_be_given_again():
    outcome = {"success": False}
    made = orchestrate(lambda job: outcome)
    first, twin = jobs("BTC", "BTC")
    made.add_jobs([first, twin])
    assert made.get_all_jobs() == [first]
    await made.train_all()
    outcome = {"success": True}
    made.add_job(first)
    assert (first.status, first.error, first.attempts) == ("pending", None, 0)
    assert (await made.train_all())["completed"] == 1
    made.add_job(twin)
    assert made.get_all_jobs() == [first]


async def test_finished_jobs_are_not_run_again():
    ran = []
    made = orchestrate(lambda job: ran.append(job.coin))
    made.add_jobs(jobs("a"))
    await made.train_all()
    made.add_jobs(jobs("b"))
    assert (await made.train_all())["total_jobs"] == 2
    assert ran == ["a", "b"]


@pytest.mark.slow
async def test_worker_processes_see_a_night_through_with_a_killer_and_a_liar_among_the_jobs(tmp_path):
    log = tmp_path / "starts"
    made = TrainingOrchestrator(TrainingConfig(num_workers=2, retry_backoff_s=0), sleep=Naps())
    made.register_training_function(work.behave_as_named)
    behaviour = {3: "die", 5: "raise", 8: "bad data"}
    taken = [LightJob(f"C{n}", "*", payload={"what": behaviour.get(n), "log": str(log)}) for n in range(12)]
    await made.initialize()
    await made.initialize()
    made.add_jobs(taken)
    summary = await made.train_all()
    await made.shutdown()
    assert (summary["completed"], summary["failed"]) == (9, 3)
    codes = {job.coin: (job.error_code, job.attempts) for job in made.get_failed_jobs()}
    assert codes == {"C3": ("WORKER_LOST", 3), "C5": ("JOB_FAILED", 3), "C8": ("SCHEMA", 1)}
    starts = log.read_text().split("\n")
    assert sum(line.startswith("C3 ") for line in starts) == 3
    assert sum(line.startswith("C0 ") for line in starts) == 1


async def test_a_job_over_its_time_takes_its_worker_with_it():
    made = TrainingOrchestrator(TrainingConfig(num_workers=1, job_timeout_s=0.3))
    made.register_training_function(work.behave_as_named)
    await made.initialize()
    made.add_jobs(jobs("slow", payload={"what": "hang"}))
    summary = await made.train_all()
    assert (summary["failed"], made.get_failed_jobs()[0].error_code) == (1, "TIMED_OUT")
    assert made._backend.pids == ()
    await made.shutdown()


@pytest.mark.slow
async def test_closures_run_beside_worker_functions_on_the_default_backend():
    made = TrainingOrchestrator(TrainingConfig(num_workers=1, max_concurrent_jobs=4))
    together = asyncio.Barrier(4)

    async def meet(job):
        await together.wait()
        return job.coin

    made.register_training_function(meet)
    made.add_jobs(jobs("a", "b", "c", "d"))
    assert (await made.train_all())["completed"] == 4
    made.clear()
    made.register_training_function(work.name_the_coin)
    made.add_jobs(jobs("e"))
    assert list((await made.train_all())["results"].values()) == ["e"]
    await made.shutdown()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), max_size=25), st.integers(1, 6), st.integers(1, 4))
def test_every_job_ends_completed_or_failed_whatever_fails_how_often(plans, limit, max_attempts):
    def flaky(job):
        if job.attempts <= job.payload["failures"]:
            raise RuntimeError("not yet")
        return job.coin

    async def main():
        made = orchestrate(flaky, max_concurrent_jobs=limit, max_attempts=max_attempts)
        made.add_jobs(
            TrainingJob(f"C{n}", "1h", priority=priority, payload={"failures": failures})
            for n, (priority, failures) in enumerate(plans)
        )
        summary = await made.train_all()
        return summary, made

    summary, made = asyncio.run(main())
    assert summary["completed"] + summary["failed"] == summary["total_jobs"] == len(plans)
    assert summary["completed"] == sum(failures < max_attempts for _, failures in plans)
    assert set(summary["results"]) == {job.job_id for job in made.get_all_jobs()}


async def test_a_backend_that_takes_its_time_is_told_while_it_is_waited_for(monkeypatch):
    monkeypatch.setattr(orchestrator_module, "WAITING_LOGGED_S", 0.01)
    told = asyncio.Event()

    class Late(InProcess):
        async def start(self):
            await told.wait()

    made = orchestrate(backend=Late(slots=1))
    made.on_waiting = lambda seconds: told.set()
    await made.initialize()
    await made.shutdown()


def test_a_backend_needs_some_time_to_start():
    with pytest.raises(ConfigError, match="backend_start_s"):
        TrainingConfig(backend_start_s=0)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_training_function_may_read_its_job_as_a_dict_or_by_attribute(kind):
    def plain(job):
        assert (job["coin"], job["horizon"], job.get("regime"), job["job_id"]) == (
            job.coin,
            job.horizon,
            None,
            job.job_id,
        )
        return {"success": True, "fields": sorted(dict(job))}

    async def later(job):
        return plain(job)

    made = orchestrate(plain if kind == "sync" else later)
    (job,) = taken = jobs("BTC")
    made.add_jobs(taken)
    summary = await made.train_all()
    documented = {
        "coin",
        "horizon",
        "regime",
        "engine_type",
        "priority",
        "job_id",
        "created_at",
        "status",
        "result",
        "error",
    }
    assert documented <= set(summary["results"][job.job_id]["fields"])
    told = made.get_job_status(job.job_id)
    assert (told is job, told["status"], told["result"]) == (True, "completed", summary["results"][job.job_id])


async def test_a_field_that_a_job_does_not_have_is_named_with_those_it_has():
    made = orchestrate(lambda job: job["colse"])
    (job,) = taken = jobs("BTC")
    made.add_jobs(taken)
    await made.train_all()
    assert "a job has no 'colse'; it has coin, horizon" in made.get_job_status(job.job_id)["error"]
