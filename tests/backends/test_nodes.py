"""Machines that come, go, fall silent or run other sources; and heads that are lost: each costs what it must."""

import asyncio
import os

import jobs_for_workers as work
import pytest
from conformance import ended, job

from huracan.adapters.backends import nodes as nodes_module
from huracan.adapters.backends import supervisor as supervisor_module
from huracan.adapters.backends.landmark import plant
from huracan.adapters.backends.messages import address_of, encode
from huracan.adapters.backends.nodes import NodeLostError, Nodes
from huracan.adapters.backends.supervisor import Supervisor, in_session
from huracan.errors import BackendError, ConfigError
from huracan.ports import Machine

FACTS = {"slots": 2, "running": 0, "memory": None, "largest": 0}


class Fake:
    """A cluster of machines that answer what the test wants."""

    def __init__(self, **slots):
        self.slots = slots
        self.code = "same"
        self.obstacles = {}
        self.headless = False
        self.silent = set()
        self.asked = []
        self.calls = []
        self.closed = False

    async def open(self):
        pass

    async def nodes(self):
        if self.headless:
            raise BackendError("the head is lost")
        return dict(self.slots)

    async def call(self, node, method, *arguments):
        self.calls.append((node, method))
        if node not in self.slots:
            raise NodeLostError("gone")
        if node in self.silent:
            await asyncio.Event().wait()
        if method == "hello":
            told = {"host": f"host-of-{node}", "code": self.code, "obstacles": self.obstacles}
            return {**FACTS, "slots": self.slots[node], **told}
        if method == "ask":
            self.asked.append(node)
            if arguments[2] == "hang":
                await asyncio.Event().wait()
            return {"reply": {"ok": True, "result": node}, "machine": {**FACTS, "slots": self.slots[node]}}
        return {**FACTS, "slots": self.slots[node]}

    async def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(nodes_module, "BEAT_S", 0.02)
    monkeypatch.setattr(nodes_module, "CALL_TIMEOUT_S", 0.2)


async def started(cluster, **options):
    made = Nodes(cluster, reserve=0, **options)
    await made.start()
    return made


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)


async def test_jobs_go_where_most_slots_are_free():
    made = await started(Fake(big=3, small=1))
    hanging = [asyncio.create_task(made.run(str(n), b"", "hang")) for n in range(4)]
    await asyncio.sleep(0.05)
    assert sorted(made._cluster.asked) == ["big", "big", "big", "small"]
    assert sorted((machine.slots, machine.running) for machine in await made.machines()) == [(1, 1), (3, 3)]
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    await made.stop()
    assert made._cluster.closed


async def test_a_machine_that_leaves_takes_its_jobs_with_it_and_no_others():
    cluster = Fake(a=1, b=1)
    made = await started(cluster)
    tasks = [asyncio.create_task(made.run(str(n), b"", "hang")) for n in range(2)]
    await until(lambda: len(cluster.asked) == 2)
    lost = cluster.asked.index("a")
    del cluster.slots["a"]
    reply = await tasks[lost]
    assert (reply["ok"], reply["type"]) == (False, "WorkerLostError")
    assert not tasks[1 - lost].done()
    assert (await made.run("9", b"", "job"))["result"] == "b"
    cluster.slots["c"] = 4
    await until(lambda: "c" in made._nodes)
    assert (await made.run("10", b"", "job"))["result"] == "c"
    tasks[1 - lost].cancel()
    await made.stop()


async def test_a_machine_that_falls_silent_is_given_up_and_greeted_again_when_it_speaks():
    cluster = Fake(a=1, b=1)
    made = await started(cluster)
    cluster.silent.add("a")
    await until(lambda: "a" not in made._nodes)
    assert [machine.slots for machine in await made.machines()] == [1]
    cluster.silent.clear()
    await until(lambda: "a" in made._nodes)
    await made.stop()


async def test_a_machine_that_does_not_even_cancel_is_given_up():
    cluster = Fake(a=1)
    made = await started(cluster)
    task = asyncio.create_task(made.run("1", b"", "hang"))
    await until(lambda: cluster.asked == ["a"])
    cluster.silent.add("a")
    await made.cancel("1")
    assert (await task)["type"] == "WorkerLostError"
    await made.cancel("unknown")
    await made.stop()


async def test_a_lost_head_ends_every_job_as_a_lost_backend():
    cluster = Fake(a=2)
    made = await started(cluster)
    task = asyncio.create_task(made.run("1", b"", "hang"))
    await until(lambda: cluster.asked == ["a"])
    cluster.headless = True
    reply = await task
    assert (reply["type"], reply["message"]) == ("BackendError", "the head is lost")
    assert (await made.run("2", b"", "job"))["type"] == "BackendError"
    with pytest.raises(BackendError, match="head is lost"):
        await made.machines()
    await made.stop()


async def test_a_cluster_without_machines_for_too_long_is_lost():
    with pytest.raises(BackendError, match=r"has had no machine for 0\.05 s"):
        await started(Fake(), no_node_s=0.05)


