"""Resident memory of this process, in bytes."""

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Now; where there is no /proc, the largest it has been."""
    return _from_status("VmRSS") or _largest()


def peak_resident_bytes() -> int:
    """The largest it has been since this program began.

    Not `ru_maxrss` where /proc can say it: that one starts with what the process held before exec, its parent's memory.
    """
    return _from_status("VmHWM") or _largest()


def _from_status(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _largest() -> int:
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
