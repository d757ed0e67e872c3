"""The lake: raw rows as Delta tables, one per ticker and kind, each file's provenance and sha256 in the commit.

A commit writes rows, the list of archive files they came from and the sha256 of every data file in one atomic step (see
`lake_seal`), so a killed night leaves either all or nothing (stray Parquet files are invisible and go with `vacuum`).
Every byte is checked when it is read. Nothing is ever appended twice: rows already stored with the same values are
dropped before the commit, and a commit stands only on the version it was compared with: of two writers at once, also on
two machines, the later one compares again. Bars are stored packed (see `packing`). A table holds all listings of its
ticker, as the archive's files do; an earlier one is a cut of its rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from huracan.adapters.lake_doubles import REST, from_runs, known_doubles
from huracan.adapters.lake_place import place_of
from huracan.adapters.lake_rows import (
    BARS,
    FUNDING,
    KINDS,
    ORIGIN,
    Incoming,
    Kind,
    against_stored,
    combined,
    is_restated,
    provenance_of,
)
from huracan.adapters.lake_seal import DataFile, seals_hash
from huracan.adapters.lake_table import Change, HeldRows, LakeTable
from huracan.adapters.packing import pack_bars, unpack_bars
from huracan.domain.ids import Instrument, from_path_segment
from huracan.domain.time import DAY_MS
from huracan.errors import DamagedTableError, UpstreamError
from huracan.ports import FetchedFile, FetchedRows, Holding

_ESCAPE: Final = "@"  # delta-rs decodes percent signs in paths, so a folder's name must not hold one
_WRITERS_AT_ONCE: Final = 20
_SMALL_FILES: Final = 32
_MERGED_BYTES: Final = 1 << 20
"""An append that leaves more small files than that merges them into ones of this size, about a month of minutes."""
_LARGE_BYTES: Final = 100 << 20
"""Files are not merged beyond that."""


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

    A bucket that does not answer is an UpstreamError, a table that cannot be read a DamagedTableError. `allow_http` is
    for object stores on loopback.
    """

    def __init__(self, root: str, *, allow_http: bool = False) -> None:
        self._place = place_of(root, allow_http=allow_http)

    def files(self, instrument: Instrument) -> dict[str, FetchedFile]:
        """Archive files whose rows are stored, by name."""
        found: dict[str, FetchedFile] = {}
        for kind in KINDS.values():
            found |= self._table(kind, instrument).seal.archive
        return found

    def append(self, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        """Store what is new in one commit per kind; returns how many rows were new or changed.

        Of two rows of one time that with more trades stays, then that with more volume, then the later one; the other
        is a double, which is counted. So it is beside stored rows, too, but a row of a file that the exchange has
        replaced stands whatever it holds. A row that is stored with the same values is dropped; one in place of a
        stored row is marked restated. A null never erases a stored value: it says that the source lacks the column.
        Raises SchemaError, or DiskFullError with the lake as it was.
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

    def held_bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> HeldRows:
        """What `bars` would read, checked byte for byte now and parsed when it is wanted."""
        if instrument.until_ms is not None:
            end_ms = min(end_ms, instrument.until_ms)
        held = self._table(BARS, instrument).held(start_ms, end_ms - 1)
        return replace(held, frame=lambda: _of_the_source(BARS, held.frame()))

    def funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored settlements (FUNDING_SCHEMA), ascending, start_ms <= funding_time < end_ms."""
        return self._read(FUNDING, instrument, start_ms, end_ms)

    def provenance(self, instrument: Instrument) -> pl.DataFrame:
        """Of every stored bar its open_time, vendor, source (archive or rest) and whether the exchange restated it."""
        return provenance_of(self._table(BARS, instrument).read(columns=["open_time", ORIGIN]))

    def instruments(self, kind: str = "bars") -> list[str]:
        """Tickers (ids of their newest listings) with a table of the kind, sorted."""
        return sorted(from_path_segment(name.replace(_ESCAPE, "%")) for name in self._place.names(kind))

    def quarantined(self) -> list[str]:
        """Names of what is damaged and quarantined, and has not been deleted since, sorted."""
        return self._place.quarantined()

    def size(self) -> int:
        """Bytes below the root, with all that old versions still need."""
        return self._place.size()

    def quarantine(self, instrument: Instrument) -> list[str]:
        """Move damaged data files, and tables whose log is damaged, to ``damaged/`` beside the others; returns where
        they lie, or that they are gone.

        What such a file held is forgotten with the archive files it may have come from, so the next fetch brings it
        again. Nothing is lost by that: all rows come from an archive that still has them. A commit is not synced to the
        disk, so a power cut can leave a torn log or empty files, too.
        """
        return [place for kind in KINDS.values() for place in self._quarantine(kind, instrument)]

    def doubles(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Bars that gave way to another of the same time, ascending (DOUBLES_SCHEMA), start_ms <= time < end_ms."""
        if instrument.until_ms is not None:
            end_ms = min(end_ms, instrument.until_ms)
        runs = self._table(BARS, instrument).seal.doubles
        return from_runs(runs).filter(pl.col("time_ms").is_between(start_ms, end_ms, closed="left"))

    def holding(self, instrument: Instrument) -> Holding:
        """The state of the instrument's tables in short."""
        seals = [self._table(kind, instrument).seal for kind in KINDS.values()]
        files = [file for seal in seals for file in seal.data.values()]
        late = sum(not file.sha256 or file.late for file in files)
        return Holding(seal=seals_hash(seals), unproven=late, bytes=sum(file.size for file in files))

    def damaged(self, instrument: Instrument) -> list[str]:
        """What `quarantine` would move: every byte is read and compared with its sha256, nothing is changed."""
        found = []
        for kind in KINDS.values():
            name = _name(kind, instrument)
            try:
                found += [f"{name}/{file.path}" for file in self._table(kind, instrument).damaged()]
            except DamagedTableError as error:
                found.append(f"{name}: {error}")
        return found

    def compact(self, instrument: Instrument, *, vacuum: bool = False) -> None:
        """Merge the small files of every night into few; `vacuum` also deletes files no version of a week needs.

        What another process appends meanwhile stays: the merge is then left to the next time.
        """
        for kind in KINDS.values():
            self._merge(kind, instrument, _LARGE_BYTES)
            if vacuum:
                self._table(kind, instrument).vacuum()

    def coverage(self, instrument: Instrument) -> list[Coverage]:
        """What is stored, per kind; nothing for a kind without rows."""
        found = []
        for kind in KINDS.values():
            table = self._table(kind, instrument)
            files = list(table.seal.data.values())
            if any(file.rows for file in files):
                found.append(
                    Coverage(
                        instrument_id=instrument.id,
                        kind=kind.name,
                        rows=sum(file.rows for file in files),
                        first_ms=min(file.first_ms for file in files if file.first_ms is not None),
                        last_ms=max(file.last_ms for file in files if file.last_ms is not None),
                        restated=_restated(table),
                        bytes=sum(file.size for file in files),
                    )
                )
        return found

    def _table(self, kind: Kind, instrument: Instrument) -> LakeTable:
        return LakeTable.open(self._place, kind, _name(kind, instrument))

    def _read(self, kind: Kind, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        if instrument.until_ms is not None:
            end_ms = min(end_ms, instrument.until_ms)
        return _of_the_source(kind, self._table(kind, instrument).read(start_ms, end_ms - 1))

    def _append_kind(self, kind: Kind, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        incoming = combined(kind, batches, vendor)
        files = {batch.file.name: batch.file for batch in batches if batch.file is not None}
        for _ in range(_WRITERS_AT_ONCE):
            new = self._try_append(kind, instrument, incoming, files)
            if new is not None:
                return new
        message = f"lake table {_name(kind, instrument)}: {_WRITERS_AT_ONCE} other commits came first; run again"
        raise UpstreamError(message)

    def _try_append(
        self, kind: Kind, instrument: Instrument, incoming: Incoming, files: Mapping[str, FetchedFile]
    ) -> int | None:
        """How many rows were new or changed; None where another writer has committed meanwhile."""
        table, time = self._table(kind, instrument), kind.time
        known, stored = table.seal.archive, incoming.rows.clear()
        if table.exists and incoming.rows.height:
            low, high = incoming.rows[time][0], incoming.rows[time][-1]
            stored = _plain_form(kind, table.read(low, high))
        replaced = {
            name for name, file in files.items() if name in known and known[name].sha256 not in {"", file.sha256}
        }
        found = against_stored(kind, stored, incoming, replaced)
        again = {REST, *(name for name in files if name in known)} - replaced
        doubles = known_doubles(table.seal.doubles, replaced, incoming.doubles, found.doubles, again)
        unchanged = all(known.get(name) == file for name, file in files.items()) and doubles == table.seal.doubles
        if table.exists and found.new.is_empty() and unchanged:
            return 0
        rows, gone = (found.new, ()) if found.merged is None else _in_place(table, kind, found.merged)
        new = () if table.exists and rows.is_empty() else (_stored_form(kind, rows),)
        if not table.commit(Change(rows=new, gone=gone, archive={**known, **files}, doubles=doubles)):
            return None
        if sum(file.size < _MERGED_BYTES for file in table.seal.data.values()) > _SMALL_FILES:
            self._merge(kind, instrument, _MERGED_BYTES)
            self._table(kind, instrument).vacuum()
        return found.new.height

    def _merge(self, kind: Kind, instrument: Instrument, target_bytes: int) -> None:
        """Merge neighbours in time until each file has about the target's size."""
        table = self._table(kind, instrument)
        groups = _groups(table.seal.data.values(), target_bytes)
        if groups:
            rows = tuple(table.rows_of(group).sort(kind.time) for group in groups)
            gone = tuple(file for group in groups for file in group)
            seal = table.seal
            table.commit(Change(rows=rows, gone=gone, archive=seal.archive, doubles=seal.doubles))

    def _quarantine(self, kind: Kind, instrument: Instrument) -> list[str]:
        for _ in range(_WRITERS_AT_ONCE):
            try:
                table = self._table(kind, instrument)
                damaged = table.damaged()
                if not damaged:
                    table.read(columns=[kind.time])
                    return []
            except DamagedTableError:
                return [self._place.quarantine(_name(kind, instrument))]
            kept = {name: file for name, file in table.seal.archive.items() if not _may_have_filled(name, damaged)}
            doubles = {source: runs for source, runs in table.seal.doubles.items() if source in {REST, *kept}}
            if table.commit(Change(gone=tuple(damaged), archive=kept, doubles=doubles)):
                names = (f"{_name(kind, instrument)}/{file.path}" for file in damaged)
                return [self._place.quarantine(name) for name in names]
        raise UpstreamError(
            f"lake table {_name(kind, instrument)}: {_WRITERS_AT_ONCE} other commits came first; run again"
        )


def _name(kind: Kind, instrument: Instrument) -> str:
    return f"{kind.name}/{instrument.path_id.replace('%', _ESCAPE)}"


def _of_the_source(kind: Kind, stored: pl.DataFrame) -> pl.DataFrame:
    """Stored rows as the source gave them, ascending."""
    frame = stored.drop(ORIGIN)
    return _plain_form(kind, frame if frame[kind.time].is_sorted() else frame.sort(kind.time))


def _restated(table: LakeTable) -> int:
    """Rows that the exchange has changed; the files of a release that did not count them are read."""
    files = table.seal.data.values()
    if all(file.restated is not None for file in files):
        return sum(file.restated or 0 for file in files)
    return int(table.read(columns=[ORIGIN, table.time]).select(is_restated().sum()).item())


def _in_place(table: LakeTable, kind: Kind, rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[DataFile, ...]]:
    """All rows of the files that a stretch of rows reaches into, with these in place of theirs, and the files."""
    low, high = rows[kind.time][0], rows[kind.time][-1]
    files = tuple(file for file in table.seal.data.values() if file.may_hold(low, high))
    stored = _plain_form(kind, table.rows_of(files))
    around = stored.filter(~pl.col(kind.time).is_between(low, high))
    return pl.concat([around.select(rows.columns), rows]).sort(kind.time), files


def _groups(files: Iterable[DataFile], target_bytes: int) -> list[list[DataFile]]:
    """Files to become one, in the order of their times."""
    groups: list[list[DataFile]] = [[]]
    size = 0
    for file in sorted(files, key=lambda file: (file.first_ms or 0, file.path)):
        if file.size >= target_bytes:
            continue
        if size >= target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [group for group in groups if len(group) > 1]


def _may_have_filled(name: str, damaged: Iterable[DataFile]) -> bool:
    """Whether rows of an archive file may lie in one of these; they may be a day outside the file's own span."""
    from huracan.adapters.binance.plan import span_of

    span = span_of(name)
    return span is None or any(file.may_hold(span[0] - DAY_MS, span[1] + DAY_MS) for file in damaged)


def _stored_form(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return pack_bars(rows) if kind is BARS else rows


def _plain_form(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    return unpack_bars(rows) if kind is BARS else rows
