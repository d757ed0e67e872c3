"""Copies of the signed store behind a network, one writer at a time without a lock.

The folder store signs; a mirror copies. Order of a push: the set's own name first (creating ``sets/N.json`` is the
claim on number N, so of two runs that follow the same set one stops before it has sent anything else), then every
immutable file, new roots last of these, then the one pointer, and only while it is what this run saw when it began.
Readers see the old set or the whole new one. Everything is create-if-absent, so an interrupted push is finished by
repeating it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from huracan.adapters.keys import KeySet
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.naming import newest_versions, outdated, version_of
from huracan.adapters.publishers.pull import RemoteView, pull_tree
from huracan.adapters.publishers.trees import Readable, signed_tree
from huracan.domain.bundle import BUNDLE_FILES, MANIFEST_FILE, MAX_FILE, MAX_MANIFEST, Manifest, bundle_folder
from huracan.domain.ids import sha256_hex
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, BundleSignatureError, FencedError, PublishError
from huracan.export.trust import MAX_POINTER, TIMESTAMP_PATH, TrustedTree, checked_bytes, set_path
from huracan.ports import RemoteFile, RemoteStore

Relation = Literal["empty", "same", "behind", "ahead", "diverged"]
"""A remote set as seen from the local one: none yet, the same, an ancestor, a descendant, neither."""

FOREVER: Final = float("inf")


class Listed(Readable, Protocol):
    """A local store: readable, and it knows what lies in it."""

    def list(self, prefix: str) -> list[str]:
        """File paths below a prefix."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What a run saw of a remote pointer when it began; only while that stands may the run move it.

    `revision` None means that there was none. `version` is that of the timestamp, unverified.
    """

    revision: str | None
    version: int
    pointer: bytes | None = field(repr=False)

    @property
    def digest(self) -> str | None:
        """sha256 of the pointer."""
        return None if self.pointer is None else sha256_hex(self.pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did. `sent` counts files uploaded, the pointer among them; 0 when the remote had it all."""

    version: int
    sent: int
    pruned: int


def read_fence(remote: RemoteStore) -> Fence:
    """The remote pointer as it stands now; raises PublishError when the store does not answer."""
    strange = f"{TIMESTAMP_PATH} in {remote.identity} is not signed metadata"
    try:
        found = remote.read(TIMESTAMP_PATH, MAX_POINTER)
    except BundleFormatError as error:
        raise PublishError(f"{strange} ({error})") from error
    if found is None:
        return Fence(revision=None, version=0, pointer=None)
    data, file = found
    try:
        pointer: Any = strict_json(data, MAX_POINTER)
        version = pointer["signed"]["version"]
    except (BundleFormatError, KeyError, TypeError, IndexError) as error:
        raise PublishError(f"{strange} ({error})") from error
    return Fence(revision=file.revision, version=version if type(version) is int else 0, pointer=data)


Verified = tuple[TrustedTree | None, RemoteView]
"""A remote tree (None: nothing is published there), and what was read to verify it."""


def remote_tree(remote: RemoteStore, fence: Fence, keys: KeySet) -> Verified:
    """The remote tree at the fence, verified by these keys; raises PublishError for other keys."""
    view = RemoteView(remote, fence.pointer)
    return (None if fence.pointer is None else signed_tree(view, keys)), view


def relation(
    local: TrustedTree | None, pointer: bytes | None, theirs: TrustedTree | None, fence: Fence, last: str | None
) -> Relation:
    """How the remote set relates to the local one; `last` is the digest of the pointer both last had in common.

    Sets list those before them, so a set that lists the other with the same sha256 descends from it.
    """
    if theirs is None:
        return "empty"
    if local is None or pointer is None:
        return "ahead"
    if fence.pointer == pointer:
        return "same"
    ours, other = local.seen.targets, theirs.seen.targets
    mine, yours = set_path(ours), set_path(other)
    if other < ours and (local.files.get(yours) == theirs.files[yours] or last == fence.digest):
        return "behind"
    if other > ours and (theirs.files.get(mine) == local.files[mine] or last == sha256_hex(pointer)):
        return "ahead"
    return "diverged"


