"""What every backend must do; `test_conformance.py` runs it on worker processes, on Dask and on Ray."""

import asyncio
import math
import os
import select
from pathlib import Path

import jobs_for_workers as work
import pytest

from huracan.adapters.backends import AsyncioPool, ClusterBackend, TrainingOrchestrator
from huracan.errors import BackendError, BannedError, JobFailedError, SchemaError, UpstreamError, WorkerLostError
from huracan.training.jobs import TrainingConfig, TrainingJob

SECRETS = {
    "DROPBOX_ACCESS_TOKEN": "x",
    "HURACAN_ROOT_PASSPHRASE": "x",
    "HURACAN_KEYS_DIR": "x",
    "HURACAN_BOT_TOKEN": "x",
}
RECYCLE_AFTER = 25
DEATHS = ("die", "exit", "segfault", "abort")


def make_backend(kind: str, *, slots: int = 2, recycle_after: int = RECYCLE_AFTER):
    if kind == "asyncio":
        return AsyncioPool(slots=slots, recycle_after=recycle_after)
    return ClusterBackend(kind=kind, workers=slots, recycle_after=recycle_after)


def job(coin: str = "BTC", **payload) -> work.SmallJob:
    return work.SmallJob(coin, payload=payload)


class LightJob(TrainingJob):
    """Crosses the pipe as a `SmallJob`: a worker that dies young need not import the training room first."""

    def to_json(self):
        return {"coin": self.coin, "horizon": self.horizon, "payload": {**self.payload, "attempts": self.attempts}}


LightJob.__module__, LightJob.__qualname__ = work.SmallJob.__module__, work.SmallJob.__qualname__


def ended(pid: int) -> bool:
    """Whether a process (of anybody) ends within twenty seconds."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 20)[0])
    finally:
        os.close(process)


async def hanging(backend, tmp_path):
    """A task that hangs in a worker, and the worker's process id."""
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    task = asyncio.create_task(backend.run(work.tell_pid_and_hang, job("SLOW", file=str(pipe))))
    return task, int(await asyncio.to_thread(pipe.read_text))


async def running(backend) -> int:
    return sum(machine.running for machine in await backend.machines())


