"""Dask and Ray behind the Backend port: a gateway process, and many requests at once over its pipe."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from huracan.adapters.backends.addresses import checked_dask_address, checked_ray_address, host_and_port
from huracan.adapters.backends.landmark import plant, uproot
from huracan.adapters.backends.messages import address_of, decode, encode, name_of, without_secrets
from huracan.adapters.backends.requests import GatewaySettings, NumberedReply, NumberedRequest, Request
from huracan.adapters.backends.supervisor import MachineFields, machine_of
from huracan.adapters.backends.worker import MAX_MESSAGE, Reply
from huracan.errors import BackendError
from huracan.ports import JobFunction, Machine

START_S: Final = 300.0
GATEWAY_S: Final = 60.0
"""What the process between needs beside the cluster."""
PROBE_S: Final = 10.0
STOP_TIMEOUT_S: Final = 40.0
RESERVE_BYTES: Final = 512 << 20


@dataclass(slots=True, kw_only=True)
class ClusterBackend:
    """Backend on Dask or Ray: at an address, or on a cluster of its own on this machine with `workers` slots.

    Jobs run in the same worker processes as those of `AsyncioPool`, kept by a supervisor on every machine. Functions
    must be importable there: machines at an address have the same release installed, and reach the `places` (folders,
    URLs of buckets) that jobs read and write.
    """

    kind: Literal["dask", "ray"]
    address: str | None = None
    workers: int = 4
    recycle_after: int = 500
    reserve: int = RESERVE_BYTES
    places: Sequence[str] = ()
    gpu_per_worker: float = 0.0
    start_s: float = START_S
    _landmarks: list[str] = field(default_factory=list)
    _folder: "tempfile.TemporaryDirectory[str] | None" = None
    _process: Process | None = None
    _reader: asyncio.Task[None] | None = None
    _waiting: dict[int, asyncio.Future[Reply]] = field(default_factory=dict)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def start(self) -> None:
        """Bring the gateway and the cluster up within `start_s`; raises BackendError naming the extra or the address,
        ConfigError for a machine that does not reach the places.
        """
        if self._process is not None:
            return
        if self.address is not None:
            await self._probe(self.address)
            self._landmarks = [await asyncio.to_thread(plant, place) for place in self.places]
        self._folder = tempfile.TemporaryDirectory(prefix="huracan-")
        command = [sys.executable, "-P", "-m", "huracan.adapters.backends.gateway", str(os.getpid())]
        environment = {**without_secrets(os.environ), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment)
        ready = self._waiting[0] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process))
        self._send(self._settings())
        try:
            async with asyncio.timeout(self.start_s + GATEWAY_S):
                decode(await ready)
        except TimeoutError as error:
            await self.stop()
            raise BackendError(
                f"the {self.kind} backend did not come up within {self.start_s:g} s; training.backend_start_s gives it more"
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def run(self, function: JobFunction, job: Any) -> Any:
        """The job's result; raises its error, WorkerLostError, or BackendError when the cluster is lost.

        Cancelling ends the worker that was at it before this returns.
        """
        address = address_of(function)
        if address is None:
            raise BackendError(
                f"{getattr(function, '__qualname__', function)!r} cannot be imported by a worker of the {self.kind} "
                "backend; wanted a function of a module (no closure, lambda or script), or the asyncio backend"
            )
        message = base64.b64encode(encode(address, job)).decode()
        token = str(next(self._ids))
        try:
            reply = await self._ask({"op": "run", "token": token, "message": message, "name": name_of(job)})
        except asyncio.CancelledError:
            with contextlib.suppress(BackendError):
                await asyncio.shield(self._ask({"op": "cancel", "token": token}))
            raise
        return decode(reply)

    async def machines(self) -> list[Machine]:
        """The cluster's machines as of their last word, at most a second or two old."""
        found: list[MachineFields] = decode(await self._ask({"op": "machines"}))
        return [machine_of(fields) for fields in found]

    async def stop(self) -> None:
        """Leave the cluster, ending a cluster of our own; jobs still running are lost."""
        process, self._process = self._process, None
        if process is None or self._reader is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await self._reader
        if self._folder is not None:
            self._folder.cleanup()
        for landmark in self._landmarks:
            uproot(landmark)

    @property
    def pid(self) -> int | None:
        """The gateway's process id."""
        return None if self._process is None else self._process.pid

    async def _probe(self, address: str) -> None:
        """Refuse an address that is open to the network or without a listener, before anything is started."""
        check = checked_dask_address if self.kind == "dask" else checked_ray_address
        host, port = host_and_port(check(address))
        try:
            async with asyncio.timeout(PROBE_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise BackendError(
                f"nobody answers at {self.kind} address {address} ({type(error).__name__}: {error}); check the address and "
                "that the cluster runs"
            ) from error
        writer.close()

    def _settings(self) -> GatewaySettings:
        code: str | None = None
        import_path: Sequence[str] = sys.path
        if self.address is not None:
            from huracan.training.jobs import compute_code_hash

            code, import_path = compute_code_hash(), ()
        assert self._folder is not None
        return {
            "kind": self.kind,
            "cluster": {
                "address": self.address,
                "workers": self.workers,
                "folder": self._folder.name,
                "supervisor": {"recycle_after": self.recycle_after, "import_path": list(import_path)},
                "start_s": self.start_s,
            },
            "gpu_per_worker": self.gpu_per_worker,
            "reserve": self.reserve,
            "code": code,
            "landmarks": self._landmarks,
            "no_node_s": self.start_s,
        }

    async def _ask(self, request: Request) -> Reply:
        if self._process is None:
            raise BackendError(f"the {self.kind} backend is not started; await start() first")
        if self._reader is None or self._reader.done():
            raise self._gone()
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "request": request})
            reply: Reply = await answer
            return reply
        finally:
            self._waiting.pop(number, None)

    def _send(self, value: GatewaySettings | NumberedRequest) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        data = json.dumps(value).encode()
        self._process.stdin.write(len(data).to_bytes(8, "big") + data)

    async def _read(self, process: Process) -> None:
        """Hand each answer to its request until the gateway ends. Then open requests fail."""
        assert process.stdout is not None
        try:
            while (size := int.from_bytes(await process.stdout.readexactly(8), "big")) <= MAX_MESSAGE:
                answer: NumberedReply = json.loads(await process.stdout.readexactly(size))
                waiting = self._waiting.pop(answer["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer["reply"])
        except (EOFError, OSError, ValueError):
            pass
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._gone())
        self._waiting.clear()

    def _gone(self) -> BackendError:
        return BackendError(
            f"the connection to the {self.kind} cluster {self.address or 'of this run'} is lost; run again: what is "
            "finished is kept"
        )
