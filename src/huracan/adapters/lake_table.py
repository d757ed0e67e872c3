"""One table of the lake: a Delta log whose newest commit is sealed, and data files that are read by the seal alone.

Files are written and hashed first. Then one commit adds them, removes those they replace, and carries the seal. A
commit stands only on the version that it was made from: of two writers at once the later one must look again.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from huracan.adapters.disk import is_disk_full
from huracan.adapters.lake_doubles import Run
from huracan.adapters.lake_files import check_bytes, checked, describe, encode, stored_schema
from huracan.adapters.lake_place import LakePlace
from huracan.adapters.lake_rows import Kind
from huracan.adapters.lake_seal import FORMER_KEY, SEAL_KEY, DataFile, Seal, archive_files, read_seal, seal_text
from huracan.domain.ids import content_hash, sha256_hex
from huracan.errors import DiskFullError, HuracanError
from huracan.ports import FetchedFile

EVER: Final = (-(1 << 63), (1 << 63) - 1)
_TABLE: Final = {"delta.checkpointInterval": "10", "delta.logRetentionDuration": "interval 7 days"}
"""A commit names every file of its table, so old ones are not kept; measured in docs/measurements/ingest.md."""
_LOST: Final = re.compile("already exists|Invalid table version")
"""How delta-rs says that a commit did not become its version. The second comes of a conflict after which nothing stands
there.
"""
_TYPES: Final[Mapping[object, str]] = {pl.Int64: "long", pl.Float64: "double"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit does: new rows (stored form), files that go, and the archive files and doubles known afterwards."""

    rows: tuple[pl.DataFrame, ...] = ()
    gone: tuple[DataFile, ...] = ()
    archive: Mapping[str, FetchedFile]
    doubles: Mapping[str, tuple[Run, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRows:
    """What a table holds of a time range, as bytes that had the hash they were sealed with.

    `digest` stands for all of these bytes and the range, `frame` parses them.
    """

    digest: str
    frame: Callable[[], pl.DataFrame]


class LakeTable:
    """A table at one version; `name` is its path below the lake's root, `delta` is None before its first commit.

    Raises DamagedTableError for whatever is not as it was sealed, UpstreamError where a bucket does not answer.
    """

    def __init__(self, place: LakePlace, kind: Kind, name: str, delta: DeltaTable | None, seal: Seal) -> None:
        self._place, self._kind, self._name, self._delta = place, kind, name, delta
        self.seal = seal

    @classmethod
    def open(cls, place: LakePlace, kind: Kind, name: str) -> "LakeTable":
        """The newest version, its seal checked against the log; an empty table where there is none yet."""
        if not place.may_hold(name):
            return cls(place, kind, name, None, Seal())
        uri = f"{place.root}/{name}"
        try:
            delta = DeltaTable(uri, storage_options=place.options)
            (commit,) = place.fetch([f"{name}/_delta_log/{delta.version():020}.json"])
            return cls(place, kind, name, delta, _checked_seal(delta, _commit_info(commit), kind))
        except TableNotFoundError:
            return cls(place, kind, name, None, Seal())
        except (
            DeltaError,
            pl.exceptions.PolarsError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise place.failure(uri, error) from error

    @property
    def exists(self) -> bool:
        """Whether it has a version."""
        return self._delta is not None

    @property
    def time(self) -> str:
        """Name of its time column."""
        return self._kind.time

    def read(self, low: int = EVER[0], high: int = EVER[1], columns: Iterable[str] | None = None) -> pl.DataFrame:
        """Rows with low <= time <= high in their stored form, from those files alone that may hold some."""
        return self.rows_of(self._files(low, high), columns, self._between(low, high))

    def held(self, low: int, high: int) -> HeldRows:
        """The same rows, their bytes read and checked now and parsed when they are wanted."""
        files = self._files(low, high)
        sources = self._sources(files)
        hashes = [file.sha256 or sha256_hex(data) for file, data in zip(files, sources, strict=True)]
        return HeldRows(
            digest=content_hash(self._kind.name, low, high, hashes),
            frame=lambda: self._parsed(sources, list(stored_schema(self._kind)), self._between(low, high)),
        )

    def rows_of(
        self, files: Iterable[DataFile], columns: Iterable[str] | None = None, wanted: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Rows of some of its files in their stored form, parsed from the very bytes that had the right hash."""
        names = list(stored_schema(self._kind)) if columns is None else list(columns)
        return self._parsed(self._sources(list(files)), names, wanted)

    def damaged(self) -> list[DataFile]:
        """Data files that are gone or have other bytes than were sealed; every byte of the table is read for it."""
        found = []
        for file in self.seal.data.values():
            try:
                check_bytes(self._fetch(file), file)
            except (FileNotFoundError, ValueError):
                found.append(file)
        return found

    def commit(self, change: Change) -> bool:
        """Whether the change is now the version after this one; False where another writer has committed meanwhile."""
        made = [encode(self._kind, rows) for rows in change.rows]
        try:
            kept = [file for path, file in self.seal.data.items() if path not in {gone.path for gone in change.gone}]
            kept = [file if file.sha256 else self._seal_late(file) for file in kept]
            for file, data in made:
                self._place.store(f"{self._name}/{file.path}", data)
            late = any(file.late or not file.sha256 for file in change.gone)
            added = [replace(file, late=late) for file, _ in made]
            data_files = {file.path: file for file in (*kept, *added)}
            seal = Seal(data=data_files, archive=change.archive, doubles=change.doubles)
            self._write_log(added, change.gone, seal)
        except CommitFailedError:
            return False
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            if _LOST.search(str(error)):
                return False
            raise self.write_failure(f"{sum(file.rows for file, _ in made)} rows", error) from error
        return True

    def vacuum(self) -> None:
        """Delete files that no version of the last week needs."""
        if self._delta is None or not self.seal.whole:
            return
        try:
            self._delta.vacuum(dry_run=False, full=True, commit_properties=_properties(self.seal))
        except CommitFailedError:  # another writer commits; the next one tidies up
            return
        except (DeltaError, OSError) as error:
            raise self.write_failure("deleting old files", error) from error

    def write_failure(self, what: str, error: BaseException) -> HuracanError:
        """What a failed write means."""
        uri = f"{self._place.root}/{self._name}"
        if is_disk_full(error):
            return DiskFullError(f"no space for {what} in {uri}; the lake is as it was")
        return self._place.failure(uri, error)

    def _files(self, low: int, high: int) -> list[DataFile]:
        return [file for file in self.seal.data.values() if file.may_hold(low, high)]

    def _between(self, low: int, high: int) -> pl.Expr:
        return pl.col(self._kind.time).is_between(low, high)

    def _sources(self, files: list[DataFile]) -> list[bytes]:
        """The bytes of files, each as it was sealed, of a table whose columns are those of this release."""
        uri, schema = f"{self._place.root}/{self._name}", stored_schema(self._kind)
        if self._delta is not None and {field.name for field in self._delta.schema().fields} != set(schema):
            raise self._place.failure(uri, ValueError("its columns are those of another release of Huracan"))
        try:
            read = self._place.fetch([f"{self._name}/{file.path}" for file in files])
            return [checked(data, file) for data, file in zip(read, files, strict=True)]
        except (OSError, ValueError) as error:
            raise self._place.failure(uri, error) from error

    def _parsed(self, sources: list[bytes], names: list[str], wanted: pl.Expr | None) -> pl.DataFrame:
        if not sources:
            schema = stored_schema(self._kind)
            return pl.DataFrame(schema={name: schema[name] for name in names})
        try:
            rows = pl.scan_parquet(sources, glob=False, hive_partitioning=False)
            return (rows if wanted is None else rows.filter(wanted)).select(names).collect()
        except (pl.exceptions.PolarsError, OSError, ValueError) as error:
            raise self._place.failure(f"{self._place.root}/{self._name}", error) from error

    def _fetch(self, file: DataFile) -> bytes:
        return next(iter(self._place.fetch([f"{self._name}/{file.path}"])))

    def _seal_late(self, file: DataFile) -> DataFile:
        data = self._fetch(file)
        return describe(self._kind, file.path, data, pl.read_parquet(data), late=True)

    def _write_log(self, added: list[DataFile], gone: Iterable[DataFile], seal: Seal) -> None:
        now_ms = time.time_ns() // 1_000_000
        fields = [Field(name, PrimitiveType(_TYPES[dtype])) for name, dtype in stored_schema(self._kind).items()]
        adds = [_add(file, self._kind, now_ms) for file in added]
        if self._delta is None:
            create_table_with_add_actions(
                f"{self._place.root}/{self._name}",
                Schema(fields),
                adds,
                mode="error",
                configuration=_TABLE,
                storage_options=self._place.options,
                commit_properties=_properties(seal),
            )
            return
        removes = [RemoveAction(file.path, True, now_ms, file.size, {}) for file in gone]
        self._delta.create_write_transaction(
            [*adds, *removes], mode="append", schema=Schema(fields), commit_properties=_properties(seal)
        )


def _properties(seal: Seal) -> CommitProperties:
    return CommitProperties(custom_metadata={SEAL_KEY: seal_text(seal)}, max_commit_retries=0)


def _add(file: DataFile, kind: Kind, now_ms: int) -> AddAction:
    stats: dict[str, object] = {"numRecords": file.rows}
    if file.first_ms is not None:
        stats |= {"minValues": {kind.time: file.first_ms}, "maxValues": {kind.time: file.last_ms}}
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={},
        modification_time=now_ms,
        data_change=True,
        stats=json.dumps(stats),
    )


def _commit_info(data: bytes) -> Mapping[str, object]:
    """What a commit says of itself; read here, as the library's history is that of the newest version by then."""
    for line in data.splitlines():
        info = json.loads(line).get("commitInfo")
        if isinstance(info, dict):
            return info
    raise ValueError("its newest commit says nothing of itself")


def _checked_seal(delta: DeltaTable, newest: Mapping[str, object], kind: Kind) -> Seal:
    """The seal of the newest commit; ValueError unless the log as a whole says the same as it."""
    active = _active(delta, kind)
    if SEAL_KEY not in newest:
        return _seal_of_a_former_release(delta, active)
    seal = read_seal(newest[SEAL_KEY])
    stated = {path: replace(file, sha256="", restated=None, late=False) for path, file in seal.data.items()}
    if stated != active:
        raise ValueError("its log lists other data files than its newest commit was sealed with")
    return seal


def _active(delta: DeltaTable, kind: Kind) -> dict[str, DataFile]:
    """Data files as the log has them, without hashes."""
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    first, last = (pl.col(name) if name in files.columns else None for name in (f"min.{kind.time}", f"max.{kind.time}"))
    rows = files.select("path", "size_bytes", "num_records", first=first, last=last).iter_rows()
    return {
        path: DataFile(path=path, sha256="", size=size, rows=count, first_ms=low, last_ms=high)
        for path, size, count, low, high in rows
    }


def _seal_of_a_former_release(delta: DeltaTable, active: Mapping[str, DataFile]) -> Seal:
    """The state of a table that no release with seals has written; ValueError for any other without a seal."""
    commits = delta.history()
    if any(SEAL_KEY in commit for commit in commits):
        raise ValueError("its newest commit has no seal, so it is damaged or another program's")
    for commit in commits:
        if FORMER_KEY in commit:
            return Seal(data=active, archive=archive_files(json.loads(commit[FORMER_KEY])))
    raise ValueError("none of its commits is Huracan's")
