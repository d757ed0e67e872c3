"""Take a verified tree from a remote store into a folder: files that never change first, the pointer last."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.naming import SET_PATH
from huracan.domain.bundle import MANIFEST_FILE, MAX_FILE, MAX_MANIFEST, MAX_SET, ChampionSet, Manifest, bundle_folder
from huracan.domain.ids import sha256_hex
from huracan.export.trust import MAX_TARGETS, TIMESTAMP_PATH, TrustedTree, checked_bytes
from huracan.ports import RemoteStore

READERS: Final = 8
"""Files read at once."""

_CHUNK: Final = 64  # bounds what lies in memory between the network and the disk

Entry = tuple[str, str, int]
"""Path, sha256, size."""


class RemoteView:
    """A remote store as the trust chain reads it, at the moment of one pointer; remembers the small files it has
    read.
    """

    def __init__(self, remote: RemoteStore, pointer: bytes | None) -> None:
        self._remote = remote
        self.seen: dict[str, bytes | None] = {TIMESTAMP_PATH: pointer}

    def read(self, path: str, limit: int = MAX_TARGETS) -> bytes | None:
        """Bytes of a file, None if absent; more than `limit` is a BundleFormatError."""
        if path not in self.seen:
            self.seen[path] = self.fetch(path, limit)
        return self.seen[path]

    def fetch(self, path: str, limit: int) -> bytes | None:
        """Bytes of a file, not remembered."""
        found = self._remote.read(path, limit)
        return None if found is None else found[0]


def pull_tree(view: RemoteView, tree: TrustedTree, store: FolderStore, *, every_set: bool) -> int:
    """Make `store` hold the tree's current set (and every listed one with `every_set`); returns how many files came.

    Every byte is checked against the signed list before it is written, and the pointer is replaced when all is there;
    files that lie there already are not fetched again. Raises BundleSignatureError, and what the remote and the disk
    raise.
    """
    sets = [path for path in tree.files if SET_PATH.fullmatch(path)] if every_set else []
    count = _bring(view, store, ((path, *tree.files[path]) for path in sets))
    count += pull_bundles(view, tree, store, manifests(tree.current))
    for path, data in _metadata(view.seen):
        if store.read(path) != data:
            store.replace(path, data)
            count += 1
    return count


def pull_bundles(view: RemoteView, tree: TrustedTree, store: FolderStore, wanted: Sequence[str]) -> int:
    """Bring whole bundles, given by their listed manifests; returns how many files came."""
    count = _bring(view, store, ((path, *tree.files[path]) for path in wanted))
    return count + _bring(view, store, (entry for path in wanted for entry in _contents(store, path)))


def manifests(members: ChampionSet) -> list[str]:
    """Store paths of the manifests of a set's members."""
    return [f"{bundle_folder(m.coin, m.horizon, m.version)}/{MANIFEST_FILE}" for m in members.members.values()]


def incomplete(tree: TrustedTree, store: FolderStore, wanted: Sequence[str]) -> list[str]:
    """The listed manifests among `wanted` whose bundles do not lie whole in the store."""
    return [
        path
        for path in wanted
        if not _holds(store, (path, *tree.files[path]))
        or not all(_holds(store, entry) for entry in _contents(store, path))
    ]


def _metadata(seen: Mapping[str, bytes | None]) -> list[tuple[str, bytes]]:
    """What was read to verify the tree: lists and the set, then roots (readers follow them at once), the pointer
    last.
    """
    known = [(path, data) for path, data in seen.items() if data is not None]
    return sorted(known, key=lambda item: (item[0] == TIMESTAMP_PATH, item[0].endswith(".root.json"), item[0]))


def _contents(store: FolderStore, path: str) -> list[Entry]:
    data = store.read(path)
    assert data is not None
    folder = path.removesuffix(MANIFEST_FILE)
    return [(f"{folder}{name}", entry.sha256, entry.size) for name, entry in Manifest.from_bytes(data).files.items()]


def _bring(view: RemoteView, store: FolderStore, entries: Iterable[Entry]) -> int:
    missing = (entry for entry in entries if not _holds(store, entry))
    count = 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="huracan-pull") as pool:
        while chunk := list(islice(missing, _CHUNK)):
            for (path, _, _), data in zip(chunk, pool.map(lambda entry: _fetch(view, entry), chunk), strict=True):
                store.replace(path, data)
                count += 1
    return count


def _holds(store: FolderStore, entry: Entry) -> bool:
    path, digest, size = entry
    data = store.read(path)
    return data is not None and len(data) == size and sha256_hex(data) == digest


def _fetch(view: RemoteView, entry: Entry) -> bytes:
    path, digest, size = entry
    return checked_bytes(view.fetch, path, digest, size, max(MAX_FILE, MAX_MANIFEST, MAX_SET))
