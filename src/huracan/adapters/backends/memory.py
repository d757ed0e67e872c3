"""How much memory jobs may use here, and how many of them that is enough for."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from huracan.ports import Machine

PROC: Final = Path("/proc")
CGROUP: Final = Path("/sys/fs/cgroup")


def room(machine: Machine, reserve: int) -> int:
    """How many jobs a machine may run at once: its slots, or fewer where each might need as much as the largest so far.

    Memory that workers hold already counts as theirs, so the answer does not depend on how far running jobs have got.
    """
    if machine.memory is None or machine.largest <= 0:
        return machine.slots
    return max(0, min(machine.slots, (machine.memory - reserve) // machine.largest))


def memory_for_jobs(held: int, *, proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Bytes that workers may use together: what they hold now and what is available; None where it is unknown."""
    free = [value for value in (_available(proc / "meminfo"), _left_in(cgroup)) if value is not None]
    return held + min(free) if free else None


def held_and_peak(pids: Iterable[int], *, proc: Path = PROC) -> tuple[int, int]:
    """Bytes resident in these processes together, and the most that one of them ever held; ended ones count nothing."""
    held = peak = 0
    for pid in pids:
        try:
            status = (proc / str(pid) / "status").read_text()
        except OSError:
            continue
        held += _kilobytes(status, "VmRSS") or 0
        peak = max(peak, _kilobytes(status, "VmHWM") or 0)
    return held, peak


def _available(meminfo: Path) -> int | None:
    try:
        return _kilobytes(meminfo.read_text(), "MemAvailable")
    except OSError:
        return None


def _left_in(cgroup: Path) -> int | None:
    """Bytes left below this control group's limit; page cache that can be dropped counts as left."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        cache = re.search(r"^inactive_file (\d+)$", (cgroup / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + (int(cache[1]) if cache else 0)


def _kilobytes(text: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
