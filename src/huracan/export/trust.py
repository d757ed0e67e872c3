"""The chain of signatures from a trusted root to the current champion set (The Update Framework).

Pure: bytes come through a `read` callable, the clock stays outside. Expiry is reported and not enforced, because
an expired set still answers exits; the caller closes it for entries. Used by Hamilton before it serves, and by the
publisher before it signs anything that stood in the store.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import SerializationError
from tuf.api.serialization.json import JSONSerializer

from huracan.domain.bundle import MAX_SET, ChampionSet
from huracan.domain.ids import sha256_hex
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, BundleSignatureError, ForeignKeysError, ModelLoadError

Read = Callable[[str, int], bytes | None]
"""(path, limit) -> bytes of a store file, None if absent; more than `limit` bytes is a BundleFormatError."""

TIMESTAMP_PATH: Final = "metadata/timestamp.json"
MAX_ROLE: Final = 64 * 1024
"""A root: some keys and four roles, 2 kB."""
MAX_POINTER: Final = 16 * 1024
"""A timestamp or a snapshot: one name, one hash and a signature, half a kB."""
MAX_TARGETS: Final = 64 << 20

_MAX_ROOTS = 1024
_SIGNATURE = re.compile("[0-9a-f]{128}")
_KEYID = re.compile("[0-9a-f]{64}")
_S = TypeVar("_S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Versions a client has seen and will not go below, and the online keys they were signed with."""

    root: int = 0
    timestamp: int = 0
    snapshot: int = 0
    targets: int = 0
    online_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedTree:
    """What the signatures vouch for: every signed file with sha256 and length, and the current set.

    `expires_ms` is the earliest expiry on the chain; `root_bytes` the newest root.
    """

    seen: Seen
    expires_ms: int
    files: Mapping[str, tuple[str, int]]
    current: ChampionSet
    root_bytes: bytes = field(repr=False)
    root_keys: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Whose store this is, wherever it lies: the root's key ids and the store's own id; empty where a set names
        none.
        """
        return " ".join((*self.root_keys, self.current.store_id)) if self.current.store_id else ""


def verify_tree(read: Read, trusted_root: bytes, seen: Seen | None = None) -> TrustedTree | None:
    """The tree below `metadata/timestamp.json`, verified from the root; None when nothing is published.

    Raises BundleSignatureError for any signature, hash, length or version that is not what the chain says, also for
    versions below `seen`; BundleFormatError where a file is not strict JSON.
    """
    floor = seen or Seen()
    root, root_bytes = _newest_root(read, trusted_root)
    if root.version < floor.root:
        raise BundleSignatureError(f"root is version {root.version}, version {floor.root} was seen before: rolled back")
    online = _online_keys(root)
    if online != floor.online_keys:
        # New online keys start a new count: a thief of the old ones may have signed huge versions (TUF 5.3.11).
        floor = Seen(root=floor.root)
    data = read(TIMESTAMP_PATH, MAX_POINTER)
    if data is None:
        return None
    timestamp = _signed(data, Timestamp, root, "timestamp")
    if timestamp.version < floor.timestamp:
        raise _rolled_back("timestamp", timestamp.version, floor.timestamp)
    snapshot = _listed(read, timestamp.snapshot_meta, Snapshot, root, limit=MAX_POINTER, floor=floor.snapshot)
    targets_meta = snapshot.meta.get("targets.json")
    if targets_meta is None:
        raise BundleSignatureError("snapshot does not list targets.json")
    targets = _listed(read, targets_meta, Targets, root, limit=MAX_TARGETS, floor=floor.targets)
    files = {path: (_sha256(target, path), target.length) for path, target in targets.targets.items()}
    expires = min(signed.expires for signed in (root, timestamp, snapshot, targets))
    current = ChampionSet.from_bytes(read_signed(read, files, set_path(targets.version), MAX_SET))
    if current.version != targets.version:
        raise BundleSignatureError(f"set {targets.version} calls itself {current.version}")
    return TrustedTree(
        seen=Seen(
            root=root.version,
            timestamp=timestamp.version,
            snapshot=snapshot.version,
            targets=targets.version,
            online_keys=online,
        ),
        expires_ms=_ms(expires),
        files=files,
        current=current,
        root_bytes=root_bytes,
        root_keys=tuple(sorted(root.roles["root"].keyids)),
    )


def read_signed(read: Read, files: Mapping[str, tuple[str, int]], path: str, limit: int) -> bytes:
    """Bytes of a signed file after length and sha256 checks; raises BundleSignatureError."""
    if path not in files:
        raise BundleSignatureError(f"{path} is not in the signed list")
    digest, length = files[path]
    return checked_bytes(read, path, digest, length, limit)


def checked_bytes(read: Read, path: str, digest: str, length: int, limit: int) -> bytes:
    """Bytes of a file that must have this sha256 and length; raises BundleSignatureError."""
    if length > limit:
        raise BundleSignatureError(f"{path}: signed as {length} bytes, at most {limit} allowed")
    try:
        data = read(path, length)
    except BundleFormatError as error:
        raise BundleSignatureError(f"{error} (signed: {length} bytes)") from error
    if data is None:
        raise BundleSignatureError(f"{path}: signed, but missing in the store")
    if len(data) != length or sha256_hex(data) != digest:
        raise BundleSignatureError(f"{path}: {len(data)} bytes with another sha256 than signed ({length} bytes)")
    return data


def set_path(version: int) -> str:
    """Store path of a champion set."""
    return f"sets/{version}.json"


def root_version(data: bytes) -> int:
    """Version of root metadata that verifies against itself; raises BundleSignatureError."""
    return _self_signed(data).version


def claimed_signers(read: Read) -> str:
    """Whose keys a store says it is signed by, in words; nothing of it is verified. Empty where nothing can be read."""
    try:
        data = read(TIMESTAMP_PATH, MAX_POINTER)
        return "" if data is None else _named_keys(_parse(data, Timestamp, "timestamp").signatures)
    except ModelLoadError:
        return ""


def online_keys(data: bytes) -> tuple[str, ...]:
    """Ids of the online keys that a root names; raises BundleSignatureError where it does not verify against itself."""
    return _online_keys(_self_signed(data))


def _online_keys(root: Root) -> tuple[str, ...]:
    return tuple(sorted({*root.roles["timestamp"].keyids, *root.roles["snapshot"].keyids}))


def _newest_root(read: Read, trusted: bytes) -> tuple[Root, bytes]:
    root, data = _self_signed(trusted), trusted
    for _ in range(_MAX_ROOTS):
        following = read(f"metadata/{root.version + 1}.root.json", MAX_ROLE)
        if following is None:
            return root, data
        metadata = _parse(following, Root, "root")
        if metadata.signed.version != root.version + 1:
            raise BundleSignatureError(f"root {root.version + 1} calls itself version {metadata.signed.version}")
        _verify(metadata, (root, metadata.signed), "root")
        root, data = metadata.signed, following
    raise BundleSignatureError(f"more than {_MAX_ROOTS} root rotations")


def _self_signed(data: bytes) -> Root:
    metadata = _parse(data, Root, "trusted root")
    # A root that replaced the root key also carries the old key's signature, which nobody can check from here.
    _verify(metadata, (metadata.signed,), "root", alone=False)
    return metadata.signed


def _listed(read: Read, meta: MetaFile, kind: type[_S], root: Root, *, limit: int, floor: int) -> _S:
    role = kind.type
    if meta.length is None or not meta.hashes or set(meta.hashes) != {"sha256"}:
        raise BundleSignatureError(f"{role}: signed without length and sha256")
    if meta.version < floor:
        raise _rolled_back(role, meta.version, floor)
    path = f"metadata/{meta.version}.{role}.json"
    signed = _signed(checked_bytes(read, path, meta.hashes["sha256"], meta.length, limit), kind, root, role)
    if signed.version != meta.version:
        raise BundleSignatureError(f"{path} calls itself version {signed.version}")
    return signed


def _signed(data: bytes, kind: type[_S], root: Root, role: str) -> _S:
    metadata = _parse(data, kind, role)
    _verify(metadata, (root,), role)
    return metadata.signed


def _parse(data: bytes, kind: type[_S], role: str) -> Metadata[_S]:
    record: Any = strict_json(data, MAX_TARGETS, what=f"{role} metadata")
    try:
        metadata: Metadata[_S] = Metadata.from_dict(record)
        if metadata.signed.type != kind.type:
            raise BundleSignatureError(f"{role} metadata is of type {metadata.signed.type}")
        # One byte form per meaning: otherwise a changed byte could go unnoticed outside the signed part.
        canonical = kind is Targets or JSONSerializer(compact=True).serialize(metadata) == data
    except (
        RepositoryError,
        SerializationError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as error:
        raise BundleSignatureError(f"{role} metadata is not well formed: {str(error)[:200]}") from error
    if metadata.unrecognized_fields or metadata.signed.unrecognized_fields:
        extra = sorted({*metadata.unrecognized_fields, *metadata.signed.unrecognized_fields})
        raise BundleSignatureError(f"{role} metadata has keys that nobody signs or knows: {str(extra[:5])[:200]}")
    if not canonical:
        raise BundleSignatureError(f"{role} metadata is not in canonical form")
    return metadata


def _verify(metadata: Metadata[Any], delegators: tuple[Root, ...], role: str, *, alone: bool = True) -> None:
    """Every delegator's threshold is met, and (with `alone`) no signature is there that does not belong or verify."""
    payload, known = metadata.signed_bytes, set()
    for delegator in delegators:
        delegated = delegator.roles[role]
        if any(delegator.keys[keyid].keytype != "ed25519" for keyid in delegated.keyids if keyid in delegator.keys):
            raise BundleSignatureError(f"{role}: a key is not Ed25519")
        result = delegator.get_verification_result(role, payload, metadata.signatures)
        if not result.verified and not set(metadata.signatures) & set(delegated.keyids):
            raise ForeignKeysError(
                f"{role} version {metadata.signed.version} is signed by {_named_keys(metadata.signatures)}, and root version"
                f" {delegator.version} trusts {_named_keys(delegated.keyids)} for it",
            )
        if not result.verified:
            raise BundleSignatureError(
                f"{role} version {metadata.signed.version}: {len(result.signed)} of {result.threshold} wanted signatures"
                f" verify under root version {delegator.version}"
            )
        known |= set(result.signed)
    for keyid, signature in metadata.signatures.items() if alone else ():
        if keyid not in known or not _SIGNATURE.fullmatch(signature.signature) or signature.unrecognized_fields:
            raise BundleSignatureError(f"{role} version {metadata.signed.version}: a signature too many or malformed")


def _named_keys(keyids: Iterable[str]) -> str:
    """Keys in words; an id is text of whoever wrote the file, so another form of it is not repeated."""
    named = sorted(keyid[:16] if _KEYID.fullmatch(keyid) else "a key without a proper id" for keyid in keyids)
    return f"key {' and '.join(named[:3])}" if named else "no key"


def _sha256(target: TargetFile, path: str) -> str:
    if set(target.hashes) != {"sha256"}:
        raise BundleSignatureError(f"{path[:100]}: signed without sha256")
    return target.hashes["sha256"]


def _rolled_back(role: str, version: int, seen: int) -> BundleSignatureError:
    return BundleSignatureError(
        f"{role} is version {version}, version {seen} was seen before: the store was rolled back"
    )


def _ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