class BackendConformance:
    """Takes a started `backend` of two slots that recycles workers after `RECYCLE_AFTER` jobs."""

    async def test_a_job_arrives_whole_and_noise_on_stdout_stays_out_of_the_answer(self, backend):
        answer = await backend.run(work.describe, job("币安", keys=["a"], share=0.25))
        assert (answer["coin"], answer["payload"], answer["stdin"]) == ("币安", {"keys": ["a"], "share": 0.25}, "")
        assert answer["pid"] != os.getpid()

    async def test_workers_use_one_thread_and_no_process_below_the_driver_knows_a_secret(self, backend):
        answer = await backend.run(work.describe, job(driver=os.getpid()))
        assert set(answer["threads"].values()) == {"1"}
        of_buckets = {"AWS_SESSION_TOKEN"}  # which workers need where one is set; a session with --canary sets it
        assert set(answer["secrets"]) | set(answer["secrets_above"]) <= of_buckets & set(os.environ)

    async def test_results_are_plain_json_whatever_kind_of_number_they_were(self, backend):
        answer = await backend.run(work.numpy_numbers, job())
        assert (answer["mean"], answer["row"], answer["pair"]) == (0.5, [0, 1, 2], [1, 2])
        assert math.isnan(answer["nan"])
        assert await backend.run(work.name_the_coin_later, job("LATER")) == "LATER"
        assert await backend.run(work.plain_value, {"n": [1, None]}) == {"n": [1, None]}

    async def test_what_json_cannot_hold_is_that_jobs_error(self, backend):
        with pytest.raises(JobFailedError, match=r"must be JSON-able.*BTC 1h"):
            await backend.run(work.name_the_coin, job(thing=object()))
        with pytest.raises(JobFailedError, match="gave a object, which is not JSON"):
            await backend.run(work.something_without_json, job())
        assert await backend.run(work.name_the_coin, job("ETH")) == "ETH"

    async def test_our_errors_keep_their_kind_and_others_bring_their_traceback(self, backend):
        with pytest.raises(SchemaError, match="columns changed") as ours:
            await backend.run(work.behave_as_named, job(what="bad data"))
        assert "behave_as_named" in ours.value.__notes__[0]
        with pytest.raises(BannedError) as banned:
            await backend.run(work.behave_as_named, job(what="banned"))
        assert banned.value.until_ms == 77
        with pytest.raises(UpstreamError):
            await backend.run(work.behave_as_named, job(what="upstream"))
        with pytest.raises(JobFailedError, match="ValueError: no such thing as BTC") as theirs:
            await backend.run(work.behave_as_named, job(what="raise"))
        assert theirs.value.error_type == "ValueError"
        assert "behave_as_named" in theirs.value.traceback

    @pytest.mark.guarantee("R3", cases=6)
    async def test_a_worker_that_dies_in_any_job_costs_exactly_that_job(self, backend):
        for k in range(6):
            what = DEATHS[k % len(DEATHS)]
            jobs = [job(f"C{n}", what=what if n == k else "work") for n in range(6)]
            results = await asyncio.gather(
                *(backend.run(work.behave_as_named, one) for one in jobs), return_exceptions=True
            )
            assert [result for result in results if isinstance(result, str)] == [f"C{n}" for n in range(6) if n != k]
            assert isinstance(results[k], WorkerLostError)
            assert f"C{k} 1h" in str(results[k])
            assert "only this job is affected" in str(results[k])

    async def test_a_lost_job_is_started_once_and_not_again_behind_our_back(self, backend, tmp_path):
        log = tmp_path / "starts"
        with pytest.raises(WorkerLostError):
            await backend.run(work.behave_as_named, job(what="die", log=str(log)))
        for _ in range(4):
            await backend.run(work.name_the_coin, job())
        assert log.read_text() == "BTC die\n"

    async def test_cancelling_ends_the_work_and_frees_its_slot(self, backend, tmp_path):
        task, pid = await hanging(backend, tmp_path)
        assert await running(backend) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended, pid)
        assert await running(backend) == 0
        (tmp_path / "meeting").mkdir()
        payload = {"folder": str(tmp_path / "meeting"), "many": 2}
        both = [backend.run(work.meet, job(name, **payload)) for name in ("A", "B")]
        assert await asyncio.wait_for(asyncio.gather(*both), 60) == ["A", "B"]

    async def test_a_time_out_ends_the_work_at_the_worker(self, backend, tmp_path):
        pipe = tmp_path / "pid"
        os.mkfifo(pipe)
        made = TrainingOrchestrator(TrainingConfig(job_timeout_s=3), backend)
        made.register_training_function(work.tell_pid_and_hang)
        made.add_jobs([LightJob("SLOW", "1h", payload={"file": str(pipe)})])
        task = asyncio.create_task(made.train_all())
        pid = int(await asyncio.to_thread(pipe.read_text))
        await task
        (slow,) = made.get_failed_jobs()
        assert (slow.error_code, slow.attempts) == ("TIMED_OUT", 1)
        assert await asyncio.to_thread(ended, pid)

    async def test_a_worker_is_replaced_after_its_share_of_jobs(self, backend):
        pids = [(await backend.run(work.describe, job()))["pid"] for _ in range(2 * RECYCLE_AFTER + 2)]
        assert len(set(pids)) >= 3
        assert max(map(pids.count, pids)) <= RECYCLE_AFTER

    async def test_as_many_jobs_run_as_there_are_slots_and_the_machine_says_what_they_take(self, backend, tmp_path):
        payload = {"folder": str(tmp_path), "many": 2}
        await asyncio.wait_for(asyncio.gather(*(backend.run(work.meet, job(name, **payload)) for name in "AB")), 60)
        machines = await backend.machines()
        assert sum(machine.slots for machine in machines) == 2
        assert all(machine.memory > 1 << 20 and machine.largest > 1 << 20 for machine in machines)

    async def test_higher_priorities_start_first_and_no_more_than_the_limit_run(self, backend, tmp_path):
        log = tmp_path / "starts"
        made = TrainingOrchestrator(TrainingConfig(max_concurrent_jobs=1), backend)
        made.register_training_function(work.note_the_start)
        wanted = {"low": -1, "a": 0, "b": 0, "top": 9}
        made.add_jobs(LightJob(name, "1h", priority=n, payload={"log": str(log)}) for name, n in wanted.items())
        seen = []
        made.on_progress = lambda done, total: seen.append((done, total))
        await made.train_all()
        assert log.read_text().split() == ["top", "a", "b", "low"]
        assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    async def test_retries_wait_longer_each_time_and_poison_is_left_out_after_three_workers(self, backend, tmp_path):
        log, waits, starts = tmp_path / "starts", [], []

        async def nap(seconds):
            waits.append(seconds)

        made = TrainingOrchestrator(TrainingConfig(retry_backoff_s=0.25), backend, sleep=nap)
        made.on_start = lambda one, attempt: starts.append((one.coin, attempt))
        made.register_training_function(work.behave_as_named)
        behaviour = {"POISON": "die", "FINE": "work", "LIAR": "raise", "BAD": "bad data"}
        made.add_jobs(LightJob(n, "1h", payload={"what": what, "log": str(log)}) for n, what in behaviour.items())
        await made.train_all()
        codes = {one.coin: (one.error_code, one.attempts) for one in made.get_all_jobs()}
        assert codes == {
            "POISON": ("WORKER_LOST", 3),
            "FINE": (None, 1),
            "LIAR": ("JOB_FAILED", 3),
            "BAD": ("SCHEMA", 1),
        }
        assert sorted(waits) == [0.25, 0.25, 0.5, 0.5]
        assert log.read_text().count("POISON die\n") == 3 == sum(coin == "POISON" for coin, _ in starts)

    async def test_a_deadline_ends_what_runs_and_keeps_what_is_done(self, backend, tmp_path):
        pipe = tmp_path / "pid"
        os.mkfifo(pipe)
        made = TrainingOrchestrator(TrainingConfig(max_concurrent_jobs=1), backend)
        made.register_training_function(work.behave_as_named)
        made.add_jobs([LightJob("FINE", "1h", priority=1, payload={"what": "work"})])
        await made.train_all()
        made.register_training_function(work.tell_pid_and_hang)
        made.add_jobs(LightJob(name, "1h", payload={"file": str(pipe)}) for name in ("SLOW", "NEVER"))
        task = asyncio.create_task(made.train_all())
        pid = int(await asyncio.to_thread(pipe.read_text))
        assert made.cancel_all("DEADLINE") == 2
        summary = await task
        assert (summary["completed"], summary["failed"]) == (1, 2)
        assert {one.error_code for one in made.get_failed_jobs()} == {"DEADLINE"}
        assert await asyncio.to_thread(ended, pid)
        assert await backend.run(work.name_the_coin, job("NEXT")) == "NEXT"


async def lifecycle(kind: str, tmp_path: Path) -> None:
    """Stop unstarted, start twice, work, stop in the middle of a job, stop again."""
    backend = make_backend(kind, slots=1)
    await backend.stop()
    with pytest.raises(BackendError, match=r"await start"):
        await backend.run(work.name_the_coin, job())
    await backend.start()
    await backend.start()
    task, pid = await hanging(backend, tmp_path)
    await backend.stop()
    with pytest.raises(WorkerLostError):
        await task
    assert await asyncio.to_thread(ended, pid)
    await backend.stop()
