"""A local folder as a store: durable, atomic, one writer at a time.

Temporary files live in ``.tmp`` (0700), never beside what readers see. The kernel's lock on ``.lock`` belongs to the
process that holds it and ends with it, so it needs no stealing and no time-out.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from huracan.adapters.disk import make_folders, sync_folder
from huracan.adapters.publishers.paths import inside
from huracan.errors import ConfigError, DiskFullError, LockedError, PublishError

RESERVE_BYTES: Final = 16 << 20
"""Free space that a publish leaves to the rest of the machine."""

PRIVATE_FILES: Final = (".lock", ".mirrors.json")
"""The lock, and the account of remote copies; not part of the published tree."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p", "vboxsf", "ncpfs"}
_LOCAL_FUSE = {"fuse.fuse-overlayfs"}
_SYNC_MARKS = (".dropbox.cache", ".tmp.drivedownload", ".stfolder", ".owncloudsync.log")


class FolderStore:
    """Implements `ports.Publisher` on a folder. The first write takes the lock; `close` gives it back.

    Use as a context manager to hold the lock from the start. Raises ConfigError for a folder on a network
    file system or inside a synchronised one, LockedError while another run holds it, DiskFullError when the disk, the
    quota or the device gives out, PublishError when a path already holds other bytes.
    """

    def __init__(self, path: str | Path) -> None:
        self.root = Path(path).absolute()
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock is not None

    def acquire(self) -> None:
        """Take the lock, or raise LockedError; then temporary files of crashed runs are removed."""
        if self._lock is not None:
            return
        refuse_shared_folder(self.root)
        with _disk_errors(self.root):
            make_folders(self.root)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise ConfigError(
                    f"store {self.root} cannot be written by this user; give it the folder, or name another"
                )
            lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise LockedError(
                    f"another run holds the store {self.root}; wait for it to end (the lock ends with its process)"
                ) from None
            self._lock = lock
            temporary = self.root / ".tmp"
            temporary.mkdir(mode=0o700, exist_ok=True)
            temporary.chmod(0o700)
            for left in temporary.iterdir():
                left.unlink()

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def preflight(self, needed_bytes: int) -> None:
        """Raise DiskFullError unless `needed_bytes` and a reserve are free."""
        self.acquire()
        free = shutil.disk_usage(self.root).free
        if free < needed_bytes + RESERVE_BYTES:
            raise DiskFullError(
                f"{self.root}: {free} bytes free, {needed_bytes + RESERVE_BYTES} wanted; yesterday's champions are"
                " untouched. Free some space, then `huracan publish`."
            )

    def read(self, path: str) -> bytes | None:
        """Bytes at a store path, or None."""
        with _disk_errors(self.root):
            try:
                return self._at(path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write_new(self, path: str, data: bytes) -> None:
        """Write an immutable file durably; identical bytes at the path are no error, others are a PublishError."""
        target = self._at(path)
        with _disk_errors(self.root):
            temporary = self._temporary(data)
            try:
                make_folders(target.parent)
                os.link(temporary, target)
            except FileExistsError:
                if target.is_symlink() or target.read_bytes() != data:
                    raise PublishError(f"{path} in {self.root} already holds other bytes; it is immutable") from None
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(target.parent)

    def replace(self, path: str, data: bytes) -> None:
        """Atomically replace a mutable file (metadata, pointer), durably."""
        target = self._at(path)
        with _disk_errors(self.root):
            temporary = self._temporary(data)
            try:
                make_folders(target.parent)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(target.parent)

    def list(self, prefix: str) -> list[str]:
        """File paths below a prefix (a folder), sorted; what is private is not part of the tree."""
        start = self._at(prefix) if prefix else self.root
        found: list[str] = []
        for folder, folders, files in os.walk(start):
            if Path(folder) == self.root:
                folders[:] = [name for name in folders if name != ".tmp"]
                files = [name for name in files if name not in PRIVATE_FILES]  # noqa: PLW2901
            found += [(Path(folder) / name).relative_to(self.root).as_posix() for name in files]
        return sorted(found)

    def delete_tree(self, prefix: str) -> None:
        """Remove files that were never part of a signed set, or are listed by none any more."""
        target = self._at(prefix)
        self.acquire()
        with _disk_errors(self.root):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
            if target.parent.exists():
                sync_folder(target.parent)

    def _at(self, path: str) -> Path:
        parts = inside(path).split("/")
        if parts[0] in {".tmp", ".lock"}:
            raise PublishError(f"{path!r} is not a path inside a store")
        return self.root.joinpath(*parts)

    def _temporary(self, data: bytes) -> Path:
        self.acquire()
        temporary = self.root / ".tmp" / "next"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def refuse_shared_folder(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise ConfigError when the folder lies on a network file system or in a synchronised folder, where locks lie."""
    real = path.resolve()
    kind = _filesystem(real, mounts)
    if kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        raise ConfigError(f"the store {path} lies on a network file system ({kind}), whose locks cannot be relied on")
    for folder in (real, *real.parents):
        marks = [mark for mark in _SYNC_MARKS if (folder / mark).exists()]
        if marks:
            raise ConfigError(
                f"the store {path} lies in a synchronised folder ({folder / marks[0]}); choose a local one"
            )


def _filesystem(path: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = Path(fields[4].replace("\\040", " "))
        # Later mounts cover earlier ones at the same point.
        if (path == point or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"writing to {root}: {error.strerror}; the set published before is untouched. Free some space, then"
                " `huracan publish`."
            ) from error
        raise PublishError(f"writing to {root}: {error.strerror or error}") from error
