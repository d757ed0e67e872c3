"""`huracan lake audit`: everything strange in a lake or in a folder of candles, each gap and halt with its cause."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from huracan.cli.audit_records import (
    Audit,
    BreakRow,
    DamagedRow,
    DisagreementRow,
    DoubleRow,
    EndingRow,
    IntervalAudit,
    KnownRow,
    ListingRow,
    LostRow,
    OutageRow,
    OverlapRow,
    RestatedRow,
    RunRow,
    TableRow,
    audit_body,
)
from huracan.cli.output import print_json
from huracan.domain.doubles import FULLEST_BAR, part_doubles
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, Horizon, iso, parse_iso
from huracan.errors import ConfigError, DamagedTableError
from huracan.ingest.audit import Findings, endings, examine, gaps_with_causes, halts_with_causes, restatements
from huracan.ingest.config import IngestConfig
from huracan.ingest.gaps import AssignedRun, disagreements, lost_files, outages
from huracan.ingest.venues import KNOWN_RESTATEMENTS, compare_bars

if TYPE_CHECKING:
    from huracan.adapters.lake import DeltaLake
    from huracan.adapters.recordings import Recording
    from huracan.settings import Settings

LISTED_TIMES = 1000
"""Times of one table that the audit lists; its counts have the totals."""


def show_audit(
    settings: "Settings",
    workdir: Path | None,
    candles: Path | None,
    interval: str | None,
    only: str | None,
    *,
    as_json: bool,
) -> int:
    """Audit a lake (of a workdir) or a folder of candle files; nothing is changed in either."""
    if workdir is not None and candles is not None:
        raise ConfigError("--workdir and --candles name two different things to audit; give one")
    audit = (
        audit_candles(candles, interval, only) if candles is not None else audit_lake(settings, workdir, interval, only)
    )
    if as_json:
        print_json(audit_body(audit))
    else:
        from huracan.cli.audit_tables import show_tables

        show_tables(audit)
    return DamagedTableError.exit_status if any(one.damaged for one in audit.audits) else 0


def audit_candles(folder: Path, interval: str | None = None, only: str | None = None) -> Audit:
    """The audit of a folder, interval by interval."""
    from huracan.adapters.recordings import find_recordings, read_recording

    recordings = [one for one in find_recordings(folder, interval) if only in {None, f"{one.symbol}-{one.market}"}]
    if not recordings:
        raise ConfigError(f"no candles of {only!r} in {folder}; wanted SYMBOL-spot or SYMBOL-um")

    def findings(mine: Iterable["Recording"], rules: IngestConfig) -> Iterator[Findings | None]:
        for one in mine:
            yield examine(one.tree, one.market, one.symbol, read_recording(one), rules)

    audits = []
    for name in sorted({one.interval for one in recordings}, key=lambda text: Horizon.parse(text).ms):
        mine = [one for one in recordings if one.interval == name]
        rules = IngestConfig(interval_ms=Horizon.parse(name).ms)
        found = [one for one in findings(mine, rules) if one is not None]
        audits.append(_audit(name, found, rules, overlaps=_overlaps(mine)))
    return Audit(audited=str(folder), audits=tuple(audits))


def audit_lake(
    settings: "Settings", workdir: Path | None, interval: str | None = None, only: str | None = None
) -> Audit:
    """The audit of a lake."""
    from huracan.cli.upkeep import interval_of, lake_place, open_lake

    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    name = interval_of(place)
    rules = IngestConfig(interval_ms=Horizon.parse(name).ms)
    found: list[Findings] = []
    damaged: list[DamagedRow] = []
    for instrument in instruments:
        try:
            one = _examined(lake, instrument, rules)
        except DamagedTableError as error:
            damaged.append(DamagedRow(table=f"lake/{instrument.symbol}", error=str(error)))
            continue
        if one is not None:
            found.append(one)
    audit = _audit(name, found, rules, damaged=tuple(damaged))
    return Audit(audited=place, audits=(audit,), quarantined=tuple(lake.quarantined()))


def _examined(lake: "DeltaLake", instrument: Instrument, rules: IngestConfig) -> Findings | None:
    stored = lake.provenance(instrument)
    return examine(
        "lake",
        instrument.market,
        instrument.symbol,
        lake.bars(instrument, 0, 1 << 62),
        rules,
        restated=stored.filter("restated")["open_time"].sort().to_list(),
        lost=lost_files(name for name, file in lake.files(instrument).items() if not file.sha256),
        doubles=lake.doubles(instrument, 0, 1 << 62),
    )


def _overlaps(recordings: Sequence["Recording"]) -> tuple[OverlapRow, ...]:
    """What two trees of a market say of the same symbol at the same times."""
    from huracan.adapters.recordings import read_recording

    found = []
    for one, other in combinations(recordings, 2):
        if (one.market, one.symbol) != (other.market, other.symbol):
            continue
        ours, theirs = (part_doubles(read_recording(each), "open_time", FULLEST_BAR)[0] for each in (one, other))
        shared, differing = restatements(ours, theirs)
        if not shared:
            continue
        compared = compare_bars(ours, theirs)
        found.append(
            OverlapRow(
                market=one.market,
                symbol=one.symbol,
                trees=(one.tree, other.tree),
                bars=shared,
                venue=compared.venue,
                volume_ratio=compared.volume_ratio,
                differing=_times(differing),
                differ=len(differing),
            )
        )
    return tuple(found)


def _audit(
    interval: str,
    found: Sequence[Findings],
    rules: IngestConfig,
    *,
    overlaps: tuple[OverlapRow, ...] = (),
    damaged: tuple[DamagedRow, ...] | None = None,
) -> IntervalAudit:
    gaps, halts = gaps_with_causes(found, rules), halts_with_causes(found, rules)
    apart = disagreements(gaps, halts, rules.interval_ms)
    return IntervalAudit(
        interval=interval,
        tables=tuple(map(_table, found)),
        outages=(*_outages("missing bars", gaps, rules), *_outages("silent bars", halts, rules)),
        gaps=tuple(_run(run, rules) for run in gaps),
        halts=tuple(_run(run, rules) for run in halts),
        breaks=tuple(row for one in found for row in _breaks(one)),
        endings=tuple(
            EndingRow(
                market=end.market, symbol=end.symbol, last=iso(end.last_ms), kind=end.kind, absent_from=end.absent_from
            )
            for end in endings(found, rules)
        ),
        listing_outliers=tuple(
            ListingRow(table=one.name, start=iso(first.open_ms), high_over_low=first.ratio)
            for one in found
            for first in one.listing
        ),
        restated=tuple(
            RestatedRow(table=one.name, bars=len(one.restated), times=_times(one.restated))
            for one in found
            if one.restated
        ),
        doubles=tuple(row for one in found for row in _doubles(one)),
        overlaps=overlaps,
        known_restatements=tuple(_known(found)),
        disagreements=tuple(
            DisagreementRow(
                market=one.market, start=iso(one.start_ms), end=iso(one.end_ms), silent=one.silent, missing=one.missing
            )
            for one in apart
        ),
        lost_files=tuple(
            LostRow(table=one.name, name=file.name, start_ms=file.start_ms, end_ms=file.end_ms)
            for one in found
            for file in one.lost
        ),
        damaged=damaged,
    )


def _times(found: Sequence[int]) -> tuple[str, ...]:
    return tuple(iso(time) for time in found[:LISTED_TIMES])


def _outages(kind: str, assigned: Sequence[AssignedRun], rules: IngestConfig) -> Iterator[OutageRow]:
    for out in outages(assigned, rules.interval_ms):
        yield OutageRow(
            kind=kind,
            market=out.market,
            start=iso(out.start_ms),
            end=iso(out.end_ms),
            bars=(out.end_ms - out.start_ms) // rules.interval_ms,
            tables=out.instruments,
            share=out.share,
        )


def _breaks(found: Findings) -> Iterator[BreakRow]:
    for one in found.breaks:
        yield BreakRow(
            table=found.name, kind=one.kind, stopped=iso(one.stopped_ms), back=iso(one.back_ms), ratio=one.ratio
        )


def _doubles(found: Findings) -> Iterator[DoubleRow]:
    for source, time_ms, rows, conflicts in (
        found.doubles.head(LISTED_TIMES).select("source", "time_ms", "rows", "conflicts").iter_rows()
    ):
        yield DoubleRow(table=found.name, source=source, start=iso(time_ms), rows=rows, conflicts=conflicts)


def _table(found: Findings) -> TableRow:
    return TableRow(
        table=found.name,
        market=found.market,
        symbol=found.symbol,
        rows=found.rows,
        first=iso(found.first_ms),
        last=iso(found.last_ms),
        gaps=len(found.gaps),
        missing=sum(bars for _, bars in found.gaps),
        longest_gap=max((bars for _, bars in found.gaps), default=0),
        silent=found.silent_bars,
        duplicates=found.duplicates,
        conflicts=found.conflicts,
        disorder=found.disorder,
        cut=dict(found.cut),
        jumps=found.jumps,
        panic=found.panic,
        outlier=found.outlier,
    )


def _run(run: AssignedRun, rules: IngestConfig) -> RunRow:
    return RunRow(
        table=run.name,
        start=iso(run.start_ms),
        end=iso(run.start_ms + run.bars * rules.interval_ms),
        bars=run.bars,
        cause=run.cause,
        share=run.share,
        listed=run.listed,
        common_bars=run.common_bars,
    )


def _known(found: Sequence[Findings]) -> Iterator[KnownRow]:
    """Hours that the exchange is known to have changed, with how many tables hold them, in whichever version."""
    for text in KNOWN_RESTATEMENTS:
        start = parse_iso(text)
        holding = [
            one.name
            for one in found
            if one.market == "spot" and one.first_ms < start + HOUR_MS and one.last_ms >= start
        ]
        if holding:
            yield KnownRow(hour=text, tables=len(holding))