def adopt(
    remote: RemoteStore,
    fence: Fence,
    local: FolderStore,
    keys: KeySet,
    *,
    last: str | None = None,
    found: Verified | None = None,
) -> Literal["empty", "same", "behind", "adopted"]:
    """Bring the local store to the remote's set where that is newer, so numbers go on and champions are kept.

    Takes what the remote's signatures vouch for and nothing else; an interrupted adoption leaves the local set. Raises
    FencedError when the two went separate ways, PublishError when the remote is signed by other keys or does not
    answer. `found` is the result of `remote_tree` where it is known already.
    """
    theirs, view = found or remote_tree(remote, fence, keys)
    ours, pointer = signed_tree(local, keys), local.read(TIMESTAMP_PATH)
    related = relation(ours, pointer, theirs, fence, last)
    if related == "diverged":
        raise _diverged(remote, ours, theirs)
    if related != "ahead":
        return related
    assert theirs is not None
    try:
        pull_tree(view, theirs, local, every_set=True)
    except (BundleSignatureError, BundleFormatError) as error:
        raise PublishError(f"{remote.identity} is damaged: {error}; nothing was taken over from it") from error
    return "adopted"


def reserved_names(
    remote: RemoteStore, theirs: TrustedTree | None, local: Readable, listing: Mapping[str, RemoteFile]
) -> dict[str, int]:
    """By family, the highest number of files that neither the remote's set lists nor the local store has the same.

    They belong to a run that was interrupted or is at work now; their names are never reused.
    """
    newest = newest_versions(theirs.files if theirs else ())
    newest["sets"] = theirs.seen.targets if theirs else 0
    orphans: dict[tuple[str, int], list[str]] = {}
    for path in listing:
        family, number = version_of(path) or ("", 0)
        if family and number > newest.get(family, 0):
            orphans.setdefault((family, number), []).append(path)
    reserved: dict[str, int] = {}
    for (family, number), paths in orphans.items():
        manifest = f"{family}/v{number}/{MANIFEST_FILE}"  # names its files by sha256: it speaks for all of them
        decisive = [manifest] if manifest in paths else paths
        if not all(_same(remote, local, listing[path]) for path in decisive):
            reserved[family] = max(number, reserved.get(family, 0))
    return reserved


def push(
    local: Listed,
    remote: RemoteStore,
    fence: Fence,
    keys: KeySet,
    *,
    last: str | None = None,
    found: Verified | None = None,
    until: float = FOREVER,
    monotonic: Callable[[], float] = time.monotonic,
) -> Pushed:
    """Make the local signed set the remote's, if the pointer there is still the one of the fence.

    Raises FencedError when it is not, or another run owns a name: nothing visible has changed then. Raises PublishError
    after `until` (by `monotonic`), when the store does not answer, or for other keys; repeating the push finishes it.
    """
    tree, pointer = signed_tree(local, keys), local.read(TIMESTAMP_PATH)
    if tree is None or pointer is None:
        raise PublishError("nothing was ever published to this store")
    if _stands(remote, fence, pointer):
        return Pushed(version=tree.seen.targets, sent=0, pruned=0)
    theirs, _ = found or remote_tree(remote, fence, keys)
    if relation(tree, pointer, theirs, fence, last) not in {"empty", "behind"}:
        raise _diverged(remote, tree, theirs)
    if fence.pointer is None:
        remote.preflight()
    listing = remote.files("")
    upload = _Upload(local, tree, theirs.files if theirs else {}, listing, until, monotonic, remote.identity)
    sent = remote.write_new([(set_path(tree.seen.targets), upload.signed(set_path(tree.seen.targets)))])
    sent += remote.write_new(upload.immutable())
    roots = upload.roots(keys)
    if roots:
        # Readers follow a new root at once, so it is sent only while the old pointer is certain to be replaced next.
        if _stands(remote, fence, pointer):
            return Pushed(version=tree.seen.targets, sent=sent, pruned=0)
        sent += remote.write_new(roots)
    _swap(remote, fence, pointer)
    to_delete = outdated(listing, tree)
    with suppress(PublishError):  # the set stands; the next push takes old files away
        remote.remove(sorted(to_delete))
    return Pushed(version=tree.seen.targets, sent=sent + 1, pruned=len(to_delete))


def push_files(local: Listed, remote: RemoteStore, prefix: str) -> int:
    """Copy files below a prefix that no set lists (summaries) and whose names are free there; returns how many."""
    there = remote.files(prefix)
    missing = [path for path in local.list(prefix) if path not in there]
    return remote.write_new((path, data) for path in missing if (data := local.read(path)) is not None)


def _stands(remote: RemoteStore, fence: Fence, pointer: bytes) -> bool:
    """Whether the remote pointer is ours already (an answer was lost); FencedError when it is neither ours nor the
    fence's.
    """
    found = remote.read(TIMESTAMP_PATH, MAX_POINTER)
    if found is not None and found[0] == pointer:
        return True
    if (None if found is None else found[1].revision) != fence.revision:
        raise FencedError(
            f"{remote.identity}: another run published since this one began (timestamp {fence.version} is no longer"
            " the newest); this run's set stays in the local store and was not published there"
        )
    return False


