"""`huracan lake ...` and `huracan ledger ...`: what is stored, and the few changes a person may make to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huracan.cli.output import number, print_json
from huracan.cli.places import is_workdir, no_workdir, short, workdir_of
from huracan.domain.coin_names import CoinNames, did_you_mean
from huracan.errors import ConfigError

if TYPE_CHECKING:
    from huracan.promotion.hypothesis import LineageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """What the lake holds of one instrument and kind; times are ISO texts, `missing` is None for settlements."""

    instrument: str
    kind: str
    rows: int
    first: str
    last: str
    missing: int | None
    restated: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRow:
    """A month in which an instrument's bars are missing."""

    instrument: str
    month: str
    expected: int
    held: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisLine:
    """A hypothesis of the ledger, with its newest row."""

    pool: str
    at: str
    recipe: str
    against: str
    slot: str
    days: int
    breaches: int
    e: str
    status: str
    reason: str
    first_day: int
    bound_nothing_bps: float
    gamma: float

    @property
    def cells(self) -> list[str]:
        """What its line of the table shows; the last two have a place on wide terminals alone."""
        counts = [str(self.days), str(self.breaches)]
        return [self.pool, self.at, self.recipe, self.against, *counts, self.e, self.status, self.slot, self.reason]


def show_coverage(settings: Any, workdir: Path | None, interval: str | None, only: str | None, *, as_json: bool) -> int:
    """What the lake holds of each instrument: rows, span, bars missing inside it, restated rows, bytes a row."""
    from huracan.domain.time import iso

    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    step = _bar_ms(place)
    rows = []
    for instrument in instruments:
        for held in lake.coverage(instrument):
            expected = (held.last_ms - held.first_ms) // step + 1 if held.kind == "bars" else None
            rows.append(
                CoverageRow(
                    instrument=held.instrument_id,
                    kind=held.kind,
                    rows=held.rows,
                    first=iso(held.first_ms),
                    last=iso(held.last_ms),
                    missing=None if expected is None else expected - held.rows,
                    restated=held.restated,
                    bytes=held.bytes,
                )
            )
    if as_json:
        print_json({"lake": place, "tables": rows})
        return 0
    from huracan.cli.cards import terminal
    from huracan.cli.tables import WIDE, show

    console, total = terminal(), sum(row.bytes for row in rows)
    wide = console.width >= WIDE
    columns = ["instrument", "kind", "rows", "first", "last", "missing", "restated", "bytes a row"]
    show(
        console,
        f"{len(rows)} tables of {interval_of(place)} bars and settlements, {total / 1e6:,.1f} MB",
        columns if wide else columns[:-1],
        [cells if wide else cells[:-1] for cells in (_coverage_cells(row, to=16 if wide else 10) for row in rows)],
    )
    return 0


def _coverage_cells(row: CoverageRow, *, to: int) -> list[str]:
    """A table's line; its first and last instant are shown in so many letters."""
    return [
        row.instrument,
        row.kind,
        f"{row.rows:,}",
        *(instant[:to].replace("T", " ") for instant in (row.first, row.last)),
        number(row.missing, 0),
        f"{row.restated:,}",
        number(row.bytes / row.rows, 1),
    ]


def show_missing(settings: Any, workdir: Path | None, interval: str | None, only: str | None, *, as_json: bool) -> int:
    """The months in which an instrument's bars are missing, between its first and its last; earlier listings by
    themselves.
    """
    from huracan.ingest import IngestConfig

    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    rules = IngestConfig(interval_ms=_bar_ms(place))
    rows = [row for instrument in instruments for row in _missing(lake, instrument, rules)]
    if as_json:
        print_json({"lake": place, "instruments": len(instruments), "months": rows})
        return 0
    from huracan.cli.cards import terminal
    from huracan.cli.tables import show

    columns = ["instrument", "month", "expected", "held", "missing"]
    cells = [[row.instrument, row.month, f"{row.expected:,}", f"{row.held:,}", f"{row.missing:,}"] for row in rows]
    lacking = len({row.instrument for row in rows})
    title = f"{lacking} of {len(instruments)} instruments lack {interval_of(place)} bars between their first and last"
    show(terminal(), title, columns, cells)
    return 0


def _missing(lake: Any, instrument: Any, rules: Any) -> Iterator[MonthRow]:
    """Months with missing bars of every listing of a ticker: what lies between two of them is missing to neither."""
    from huracan.ingest import missing_by_month, stored_listings
    from huracan.night.jobs.listings import earlier_candidates

    raw = lake.bars(instrument, 0, 1 << 62)
    listings = stored_listings(raw, rules)
    lives = {
        one.instrument.id: raw["open_time"].filter(raw["open_time"].is_between(listing.first_ms, listing.last_ms))
        for listing in listings.earlier
        for one in earlier_candidates(instrument, [listing])
    }
    lives[instrument.id] = listings.newest["open_time"]
    for name, times in lives.items():
        months = missing_by_month(times, rules).select("month", "expected", "held", "missing")
        for month, expected, held, missing in months.iter_rows():
            yield MonthRow(instrument=name, month=month, expected=expected, held=held, missing=missing)


