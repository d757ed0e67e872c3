"""The lake: raw rows as Delta tables, one per instrument and kind, each file's provenance in the commit.

A commit writes rows and the list of archive files they came from in one atomic step, so a killed night leaves either
both or neither (stray Parquet files are invisible and go with `vacuum`). Nothing is ever appended twice: rows
already stored with the same values are dropped before the commit. Bars are stored packed (see `packing`).
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from huracan.adapters.disk import is_disk_full
from huracan.adapters.packing import PACKED_SCHEMA, pack_bars, unpack_bars
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, check_schema, empty
from huracan.domain.ids import Instrument, from_path_segment
from huracan.errors import ConfigError, DamagedTableError, DiskFullError, SchemaError
from huracan.ports import FetchedFile, FetchedRows

_FILES_KEY: Final = "huracan_files"
_ESCAPE: Final = "@"  # delta-rs decodes percent signs in paths, so a folder's name must not hold one
_PROVENANCE: Final = {"vendor": pl.String, "source": pl.String, "restated": pl.Boolean}


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


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    time: str
    schema: dict[str, Any]


_BARS: Final = _Kind("bars", "open_time", BAR_SCHEMA)
_FUNDING: Final = _Kind("funding", "funding_time", FUNDING_SCHEMA)
_KINDS: Final = {kind.name: kind for kind in (_BARS, _FUNDING)}


class DeltaLake:
    """A Lake under a folder or an object store's URL. Bars of different intervals need different roots."""

    def __init__(self, root: str) -> None:
        self._local = "://" not in root
        self._root = str(Path(root).absolute()) if self._local else root.rstrip("/")
        if "%" in self._root:
            message = f"lake folder {root!r} contains '%', which Delta tables read as an escape; wanted a path without"
            raise ConfigError(message)

    def files(self, instrument: Instrument) -> dict[str, FetchedFile]:
        """Archive files whose rows are stored, by name."""
        found: dict[str, FetchedFile] = {}
        for kind in _KINDS.values():
            found |= self._known_files(kind, instrument)
        return found

    def append(self, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        """Store what is new in one commit per kind; returns how many rows were new or changed.

        Of two rows of one time the later batch wins. A row that is stored with the same values is dropped; one that
        differs replaces the stored row and is marked restated. A null never erases a stored value: it says that the
        source lacks the column. Raises SchemaError, or DiskFullError with the lake as it was.
        """
        changed = 0
        for kind in _KINDS.values():
            mine = [batch for batch in batches if batch.kind == kind.name]
            if mine:
                changed += self._append_kind(kind, instrument, mine, vendor)
        return changed

    def bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored rows (BAR_SCHEMA), ascending, start_ms <= open_time < end_ms; empty when nothing is stored."""
        return self._read(_BARS, instrument, start_ms, end_ms)

    def funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored settlements (FUNDING_SCHEMA), ascending, start_ms <= funding_time < end_ms."""
        return self._read(_FUNDING, instrument, start_ms, end_ms)

    def provenance(self, instrument: Instrument) -> pl.DataFrame:
        """Of every stored bar its open_time, vendor, source (archive or rest) and whether the exchange restated it."""
        table = self._open(_BARS, instrument)
        if table is None:
            return empty({"open_time": pl.Int64, **_PROVENANCE})
        uri = self._uri(_BARS, instrument)
        try:
            return _scan(table, uri).select("open_time", *_PROVENANCE).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(uri, error) from error

    def instruments(self, kind: str = "bars") -> list[str]:
        """Instrument ids with a table of the kind, sorted. Local lakes only."""
        folder = Path(self._root) / kind
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted(from_path_segment(name.replace(_ESCAPE, "%")) for name in names)

    def set_aside(self, instrument: Instrument) -> list[str]:
        """Move tables that cannot be read to ``damaged/`` beside the others; returns where they lie now. Local lakes only.

        A commit is not synced to the disk, so a power cut can leave a torn log or empty files. Nothing is lost by that: all
        rows come from an archive that still has them.
        """
        moved = []
        for kind in _KINDS.values() if self._local else ():
            try:
                self._read(kind, instrument, 0, 1 << 62)
                self._known_files(kind, instrument)
            except DamagedTableError:
                folder = Path(self._uri(kind, instrument))
                number = 1
                while (target := Path(self._root) / "damaged" / f"{kind.name}-{folder.name}-{number}").exists():
                    number += 1
                target.parent.mkdir(exist_ok=True)
                folder.rename(target)
                moved.append(str(target))
        return moved

    def compact(self, instrument: Instrument, *, vacuum: bool = False) -> None:
        """Merge the small files of every night into few; `vacuum` also deletes files no version of a week needs."""
        for kind in _KINDS.values():
            table = self._open(kind, instrument)
            if table is None:
                continue
            properties = _commit_properties(_files_of(table))
            table.optimize.compact(writer_properties=_writer(kind), commit_properties=properties)
            if vacuum:
                table.vacuum(dry_run=False, commit_properties=properties)

    def coverage(self, instrument: Instrument) -> list[Coverage]:
        """What is stored, per kind; nothing for a kind without rows."""
        found = []
        for kind in _KINDS.values():
            table = self._open(kind, instrument)
            if table is None:
                continue
            time = pl.col(kind.time)
            row = _scan(table, self._uri(kind, instrument)).select(
                rows=pl.len(), first=time.min(), last=time.max(), restated=pl.col("restated").sum()
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

    def _uri(self, kind: _Kind, instrument: Instrument) -> str:
        return f"{self._root}/{kind.name}/{instrument.path_id.replace('%', _ESCAPE)}"

    def _open(self, kind: _Kind, instrument: Instrument) -> DeltaTable | None:
        uri = self._uri(kind, instrument)
        if self._local and not os.path.isdir(f"{uri}/_delta_log"):  # noqa: PTH112
            return None
        try:
            return DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None
        except (DeltaError, OSError) as error:
            raise _unreadable(uri, error) from error

    def _known_files(self, kind: _Kind, instrument: Instrument) -> dict[str, FetchedFile]:
        table = self._open(kind, instrument)
        try:
            return {} if table is None else _files_of(table)
        except (DeltaError, OSError, ValueError) as error:
            raise _unreadable(self._uri(kind, instrument), error) from error

    def _read(self, kind: _Kind, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        table = self._open(kind, instrument)
        if table is None:
            return empty(kind.schema)
        inside = pl.col(kind.time).is_between(start_ms, end_ms, closed="left")
        try:
            frame = _scan(table, self._uri(kind, instrument)).filter(inside).drop(list(_PROVENANCE)).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(self._uri(kind, instrument), error) from error
        return _plain_form(kind, frame if frame[kind.time].is_sorted() else frame.sort(kind.time))

    def _append_kind(self, kind: _Kind, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        incoming = _combine(kind, batches, vendor)
        files = {batch.file.name: batch.file for batch in batches if batch.file is not None}
        table = self._open(kind, instrument)
        known = {} if table is None else _files_of(table)
        fresh, merged = incoming, None
        if table is not None and incoming.height:
            uri = self._uri(kind, instrument)
            try:
                fresh, merged = _against_stored(kind, _scan(table, uri), incoming)
            except (pl.exceptions.PolarsError, OSError) as error:
                raise _unreadable(uri, error) from error
        if fresh.is_empty() and (not files.keys() - known.keys()) and all(known[n] == f for n, f in files.items()):
            return 0
        self._commit(kind, instrument, fresh if merged is None else merged, known | files, replace=merged is not None)
        return fresh.height

    def _commit(
        self,
        kind: _Kind,
        instrument: Instrument,
        rows: pl.DataFrame,
        files: Mapping[str, FetchedFile],
        *,
        replace: bool,
    ) -> None:
        uri = self._uri(kind, instrument)
        writer, properties = _writer(kind), _commit_properties(files)
        packed = _stored_form(kind, rows)
        try:
            if replace:
                low, high = int(rows[kind.time][0]), int(rows[kind.time][-1])
                span = f"{kind.time} >= {low} AND {kind.time} <= {high}"
                write_deltalake(
                    uri,
                    packed,
                    mode="overwrite",
                    predicate=span,
                    writer_properties=writer,
                    commit_properties=properties,
                )
            else:
                write_deltalake(uri, packed, mode="append", writer_properties=writer, commit_properties=properties)
        except (DeltaError, OSError) as error:
            if is_disk_full(error):
                message = (
                    f"no space for {rows.height} {kind.name} rows of {instrument.id} in {uri}; the lake is as it was"
                )
                raise DiskFullError(message) from error
            raise _unreadable(uri, error) from error


def _combine(kind: _Kind, batches: Sequence[FetchedRows], vendor: str) -> pl.DataFrame:
    parts = []
    for batch in batches:
        check_schema(batch.rows, kind.schema, f"fetched {kind.name} from {batch.source}")
        parts.append(
            batch.rows.with_columns(vendor=pl.lit(vendor), source=pl.lit(batch.source), restated=pl.lit(value=False))
        )
    rows = pl.concat(parts)
    time = rows[kind.time]
    if time.null_count():
        message = f"{time.null_count()} fetched {kind.name} rows without a time"
        raise SchemaError(message)
    if rows.height > 1 and not bool((time.diff().slice(1) > 0).all()):
        rows = rows.unique(kind.time, keep="last", maintain_order=True).sort(kind.time)
    return rows


def _against_stored(
    kind: _Kind, table: pl.LazyFrame, incoming: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows that are new or changed, and, if any changed, everything that must stand in their time range."""
    time, values = kind.time, [name for name in kind.schema if name != kind.time]
    low, high = incoming[time][0], incoming[time][-1]
    stored = _plain_form(kind, table.filter(pl.col(time).is_between(low, high)).collect())
    if stored.is_empty():
        return incoming, None
    pairs = incoming.join(stored, on=time, how="left", suffix="_old")
    known = pl.col("vendor_old").is_not_null()
    same = (pl.col(v).is_null() | pl.col(v).eq_missing(pl.col(f"{v}_old")) for v in values)
    restated = (pl.col(v).ne(pl.col(f"{v}_old")).fill_null(value=False) for v in values)
    pairs = pairs.filter(~(known & pl.all_horizontal(same)))
    fresh = pairs.select(
        time,
        *(pl.coalesce(v, f"{v}_old").alias(v) for v in values),
        "vendor",
        "source",
        restated=pl.any_horizontal(restated) | pl.col("restated_old").fill_null(value=False),
    )
    if pairs["vendor_old"].null_count() == pairs.height:  # an expression's is_not_null().any() is true on no rows
        return fresh, None
    low, high = fresh[time][0], fresh[time][-1]
    beside = stored.filter(pl.col(time).is_between(low, high)).join(fresh, on=time, how="anti")
    return fresh, pl.concat([beside.select(fresh.columns), fresh]).sort(time)


def _scan(table: DeltaTable, uri: str) -> pl.LazyFrame:
    names = [name.rpartition("/")[2] for name in table.file_uris()]
    if not names:
        known = {**PACKED_SCHEMA, **FUNDING_SCHEMA, **_PROVENANCE}
        return pl.LazyFrame(schema={field.name: known[field.name] for field in table.schema().fields})
    # The addresses come back percent-encoded; unpartitioned files lie in the table's own folder.
    return pl.scan_parquet([f"{uri}/{name}" for name in names], glob=False, hive_partitioning=False)


def _stored_form(kind: _Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return pack_bars(rows) if kind is _BARS else rows


def _plain_form(kind: _Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return unpack_bars(rows) if kind is _BARS else rows


def _writer(kind: _Kind) -> WriterProperties:
    rising = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
    split = ColumnProperties(dictionary_enabled=False, encoding="BYTE_STREAM_SPLIT")
    columns = dict.fromkeys(kind.schema, split) | {kind.time: rising, "open": rising}
    columns = {name: columns[name] for name in columns if name in kind.schema}
    return WriterProperties(compression="ZSTD", compression_level=3, column_properties=columns)


def _commit_properties(files: Mapping[str, FetchedFile]) -> CommitProperties:
    entries = {name: [file.sha256, file.rows, file.stamp] for name, file in sorted(files.items())}
    return CommitProperties(custom_metadata={_FILES_KEY: json.dumps(entries, separators=(",", ":"))})


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


def _unreadable(uri: str, error: BaseException) -> DamagedTableError:
    words = str(error).strip().partition("\n")[0]
    return DamagedTableError(f"lake table {uri}: {words}; move the folder away and the next run fetches it again")
