"""A cluster as the gateway sees it: machines that come and go, a supervisor on each, and jobs placed where there is
room.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from huracan.adapters.backends.landmark import refusal_of
from huracan.adapters.backends.memory import room
from huracan.adapters.backends.messages import refusal
from huracan.adapters.backends.supervisor import Greeting, JobAnswer, MachineFields, machine_of
from huracan.adapters.backends.worker import Reply
from huracan.errors import BackendError, HuracanError, WorkerLostError
from huracan.ports import Machine

BEAT_S: Final = 2.0
CALL_TIMEOUT_S: Final = 15.0
NO_NODE_S: Final = 300.0
"""How long a cluster may be without any machine, at its start too, before it counts as lost; a setting says
otherwise.
"""


class NodeLostError(Exception):
    """A machine, or our supervisor on it, does not answer any more."""


class Cluster(Protocol):
    """Dask or Ray: which machines there are, and a way to call the supervisor on one."""

    async def open(self) -> None:
        """Connect, or start a cluster on this machine; raises BackendError."""
        ...

    async def nodes(self) -> dict[str, int]:
        """Living machines and their slots, from the head; raises BackendError when that is lost."""
        ...

    async def call(self, node: str, method: str, *arguments: Any) -> Any:
        """Call the supervisor there, made by the call "hello"; raises NodeLostError, or BackendError when the head is
        lost.
        """
        ...

    async def close(self) -> None:
        """Disconnect, and end what `open` has started."""
        ...


@dataclass(slots=True, eq=False)
class _Node:
    name: str
    machine: Machine
    gone: bool = False
    jobs: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def free(self, reserve: int) -> int:
        return room(self.machine, reserve) - len(self.jobs)


class Nodes:
    """Jobs on the machines of a cluster.

    `code` is what every machine must have installed (None: they share our disk); `landmarks` lie where jobs read and
    write, and every machine must reach them. A machine that fails either is not used, and at the start refuses the run.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        reserve: int,
        code: str | None = None,
        landmarks: Sequence[str] = (),
        no_node_s: float = NO_NODE_S,
    ) -> None:
        self._cluster = cluster
        self._reserve = reserve
        self._code = code
        self._landmarks = list(landmarks)
        self._no_node_s = no_node_s
        self._nodes: dict[str, _Node] = {}
        self._refused: dict[str, HuracanError] = {}
        self._greetings: dict[str, asyncio.Task[None]] = {}
        self._unanswered: dict[str, int] = {}
        self._lost: BackendError | None = None
        self._changed = asyncio.Condition()
        self._hurry = asyncio.Event()
        self._pulse: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and greet every machine; raises BackendError where there is none or one runs other code, ConfigError
        for one that does not reach the landmarks.
        """
        await self._cluster.open()
        await self._look()
        if self._greetings:
            await asyncio.wait(self._greetings.values(), timeout=CALL_TIMEOUT_S)
        self._refuse()
        self._pulse = asyncio.create_task(self._beat())
        await self._some_node(starting=True)
        self._refuse()

    async def stop(self) -> None:
        """End every job and leave the cluster."""
        if self._pulse is not None:
            self._pulse.cancel()
        for greeting in self._greetings.values():
            greeting.cancel()
        farewells = [self._within(node.name, "stop") for node in self._nodes.values()]
        await asyncio.gather(*farewells, return_exceptions=True)
        await self._cluster.close()

    async def machines(self) -> list[Machine]:
        """Every machine as of its last word; raises BackendError when the cluster is lost or empty for too long."""
        await self._some_node()
        return [replace(node.machine, running=len(node.jobs)) for node in self._nodes.values()]

    async def run(self, token: str, message: bytes, name: str) -> Reply:
        """The reply to a job; what happens on the way to it is a reply too."""
        try:
            await self._some_node()
            node = max(self._nodes.values(), key=lambda node: node.free(self._reserve))
            return await self._on(node, token, message, name)
        except BackendError as error:
            return refusal(error)

    async def cancel(self, token: str) -> None:
        """End a job; back when its slot is free, or its machine given up."""
        for node in list(self._nodes.values()):
            if token in node.jobs:
                try:
                    await self._within(node.name, "cancel", token)
                except NodeLostError:
                    await self._drop(node)
                except BackendError as error:
                    await self._give_up(error)

    async def _on(self, node: _Node, token: str, message: bytes, name: str) -> Reply:
        job = node.jobs[token] = asyncio.create_task(self._cluster.call(node.name, "ask", token, message, name))
        try:
            answer: JobAnswer = await job
        except (NodeLostError, asyncio.CancelledError) as error:
            if self._lost is not None:
                raise self._lost from error
            if isinstance(error, asyncio.CancelledError) and not node.gone:
                job.cancel()
                raise
            await self._drop(node)
            raise WorkerLostError(f"machine {node.name} was lost while it worked on {name} ({error})") from error
        except BackendError as error:
            await self._give_up(error)
            raise
        finally:
            del node.jobs[token]
        node.machine = machine_of(answer["machine"])
        return answer["reply"]

    def _refuse(self) -> None:
        """Raise what the machines so far were refused for; a run that starts does not make do with the others."""
        if self._refused:
            kind = type(next(iter(self._refused.values())))
            raise kind("; ".join(str(refused) for refused in self._refused.values()))

    async def _some_node(self, *, starting: bool = False) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(self._no_node_s):
                    await self._changed.wait_for(lambda: self._nodes or self._lost or (starting and self._refused))
            except TimeoutError:
                self._lost = BackendError(
                    f"the cluster has had no machine for {self._no_node_s:g} s; start its workers and run again, or give them"
                    " more time by training.backend_start_s"
                )
        if self._lost is not None:
            raise self._lost

    async def _beat(self) -> None:
        """Ask the head who is there, and everyone how they are, for as long as there is a head."""
        while self._lost is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._hurry.wait()
            self._hurry.clear()
            try:
                await self._look()
            except BackendError as error:
                await self._give_up(error)

    async def _look(self) -> None:
        listed = await self._cluster.nodes()
        for node in list(self._nodes.values()):
            if node.name not in listed:
                await self._drop(node)
        for name, greeting in self._greetings.items():
            if name not in listed:
                greeting.cancel()
        known = {*self._nodes, *self._refused, *self._greetings}
        for name in (name for name in listed if name not in known):
            greeting = self._greetings[name] = asyncio.create_task(self._greet(name))
            greeting.add_done_callback(lambda _, name=name: self._greetings.pop(name, None))  # type: ignore[misc]
        await asyncio.gather(*map(self._check, list(self._nodes.values())))

    async def _greet(self, name: str) -> None:
        """Make a supervisor there. Each time none answers the next one gets twice as long: a busy machine starts
        slowly.
        """
        tried = self._unanswered.get(name, 0)
        limit_s = min(CALL_TIMEOUT_S * 2.0**tried, max(CALL_TIMEOUT_S, self._no_node_s))
        try:
            greeting: Greeting = await self._within(
                name, "hello", self._code is not None, self._landmarks, limit_s=limit_s
            )
        except NodeLostError:
            self._unanswered[name] = min(tried + 1, 30)
            return
        except BackendError as error:
            await self._give_up(error)
            return
        self._unanswered.pop(name, None)
        refused = self._unfit(f"machine {name} ({greeting['host']})", greeting)
        if refused is not None:
            print(refused, file=sys.stderr)  # noqa: T201 - the gateway's stderr is the driver's
            async with self._changed:
                self._refused[name] = refused
                self._changed.notify_all()
            return
        async with self._changed:
            self._nodes[name] = _Node(name, machine_of(greeting))
            self._changed.notify_all()

    def _unfit(self, machine: str, greeting: Greeting) -> HuracanError | None:
        if self._code is not None and greeting["code"] != self._code:
            return BackendError(
                f"{machine} runs other sources of Huracan ({(greeting['code'] or 'unknown')[:12]}) than this one "
                f"({self._code[:12]}); install the same release there and run again"
            )
        return refusal_of(machine, greeting["obstacles"])

    async def _check(self, node: _Node) -> None:
        try:
            fields: MachineFields = await self._within(node.name, "machine")
        except NodeLostError:
            await self._drop(node)
        else:
            node.machine = machine_of(fields)

    async def _within(self, name: str, method: str, *arguments: Any, limit_s: float | None = None) -> Any:
        limit_s = limit_s or CALL_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                return await self._cluster.call(name, method, *arguments)
        except TimeoutError as error:
            raise NodeLostError(f"no answer within {limit_s:g} s") from error

    async def _drop(self, node: _Node) -> None:
        """Forget a machine; its jobs end as lost, and it is greeted anew should it still be there."""
        if not node.gone:
            node.gone = True
            self._nodes.pop(node.name, None)
            for job in node.jobs.values():
                job.cancel()
            self._hurry.set()

    async def _give_up(self, error: BackendError) -> None:
        self._lost = self._lost or error
        for node in self._nodes.values():
            for job in node.jobs.values():
                job.cancel()
        async with self._changed:
            self._changed.notify_all()