def _bar_ms(place: str) -> int:
    from huracan.domain.time import Horizon

    return Horizon.parse(interval_of(place)).ms


def tidy_lake(
    settings: Any, workdir: Path | None, interval: str | None, only: str | None, *, vacuum: bool, as_json: bool
) -> int:
    """Merge small files, and with `vacuum` delete what no version of the last week needs; no run may be under way."""
    lake, instruments = open_lake(lake_place(settings, workdir, interval), only)
    before = lake.size()
    with alone(workdir):
        from rich.console import Console
        from rich.progress import track

        steps = track(instruments, "vacuum" if vacuum else "compact", console=Console(stderr=True), disable=as_json)
        for instrument in steps:
            lake.compact(instrument, vacuum=vacuum)
    body = {"tables": len(instruments), "bytes_before": before, "bytes_after": lake.size()}
    if as_json:
        print_json(body)
    else:
        from huracan.cli.cards import terminal

        sizes = f"{body['bytes_before'] / 1e6:,.1f} MB on disk before, {body['bytes_after'] / 1e6:,.1f} MB now"
        terminal().print(f"{len(instruments)} instruments, {sizes}")
    return 0


def show_ledger(workdir: Path | None, *, as_json: bool) -> int:
    """Every hypothesis with its newest row, and every change of champion; all chains are checked on the way."""
    with _ledger(workdir, read_only=True) as ledger:
        state, runs, adoptions = ledger.load_state(), ledger.runs(), ledger.adoptions()
    rows = [_hypothesis_line(record) for record in state.records.values()]
    body = {
        "runs": len(runs),
        "judged_day": state.evaluated_day,
        "trials": len(state.trials),
        "lineages": rows,
        "champions": list(state.champions),
        "unfreezes": list(state.unfreezes),
        "adoptions": adoptions,
    }
    if as_json:
        print_json(body)
        return 0
    from huracan.cli.cards import terminal
    from huracan.cli.tables import WIDE, show
    from huracan.domain.time import day_iso

    console = terminal()
    columns = ["pool", "at", "recipe", "against", "days", "breaches", "e", "status"]
    columns += ["slot", "reason"] if console.width >= WIDE else []
    cells = [row.cells[: len(columns)] for row in rows]
    show(console, f"{len(rows)} hypotheses, chains sound; {len(runs)} runs, {len(state.trials)} trials", columns, cells)
    for event in state.champions:
        console.print(
            f"{day_iso(event.day)} {event.pool} {event.horizon}: {event.reason} {event.recipe_id or 'nothing'}",
            markup=False,
        )
    for note in state.unfreezes:
        console.print(f"{day_iso(note.day)} {note.pool}: freeze ended, {note.note}", markup=False)
    for entry in adoptions:
        console.print(f"set {entry.set_version} adopted at entry {entry.entries}: {entry.note}", markup=False)
    return 0


def end_freeze(workdir: Path | None, pool: str, note: str, *, as_json: bool) -> int:
    """Record, signed by the online key, why a pool's promotions may go on after common breaches of their bounds."""
    from huracan.adapters.keys import keys_folder, load_keys
    from huracan.app.ledger_guard import compare
    from huracan.domain.ids import canonical_json

    keys = load_keys(keys_folder(os.environ))
    with alone(workdir) as store, _ledger(workdir) as ledger:
        compare(ledger, store, keys)
        state = ledger.load_state()
        pools = sorted({record.lineage.pool for record in state.records.values()})
        pool = {known.lower(): known for known in pools}.get(pool.lower(), pool)
        if pool not in pools:
            raise ConfigError(f"the ledger knows no pool {pool!r}; known are {', '.join(pools) or 'none'}")
        day = state.evaluated_day or 0
        signed = keys.online.sign(canonical_json({"pool": pool, "day": day, "note": note}))
        entry = ledger.unfreeze(pool, day=day, note=note, signature=f"{signed.keyid}:{signed.signature}")
    if as_json:
        print_json(entry)
    else:
        from huracan.cli.cards import terminal

        terminal().print(f"promotions of {pool} may go on from tonight", markup=False)
    return 0


