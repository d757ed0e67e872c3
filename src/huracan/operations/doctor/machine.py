"""The machine: interpreter, cores, memory, the kernels' cache, and the extras that the configuration asks for."""

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from huracan.app.wiring import worker_count
from huracan.errors import BackendError
from huracan.operations.doctor.finding import Circumstances, Finding, doubtful, right, wrong

AREA: Final = "machine"
OLDEST_PYTHON: Final = (3, 11)
WORKER_BYTES: Final = 1 << 30
"""What a worker, or the driver, may take at its peak: the limit that the demo is held to."""
MODULES: Final = {"dask": ("distributed",), "ray": ("ray",), "dropbox": ("dropbox",)}
"""What an extra brings, by its name."""


async def interpreter(here: Circumstances) -> list[Finding]:
    """Python's version, and cores against workers."""
    del here
    seen = f"{platform.python_version()} on {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return [wrong(AREA, "Python", f"{seen}; wanted 3.11 or newer")]
    return [right(AREA, "Python", seen)]


async def cores(here: Circumstances) -> list[Finding]:
    """Worker processes against the cores this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = worker_count(here.settings)
    seen = f"{workers} workers on {allowed} cores"
    if workers > allowed and here.settings.training.training_backend == "asyncio":
        return [
            doubtful(AREA, "cores", seen, "set training.num_workers to 0 (one a core); more only wait for each other")
        ]
    return [right(AREA, "cores", seen)]


async def memory(
    here: Circumstances, proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> list[Finding]:
    """Free memory against a gigabyte a process."""
    free = available_bytes(proc, cgroup)
    if free is None:
        return [doubtful(AREA, "memory", "this system does not tell", "make sure that a gigabyte a worker is free")]
    processes = 1 + (worker_count(here.settings) if here.settings.training.training_backend == "asyncio" else 0)
    seen = f"{free / 2**30:.1f} GB free, {processes} process{'' if processes == 1 else 'es'}"
    if free < processes * WORKER_BYTES:
        return [doubtful(AREA, "memory", seen, "a process may take 1 GB: lower training.num_workers, or add memory")]
    return [right(AREA, "memory", seen)]


def available_bytes(proc: Path, cgroup: Path) -> int | None:
    """Memory this process may still take: the machine's, or what its control group has left."""
    try:
        lines = proc.read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - used))


async def kernel_cache(here: Circumstances) -> list[Finding]:
    """Whether compiled kernels are kept, and nobody else can write there."""
    del here
    from huracan.stats.kernel import NOT_CACHED

    if not NOT_CACHED:
        return [right(AREA, "kernel cache", "private to this user")]
    return [doubtful(AREA, "kernel cache", NOT_CACHED, "until then kernels are compiled at every start")]


async def extras(here: Circumstances) -> list[Finding]:
    """The extras of the configured backend and publishing targets."""
    backend = here.settings.training.training_backend
    wanted: list[str] = [backend] if backend in MODULES else []
    if here.settings.dropbox_access_token or here.settings.dropbox_refresh_token:
        wanted.append("dropbox")
    found = []
    for extra in wanted:
        missing = [name for name in MODULES[extra] if find_spec(name) is None]
        if missing:
            text = f"{', '.join(missing)} is not installed: pip install 'huracan-engine[{extra}]'"
            found.append(wrong(AREA, f"extra {extra}", BackendError(text) if extra == backend else text))
        else:
            found.append(right(AREA, f"extra {extra}", "installed"))
    return found or [right(AREA, "extras", "none wanted by this configuration")]
