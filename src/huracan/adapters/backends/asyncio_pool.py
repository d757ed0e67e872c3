"""The default backend: worker processes under our own supervision, driven from one event loop.

A process pool of the standard library loses every unfinished job when one worker dies; here a dead worker costs
exactly its own job. Jobs, results and errors travel as JSON, functions as ``module:name``; nothing is pickled.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huracan.adapters.backends import worker as worker_module
from huracan.adapters.backends.in_process import InProcess
from huracan.adapters.backends.memory import held_and_peak, memory_for_jobs
from huracan.adapters.backends.messages import address_of, decode, encode, name_of, worker_environment
from huracan.adapters.backends.worker import MAX_MESSAGE, Reply
from huracan.errors import BackendError, WorkerLostError
from huracan.ports import JobFunction, Machine

START_S = 300.0
STOP_TIMEOUT_S = 10.0


@dataclass(slots=True, eq=False)
class _Worker:
    process: Process
    jobs: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    async def receive(self) -> Any:
        assert self.process.stdout is not None
        size = int.from_bytes(await self.process.stdout.readexactly(8), "big")
        if size > MAX_MESSAGE:
            raise EOFError
        return json.loads(await self.process.stdout.readexactly(size))

    async def ask(self, data: bytes) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(len(data).to_bytes(8, "big") + data)
        await self.process.stdin.drain()
        return await self.receive()

    async def end(self, *, kill: bool) -> int:
        """End the process and reap it; returns its exit status (negative: the signal)."""
        if kill and self.process.returncode is None:
            self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


@dataclass(slots=True, kw_only=True)
class AsyncioPool:
    """Backend of `slots` worker processes, one job at a time each, single-threaded inside, ended with their parent.

    Module-level functions run in workers; others run in this process (`InProcess`), where time-outs cannot end a
    thread. In a worker a job must be JSON-able, or of a module-level class with `to_json` and `from_json`. Cancelling
    `run` ends the worker that was at it. A worker is replaced after `recycle_after` jobs. `import_path` is the workers'
    (empty: ours). One that is not ready after `start_s` is ended.
    """

    slots: int = 4
    recycle_after: int = 500
    import_path: Sequence[str] = ()
    start_s: float = START_S
    _largest: int = 0
    _idle: list[_Worker] = field(default_factory=list)
    _busy: set[_Worker] = field(default_factory=set)
    _free: asyncio.Semaphore | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _started: bool = False

    async def start(self) -> None:
        """Get ready; workers come up when a job needs them, so functions of this process never pay for any."""
        self._started = True

    async def run(self, function: JobFunction, job: Any) -> Any:
        """The job's result; raises its error (ours as they are, others as JobFailedError), or WorkerLostError.

        BackendError: no worker process can be started at all.
        """
        address = address_of(function)
        if address is None:
            return await InProcess(slots=self.slots).run(function, job)
        if not self._started:
            raise BackendError("the worker pool is not started; await start() first")
        data = encode(address, job)
        return decode(await self.answer(data, name_of(job)))

    async def answer(self, message: bytes, name: str) -> Reply:
        """A worker's reply to an encoded job; raises WorkerLostError, BackendError where no worker can be started."""
        async with self._slot():
            return await self._in_worker(message, name)

    async def stop(self) -> None:
        """Shut workers down; jobs still running are lost."""
        self._started = False
        if self._loop is not asyncio.get_running_loop():
            self._abandon()
        workers, busy = [*self._idle, *self._busy], set(self._busy)
        self._idle.clear()
        self._busy.clear()
        await asyncio.gather(*(worker.end(kill=worker in busy) for worker in workers))

    def _slot(self) -> asyncio.Semaphore:
        """The limit on workers; pipes belong to one event loop, so a new loop starts with new workers."""
        loop = asyncio.get_running_loop()
        if self._free is None or self._loop is not loop:
            self._abandon()
            self._loop, self._free = loop, asyncio.Semaphore(self.slots)
        return self._free

    def _abandon(self) -> None:
        """Kill workers whose event loop is gone: nothing can be awaited there any more."""
        for worker in (*self._idle, *self._busy):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        self._idle.clear()
        self._busy.clear()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the living workers."""
        return tuple(worker.pid for worker in (*self._idle, *self._busy))

    async def machines(self) -> list[Machine]:
        """The machine we are on."""
        return [self.machine()]

    def machine(self) -> Machine:
        """The machine we are on, with the memory its workers hold and may have, as of now."""
        held, peak = held_and_peak(self.pids)
        self._largest = max(self._largest, peak)
        return Machine(slots=self.slots, running=len(self._busy), memory=memory_for_jobs(held), largest=self._largest)

    async def _in_worker(self, data: bytes, name: str) -> Reply:
        worker = await self._take()
        self._busy.add(worker)
        sound = False
        try:
            reply: Reply = await worker.ask(data)
            sound = True
        except (EOFError, OSError, ValueError) as error:
            status = await worker.end(kill=True)
            raise WorkerLostError(
                f"worker {worker.pid} ended with status {status} while it worked on {name}; only this job is affected"
            ) from error
        finally:
            self._busy.discard(worker)
            if not sound and worker.process.returncode is None:
                await asyncio.shield(worker.end(kill=True))
        await self._give_back(worker)
        return reply

    async def _take(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.returncode is None:
                return worker
            await worker.end(kill=True)
        return await self._spawn()

    async def _give_back(self, worker: _Worker) -> None:
        worker.jobs += 1
        self._largest = max(self._largest, held_and_peak([worker.pid])[1])
        if worker.jobs >= self.recycle_after or not self._started:
            await worker.end(kill=False)
        else:
            self._idle.append(worker)

    async def _spawn(self) -> _Worker:
        script = str(Path(worker_module.__file__))
        command = [sys.executable, "-P", script, str(os.getpid()), *(self.import_path or sys.path)]
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=worker_environment())
        except OSError as error:
            raise BackendError(f"no worker process could be started with {sys.executable}: {error}") from error
        worker = _Worker(process)
        try:
            await asyncio.wait_for(worker.receive(), self.start_s)
        except TimeoutError as error:
            await worker.end(kill=True)
            raise BackendError(
                f"a worker process was not ready after {self.start_s:g} s; training.backend_start_s gives it more"
            ) from error
        except (EOFError, OSError, ValueError) as error:
            status = await worker.end(kill=True)
            raise BackendError(
                f"a worker process ended with status {status} before its first job; see stderr"
            ) from error
        except asyncio.CancelledError:
            await asyncio.shield(worker.end(kill=True))
            raise
        return worker
