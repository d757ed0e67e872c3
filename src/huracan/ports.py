"""The world as the pipeline sees it: small protocols, implemented in `adapters` and in tests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import polars as pl

from huracan.domain.ids import Instrument, Market
from huracan.domain.json import Json
from huracan.domain.records import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFile:
    """Provenance of one archive file already in the lake: a changed checksum means it was replaced.

    `stamp` is how the archive's listing described these bytes (None: never listed to us). A file the archive has lost
    has no checksum, and `rows` says how many bars of its time came by REST instead.
    """

    name: str
    sha256: str
    rows: int
    stamp: str | None = None

    @property
    def lost(self) -> bool:
        """True for a file that never came."""
        return not self.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedRows:
    """Rows as an exchange gave them (BAR_SCHEMA or FUNDING_SCHEMA), unvalidated, with known units."""

    kind: str  # "bars" | "funding"
    rows: pl.DataFrame
    source: str  # "archive" | "rest"
    file: FetchedFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the lake holds of an instrument, in short.

    `seal` is one sha256 over the checksums of all its archive files and the hashes of all its data files. `unproven`
    counts data files with rows of a release that kept no hashes: whether they changed before they were sealed is
    unknown.
    """

    seal: str
    unproven: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSettlements:
    """What is known of a perpetual's settlements without asking for it alone.

    All of `stored` (first and last time, ms; None: none) are in the lake without a hole. `rows` (FUNDING_SCHEMA) are
    all since `since_ms`, from one read of the whole market; None where that read did not name the symbol.
    """

    stored: tuple[int, int] | None
    since_ms: int
    rows: pl.DataFrame | None


