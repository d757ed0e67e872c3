"""`huracan lake audit --bytes`: every byte of a lake read and compared with the sha256 in its table's commit."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from huracan.cli.output import print_json
from huracan.domain.ids import Instrument
from huracan.errors import ConfigError, DamagedTableError

if TYPE_CHECKING:
    from huracan.adapters.lake import DeltaLake
    from huracan.settings import Settings

WAY_OUT: Final = "a night fetches again what it reads, `huracan lake fill --verify` everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTable:
    """What reading all bytes of an instrument shows; `seal` is None where its table is damaged."""

    table: str
    damaged: tuple[str, ...]
    unproven: int = 0
    bytes: int = 0
    seal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedFile:
    """A damaged file or table of an instrument."""

    table: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnprovenFiles:
    """Files of an instrument that were sealed after they were written."""

    table: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLake:
    """What reading all bytes of a lake shows; `quarantined` was quarantined on earlier days."""

    audited: str
    tables: int
    bytes: int
    damaged: tuple[DamagedFile, ...]
    unproven: tuple[UnprovenFiles, ...]
    seals: dict[str, str | None]
    quarantined: tuple[str, ...]


def show_bytes(
    settings: "Settings",
    workdir: Path | None,
    candles: Path | None,
    interval: str | None,
    only: str | None,
    *,
    as_json: bool,
) -> int:
    """Verify a lake; the status of bad data where something is damaged, 0 otherwise. Nothing is changed."""
    from huracan.cli.upkeep import lake_place, open_lake

    if candles is not None:
        raise ConfigError("--bytes compares a lake with its own hashes, and --candles is no lake; give one of them")
    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    rows = [read_table(lake, instrument) for instrument in instruments]
    found = ReadLake(
        audited=place,
        tables=len(rows),
        bytes=sum(row.bytes for row in rows),
        damaged=tuple(DamagedFile(table=row.table, what=what) for row in rows for what in row.damaged),
        unproven=tuple(UnprovenFiles(table=row.table, files=row.unproven) for row in rows if row.unproven),
        seals={row.table: row.seal for row in rows},
        quarantined=tuple(lake.quarantined()),
    )
    if as_json:
        body = asdict(found)
        body["set_aside"] = body.pop("quarantined")  # the key that programs read
        print_json(body)
    else:
        _print(found)
    return DamagedTableError.exit_status if found.damaged else 0


def read_table(lake: "DeltaLake", instrument: Instrument) -> ReadTable:
    """Read all bytes of an instrument."""
    damaged = tuple(lake.damaged(instrument))
    try:
        held = lake.holding(instrument)
    except DamagedTableError:
        return ReadTable(table=instrument.id, damaged=damaged)
    return ReadTable(table=instrument.id, damaged=damaged, unproven=held.unproven, bytes=held.bytes, seal=held.seal)


def _print(found: ReadLake) -> None:
    from huracan.cli.cards import terminal
    from huracan.cli.tables import show

    console = terminal()
    size = f"{found.bytes / 1e6:,.1f} MB"
    console.print(f"{found.tables:,} instruments, {size} read, {len(found.damaged):,} damaged", markup=False)
    if found.damaged:
        show(console, f"damaged; {WAY_OUT}", ["instrument", "what"], [[row.table, row.what] for row in found.damaged])
    if found.unproven:
        rows = [[row.table, f"{row.files:,}"] for row in found.unproven]
        show(console, "sealed after they were written by a release without hashes", ["instrument", "files"], rows)
    if found.quarantined:
        console.print(
            f"{len(found.quarantined):,} quarantined on earlier days, in damaged/ beside the tables", markup=False
        )
