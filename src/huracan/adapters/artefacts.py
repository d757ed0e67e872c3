"""Derived files under content keys, in a folder or a bucket."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore

from huracan.adapters.cloud import in_words, is_url, open_bucket
from huracan.adapters.disk import is_disk_full
from huracan.errors import ConfigError, DiskFullError, PublishError

T = TypeVar("T")

_STAGING: Final = ".staging"


def open_artefacts(place: str, *, allow_http: bool = False) -> "LocalArtefacts | BucketArtefacts":
    """The store in a folder, or below a bucket's URL; `allow_http` is for object stores on loopback."""
    return BucketArtefacts(place, allow_http=allow_http) if is_url(place) else LocalArtefacts(Path(place))


class LocalArtefacts:
    """An ArtefactStore in a folder: a key is visible only with all its bytes on the disk, and never changes.

    Bytes are staged, synced and then renamed to a key that must not exist, so a kill or a power cut leaves no torn
    artefact behind. Keys are relative paths of plain segments.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._store = LocalStore(self._folder)

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        try:
            return bytes(obstore.get(self._store, _checked(key)).bytes())
        except (NotFoundError, FileNotFoundError):
            return None

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; a key that exists keeps its bytes. Raises DiskFullError, PublishError."""
        wanted, staged = _checked(key), f"{_STAGING}/{uuid4().hex}"
        if (self._folder / wanted).exists():
            return
        try:
            obstore.put(self._store, staged, data, use_multipart=False)
            _sync(self._folder / staged)
            obstore.rename(self._store, staged, wanted, overwrite=False)
        except (AlreadyExistsError, FileExistsError):
            obstore.delete(self._store, staged)
        except (BaseError, OSError) as error:
            (self._folder / staged).unlink(missing_ok=True)
            kind = DiskFullError if is_disk_full(error) else PublishError
            message = f"artefact {key!r} ({len(data)} bytes) could not be written to {self._folder}: {error}"
            raise kind(message) from error

    def list(self, prefix: str) -> list[str]:
        """Keys that start with the prefix, sorted."""
        folder = prefix.rpartition("/")[0]
        chunks = obstore.list(self._store, prefix=folder or None)
        keys = (str(meta["path"]) for chunk in chunks for meta in chunk)
        return sorted(key for key in keys if key.startswith(prefix) and not key.startswith(f"{_STAGING}/"))

    def delete(self, keys: Iterable[str]) -> None:
        """Forget keys; unknown ones are no error."""
        for key in keys:
            (self._folder / _checked(key)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed runs left half-written; for the one run that holds the workdir."""
        for left in (self._folder / _STAGING).glob("*"):
            left.unlink(missing_ok=True)


class BucketArtefacts:
    """An ArtefactStore below a bucket's URL: `put` is a conditional write, whole or not at all. Raises PublishError.

    Credentials come from the environment. A bucket that refuses conditional writes would let a later writer replace a key,
    which changes nothing here: equal keys have equal bytes.
    """

    def __init__(self, url: str, *, allow_http: bool = False) -> None:
        self._store, self._url = open_bucket(url, allow_http=allow_http), url.rstrip("/")

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
        with suppress(AlreadyExistsError, FileExistsError):
            self._call(key, lambda: obstore.put(self._store, path, data, mode="create", use_multipart=False))

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
            return operation()
        except (NotFoundError, FileNotFoundError, AlreadyExistsError, FileExistsError):
            raise
        except (BaseError, OSError) as error:
            raise PublishError(f"artefact {key!r} in {self._url}: no answer to work with ({in_words(error)})") from None


def _checked(key: str) -> str:
    parts = key.split("/")
    plain = all(part not in {"", ".", ".."} and "#" not in part and part.isprintable() for part in parts)
    if not plain or parts[0] == _STAGING:
        message = f"artefact key {key!r} is not a relative path of plain segments"
        raise ConfigError(message)
    return key


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
