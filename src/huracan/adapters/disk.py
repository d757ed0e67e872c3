"""What the disk promises, and which failures, also of a native library, mean that it is full or gives out."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huracan.errors import ConfigError, DiskFullError

_FAILED = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_WORDS = re.compile(r"os error (?:5|28|122)\b|No space left on device|[Dd]isk quota exceeded|Input/output error")


def is_disk_full(error: BaseException) -> bool:
    """True for ENOSPC, EDQUOT and EIO, also where a native library left only the text."""
    return getattr(error, "errno", None) in _FAILED or _WORDS.search(str(error)) is not None


def sqlite_disk_failed(error: sqlite3.Error, file: Path | None = None) -> bool:
    """True when the disk is full or gave out under a database: its file is as sound as before, and no backup is wanted.

    It also shows where the journal beside `file` cannot be made although the folder is ours.
    """
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    no_journal = primary == sqlite3.SQLITE_CANTOPEN and file is not None and os.access(file.parent, os.W_OK)
    return no_journal or primary in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """A full disk, an exhausted quota or a failing device as DiskFullError, naming the target; others as they are."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(
                f"{target} could not be written: {error.strerror}; free some space, then run again"
            ) from error
        raise


def may_write(folder: Path) -> bool:
    """Whether this user could write in a folder, or make it where it is not there yet."""
    return os.access(folder, os.W_OK | os.X_OK) if folder.exists() else may_write(folder.parent)


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and what is missing above it, so that the names outlive a power cut; `mode` for each new one.

    Raises ConfigError where this user may not, or where a file stands in the way, and OSError for a full disk.
    """
    missing: list[Path] = []
    wanted = folder
    try:
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
    except OSError as error:
        raise _no_folder(wanted, error) from error
    for new in reversed(missing):
        try:
            new.mkdir(mode=mode, exist_ok=True)
        except OSError as error:
            if is_disk_full(error):
                raise
            raise _no_folder(wanted, error) from error
        sync_folder(new.parent)


def _no_folder(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"folder {folder} cannot be made ({error.strerror}: {error.filename}). Let this user write there, or name another"
        " folder."
    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
