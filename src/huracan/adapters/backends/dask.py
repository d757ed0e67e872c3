"""Dask as a carrier of messages: calls to the supervisors on its workers, none of its own scheduling of tasks."""

import asyncio
import contextlib
import logging
import secrets
from typing import Any, Final

from huracan.adapters.backends.addresses import checked_bind, checked_dask_address
from huracan.adapters.backends.nodes import NodeLostError
from huracan.adapters.backends.supervisor import SlottedSettings, SupervisorSettings, in_session
from huracan.errors import BackendError

CONNECT_S: Final = 15.0
_CONFIG: Final = {
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "15s",
    "distributed.worker.profile.enabled": False,  # its profiler and monitors burn 2 % of a core unused
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
}


class DaskCluster:
    """A scheduler at an address (of TLS outside loopback), or one of our own with one worker process on loopback.

    Calls use the out-of-band channel (`Client.run`): tasks would be repeated silently when a worker dies.
    """

    def __init__(
        self, *, address: str | None, workers: int, folder: str, supervisor: SupervisorSettings, start_s: float
    ) -> None:
        try:
            import distributed
        except ImportError as error:
            raise BackendError(
                f"the dask backend needs its extra: pip install 'huracan-engine[dask]' ({error})"
            ) from error
        self._distributed = distributed
        self._address = address
        self._workers = workers
        self._connect_s = CONNECT_S if address is not None else max(CONNECT_S, start_s)
        self._folder = folder
        self._supervisor = supervisor
        self._session = secrets.token_hex(8)
        self._local: Any = None
        self._client: Any = None
        self._security: Any = None
        self._slots: dict[str, int] = {}

    async def open(self) -> None:
        """Connect, or start a local cluster; raises BackendError naming the address."""
        import dask

        dask.config.set(_CONFIG)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        address = checked_dask_address(self._address) if self._address else await self._start()
        try:
            self._client = await self._distributed.Client(  # type: ignore[no-untyped-call]
                address, asynchronous=True, timeout=self._connect_s, set_as_default=False, security=self._security
            )
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise BackendError(
                f"no Dask scheduler answers at {address} within {self._connect_s:g} s: {type(error).__name__}: {error}; "
                "check the address and that it is running"
            ) from error

    async def _start(self) -> str:
        self._security = self._distributed.Security.temporary()  # type: ignore[no-untyped-call]  # loopback is open to other users of this machine
        self._local = await self._distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=1,
            threads_per_worker=self._workers,
            host=checked_bind("127.0.0.1"),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            security=self._security,
            protocol="tls",
            local_directory=self._folder,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            asynchronous=True,
        )
        address: str = self._local.scheduler_address
        return address

    async def nodes(self) -> dict[str, int]:
        """Living workers by address, with their threads as slots."""
        try:
            async with asyncio.timeout(CONNECT_S):
                identity = await self._client.scheduler.identity()
        except (OSError, TimeoutError) as error:
            raise self._headless(error) from error
        self._slots = {address: int(worker["nthreads"]) for address, worker in identity["workers"].items()}
        return self._slots

    async def call(self, node: str, method: str, *arguments: Any) -> Any:
        """Call our supervisor in a worker process."""
        settings: SlottedSettings = {**self._supervisor, "slots": self._slots.get(node, 1)}
        try:
            answers = await self._client.run(
                in_session, self._session, settings, method, *arguments, workers=[node], on_error="return"
            )
        except OSError as error:
            raise self._headless(error) from error
        answer = answers[node]
        if isinstance(answer, Exception):
            raise NodeLostError(f"{type(answer).__name__}: {answer}") from answer
        return answer

    async def close(self) -> None:
        """Disconnect; a cluster of our own ends."""
        for part in (self._client, self._local):
            if part is not None:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(CONNECT_S):
                        await part.close()

    def _headless(self, error: Exception) -> BackendError:
        where = self._address or "of this run"
        return BackendError(
            f"the Dask scheduler {where} is lost ({type(error).__name__}: {error}); start it and run again: "
            "what is finished is kept"
        )
