"""Who holds a store's lock, found out without touching it: trying the lock could refuse a run that starts just then."""

import os
from pathlib import Path
from typing import Final

PROC_LOCKS: Final = Path("/proc/locks")


def lock_holder(store: Path, table: Path = PROC_LOCKS) -> int | None:
    """Process id of the run that holds the lock of a folder store, 0 where it is unknown (another namespace), None
    where it is free.

    Raises OSError on a system without a table of locks.
    """
    try:
        status = (store / ".lock").stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted:
            return max(0, int(fields[4]))
    return None
