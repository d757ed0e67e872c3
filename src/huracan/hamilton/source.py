"""A published tree in a local folder, read-only and wary: no links, no devices, nothing outside the root."""

import errno
import os
import stat
from pathlib import Path

from huracan.errors import BundleFormatError, ModelLoadError

_POINTER = "metadata/timestamp.json"
_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_HOSTILE = {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EISDIR}
_OPENS_IN_FOLDERS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


class FolderSource:
    """Implements `ports.BundleSource` on a folder; the folder itself may be a link, nothing below it may."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()
        self._pointer = str(self.root / _POINTER)

    @property
    def identity(self) -> str:
        """What tells this store from others in the user's state folder: its real path, whatever name leads there."""
        return str(self.root.resolve())

    @property
    def name(self) -> str:
        """The path as given, under which hand-made blocks are kept as well: they outlive a link that is moved."""
        return str(self.root)

    def version(self) -> object:
        """A token that changes when the pointer is replaced; None while there is none."""
        try:
            status = os.lstat(self._pointer)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def read(self, path: str, limit: int) -> bytes | None:
        """At most `limit` bytes of a file, None if absent; links, other file types and larger files are refused."""
        parts = path.split("/")
        if any(part in {"", ".", ".."} or "\0" in part or "\\" in part for part in parts):
            raise BundleFormatError(f"{path[:100]!r} is not a path inside a store")
        try:
            return self._read(parts, limit, path)
        except OSError as error:
            if error.errno in _ABSENT and not self._is_link(parts):
                return None
            if error.errno in _ABSENT or error.errno in _HOSTILE:
                raise BundleFormatError(
                    f"{path[:100]!r} in {self.root} is not a plain file ({error.strerror})"
                ) from error
            raise ModelLoadError(f"{path[:100]!r} in {self.root} cannot be read: {error.strerror}") from error

    def _read(self, parts: list[str], limit: int, path: str) -> bytes:
        file = self._open(parts) if _OPENS_IN_FOLDERS else self._open_by_name(parts)
        with os.fdopen(file, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleFormatError(f"{path[:100]!r} in {self.root} is not a plain file")
            data = stream.read(limit + 1) if status.st_size <= limit else b""
        if status.st_size > limit or len(data) > limit:
            raise BundleFormatError(f"{path[:100]!r} in {self.root}: more than {limit} bytes")
        return data

    def _open(self, parts: list[str]) -> int:
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Non-blocking, so a planted pipe cannot hang the trading process.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(parts[-1], flags, dir_fd=folder)
        finally:
            os.close(folder)

    def _open_by_name(self, parts: list[str]) -> int:
        """As `_open`, where a folder cannot be opened (Windows): a link may be put in the way after the look for one.

        What is read through it is refused all the same, unless it is the signed bytes.
        """
        path = self.root.joinpath(*parts)
        if any(":" in part for part in parts) or self._is_link(parts) or not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def _is_link(self, parts: list[str]) -> bool:
        # O_DIRECTORY on a link says ENOTDIR: a link in the way is an attack, not an absence.
        ways = (self.root.joinpath(*parts[:count]) for count in range(1, len(parts) + 1))
        return any(way.is_symlink() or getattr(way, "is_junction", bool)() for way in ways)
