"""The worker pool: what crosses the pipe, and what a dead worker costs."""

import asyncio
import io
import json
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import jobs_for_workers as work
import pytest
from conformance import ended, job

from huracan.adapters.backends import AsyncioPool, InProcess, asyncio_pool, worker
from huracan.adapters.backends.asyncio_pool import address_of
from huracan.errors import BackendError, BannedError, JobFailedError, SchemaError, WorkerLostError
from huracan.training.jobs import TrainingJob

pytestmark = pytest.mark.slow


@pytest.fixture
async def pool():
    made = AsyncioPool(slots=2)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pid"
    os.mkfifo(path)
    return path


async def test_a_job_arrives_whole_and_noise_on_stdout_stays_out_of_the_answer(pool):
    answer = await pool.run(work.describe, job("币安", keys=["a"], share=0.25))
    assert (answer["coin"], answer["payload"]) == ("币安", {"keys": ["a"], "share": 0.25})
    assert answer["stdin"] == ""
    assert answer["pid"] in pool.pids
    assert answer["pid"] != os.getpid()


async def test_workers_use_one_thread_and_know_no_secret(monkeypatch):
    monkeypatch.setenv("DROPBOX_ACCESS_TOKEN", "x")
    monkeypatch.setenv("HURACAN_ROOT_PASSPHRASE", "x")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)  # a bucket's, which workers need where one is set
    pool = AsyncioPool(slots=1)
    await pool.start()
    answer = await pool.run(work.describe, job())
    await pool.stop()
    assert set(answer["threads"].values()) == {"1"}
    assert answer["secrets"] == []


async def test_numbers_of_numpy_and_nan_come_back_as_plain_numbers(pool):
    answer = await pool.run(work.numpy_numbers, job())
    assert (answer["mean"], answer["row"], answer["pair"]) == (0.5, [0, 1, 2], [1, 2])
    assert math.isnan(answer["nan"])


async def test_coroutine_functions_are_awaited_wherever_they_run(pool):
    async def here(item):
        await asyncio.sleep(0)
        return item.coin

    assert await pool.run(work.name_the_coin_later, job("A")) == "A"
    assert await pool.run(here, job("B")) == "B"


async def test_plain_json_jobs_need_no_class(pool):
    assert await pool.run(work.plain_value, {"coin": "BTC", "n": [1, None]}) == {"coin": "BTC", "n": [1, None]}


async def test_a_job_that_json_cannot_hold_is_refused_before_it_is_sent(pool):
    with pytest.raises(JobFailedError, match=r"must be JSON-able.*BTC 1h"):
        await pool.run(work.name_the_coin, job(thing=object()))


async def test_a_result_that_json_cannot_hold_is_that_jobs_error(pool):
    with pytest.raises(JobFailedError, match="gave a object, which is not JSON"):
        await pool.run(work.something_without_json, job())
    assert await pool.run(work.name_the_coin, job("ETH")) == "ETH"


async def test_errors_travel_as_text_and_keep_their_kind_when_they_are_ours(pool):
    with pytest.raises(SchemaError, match="columns changed") as ours:
        await pool.run(work.behave_as_named, job(what="bad data"))
    assert "behave_as_named" in ours.value.__notes__[0]
    with pytest.raises(BannedError) as banned:
        await pool.run(work.behave_as_named, job(what="banned"))
    assert banned.value.until_ms == 77
    with pytest.raises(JobFailedError, match="ValueError: no such thing as BTC") as theirs:
        await pool.run(work.behave_as_named, job(what="raise"))
    assert theirs.value.error_type == "ValueError"
    assert "behave_as_named" in theirs.value.traceback


@pytest.mark.parametrize("what", ["die", "exit"])
async def test_a_dead_worker_costs_exactly_its_own_job_and_is_replaced(pool, what):
    jobs = [job(f"C{number}", what=what if number == 3 else "work") for number in range(8)]
    results = await asyncio.gather(*(pool.run(work.behave_as_named, one) for one in jobs), return_exceptions=True)
    assert [r for r in results if isinstance(r, str)] == ["C0", "C1", "C2", "C4", "C5", "C6", "C7"]
    assert isinstance(results[3], WorkerLostError)
    assert "C3 1h" in str(results[3])
    assert "only this job is affected" in str(results[3])


