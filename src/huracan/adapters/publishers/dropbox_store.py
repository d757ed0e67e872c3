"""A folder in Dropbox as a store: immutable files in batches, and a pointer that is swapped by its revision."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint, Patience, checked_base_path
from huracan.adapters.publishers.paths import inside
from huracan.errors import FencedError, PublishError
from huracan.ports import RemoteFile
from huracan.settings import Settings

if TYPE_CHECKING:
    from huracan.adapters.publishers.dropbox_files import DropboxFiles

PREFLIGHT_FILE: Final = ".huracan-preflight"
_PREFLIGHT_BYTES: Final = b"written, read and removed by huracan to see whether it may\n"
_BATCH: Final = 1000
_BATCH_BYTES: Final = 128 << 20


class DropboxStore:
    """Implements `ports.RemoteStore` below `base_path`, by the official SDK: needs the extra ``[dropbox]``.

    Dropbox does not distinguish ``a`` from ``A``: paths that differ only in case are refused. Listings may lag behind:
    what a refusal hangs on is asked for by name, and what this store removed is not believed to stand.
    """

    def __init__(
        self,
        access: DropboxAccess,
        base_path: str = "/HuracanEngine",
        *,
        endpoint: DropboxEndpoint | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._base = checked_base_path(base_path)
        self._files = _open(access, endpoint or DropboxEndpoint(), patience or Patience())
        self._removed: set[str] = set()

    @property
    def identity(self) -> str:
        """The store's name in state and logs."""
        return f"dropbox:{self._base or '/'}"

    def preflight(self) -> None:
        """Write, read and remove a test file; raises PublishError that names the missing scope, quota or token."""
        self._files.probe(f"{self._base}/{PREFLIGHT_FILE}", _PREFLIGHT_BYTES)

    def files(self, prefix: str) -> dict[str, RemoteFile]:
        """Every file below a folder ("" is all), by store path."""
        return self._listing(prefix, self._files.asking())

    def read(self, path: str, limit: int) -> tuple[bytes, RemoteFile] | None:
        """A file's bytes, checked against its content hash, and its revision; None if absent."""
        found = self._files.download(self._at(path), limit, self._files.asking())
        return None if found is None else (found[0], replace(found[1], path=path))

    def write_new(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Write immutable files, a thousand by one commit; returns how many were sent.

        FencedError where a path holds other bytes, PublishError where it differs from another one only in case.
        """
        deadline, sent = self._files.deadline(), 0
        known = _Known(self, deadline)
        for batch in _batches(files):
            missing = known.missing(batch)
            if missing:
                self._files.upload_new([(self._at(path), data) for path, data in missing], deadline)
                self._removed -= {path.lower() for path, _ in missing}
                sent += len(missing)
        return sent

    def swap(self, path: str, data: bytes, revision: str | None) -> str:
        """Replace a file only while it still has this revision (None: only while absent); returns the new one."""
        new = self._files.swap(self._at(path), data, revision, self._files.deadline())
        self._removed.discard(path.lower())
        return new

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files; absent ones are no error."""
        left, deadline = iter(paths), self._files.deadline()
        while batch := list(islice(left, _BATCH)):
            remote = [self._at(path) for path in batch]
            self._removed |= {path.lower() for path in batch}
            self._files.delete(remote, deadline)

    def close(self) -> None:
        """Release connections."""
        self._files.close()

    def standing(self, folder: str, deadline: float) -> dict[str, RemoteFile]:
        """Files below a folder by lower-case path, as a listing has them, without those removed through this store."""
        found = {path.lower(): file for path, file in self._listing(folder, deadline).items()}
        return {lower: file for lower, file in found.items() if lower not in self._removed}

    def stat(self, path: str, deadline: float) -> RemoteFile | None:
        """The file at a path, asked for by name."""
        return self._files.stat(self._at(path), deadline)

    def _at(self, path: str) -> str:
        return f"{self._base}/{inside(path)}"

    def _listing(self, prefix: str, deadline: float) -> dict[str, RemoteFile]:
        entries = self._files.entries(self._at(prefix) if prefix else self._base, deadline)
        # Names, not letters, are counted: a folder's lower-case form may be longer (Turkish İ), or composed otherwise.
        depth, found = self._base.count("/") + 1, {}
        for lower, (_, file) in entries.items():
            if file is None:
                continue
            # Only an entry's own name is sure to have its case, so a path is put together from names.
            parts, shown = lower.split("/"), file.path.split("/")
            above = ["/".join(parts[: at + 1]) for at in range(depth, len(parts))]
            names = zip(above, shown[depth:], strict=True)
            path = "/".join(entries[folder][0] if folder in entries else name for folder, name in names)
            if path != PREFLIGHT_FILE:
                found[path] = replace(file, path=path)
        return found


def open_dropbox_store(settings: Settings) -> DropboxStore:
    """The store a configuration names; raises ConfigError for credentials that are missing."""
    dropbox = settings.dropbox
    return DropboxStore(
        DropboxAccess.from_settings(settings),
        dropbox.base_path,
        endpoint=DropboxEndpoint(host=dropbox.api_host, ca_file=dropbox.ca_file),
        patience=Patience(total_s=dropbox.deadline_s, asking_s=min(dropbox.deadline_s, settings.publish.operation_s)),
    )


class _Known:
    """What stands in the store while files are written: folders are listed once, the names seen are kept."""

    def __init__(self, store: DropboxStore, deadline: float) -> None:
        self._store, self._deadline = store, deadline
        self._folders: dict[str, dict[str, RemoteFile]] = {}
        self._names: dict[str, str] = {}

    def missing(self, batch: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Files of a batch that do not stand yet."""
        there = self._standing(batch)
        return [(path, data) for path, data in batch if not self._stands(path, data, there.get(path.lower()))]

    def _stands(self, path: str, data: bytes, listed: RemoteFile | None) -> bool:
        from dropbox.content_hash import content_hash

        seen = self._names.setdefault(path.lower(), path if listed is None else listed.path)
        if seen != path:
            raise PublishError(
                f"Dropbox does not tell {path} from {seen}: they differ only in case. {_renamed(path, seen)}"
            )
        if listed is None:
            return False
        digest = content_hash(data)
        if listed.digest == digest:
            return True
        now = self._store.stat(path, self._deadline)
        if now is not None and now.digest != digest:
            raise FencedError(f"{path} in Dropbox holds other bytes; it is immutable, and another run owns that name")
        return now is not None

    def _standing(self, batch: Sequence[tuple[str, bytes]]) -> Mapping[str, RemoteFile]:
        folder = _common_folder([path for path, _ in batch])
        for listed, found in self._folders.items():
            if not listed or f"{folder}/".startswith(f"{listed}/"):
                return found
        self._folders[folder] = self._store.standing(folder, self._deadline)
        return self._folders[folder]


def _renamed(path: str, seen: str) -> str:
    """What to do about two names that differ only in case: the folder or file of the other one was made by hand."""
    pairs = zip(path.split("/"), seen.split("/"), strict=True)
    at, (wanted, there) = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
    place = "/".join([*path.split("/")[:at], there])
    return (
        f"Where {place} was made by hand, rename it to {wanted} in Dropbox (two steps, by way of another name), then"
        " `huracan publish`. Where it is another coin's, publish to a store that tells them apart"
    )


def _common_folder(paths: Sequence[str]) -> str:
    """The deepest folder all paths are in.

    >>> _common_folder(["models/BTC/1h/v1/a.json", "models/ETH/1h/v1/a.json"])
    'models'
    """
    first, last = min(paths).split("/")[:-1], max(paths).split("/")[:-1]
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return "/".join(first[:shared])


def _batches(given: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for path, data in given:
        if batch and (len(batch) == _BATCH or size + len(data) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((path, data))
        size += len(data)
    if batch:
        yield batch


def _open(access: DropboxAccess, endpoint: DropboxEndpoint, patience: Patience) -> "DropboxFiles":
    try:
        from huracan.adapters.publishers.dropbox_files import DropboxFiles
    except ModuleNotFoundError as error:
        raise PublishError(
            f"publishing to Dropbox needs {error.name}, which is not installed: pip install 'huracan-engine[dropbox]'"
        ) from error
    return DropboxFiles(access, endpoint, patience)
