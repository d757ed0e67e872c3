"""On a machine of a cluster: the worker processes of one driver, ended when the driver cancels, leaves or falls silent.

Dask and Ray carry messages to it and see none of its jobs: they can neither repeat one silently nor lose a neighbour's.
"""

import asyncio
import os
import platform
import time
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from huracan.adapters.backends.asyncio_pool import AsyncioPool
from huracan.adapters.backends.landmark import obstacles
from huracan.adapters.backends.messages import refusal
from huracan.adapters.backends.worker import Reply
from huracan.errors import BackendError, WorkerLostError
from huracan.ports import Machine

LEASE_S: Final = 60.0
"""A driver that has not called for so long is gone; the results of its jobs are not awaited."""

LOOK_S: Final = 5.0


class SupervisorSettings(TypedDict):
    """What every machine's supervisor is made with; the slots are the machine's."""

    recycle_after: int
    import_path: list[str]


class SlottedSettings(SupervisorSettings):
    """As above, for one machine."""

    slots: int


class MachineFields(TypedDict):
    """A `Machine` as it travels: machines of other releases are greeted before their code is compared."""

    slots: int
    running: int
    memory: int | None
    largest: int


class Greeting(MachineFields):
    """The answer to "hello". `code` is None where it was not asked for, `obstacles` are those to the landmarks."""

    host: str
    pid: int
    code: str | None
    obstacles: dict[str, str]


class JobAnswer(TypedDict):
    """The reply to a job, and the machine after it."""

    reply: Reply
    machine: MachineFields


def machine_fields(machine: Machine) -> MachineFields:
    """A machine as it travels."""
    return {
        "slots": machine.slots,
        "running": machine.running,
        "memory": machine.memory,
        "largest": machine.largest,
    }


def machine_of(fields: MachineFields) -> Machine:
    """Inverse of `machine_fields`; further fields are left out."""
    return Machine(slots=fields["slots"], running=fields["running"], memory=fields["memory"], largest=fields["largest"])


class Supervisor:
    """`slots` worker processes of one driver; every call renews the driver's lease."""

    def __init__(
        self, *, slots: int, recycle_after: int, import_path: Sequence[str] = (), lease_s: float = LEASE_S
    ) -> None:
        self._pool = AsyncioPool(slots=slots, recycle_after=recycle_after, import_path=import_path)
        self._jobs: dict[str, asyncio.Task[Reply]] = {}
        self._lease_s = lease_s
        self._last_call = time.monotonic()
        self._watch: asyncio.Task[None] | None = None

    async def call(self, method: str, *arguments: Any) -> Any:
        """One of the methods below, by name."""
        self._last_call = time.monotonic()
        if method == "ask":
            return await self.ask(*arguments)
        if method == "cancel":
            return await self.cancel(*arguments)
        if method == "stop":
            return await self.stop()
        machine = machine_fields(self._pool.machine())
        return await _greeting(machine, *arguments) if method == "hello" else machine

    async def ask(self, token: str, message: bytes, name: str) -> JobAnswer:
        """Run an encoded job; a dead worker is a reply too."""
        await self._pool.start()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._end_when_silent())
        job = self._jobs[token] = asyncio.create_task(self._pool.answer(message, name))
        try:
            reply: Reply = await job
        except BackendError as error:
            reply = refusal(error)
        except asyncio.CancelledError:
            if not job.cancelled():
                job.cancel()
                raise
            reply = refusal(
                WorkerLostError(f"the worker was ended while it worked on {name}: its result is not awaited")
            )
        finally:
            del self._jobs[token]
        return {"reply": reply, "machine": machine_fields(self._pool.machine())}

    async def cancel(self, token: str) -> None:
        """End a job and its worker; back when the slot is free. Nothing for a job that is not here."""
        if (job := self._jobs.get(token)) is not None:
            job.cancel()
            await asyncio.wait([job])

    async def stop(self) -> None:
        """End everything."""
        for job in self._jobs.values():
            job.cancel()
        if self._jobs:
            await asyncio.wait(list(self._jobs.values()))
        await self._pool.stop()
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()

    async def _end_when_silent(self) -> None:
        while (left_s := self._last_call + self._lease_s - time.monotonic()) > 0:  # noqa: ASYNC110 - every call moves it on
            await asyncio.sleep(min(left_s, LOOK_S))
        await self.stop()


_SESSIONS: Final[dict[str, Supervisor]] = {}


async def in_session(session: str, settings: SlottedSettings, method: str, *arguments: Any) -> Any:
    """Call the supervisor that this process keeps for a session, made when it is first asked for."""
    if session not in _SESSIONS:
        _SESSIONS[session] = Supervisor(**settings)
    try:
        return await _SESSIONS[session].call(method, *arguments)
    finally:
        if method == "stop":
            _SESSIONS.pop(session, None)


async def _greeting(machine: MachineFields, with_code: bool, landmarks: Sequence[str]) -> Greeting:
    code: str | None = None
    met = await obstacles(landmarks)
    if with_code:
        from huracan.training.jobs import compute_code_hash

        code = compute_code_hash()
    return {**machine, "host": platform.node(), "pid": os.getpid(), "code": code, "obstacles": met}
