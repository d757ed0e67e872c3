"""TUF metadata of one publication: targets, snapshot and timestamp, signed by the online key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from huracan.domain.ids import sha256_hex
from huracan.export.trust import TIMESTAMP_PATH

LIST_DAYS: Final = 14
TIMESTAMP_HOURS: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions of the three roles in one publication."""

    targets: int
    snapshot: int
    timestamp: int


def signed_metadata(
    files: Mapping[str, tuple[str, int]], versions: Versions, online: CryptoSigner, *, wall_clock_ms: int
) -> dict[str, bytes]:
    """Store paths and bytes of targets, snapshot and timestamp, in the order to write them; files map path to (sha256,
    length).
    """
    now = datetime.fromtimestamp(wall_clock_ms // 1000, tz=UTC)
    lists_expire, pointer_expires = now + timedelta(days=LIST_DAYS), now + timedelta(hours=TIMESTAMP_HOURS)
    entries = {path: TargetFile(length, {"sha256": digest}, path) for path, (digest, length) in files.items()}
    targets = _signed(Metadata(Targets(versions.targets, expires=lists_expire, targets=entries)), online)
    snapshot = _signed(
        Metadata(
            Snapshot(versions.snapshot, expires=lists_expire, meta={"targets.json": _meta(versions.targets, targets)})
        ),
        online,
    )
    timestamp = _signed(
        Metadata(
            Timestamp(versions.timestamp, expires=pointer_expires, snapshot_meta=_meta(versions.snapshot, snapshot))
        ),
        online,
    )
    return {
        f"metadata/{versions.targets}.targets.json": targets,
        f"metadata/{versions.snapshot}.snapshot.json": snapshot,
        TIMESTAMP_PATH: timestamp,
    }


def _signed(metadata: Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp], online: CryptoSigner) -> bytes:
    metadata.sign(online)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, length=len(data), hashes={"sha256": sha256_hex(data)})
