"""A file that one process at a time holds, on every system that Hamilton runs on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

OWN_FILE: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of `os.open` for a file of ours: no link is followed, no child inherits it, no byte is translated."""


def _system(name: str) -> Any | None:
    """A module that only some systems have, or None."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


_POSIX: Final = _system("fcntl")
_WINDOWS: Final = None if _POSIX else _system("msvcrt")


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Wait for the lock of a file and hold it; raises OSError where it cannot be had, on Windows after ten seconds."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | OWN_FILE, 0o600)
    try:
        if _POSIX:
            _POSIX.flock(descriptor, _POSIX.LOCK_EX)
        elif _WINDOWS:
            _WINDOWS.locking(descriptor, _WINDOWS.LK_LOCK, 1)
        try:
            yield
        finally:
            if _WINDOWS:  # there, closing frees a lock at some later time
                os.lseek(descriptor, 0, os.SEEK_SET)
                _WINDOWS.locking(descriptor, _WINDOWS.LK_UNLCK, 1)
    finally:
        os.close(descriptor)
