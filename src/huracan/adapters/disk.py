"""What the disk promises, and which failures of a native library mean that it is full."""

import os
import re
from pathlib import Path

_FULL = re.compile(r"os error (?:28|122)\b|No space left on device|[Dd]isk quota exceeded")


def is_disk_full(error: BaseException) -> bool:
    """True for ENOSPC and EDQUOT, also where a native library only left the words."""
    return getattr(error, "errno", None) in {28, 122} or _FULL.search(str(error)) is not None


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and what is missing above it, so that the names outlive a power cut; `mode` for each new one."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=mode, exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