def adopt_ledger(workdir: Path | None, note: str, *, as_json: bool) -> int:
    """Let this ledger go on with the set in its store, although it lacks the entry that the set was signed on."""
    from huracan.app.ledger_guard import adopt_store

    if not is_workdir(workdir_of(workdir)):
        raise no_workdir(f"{short(workdir_of(workdir))} holds no ledger and no store", workdir_of(workdir))
    entry = adopt_store(workdir_of(workdir), note, os.environ)
    if as_json:
        print_json({"adopted": entry})
        return 0
    from huracan.cli.cards import terminal

    if entry is None:
        text = "nothing to adopt: the ledger holds the entry that the newest set was signed on"
    else:
        signed_on = f"run {entry.run_id}" if entry.number is None else f"entry {entry.number}"
        text = (
            f"the ledger goes on from its entry {entry.entries} with set {entry.set_version}, which was signed on {signed_on} of "
            "another ledger. What the nights between had found and spent is not known here: their evidence starts again, and the "
            "bound on false promotions of this year's cohort holds only for what this ledger has recorded"
        )
    terminal().print(text, markup=False, soft_wrap=True)
    return 0


def _hypothesis_line(record: "LineageRecord") -> HypothesisLine:
    from huracan.domain.proof import evidence_number

    lineage, last = record.lineage, record.rows[-1] if record.rows else None
    return HypothesisLine(
        pool=lineage.pool,
        at=lineage.horizon,
        recipe=lineage.recipe_name,
        against=lineage.champion_id,
        slot=lineage.slot,
        days=last.observed if last else 0,
        breaches=len(last.breaches) if last else 0,
        e=evidence_number(last.e) if last else "1.00",
        status=last.status if last else "open",
        reason=last.reason if last else "",
        first_day=lineage.first_day,
        bound_nothing_bps=lineage.bound_nothing_bps,
        gamma=lineage.gamma,
    )


def lake_folder(workdir: Path | None, interval: str | None) -> Path:
    """The lake of bars of that interval, or the only one there is; ConfigError naming those there are."""
    root = workdir_of(workdir) / "lake"
    known = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if interval is None and len(known) == 1:
        interval = known[0]
    if not known:
        seen = f"there is no lake in {short(root.parent)}; `huracan run` and `huracan lake fill` make one"
        raise no_workdir(seen, root.parent)
    if interval is None or interval not in known:
        seen = f"no lake of {interval or 'one interval'} bars in {short(root)}"
        raise ConfigError(f"{seen}; it has {', '.join(known)}: choose with --interval")
    return root / interval


def lake_place(settings: Any, workdir: Path | None, interval: str | None) -> str:
    """The lake below `storage.lake_url` where the settings name one, else the workdir's; ConfigError for none."""
    if settings.storage.lake_url is not None:
        return f"{settings.storage.lake_url}/{interval or settings.training.base_interval}"
    return str(lake_folder(workdir, interval))


def interval_of(place: str) -> str:
    """The interval of a lake's bars, such as 1m."""
    return place.rpartition("/")[2].removesuffix("-injected")


def open_lake(place: str, only: str | None) -> tuple[Any, list[Any]]:
    """The lake, and the instruments it holds (or the one that is wanted); ConfigError where it does not hold that
    one.
    """
    from huracan.adapters.endpoints import loopback_endpoint
    from huracan.adapters.lake import DeltaLake
    from huracan.domain.ids import Instrument

    lake = DeltaLake(place, allow_http=loopback_endpoint(os.environ))
    names = sorted({*lake.instruments("bars"), *lake.instruments("funding")})
    items = [
        Instrument(market="um" if name.endswith("-um") else "spot", symbol=name.rpartition("-")[0], base="", quote="")
        for name in names
    ]
    wanted = None if only is None else _one_of(items, only)
    return lake, [item for item in items if wanted in {None, item.id}]


def _one_of(items: list[Any], text: str) -> str:
    """The id that a name means: a coin is its preferred instrument, as the universe names it. ConfigError for no such
    one.
    """
    from huracan.universe import split_symbol
    from huracan.universe.names import coin_keys

    parts = {item.id: split_symbol(item.symbol) or (item.symbol, "") for item in items}
    based = [replace(item, base=parts[item.id][0], quote=parts[item.id][1]) for item in items]
    ids = {coin: name for name, coin in coin_keys(based, "auto", {}).items()}
    known = CoinNames(ids)
    coin = known.resolve(text.partition("~")[0])  # a table holds all listings of its ticker
    if coin not in ids:
        raise ConfigError(f"the lake holds no {text!r}; {did_you_mean(text, known)}")
    return ids[coin]


@contextmanager
def alone(workdir: Path | None) -> Iterator[Any]:
    """The store, while no run is under way: it would hold the store's lock."""
    from huracan.adapters.publishers.folder import FolderStore

    with FolderStore(workdir_of(workdir) / "store") as store:
        yield store


@contextmanager
def _ledger(workdir: Path | None, *, read_only: bool = False) -> Iterator[Any]:
    from huracan.adapters.ledger import SqliteLedger

    file = workdir_of(workdir) / "ledger.sqlite"
    if not file.exists():
        raise no_workdir(f"no ledger at {short(file)}", file.parent)
    with SqliteLedger(file, read_only=read_only) as ledger:
        yield ledger