@pytest.mark.slow
async def test_a_machine_that_starts_slowly_is_given_more_time_with_every_greeting():
    class Slow(Fake):
        async def call(self, node, method, *arguments):
            if method == "hello":
                await asyncio.sleep(0.5)  # more than one call may take
            return await super().call(node, method, *arguments)

    made = await started(Slow(a=2))
    assert [machine.slots for machine in await made.machines()] == [2]
    await made.stop()


async def test_a_slow_machine_keeps_no_other_from_being_heard():
    class Slow(Fake):
        async def call(self, node, method, *arguments):
            if (node, method) == ("slow", "hello"):
                await asyncio.Event().wait()
            return await super().call(node, method, *arguments)

    cluster = Slow(a=1, slow=1)
    made = await started(cluster)
    cluster.slots["late"] = 4
    await until(lambda: "late" in made._nodes)
    assert set(made._nodes) == {"a", "late"}
    assert made._greetings
    await made.stop()


async def test_a_head_that_is_lost_while_a_machine_is_greeted_refuses_the_run():
    class Headless(Fake):
        async def call(self, node, method, *arguments):
            raise BackendError("the head is lost")

    with pytest.raises(BackendError, match="head is lost"):
        await started(Headless(a=1))


async def test_a_machine_with_other_sources_refuses_the_run_and_one_that_joins_later_is_not_used(capsys):
    cluster = Fake(a=1)
    cluster.code = "other"
    with pytest.raises(BackendError, match=r"host-of-a.*other sources.*install the same release"):
        await started(cluster, code="same")
    cluster.code = "same"
    made = await started(cluster, code="same")
    cluster.code = "other"
    cluster.slots["late"] = 8
    await until(lambda: made._refused)
    assert (await made.run("1", b"", "job"))["result"] == "a"
    assert "host-of-late" in capsys.readouterr().err
    await made.stop()


async def test_a_machine_without_our_folder_refuses_the_run_and_one_that_joins_later_is_not_used(capsys):
    cluster = Fake(a=1, b=1)
    cluster.obstacles = {"/w/.landmark-1": "nothing lies there"}
    with pytest.raises(
        ConfigError, match=r"host-of-a.*folder /w \(nothing lies there\).*storage\.lake_url.*; machine b"
    ):
        await started(cluster, landmarks=["/w/.landmark-1"])
    cluster.obstacles = {}
    made = await started(cluster, landmarks=["/w/.landmark-1"])
    cluster.obstacles = {"/w/.landmark-1": "another folder lies there"}
    cluster.slots["late"] = 8
    await until(lambda: made._refused)
    assert (await made.run("1", b"", "job"))["result"] in {"a", "b"}
    assert "another folder lies there" in capsys.readouterr().err
    await made.stop()


async def test_a_run_that_waits_for_its_first_machine_is_refused_by_one_without_our_folder():
    cluster = Fake()
    cluster.obstacles = {"/w/.landmark-1": "nothing lies there"}
    asyncio.get_running_loop().call_later(0.05, cluster.slots.update, {"a": 1})
    made = Nodes(cluster, reserve=0, landmarks=["/w/.landmark-1"], no_node_s=20)
    with pytest.raises(ConfigError, match="host-of-a"):
        await made.start()
    await made.stop()


async def test_a_supervisor_tells_what_its_machine_does_not_reach(tmp_path):
    supervisor, landmark, gone = (
        Supervisor(slots=1, recycle_after=9),
        plant(str(tmp_path)),
        str(tmp_path / "gone" / "x"),
    )
    facts = await supervisor.call("hello", False, [landmark, gone])
    assert facts["obstacles"] == {gone: "nothing lies there"}


async def test_a_supervisor_ends_the_work_of_a_driver_that_is_silent(tmp_path, monkeypatch):
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    monkeypatch.setattr(supervisor_module, "LOOK_S", 0.05)
    supervisor = Supervisor(slots=1, recycle_after=9)
    message = encode(address_of(work.tell_pid_and_hang), job(file=str(pipe)))
    task = asyncio.create_task(supervisor.call("ask", "1", message, "its job"))
    pid = int(await asyncio.to_thread(pipe.read_text))
    supervisor._lease_s = 0.1
    reply = (await asyncio.wait_for(task, 20))["reply"]
    assert reply["type"] == "WorkerLostError"
    assert await asyncio.to_thread(ended, pid)
    supervisor._lease_s = 600.0
    again = await supervisor.call("ask", "2", encode(address_of(work.name_the_coin), job("NEXT")), "its job")
    assert again["reply"]["result"] == "NEXT"
    await supervisor.call("stop")


async def test_a_session_has_one_supervisor_until_it_is_stopped():
    settings = {"slots": 3, "recycle_after": 9}
    facts = await in_session("s", settings, "hello", True, [])
    assert (facts["slots"], len(facts["code"])) == (3, 64)
    assert (await in_session("s", {**settings, "slots": 5}, "machine"))["slots"] == 3
    await in_session("s", settings, "stop")
    assert Machine(**await in_session("s", {**settings, "slots": 5}, "machine")).slots == 5
    await in_session("s", settings, "stop")