async def test_a_worker_killed_while_idle_costs_nothing(pool):
    assert await pool.run(work.name_the_coin, job("A")) == "A"
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    assert await asyncio.to_thread(ended, pid)
    await pool._idle[0].process.wait()
    assert await pool.run(work.name_the_coin, job("B")) == "B"
    assert pid not in pool.pids


async def test_cancelling_a_job_ends_its_worker(pool, pipe):
    task = asyncio.create_task(pool.run(work.tell_pid_and_hang, job(file=str(pipe))))
    pid = int(await asyncio.to_thread(pipe.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended, pid)
    assert await pool.run(work.name_the_coin, job("B")) == "B"


async def test_cancelling_while_a_worker_comes_up_leaves_no_process_behind(monkeypatch):
    pool, spawned = AsyncioPool(slots=1), []
    receive = asyncio_pool._Worker.receive

    async def seen(worker):
        spawned.append(worker.pid)
        return await receive(worker)

    monkeypatch.setattr(asyncio_pool._Worker, "receive", seen)
    await pool.start()
    task = asyncio.create_task(pool.run(work.name_the_coin, job()))
    while not spawned:  # noqa: ASYNC110 - the pool has no event for it
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended, spawned[0])
    await pool.stop()


async def test_stopping_ends_busy_workers_too(pipe):
    pool = AsyncioPool(slots=1)
    await pool.start()
    task = asyncio.create_task(pool.run(work.tell_pid_and_hang, job(file=str(pipe))))
    pid = int(await asyncio.to_thread(pipe.read_text))
    await pool.stop()
    with pytest.raises(WorkerLostError):
        await task
    assert pool.pids == ()
    assert await asyncio.to_thread(ended, pid)


async def test_a_worker_is_replaced_after_its_share_of_jobs():
    pool = AsyncioPool(slots=1, recycle_after=2)
    await pool.start()
    pids = [(await pool.run(work.describe, job()))["pid"] for _ in range(4)]
    await pool.stop()
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_no_more_workers_than_slots_ever_run(pool):
    await asyncio.gather(*(pool.run(work.name_the_coin, job(f"C{n}")) for n in range(20)))
    assert len(pool.pids) <= 2


async def test_a_pool_that_is_not_started_here_says_so():
    with pytest.raises(BackendError, match="await start"):
        await AsyncioPool().run(work.name_the_coin, job())


async def test_starting_twice_is_once_and_stopping_an_unstarted_pool_is_nothing():
    pool = AsyncioPool(slots=1)
    await pool.stop()
    await pool.start()
    assert pool.pids == ()
    await pool.run(work.name_the_coin, job())
    pids = pool.pids
    await pool.start()
    await pool.run(work.name_the_coin, job())
    assert pool.pids == pids
    await pool.stop()


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false"])
async def test_an_interpreter_that_does_not_start_is_a_backend_error(monkeypatch, executable):
    monkeypatch.setattr(asyncio_pool.sys, "executable", executable)
    pool = AsyncioPool()
    await pool.start()
    with pytest.raises(BackendError, match=r"no worker process could be started|before its first job"):
        await pool.run(work.name_the_coin, job())
    await pool.stop()


def test_functions_of_this_process_run_in_any_event_loop_and_cost_no_worker():
    pool = AsyncioPool()

    async def here(item):
        return item.coin

    asyncio.run(pool.start())
    assert asyncio.run(pool.run(here, job("A"))) == "A"
    assert asyncio.run(pool.run(here, job("B"))) == "B"
    assert pool.pids == ()
    asyncio.run(pool.stop())


def test_only_what_a_worker_can_import_has_an_address():
    def closure(item):
        return item

    class Local:
        def method(self, item):
            return item

    assert address_of(work.name_the_coin) == "jobs_for_workers:name_the_coin"
    assert address_of(work.Holder.static) == "jobs_for_workers:Holder.static"
    for function in (closure, lambda item: item, Local().method, partial(closure)):
        assert address_of(function) is None
    impostor = partial(closure)
    impostor.__module__, impostor.__qualname__ = "jobs_for_workers", "name_the_coin"
    assert address_of(impostor) is None
    impostor.__module__ = "jobs_that_are_nowhere"
    assert address_of(impostor) is None