def _swap(remote: RemoteStore, fence: Fence, pointer: bytes) -> None:
    try:
        remote.swap(TIMESTAMP_PATH, pointer, fence.revision)
    except FencedError:
        # The reply to a swap that worked may have been lost, and the repetition found our own pointer.
        if not _stands(remote, fence, pointer):
            raise


def _same(remote: RemoteStore, local: Readable, there: RemoteFile) -> bool:
    data = local.read(there.path)
    if data is None or len(data) != there.size:
        return False
    found = remote.read(there.path, there.size)
    return found is not None and found[0] == data


def _diverged(remote: RemoteStore, ours: TrustedTree | None, theirs: TrustedTree | None) -> FencedError:
    described = [
        f"set {tree.current.version} of run {tree.current.run_id}" if tree else "no set" for tree in (theirs, ours)
    ]
    return FencedError(
        f"{remote.identity} holds {described[0]}, the local store {described[1]}, and neither follows the other: two runs"
        " published apart. To go on from the remote's, move the local store folder away and run again; to keep the local"
        " one, publish it to an empty place."
    )


@dataclass(frozen=True, slots=True)
class _Upload:
    """Files of a signed tree that a remote does not hold yet, read and checked one at a time."""

    local: Listed
    tree: TrustedTree
    theirs: Mapping[str, tuple[str, int]]
    listing: Mapping[str, RemoteFile]
    until: float
    monotonic: Callable[[], float]
    identity: str

    def immutable(self) -> Iterator[tuple[str, bytes]]:
        """Bundles, earlier sets, and the two lists."""
        current = {bundle_folder(m.coin, m.horizon, m.version) for m in self.tree.current.members.values()}
        for path in self.tree.files:
            if path.endswith(f"/{MANIFEST_FILE}"):
                folder = path.removesuffix(f"/{MANIFEST_FILE}")
                yield from self._bundle(folder, needed=folder in current)
            elif not self._there(path) and self.local.read(path) is not None:
                yield path, self.signed(path)
        seen = self.tree.seen
        for path in (f"metadata/{seen.targets}.targets.json", f"metadata/{seen.snapshot}.snapshot.json"):
            yield path, self._read(path)

    def roots(self, keys: KeySet) -> list[tuple[str, bytes]]:
        """Roots that the remote does not have."""
        named = ((f"metadata/{number}.root.json", data) for number, data in enumerate(keys.roots, 1))
        return [(path, data) for path, data in named if path not in self.listing]

    def signed(self, path: str) -> bytes:
        """A file as the tree signs it; raises PublishError when the local store holds other bytes."""
        digest, size = self.tree.files[path]
        return self._checked(path, digest, size)

    def _bundle(self, folder: str, *, needed: bool) -> Iterable[tuple[str, bytes]]:
        path = f"{folder}/{MANIFEST_FILE}"
        names = [f"{folder}/{name}" for name in BUNDLE_FILES]
        known = self._there(path)
        if known and not needed and all(name in self.listing for name in names):
            return
        if self.local.read(path) is None and (known or not needed):
            return  # an older version, taken over as a name in the list only
        manifest = Manifest.from_bytes(self.signed(path))
        for name, entry in manifest.files.items():
            file = f"{folder}/{name}"
            there = self.listing.get(file)
            if not known or there is None or there.size != entry.size:
                yield file, self._checked(file, entry.sha256, entry.size)
        if not known:
            yield path, self.signed(path)

    def _there(self, path: str) -> bool:
        """Whether the remote's own signed set lists the file as ours does, and it stands there at that size."""
        entry, file = self.tree.files[path], self.listing.get(path)
        return file is not None and self.theirs.get(path) == entry and file.size == entry[1]

    def _checked(self, path: str, digest: str, size: int) -> bytes:
        try:
            return checked_bytes(lambda name, _: self._read(name), path, digest, size, max(MAX_FILE, MAX_MANIFEST))
        except BundleSignatureError as error:
            raise PublishError(f"the local store is damaged: {error}; nothing was published") from error

    def _read(self, path: str) -> bytes:
        if self.monotonic() > self.until:
            raise PublishError(
                f"{self.identity}: the deadline for publishing has passed; `huracan publish` goes on from here"
            )
        data = self.local.read(path)
        if data is None:
            raise PublishError(f"{path} is listed, but missing in the local store; nothing was published")
        return data
