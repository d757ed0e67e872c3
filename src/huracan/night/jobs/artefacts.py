"""Derived files that are believed by their sha256 alone: how jobs hand results to the driver and to the next night.

A record (`result.json`) names the sha256 of every file it stands for. Its own is in the ledger, or in the message that
a worker sent. So whatever lies in the folder or the bucket, only bytes that a job of ours has written come out.
"""

import io
from collections.abc import Callable
from typing import Final, TypeVar

import polars as pl

from huracan.domain.codec import from_bytes, to_bytes
from huracan.domain.ids import sha256_hex
from huracan.domain.night_records import ContextRecord, PrepareRecord, StoredRecord, TrainRecord
from huracan.errors import AlteredArtefactError, DataError
from huracan.ports import ArtefactStore

RECORD: Final = "result.json"

R = TypeVar("R", ContextRecord, PrepareRecord, TrainRecord)


class Artefacts:
    """An artefact store as the work on pairs sees it: every read is verified, and counted.

    `verified` counts reads, `mismatched` holds the key of each one that found other bytes or none; `on_mismatch` hears
    of it.
    """

    def __init__(self, store: ArtefactStore) -> None:
        self.store = store
        self.verified = 0
        self.mismatched: list[str] = []
        self.on_mismatch: Callable[[str], None] = lambda _key: None

    def read(self, key: str, sha256: str) -> bytes:
        """The bytes of this sha256 under a key; raises AlteredArtefactError where there are others, or none."""
        data = self.store.get(key)
        if data is None or sha256_hex(data) != sha256:
            self.count(mismatched=[key])
            seen = "there is nothing" if data is None else f"there are {len(data)} others"
            raise AlteredArtefactError(
                f"artefact {key}: {seen} where a job wrote bytes of sha256 {sha256[:16]}...; they are made again in the next run"
            )
        self.verified += 1
        return data

    def frame(self, key: str, sha256: str) -> pl.DataFrame:
        """The frame under a key, in one piece; raises as `read` does."""
        # Columns in several pieces become writable copies as arrays, which numba takes for other types and compiles
        # anew.
        return pl.read_parquet(io.BytesIO(self.read(key, sha256))).rechunk()

    def write(self, key: str, data: bytes) -> str:
        """Store bytes in place of any others under the key; returns their sha256."""
        self.store.replace(key, data)
        return sha256_hex(data)

    def write_frame(self, key: str, frame: pl.DataFrame) -> str:
        """Store a frame as Parquet; returns its sha256."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
        return self.write(key, buffer.getvalue())

    def write_record(self, record: StoredRecord) -> str:
        """Store a record below its own key, after all files it stands for; returns its sha256."""
        return self.write(f"{record.key}/{RECORD}", to_bytes(record))

    def record(self, kind: type[R], root: str, sha256: str) -> R:
        """The record of a root; raises as `read` does."""
        return from_bytes(kind, self.read(f"{root}/{RECORD}", sha256))

    def holds(self, key: str, sha256: str) -> bool:
        """Whether the bytes under a key are those of this sha256."""
        try:
            self.read(key, sha256)
        except AlteredArtefactError:
            return False
        return True

    def believed(self, kind: type[R], root: str, sha256: str | None) -> R | None:
        """The record of a root where all its files are as it says; None where one is not, or no job is known to have
        written it.
        """
        if sha256 is None:
            return None
        try:
            record = self.record(kind, root, sha256)
        except (AlteredArtefactError, DataError):
            return None
        whole = [self.holds(key, digest) for key, digest in record.stored()]  # every one is looked at and counted
        return record if all(whole) else None

    def count(self, *, verified: int = 0, mismatched: list[str] | tuple[str, ...] = ()) -> None:
        """Count what was read here or by a worker."""
        self.verified += verified
        self.mismatched += mismatched
        for key in mismatched:
            self.on_mismatch(key)
