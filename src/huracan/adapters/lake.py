"""The lake: raw rows as Delta tables, one per ticker and kind, each file's provenance in the commit.

A commit writes rows and the list of archive files they came from in one atomic step, so a killed night leaves either
both or neither (stray Parquet files are invisible and go with `vacuum`). Nothing is ever appended twice: rows
already stored with the same values are dropped before the commit, and a commit stands only on the version it was
compared with: of two writers at once, also on two machines, the later one compares again. Bars are stored packed (see
`packing`). A table holds all listings of its ticker, as the archive's files do; an earlier one is a cut of its rows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from huracan.adapters.disk import is_disk_full
from huracan.adapters.lake_place import place_of
from huracan.adapters.lake_rows import (
    BARS,
    FUNDING,
    KINDS,
    ORIGIN,
    Kind,
    against_stored,
    combined,
    is_restated,
    provenance_of,
)
from huracan.adapters.packing import PACKED_SCHEMA, pack_bars, unpack_bars
from huracan.domain.frames import FUNDING_SCHEMA, empty
from huracan.domain.ids import Instrument, from_path_segment
from huracan.errors import DamagedTableError, DiskFullError, HuracanError, UpstreamError
from huracan.ports import FetchedFile, FetchedRows

_FILES_KEY: Final = "huracan_files"
_ESCAPE: Final = "@"  # delta-rs decodes percent signs in paths, so a folder's name must not hold one
_WRITERS_AT_ONCE: Final = 20
_SMALL_FILES: Final = 32
_MERGED_BYTES: Final = 1 << 20
"""An append that leaves more small files than that merges them into ones of this size, about a month of minutes."""
_EVER: Final = (-(1 << 63), (1 << 63) - 1)
_TABLE: Final = {"delta.checkpointInterval": "10", "delta.logRetentionDuration": "interval 7 days"}
"""A commit names every archive file of its table, so old ones are not kept; measured in docs/measurements/2026-11-25-ingest.md."""
_LOST: Final = re.compile("already exists|Invalid table version")
"""How delta-rs tells that a commit did not become its version. The second comes of a conflict after which nothing stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the lake holds of one instrument: rows, first and last time (ms), rows the exchange restated, bytes."""

    instrument_id: str
    kind: str
    rows: int
    first_ms: int
    last_ms: int
    restated: int
    bytes: int


class DeltaLake:
    """A Lake under a folder or a bucket's URL. Bars of different intervals need different roots.

    A bucket that does not answer is an UpstreamError, a table that cannot be read a DamagedTableError. `allow_http` is for
    object stores on loopback.
    """

    def __init__(self, root: str, *, allow_http: bool = False) -> None:
        self._place = place_of(root, allow_http=allow_http)

    def files(self, instrument: Instrument) -> dict[str, FetchedFile]:
        """Archive files whose rows are stored, by name."""
        found: dict[str, FetchedFile] = {}
        for kind in KINDS.values():
            found |= self._known_files(kind, instrument)
        return found

    def append(self, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        """Store what is new in one commit per kind; returns how many rows were new or changed.

        Of two rows of one time the later batch wins. A row that is stored with the same values is dropped; one that
        differs replaces the stored row and is marked restated. A null never erases a stored value: it says that the
        source lacks the column. Raises SchemaError, or DiskFullError with the lake as it was.
        """
        changed = 0
        for kind in KINDS.values():
            mine = [batch for batch in batches if batch.kind == kind.name]
            if mine:
                changed += self._append_kind(kind, instrument, mine, vendor)
        return changed

    def bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored rows (BAR_SCHEMA), ascending, start_ms <= open_time < end_ms; empty when nothing is stored.

        Of an earlier listing nothing from `Instrument.until_ms` on: all listings of a ticker share its table.
        """
        return self._read(BARS, instrument, start_ms, end_ms)

    def funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored settlements (FUNDING_SCHEMA), ascending, start_ms <= funding_time < end_ms."""
        return self._read(FUNDING, instrument, start_ms, end_ms)

    def provenance(self, instrument: Instrument) -> pl.DataFrame:
        """Of every stored bar its open_time, vendor, source (archive or rest) and whether the exchange restated it."""
        table = self._open(BARS, instrument)
        if table is None:
            return provenance_of(empty({"open_time": pl.Int64, ORIGIN: pl.Int64}))
        try:
            return provenance_of(self._scan(table, BARS, instrument).select("open_time", ORIGIN).collect())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._place.failure(self._uri(BARS, instrument), error) from error

    def instruments(self, kind: str = "bars") -> list[str]:
        """Tickers (ids of their newest listings) with a table of the kind, sorted."""
        return sorted(from_path_segment(name.replace(_ESCAPE, "%")) for name in self._place.names(kind))

    def size(self) -> int:
        """Bytes below the root, with all that old versions still need."""
        return self._place.bytes()

    def set_aside(self, instrument: Instrument) -> list[str]:
        """Move tables that cannot be read to ``damaged/`` beside the others; returns where they lie now.

        A commit is not synced to the disk, so a power cut can leave a torn log or empty files. Nothing is lost by that: all
        rows come from an archive that still has them.
        """
        moved = []
        for kind in KINDS.values():
            try:
                self._read(kind, instrument, 0, 1 << 62)
                self._known_files(kind, instrument)
            except DamagedTableError:
                moved.append(self._place.move_aside(_table(kind, instrument)))
        return moved

    def compact(self, instrument: Instrument, *, vacuum: bool = False) -> None:
        """Merge the small files of every night into few; `vacuum` also deletes files no version of a week needs.

        Rows that somebody appends meanwhile stay; their file may be forgotten, and is then fetched once more.
        """
        for kind in KINDS.values():
            self._merge(kind, instrument, vacuum=vacuum)

    def _merge(self, kind: Kind, instrument: Instrument, *, vacuum: bool, target_bytes: int | None = None) -> None:
        table = self._open(kind, instrument)
        if table is None:
            return
        properties = _commit_properties(self._files_of(table, kind, instrument))
        try:
            table.optimize.compact(
                target_size=target_bytes, writer_properties=_writer(kind), commit_properties=properties
            )
            if vacuum:
                table.vacuum(dry_run=False, full=True, commit_properties=properties)
        except CommitFailedError:  # somebody else merges, and the rows are as they were
            return
        except (DeltaError, OSError) as error:
            raise self._write_failure(self._uri(kind, instrument), "merging files", error) from error

    def coverage(self, instrument: Instrument) -> list[Coverage]:
        """What is stored, per kind; nothing for a kind without rows."""
        found = []
        for kind in KINDS.values():
            table = self._open(kind, instrument)
            if table is None:
                continue
            time = pl.col(kind.time)
            row = self._scan(table, kind, instrument).select(
                rows=pl.len(), first=time.min(), last=time.max(), restated=is_restated().sum()
            )
            seen = row.collect().row(0, named=True)
            if seen["rows"]:
                size = sum(int(n) for n in pl.DataFrame(table.get_add_actions(flatten=True))["size_bytes"])
                found.append(
                    Coverage(
                        instrument_id=instrument.id,
                        kind=kind.name,
                        rows=seen["rows"],
                        first_ms=seen["first"],
                        last_ms=seen["last"],
                        restated=seen["restated"],
                        bytes=size,
                    )
                )
        return found

    def _uri(self, kind: Kind, instrument: Instrument) -> str:
        return f"{self._place.root}/{_table(kind, instrument)}"

    def _open(self, kind: Kind, instrument: Instrument) -> DeltaTable | None:
        if not self._place.may_hold(_table(kind, instrument)):
            return None
        uri = self._uri(kind, instrument)
        try:
            return DeltaTable(uri, storage_options=self._place.options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise self._place.failure(uri, error) from error

    def _known_files(self, kind: Kind, instrument: Instrument) -> dict[str, FetchedFile]:
        table = self._open(kind, instrument)
        return {} if table is None else self._files_of(table, kind, instrument)

    def _files_of(self, table: DeltaTable, kind: Kind, instrument: Instrument) -> dict[str, FetchedFile]:
        try:
            return _files_of(table)
        except (DeltaError, OSError, ValueError) as error:
            raise self._place.failure(self._uri(kind, instrument), error) from error

    def _scan(
        self, table: DeltaTable, kind: Kind, instrument: Instrument, low: int = _EVER[0], high: int = _EVER[1]
    ) -> pl.LazyFrame:
        """Rows with low <= time <= high, from those files alone that may hold some."""
        uri, stored = self._uri(kind, instrument), _stored_schema(kind)
        if {field.name for field in table.schema().fields} != set(stored):
            raise self._place.failure(uri, ValueError("its columns are those of another release of Huracan"))
        files = pl.DataFrame(table.get_add_actions(flatten=True))
        first, last = f"min.{kind.time}", f"max.{kind.time}"
        if first in files.columns:
            outside = (pl.col(last) < low) | (pl.col(first) > high)
            files = files.filter(~outside.fill_null(value=False))
        if files.is_empty():
            return pl.LazyFrame(schema={field.name: stored[field.name] for field in table.schema().fields})
        rows = self._place.read([f"{uri}/{name}" for name in files["path"]])
        return rows.filter(pl.col(kind.time).is_between(low, high))

    def _read(self, kind: Kind, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        table = self._open(kind, instrument)
        if table is None:
            return empty(kind.schema)
        if instrument.until_ms is not None:
            end_ms = min(end_ms, instrument.until_ms)
        try:
            frame = self._scan(table, kind, instrument, start_ms, end_ms - 1).drop(ORIGIN).collect()
            return _plain_form(kind, frame if frame[kind.time].is_sorted() else frame.sort(kind.time))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._place.failure(self._uri(kind, instrument), error) from error

    def _append_kind(self, kind: Kind, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        incoming = combined(kind, batches, vendor)
        files = {batch.file.name: batch.file for batch in batches if batch.file is not None}
        for _ in range(_WRITERS_AT_ONCE):
            fresh = self._try_append(kind, instrument, incoming, files)
            if fresh is not None:
                return fresh
        message = f"lake table {self._uri(kind, instrument)}: {_WRITERS_AT_ONCE} other commits came first; run again"
        raise UpstreamError(message)

    def _try_append(
        self, kind: Kind, instrument: Instrument, incoming: pl.DataFrame, files: Mapping[str, FetchedFile]
    ) -> int | None:
        """How many rows were new or changed; None where somebody else has committed meanwhile."""
        table = self._open(kind, instrument)
        known = {} if table is None else self._files_of(table, kind, instrument)
        fresh, merged = incoming, None
        if table is not None and incoming.height:
            try:
                low, high = incoming[kind.time][0], incoming[kind.time][-1]
                stored = _plain_form(kind, self._scan(table, kind, instrument, low, high).collect())
                fresh, merged = against_stored(kind, stored, incoming)
            except (pl.exceptions.PolarsError, OSError) as error:
                raise self._place.failure(self._uri(kind, instrument), error) from error
        if fresh.is_empty() and all(known.get(name) == file for name, file in files.items()):
            return 0
        commit = _Commit(rows=fresh if merged is None else merged, files={**known, **files}, replace=merged is not None)
        if not self._commit(kind, instrument, table, commit):
            return None
        if table is not None and _small_files(table) > _SMALL_FILES:
            self._merge(kind, instrument, vacuum=True, target_bytes=_MERGED_BYTES)
        return fresh.height

    def _commit(self, kind: Kind, instrument: Instrument, table: DeltaTable | None, commit: "_Commit") -> bool:
        """Whether this is now the version after `table` (None: the first)."""
        uri, rows = self._uri(kind, instrument), _stored_form(kind, commit.rows)
        writer, properties = _writer(kind), _commit_properties(commit.files)
        try:
            if table is None:
                write_deltalake(
                    uri,
                    rows,
                    mode="error",
                    configuration=_TABLE,
                    storage_options=self._place.options,
                    writer_properties=writer,
                    commit_properties=properties,
                )
            elif commit.replace:
                span = f"{kind.time} >= {rows[kind.time][0]} AND {kind.time} <= {rows[kind.time][-1]}"
                write_deltalake(
                    table,
                    rows,
                    mode="overwrite",
                    predicate=span,
                    writer_properties=writer,
                    commit_properties=properties,
                )
            else:
                write_deltalake(table, rows, mode="append", writer_properties=writer, commit_properties=properties)
        except (DeltaError, OSError) as error:
            if isinstance(error, CommitFailedError) or _LOST.search(str(error)):
                return False
            what = f"{rows.height} {kind.name} rows of {instrument.id}"
            raise self._write_failure(uri, what, error) from error
        return True

    def _write_failure(self, uri: str, what: str, error: BaseException) -> HuracanError:
        if is_disk_full(error):
            return DiskFullError(f"no space for {what} in {uri}; the lake is as it was")
        return self._place.failure(uri, error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    """Rows to add, or to put in place of all stored ones in their time range, and the whole list of files after it."""

    rows: pl.DataFrame
    files: Mapping[str, FetchedFile]
    replace: bool


def _table(kind: Kind, instrument: Instrument) -> str:
    return f"{kind.name}/{instrument.path_id.replace('%', _ESCAPE)}"


def _small_files(table: DeltaTable) -> int:
    sizes = pl.DataFrame(table.get_add_actions(flatten=True))["size_bytes"]
    return int((sizes < _MERGED_BYTES).sum())


def _stored_schema(kind: Kind) -> dict[str, Any]:
    return {**(PACKED_SCHEMA if kind is BARS else FUNDING_SCHEMA), ORIGIN: pl.Int64}


def _stored_form(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return pack_bars(rows) if kind is BARS else rows


def _plain_form(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return unpack_bars(rows) if kind is BARS else rows


def _writer(kind: Kind) -> WriterProperties:
    """Delta-packed integers do not compress (.3%); statistics are kept of the time alone, which is all that is asked for."""
    packed = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED", statistics_enabled="NONE")
    split = ColumnProperties(dictionary_enabled=False, encoding="BYTE_STREAM_SPLIT", statistics_enabled="NONE")
    columns = dict.fromkeys(PACKED_SCHEMA, packed) if kind is BARS else dict.fromkeys(FUNDING_SCHEMA, split)
    columns[ORIGIN] = packed
    columns[kind.time] = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
    return WriterProperties(compression="UNCOMPRESSED" if kind is BARS else "LZ4_RAW", column_properties=columns)


def _commit_properties(files: Mapping[str, FetchedFile]) -> CommitProperties:
    entries = {name: [file.sha256, file.rows, file.stamp] for name, file in sorted(files.items())}
    metadata = {_FILES_KEY: json.dumps(entries, separators=(",", ":"))}
    return CommitProperties(custom_metadata=metadata, max_commit_retries=0)


def _files_of(table: DeltaTable) -> dict[str, FetchedFile]:
    """The list in the newest commit that carries one: every commit of ours repeats the whole list."""
    for limit in (1, None):
        for commit in table.history(limit):
            if _FILES_KEY in commit:
                entries = json.loads(commit[_FILES_KEY])
                return {name: _file_of(name, *entry) for name, entry in entries.items()}
    return {}


def _file_of(name: str, sha256: str, rows: int, stamp: str | None = None) -> FetchedFile:
    """A record as it was written; older ones have no stamp."""
    return FetchedFile(name=name, sha256=sha256, rows=rows, stamp=stamp)
