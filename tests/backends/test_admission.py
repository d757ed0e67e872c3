"""When a job may start: slots, memory, machines that come and go."""

import asyncio
import os

import jobs_for_workers as work
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.adapters.backends import AsyncioPool, InProcess, TrainingOrchestrator
from huracan.adapters.backends.admission import Admission
from huracan.adapters.backends.memory import held_and_peak, memory_for_jobs, room
from huracan.ports import Machine
from huracan.training.jobs import TrainingConfig, TrainingJob

pytestmark = pytest.mark.slow

GB = 1 << 30


class Told(InProcess):
    """A backend whose machines are what the test says."""

    told = ()

    async def machines(self):
        return list(self.told)


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        (Machine(slots=8), 8),
        (Machine(slots=8, memory=10 * GB), 8),
        (Machine(slots=8, memory=10 * GB, largest=2 * GB), 4),
        (Machine(slots=3, memory=10 * GB, largest=2 * GB), 3),
        (Machine(slots=8, memory=2 * GB, largest=2 * GB), 0),
        (Machine(slots=8, memory=GB // 2, largest=2 * GB), 0),
    ],
)
def test_a_machine_has_room_for_its_slots_or_for_what_its_memory_holds(machine, wanted):
    assert room(machine, GB) == wanted


@given(st.integers(1, 64), st.integers(0, 64 * GB), st.integers(1, 8 * GB), st.integers(0, 4 * GB))
def test_jobs_in_a_room_never_need_more_than_there_is_beyond_the_reserve(slots, memory, largest, reserve):
    jobs = room(Machine(slots=slots, memory=memory, largest=largest), reserve)
    assert 0 <= jobs <= slots
    assert jobs == 0 or jobs * largest + reserve <= memory
    assert jobs == slots or (jobs + 1) * largest + reserve > memory


async def test_a_job_waits_until_memory_for_it_is_free_and_one_always_runs():
    backend, started = Told(), []
    backend.__class__.told = (Machine(slots=8, memory=3 * GB, largest=2 * GB),)
    admission = Admission(backend=backend, most=10, reserve=GB)
    finish = asyncio.Event()

    async def work_on(name):
        async with admission.slot():
            started.append(name)
            await finish.wait()

    tasks = [asyncio.create_task(work_on(name)) for name in "abc"]
    await asyncio.sleep(0.05)
    assert started == ["a"]
    backend.__class__.told = (Machine(slots=8, memory=5 * GB, largest=2 * GB),)
    await asyncio.sleep(1.2)
    assert started == ["a", "b"]
    backend.__class__.told = (Machine(slots=8, memory=0, largest=2 * GB),)
    finish.set()
    await asyncio.gather(*tasks)
    assert started == ["a", "b", "c"]


async def test_the_limit_follows_machines_that_come_and_go():
    backend, started = Told(), []
    backend.__class__.told = (Machine(slots=2),)
    admission = Admission(backend=backend, most=3, reserve=0)
    finish = asyncio.Event()

    async def work_on(name):
        async with admission.slot():
            started.append(name)
            await finish.wait()

    tasks = [asyncio.create_task(work_on(name)) for name in "abcd"]
    await asyncio.sleep(0.05)
    assert started == ["a", "b"]
    backend.__class__.told = (Machine(slots=2), Machine(slots=2))
    await asyncio.sleep(1.2)
    assert started == ["a", "b", "c"]
    finish.set()
    await asyncio.gather(*tasks)
    assert admission.running == 0


async def test_a_cancelled_waiter_holds_nobody_up():
    backend = Told()
    backend.__class__.told = (Machine(slots=1),)
    admission = Admission(backend=backend, most=1, reserve=0)
    slots = [admission.slot() for _ in range(2)]
    async with admission.slot():
        waiting = [asyncio.create_task(slot.__aenter__()) for slot in slots]
        await asyncio.sleep(0)
        waiting[0].cancel()
    await asyncio.wait_for(waiting[1], 10)
    assert waiting[0].cancelled()
    assert admission.running == 1


async def test_the_pool_remembers_the_largest_worker_even_when_it_is_gone():
    pool = AsyncioPool(slots=1, recycle_after=1)
    await pool.start()
    await pool.run(work.hold_memory, work.SmallJob("BIG", payload={"megabytes": 200}))
    (machine,) = await pool.machines()
    await pool.stop()
    assert machine.largest > 200 << 20
    assert machine.memory is None or machine.memory > 0


async def test_large_jobs_run_one_after_the_other_when_memory_is_short(monkeypatch, tmp_path):
    from huracan.adapters.backends import asyncio_pool

    pool = AsyncioPool(slots=3)
    await pool.start()
    monkeypatch.setattr(asyncio_pool, "memory_for_jobs", lambda held: 400 << 20)
    await pool.run(work.hold_memory, work.SmallJob("FIRST", payload={"megabytes": 200}))
    made = TrainingOrchestrator(TrainingConfig(memory_reserve_mb=100), pool)
    made.register_training_function(work.overlap)
    made.add_jobs(TrainingJob(name, "1h", payload={"folder": str(tmp_path)}) for name in "ABC")
    summary = await made.train_all()
    await pool.stop()
    assert sorted(summary["results"].values()) == [1, 1, 1]


def test_memory_is_read_from_the_machine_and_from_its_control_group(tmp_path):
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    cgroup.mkdir()
    assert memory_for_jobs(7, proc=proc, cgroup=cgroup) is None
    (proc / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   50 kB\n")
    assert memory_for_jobs(7, proc=proc, cgroup=cgroup) == 50 * 1024 + 7
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("30000\n")
    (cgroup / "memory.stat").write_text("anon 5\ninactive_file 1000\n")
    assert memory_for_jobs(7, proc=proc, cgroup=cgroup) == 50 * 1024 + 7
    (cgroup / "memory.max").write_text("40000\n")
    assert memory_for_jobs(7, proc=proc, cgroup=cgroup) == 11000 + 7
    held, peak = held_and_peak([os.getpid(), 2**22 + 1])
    assert peak >= held > 1 << 20