def test_a_module_that_is_loaded_but_not_on_the_import_path_has_no_address():
    module = ModuleType("made_up_by_a_test_runner")
    exec("def train(job): return job", module.__dict__)
    sys.modules[module.__name__] = module
    try:
        assert address_of(module.train) is None
    finally:
        del sys.modules[module.__name__]


def test_workers_end_when_their_parent_is_killed(tmp_path, pipe):
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent / "workers")!r})
import jobs_for_workers as work
from huracan.adapters.backends import AsyncioPool

async def main():
    pool = AsyncioPool(slots=1)
    await pool.start()
    await pool.run(work.tell_pid_and_hang, work.SmallJob("BTC", payload={{"file": {str(pipe)!r}}}))

asyncio.run(main())
"""
    )
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    pid = int(pipe.read_text())
    parent.kill()
    parent.wait()
    assert ended(pid)


async def test_in_process_jobs_may_raise_anything_without_harm():
    backend = InProcess()
    await backend.start()
    for error in (SystemExit(3), StopIteration(), asyncio.CancelledError()):

        def raising(item, error=error):
            raise error

        with pytest.raises(JobFailedError):
            await backend.run(raising, job())

    async def leaving(item):
        sys.exit(4)

    with pytest.raises(JobFailedError, match=r"exit\(4\)"):
        await backend.run(leaving, job())
    await backend.stop()


async def test_in_process_coroutines_are_awaited_in_every_disguise():
    class Trainer:
        async def __call__(self, item):
            return item.coin

    async def named(item, suffix):
        return item.coin + suffix

    backend = InProcess()
    assert await backend.run(Trainer(), job("A")) == "A"
    assert await backend.run(partial(named, suffix="!"), job("B")) == "B!"
    assert await backend.run(lambda item: named(item, "?"), job("C")) == "C?"


def message(**values) -> bytes:
    stream = io.BytesIO()
    worker.write_message(stream, values)
    return stream.getvalue()


def test_the_worker_answers_until_its_source_ends():
    source = io.BytesIO(
        message(function="jobs_for_workers:plain_value", job={"n": 1}, job_type=None)
        + message(function="jobs_for_workers:missing", job=None, job_type=None)
        + message(
            function="jobs_for_workers:name_the_coin_later",
            job=TrainingJob("ETH", "1h").to_json(),
            job_type="huracan.training.jobs:TrainingJob",
        )
    )
    sink = io.BytesIO()
    worker.serve(_Slow(source, sink), sink)
    sink.seek(0)
    ready, first, second, third = (worker.read_message(sink) for _ in range(4))
    assert ready == {"ready": os.getpid()}
    assert first == {"ok": True, "result": {"n": 1}}
    assert (second["ok"], second["type"]) == (False, "AttributeError")
    assert third["result"] == "ETH"


class _Slow:
    """Gives the next message only after the last one was answered, as the pool does."""

    def __init__(self, source, sink):
        self.source, self.sink, self.given = source, sink, 0

    def read(self, size):
        if size == 8:
            while self.answers() < self.given + 1:
                pass
            self.given += 1
        return self.source.read(size)

    def answers(self):
        stream = io.BytesIO(self.sink.getvalue())
        count = 0
        try:
            while True:
                json.dumps(worker.read_message(stream))
                count += 1
        except EOFError:
            return count


@pytest.mark.parametrize("data", [b"", b"\0\0\0", (9).to_bytes(8, "big") + b"{}", (1 << 40).to_bytes(8, "big") + b"{}"])
def test_a_cut_or_oversized_message_is_the_end_of_the_stream(data):
    with pytest.raises(EOFError):
        worker.read_message(io.BytesIO(data))


async def test_a_worker_that_is_not_ready_in_time_is_ended_and_the_setting_is_named():
    pool = AsyncioPool(slots=1, start_s=0.001)
    await pool.start()
    with pytest.raises(BackendError, match=r"not ready after 0\.001 s.*backend_start_s"):
        await pool.run(work.name_the_coin, job())
    await pool.stop()
