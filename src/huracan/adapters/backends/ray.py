"""Ray as a carrier of messages: one actor a machine holds our supervisor; Ray repeats nothing and limits nothing."""

import asyncio
import logging
import math
import os
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict, cast

from huracan.adapters.backends.addresses import checked_bind, checked_ray_address, host_and_port
from huracan.adapters.backends.nodes import NodeLostError
from huracan.adapters.backends.supervisor import Supervisor, SupervisorSettings
from huracan.domain.addresses import is_loopback
from huracan.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from ray.actor import ActorHandle

HEAD_S: Final = 15.0
OBJECT_STORE_BYTES: Final = 80_000_000
"""About the least Ray takes; messages are small and never lie in its object store."""
CALLS_AT_ONCE: Final = 10_000
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0"}
_STAY_ON_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes 127.0.0.1 for this machine's address on the network, and listens there, unless this is off (as on a
Mac).
"""


class RayNode(TypedDict):
    """A machine as `ray.nodes` lists it: the fields read here."""

    NodeID: str
    Alive: bool
    NodeManagerHostname: str
    Resources: dict[str, float]


class LocalOptions(TypedDict):
    """What a cluster of our own is started with."""

    num_cpus: int
    num_gpus: NotRequired[int]
    include_dashboard: bool
    object_store_memory: int
    _node_ip_address: str
    _temp_dir: str


class RayCluster:
    """The cluster whose head is at an address (with a token outside loopback), or one of our own on loopback.

    Where workers want GPUs, a machine has as many slots as its processors and its GPUs suffice for.
    """

    def __init__(
        self,
        *,
        address: str | None,
        workers: int,
        folder: str,
        supervisor: SupervisorSettings,
        start_s: float,
        gpu_per_worker: float = 0.0,
    ) -> None:
        os.environ.update(_QUIET)  # before the import, which reads them
        if address is None:
            os.environ.update(_own_token())
        if address is None or is_loopback(host_and_port(address)[0]):
            os.environ.update(_STAY_ON_LOOPBACK)
        try:
            import ray
        except ImportError as error:
            raise BackendError(
                f"the ray backend needs its extra: pip install 'huracan-engine[ray]' ({error})"
            ) from error
        self._ray = ray
        self._address = address
        self._workers = workers
        self._start_s = start_s if address is None else 0.0
        self._supervisor = supervisor
        self._folder = folder
        self._gpus = gpu_per_worker
        self._actors: dict[str, ActorHandle[Supervisor]] = {}
        self._slots: dict[str, int] = {}

    async def open(self) -> None:
        """Connect, or start a local cluster; raises BackendError naming the address, ConfigError where no machine has
        the GPUs.
        """
        address = checked_ray_address(self._address) if self._address else "local"
        own = self._own() if self._address is None else None
        self._connect(address, own)
        if self._gpus and not await self.nodes():
            listed: list[RayNode] = await asyncio.to_thread(self._ray.nodes)
            seen = ", ".join(f"{one['NodeManagerHostname']} {_has(one, 'GPU'):g}" for one in listed)
            raise ConfigError(
                f"gpu_per_worker is {self._gpus:g}, and no machine of the Ray cluster {self._address or 'of this run'} has as many "
                f"GPUs ({seen}); add one that has, ask for less, or leave it at 0"
            )

    def _connect(self, address: str, own: LocalOptions | None) -> None:
        init = partial(
            self._ray.init,
            address=address,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.CRITICAL,
        )
        until = time.monotonic() + self._start_s
        while True:
            try:
                init() if own is None else init(**own)
            except Exception as error:  # Ray raises a bare Exception when its own 30 s for a node have passed
                self._ray.shutdown()
                if time.monotonic() > until or not _came_late(error):
                    where = self._address or "on this machine"
                    raise BackendError(
                        f"no Ray cluster {where}: {type(error).__name__}: {error}; check the address, that its head runs,"
                        " and that this machine is one of its nodes"
                    ) from error
            else:
                return

    def _own(self) -> LocalOptions:
        options: LocalOptions = {
            "num_cpus": self._workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_node_ip_address": checked_bind("127.0.0.1"),
            "_temp_dir": self._folder,
        }
        return options if self._gpus else {**options, "num_gpus": 0}

    async def nodes(self) -> dict[str, int]:
        """Living machines by Ray's id, with their slots."""
        try:
            async with asyncio.timeout(HEAD_S):
                listed: list[RayNode] = await asyncio.to_thread(self._ray.nodes)
        except (OSError, TimeoutError, RuntimeError, self._ray.exceptions.RayError) as error:
            raise BackendError(
                f"the head of the Ray cluster {self._address or 'of this run'} is lost ({type(error).__name__}: {error}); "
                "start it and run again: what is finished is kept"
            ) from error
        found = {node["NodeID"]: self._room(node) for node in listed if node["Alive"]}
        self._slots = {name: slots for name, slots in found.items() if slots > 0}
        return self._slots

    def _room(self, node: RayNode) -> int:
        """How many workers a machine has processors, and GPUs where they want any, for."""
        cores = int(_has(node, "CPU"))
        return min(cores, int(_has(node, "GPU") / self._gpus + 1e-9)) if self._gpus else cores

    async def call(self, node: str, method: str, *arguments: Any) -> Any:
        """Call our actor on a machine; "hello" makes a new one."""
        if method == "hello" and (old := self._actors.pop(node, None)) is not None:
            self._ray.kill(old)
        try:
            if node not in self._actors:
                self._actors[node] = self._make(node)
            return await self._actors[node].call.remote(method, *arguments)
        except self._ray.exceptions.RayError as error:
            raise NodeLostError(f"{type(error).__name__}: {error}".partition("\n")[0]) from error

    def _make(self, node: str) -> "ActorHandle[Supervisor]":
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        slots = self._slots.get(node, 1)
        gpus = self._gpus * slots
        actor = self._ray.remote(Supervisor).options(
            num_cpus=slots,
            num_gpus=gpus if gpus <= 1 else math.ceil(gpus - 1e-9),  # Ray gives parts of one GPU, and whole ones beyond
            max_concurrency=CALLS_AT_ONCE,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        return cast("ActorHandle[Supervisor]", actor.remote(**self._supervisor, slots=slots))

    async def close(self) -> None:
        """Disconnect; a cluster of our own ends."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        await asyncio.to_thread(self._ray.shutdown)


def _has(node: RayNode, resource: str) -> float:
    """How much of a resource a machine has, as Ray reports it."""
    return float(node["Resources"].get(resource, 0.0))


def _came_late(error: Exception) -> bool:
    """Whether a part of Ray did not come up in time, as on a busy machine; another attempt may."""
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


def _own_token() -> dict[str, str]:
    """The variables of a cluster of our own: a token of this run alone, on no disk."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_memory_monitor_refresh_ms": "0",  # it would end the supervisor instead of the job that grew
    }