class MarketData(Protocol):
    """An exchange: what it lists now, and its history. Raises DataError subclasses only."""

    async def server_time(self) -> int:
        """The exchange's clock, ms UTC."""
        ...

    async def snapshot(self, now_ms: int) -> Snapshot:
        """Everything listed, with quotes."""
        ...

    async def listed(self) -> tuple[Instrument, ...]:
        """Everything listed now with its status, without quotes: cheap."""
        ...

    async def archived_symbols(self, market: Market) -> Sequence[str]:
        """Every symbol the exchange has kept bars of, delisted and forgotten ones included."""
        ...

    async def snapshot_as_of(self, then_ms: int, quote_assets: Sequence[str]) -> Snapshot:
        """What is known afterwards of a past moment from its own bars: which symbols traded, and how much; no books."""
        ...

    async def recent_settlements(self, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Settlements of every perpetual with start_ms <= time < end_ms, in few requests: `symbol`, then
        FUNDING_SCHEMA.
        """
        ...

    def fetch(
        self,
        instrument: Instrument,
        start_ms: int,
        end_ms: int,
        known: Mapping[str, FetchedFile],
        settled: KnownSettlements | None = None,
    ) -> AsyncIterator[FetchedRows]:
        """Closed bars and settlements with start_ms <= time < end_ms: archive files first (those in `known` with an
        unchanged checksum are not fetched again), REST for what the archive and `settled` do not have.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...


class Snapshots(Protocol):
    """What the exchange said on past days."""

    def keep(self, snapshot: Snapshot) -> None:
        """Store a snapshot; one of the same moment stays as it is."""
        ...

    def as_of(self, then_ms: int) -> Snapshot | None:
        """The newest one of the day before a moment, None where none was stored."""
        ...


class Lake(Protocol):
    """Raw market data, one table per instrument. Appending the same rows twice changes nothing."""

    def files(self, instrument: Instrument) -> dict[str, FetchedFile]:
        """Archive files whose rows are stored."""
        ...

    def append(self, instrument: Instrument, batches: Sequence[FetchedRows], vendor: str) -> int:
        """Store new rows atomically; returns how many were new or changed."""
        ...

    def bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored rows (BAR_SCHEMA), ascending, start_ms <= open_time < end_ms; empty when nothing is stored."""
        ...

    def funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Stored settlements (FUNDING_SCHEMA), ascending."""
        ...

    def doubles(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Bars that gave way to another of the same time, ascending (DOUBLES_SCHEMA), start_ms <= time < end_ms."""
        ...

    def holding(self, instrument: Instrument) -> Holding:
        """The state of the instrument's tables in short."""
        ...

    def quarantine(self, instrument: Instrument) -> list[str]:
        """Move files and tables that are damaged out of the way, to be fetched again; returns where they lie now."""
        ...


class ArtefactStore(Protocol):
    """Derived files under content keys, written whole or not at all."""

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; a key that exists keeps its bytes."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Store bytes under a key in place of any others."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Keys below a prefix, sorted."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Forget keys (retention)."""
        ...

    def sweep(self) -> None:
        """Remove what killed runs left half-written; for the one run that holds the workdir."""
        ...


class Publisher(Protocol):
    """Where champions go: a tree of files with one pointer that is replaced last."""

    def read(self, path: str) -> bytes | None:
        """Bytes at a store path, or None."""
        ...

    def write_new(self, path: str, data: bytes) -> None:
        """Write an immutable file durably; identical bytes at the path are no error, others are a PublishError."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Atomically replace a mutable file (metadata, pointer), durably."""
        ...

    def list(self, prefix: str) -> list[str]:
        """File paths below a prefix, sorted."""
        ...

    def delete_tree(self, prefix: str) -> None:
        """Remove files that were never part of a signed set."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a remote store: `revision` is what `swap` compares, `digest` the store's own content hash, if it has
    one.
    """

    path: str
    size: int
    revision: str
    digest: str | None = None


class RemoteStore(Protocol):
    """A published tree behind a network: files that never change, and one pointer that is swapped by comparison.

    Raises PublishError when its own deadline passed (the work can be taken up again), FencedError when another run
    wrote meanwhile, and PublishError naming the permission, quota or token that is missing. Safe to repeat.
    """

    @property
    def identity(self) -> str:
        """The store in words, without secrets: what state and logs call it."""
        ...

    def preflight(self) -> None:
        """Write, read and remove a test file; raises PublishError that names what is missing."""
        ...

    def files(self, prefix: str) -> dict[str, RemoteFile]:
        """Every file below a prefix, by store path."""
        ...

    def read(self, path: str, limit: int) -> tuple[bytes, RemoteFile] | None:
        """A file's bytes and its revision, None if absent; more than `limit` bytes is a BundleFormatError."""
        ...

    def write_new(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Write immutable files; those that stand there with the same bytes are left alone. Returns how many were sent.

        FencedError where a path holds other bytes: another run owns that name.
        """
        ...

    def swap(self, path: str, data: bytes, revision: str | None) -> str:
        """Replace a file only while it still has this revision (None: only while it is absent); returns the new one."""
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files that no signed set lists; absent ones are no error."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class BundleSource(Protocol):
    """What Hamilton reads from: the published tree, read-only."""

    def read(self, path: str, limit: int) -> bytes | None:
        """At most `limit` bytes of a file, None if absent; more than `limit` is a BundleFormatError."""
        ...

    def version(self) -> object:
        """A cheap token that changes when the pointer changes."""
        ...


JobFunction = Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
"""Takes a TrainingJob, returns a JSON-able result; sync or async."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine that runs jobs: how many at once, how many now, and its memory in bytes.

    `memory` is what jobs may use together, with what they hold already (None: unknown); `largest` the most one has
    held.
    """

    slots: int
    running: int = 0
    memory: int | None = None
    largest: int = 0


class Backend(Protocol):
    """Runs jobs somewhere. A lost worker costs its own job, an exception in a job is that job's result."""

    async def start(self) -> None:
        """Bring workers up; raises BackendError naming what is missing."""
        ...

    async def run(self, function: JobFunction, job: Any) -> Any:
        """Run one job to its result; raises what the job raised, or WorkerLostError."""
        ...

    async def stop(self) -> None:
        """Shut workers down."""
        ...

    async def machines(self) -> list[Machine]:
        """Where jobs run now; a cluster's machines come and go. Raises BackendError when there is none any more."""
        ...


EventValue: TypeAlias = Json
"""A field of an event."""

EventFields: TypeAlias = Mapping[str, EventValue]
"""The fields of an event, by name."""


class Telemetry(Protocol):
    """Where events of the run go."""

    def event(self, name: str, **fields: EventValue) -> None:
        """A past-tense event with key-value fields; names are listed in `adapters.telemetry`."""
        ...

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is."""
        ...


class Clock(Protocol):
    """Wall-clock time, for metadata and ledger rows only; steps never see it."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        ...
