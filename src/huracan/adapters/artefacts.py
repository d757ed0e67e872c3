"""Derived files under content keys, in a folder or a bucket."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import obstore
from obstore.exceptions import NotFoundError

from huracan.adapters.cloud import asked, open_bucket
from huracan.adapters.disk import is_disk_full, make_folders, sync_folder
from huracan.adapters.endpoints import is_url
from huracan.adapters.refusals import CONDITION, GivenUpError, NothingChangedError, Refusal
from huracan.errors import ConfigError, DiskFullError, PublishError

T = TypeVar("T")

_STAGING: Final = ".staging"
_PRIVATE: Final = 0o600


def open_artefacts(place: str, *, allow_http: bool = False) -> "LocalArtefacts | BucketArtefacts":
    """The store in a folder, or below a bucket's URL; `allow_http` is for object stores on loopback."""
    return BucketArtefacts(place, allow_http=allow_http) if is_url(place) else LocalArtefacts(Path(place))


class LocalArtefacts:
    """An ArtefactStore in a folder: a key is visible only with all its bytes on the disk.

    Bytes are staged, synced and then linked to a key that must not exist, or renamed over the one that does. A kill or
    a power cut leaves no torn artefact behind. Keys are relative paths of plain segments, and file names as they stand:
    native stores read some of them (``K|``) as drive letters and never return.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        """The bytes, or None; raises PublishError for a file that cannot be read."""
        target = self._folder / _checked(key)
        try:
            return target.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise PublishError(f"artefact {key!r} cannot be read from {self._folder}: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; a key that exists keeps its bytes. Raises DiskFullError, PublishError."""
        target = self._folder / _checked(key)
        if not target.is_file():
            self._write(target, key, data, _link_if_absent)

    def replace(self, key: str, data: bytes) -> None:
        """Store bytes under a key in place of any others. Raises DiskFullError, PublishError."""
        self._write(self._folder / _checked(key), key, data, os.replace)

    def list(self, prefix: str) -> list[str]:
        """Keys that start with the prefix, sorted."""
        folder = self._folder / prefix.rpartition("/")[0]
        files = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
        keys = (path.relative_to(self._folder).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix) and not key.startswith(f"{_STAGING}/"))

    def delete(self, keys: Iterable[str]) -> None:
        """Forget keys; unknown ones are no error."""
        for key in keys:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                (self._folder / _checked(key)).unlink()

    def sweep(self) -> None:
        """Remove what killed runs left half-written; for the one run that holds the workdir."""
        for left in (self._folder / _STAGING).glob("*"):
            left.unlink(missing_ok=True)

    def _write(self, target: Path, key: str, data: bytes, name: Callable[[Path, Path], None]) -> None:
        """Bytes on the disk first, then the name, then the folder that holds it."""
        staged = self._folder / _STAGING / uuid4().hex
        try:
            make_folders(staged.parent)
            make_folders(target.parent)
            try:
                _write_synced(staged, data)
                name(staged, target)
            finally:
                staged.unlink(missing_ok=True)
            sync_folder(target.parent)
        except OSError as error:
            kind = DiskFullError if is_disk_full(error) else PublishError
            message = f"artefact {key!r} ({len(data)} bytes) could not be written to {self._folder}: {error}"
            raise kind(message) from error


class BucketArtefacts:
    """An ArtefactStore below a bucket's URL: `put` is a conditional write, whole or not at all. Raises PublishError.

    Credentials come from the environment. A bucket that refuses conditional writes would let a later writer replace a
    key, which changes nothing here: equal keys have equal bytes.
    """

    def __init__(self, url: str, *, allow_http: bool = False, patience_s: float | None = None) -> None:
        self._patience_s = patience_s
        self._store, self._url = open_bucket(url, allow_http=allow_http, repeated=False), url.rstrip("/")

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        path = _checked(key)
        try:
            return self._call(key, lambda: bytes(obstore.get(self._store, path).bytes()))
        except (NotFoundError, FileNotFoundError):
            return None

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; a key that exists keeps its bytes. Raises PublishError."""
        path = _checked(key)

        def write() -> None:
            try:
                obstore.put(self._store, path, data, mode="create", use_multipart=False)
            except CONDITION as error:
                if Refusal.of(error).conflict:  # two writers met, and neither may have written
                    raise NothingChangedError(str(error)) from error

        self._call(key, write)

    def replace(self, key: str, data: bytes) -> None:
        """Store bytes under a key in place of any others. Raises PublishError."""
        path = _checked(key)
        self._call(key, lambda: obstore.put(self._store, path, data, use_multipart=False))

    def list(self, prefix: str) -> list[str]:
        """Keys that start with the prefix, sorted."""
        folder = prefix.rpartition("/")[0]
        found = self._call(prefix, lambda: obstore.list(self._store, prefix=folder or None).collect())
        return sorted(key for key in (str(meta["path"]) for meta in found) if key.startswith(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """Forget keys; unknown ones are no error."""
        paths = [_checked(key) for key in keys]
        if paths:
            with suppress(NotFoundError, FileNotFoundError):
                self._call(paths[0], lambda: obstore.delete(self._store, paths))

    def sweep(self) -> None:
        """Nothing is ever half-written in a bucket."""

    def _call(self, key: str, operation: Callable[[], T]) -> T:
        try:
            return asked(operation, self._patience_s)
        except GivenUpError as error:
            raise PublishError(f"artefact {key!r} in {self._url}: {error}") from None


def _checked(key: str) -> str:
    parts = key.split("/")
    plain = all(part not in {"", ".", ".."} and "#" not in part and part.isprintable() for part in parts)
    if not plain or parts[0] == _STAGING:
        message = f"artefact key {key!r} is not a relative path of plain segments"
        raise ConfigError(message)
    return key


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _link_if_absent(staged: Path, target: Path) -> None:
    try:
        os.link(staged, target)
    except FileExistsError:
        if not target.is_file():
            raise
