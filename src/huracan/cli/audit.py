"""`huracan lake audit`: everything strange in a lake or in a folder of candles, each gap and halt with its cause."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from huracan.cli.output import print_json
from huracan.domain.doubles import FULLEST_BAR, part_doubles
from huracan.domain.time import HOUR_MS, Horizon, iso, parse_iso
from huracan.errors import ConfigError, DamagedTableError
from huracan.ingest.audit import Findings, endings, examine, judged_gaps, judged_halts, restatements
from huracan.ingest.config import IngestConfig
from huracan.ingest.gaps import JudgedRun, disagreements, lost_files, outages
from huracan.ingest.venues import KNOWN_RESTATEMENTS, compare_bars


def show_audit(
    settings: Any, workdir: Path | None, candles: Path | None, interval: str | None, only: str | None, *, as_json: bool
) -> int:
    """Audit a lake (of a workdir) or a folder of candle files; nothing is changed in either."""
    if workdir is not None and candles is not None:
        raise ConfigError("--workdir and --candles name two different things to audit; give one")
    body = (
        audit_candles(candles, interval, only) if candles is not None else audit_lake(settings, workdir, interval, only)
    )
    if as_json:
        print_json(body)
    else:
        from huracan.cli.audit_tables import show_body

        show_body(body)
    return DamagedTableError.exit_status if any(audit.get("damaged") for audit in body["audits"]) else 0


def audit_candles(folder: Path, interval: str | None = None, only: str | None = None) -> dict[str, Any]:
    """The audit of a folder, interval by interval, as JSON values."""
    from huracan.adapters.recordings import Recording, find_recordings, read_recording

    recordings = [one for one in find_recordings(folder, interval) if only in {None, f"{one.symbol}-{one.market}"}]
    if not recordings:
        raise ConfigError(f"no candles of {only!r} in {folder}; wanted SYMBOL-spot or SYMBOL-um")

    def findings(mine: Iterable[Recording], rules: IngestConfig) -> Iterator[Findings | None]:
        for one in mine:
            yield examine(one.tree, one.market, one.symbol, read_recording(one), rules)

    audits = []
    for name in sorted({one.interval for one in recordings}, key=lambda text: Horizon.parse(text).ms):
        mine = [one for one in recordings if one.interval == name]
        rules = IngestConfig(interval_ms=Horizon.parse(name).ms)
        told = [found for found in findings(mine, rules) if found is not None]
        audits.append(_audit(name, told, rules, _overlaps(mine)))
    return {"audited": str(folder), "audits": audits}


def audit_lake(
    settings: Any, workdir: Path | None, interval: str | None = None, only: str | None = None
) -> dict[str, Any]:
    """The audit of a lake as JSON values."""
    from huracan.cli.upkeep import interval_of, lake_place, open_lake

    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    name = interval_of(place)
    rules = IngestConfig(interval_ms=Horizon.parse(name).ms)
    told, damaged = [], []
    for instrument in instruments:
        try:
            found = _examined(lake, instrument, rules)
        except DamagedTableError as error:
            damaged.append({"table": f"lake/{instrument.symbol}", "error": str(error)})
            continue
        if found is not None:
            told.append(found)
    audits = [{**_audit(name, told, rules, []), "damaged": damaged}]
    return {"audited": place, "audits": audits, "set_aside": lake.aside()}


def _examined(lake: Any, instrument: Any, rules: IngestConfig) -> Findings | None:
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


def _overlaps(recordings: Sequence[Any]) -> list[dict[str, Any]]:
    """What two trees of a market say of the same symbol at the same times."""
    from huracan.adapters.recordings import read_recording

    found = []
    for one, other in combinations(recordings, 2):
        if (one.market, one.symbol) != (other.market, other.symbol):
            continue
        ours, theirs = (part_doubles(read_recording(each), "open_time", FULLEST_BAR)[0] for each in (one, other))
        shared, differing = restatements(ours, theirs)
        if shared:
            told = compare_bars(ours, theirs)
            row = {"market": one.market, "symbol": one.symbol, "trees": [one.tree, other.tree], "bars": shared}
            found.append({**row, "venue": told.venue, "volume_ratio": told.volume_ratio, "differing": differing})
    return found


def _audit(
    interval: str, told: Sequence[Findings], rules: IngestConfig, overlaps: list[dict[str, Any]]
) -> dict[str, Any]:
    gaps, halts = judged_gaps(told, rules), judged_halts(told, rules)
    return {
        "interval": interval,
        "tables": [_table(found) for found in told],
        "outages": [
            {"kind": kind, "market": out.market, "start": iso(out.start_ms), "end": iso(out.end_ms),
             "bars": (out.end_ms - out.start_ms) // rules.interval_ms, "tables": out.instruments, "share": out.share}
            for kind, judged in (("missing bars", gaps), ("silent bars", halts))
            for out in outages(judged, rules.interval_ms)
        ],
        "gaps": [_run(run, rules) for run in gaps],
        "halts": [_run(run, rules) for run in halts],
        "breaks": [
            {"table": found.name, "kind": one.kind, "stopped": iso(one.stopped_ms), "back": iso(one.back_ms), "ratio": one.ratio}
            for found in told
            for one in found.breaks
        ],
        "endings": [
            {"market": end.market, "symbol": end.symbol, "last": iso(end.last_ms), "kind": end.kind, "absent_from": end.absent_from}
            for end in endings(told, rules)
        ],
        "listing_outliers": [
            {"table": found.name, "start": iso(one.open_ms), "high_over_low": one.ratio}
            for found in told
            for one in found.listing
        ],
        "restated": [
            {"table": found.name, "bars": len(found.restated), "times": [iso(time) for time in found.restated[:1000]]}
            for found in told
            if found.restated
        ],
        "doubles": [
            {"table": found.name, "source": row["source"], "start": iso(row["time_ms"]), "rows": row["rows"], "conflicts": row["conflicts"]}
            for found in told
            for row in found.doubles.head(1000).iter_rows(named=True)
        ],
        "overlaps": [{**row, "differing": [iso(time) for time in row["differing"][:1000]], "differ": len(row["differing"])}
                     for row in overlaps],
        "known_restatements": _known(told),
        "disagreements": [
            {"market": one.market, "start": iso(one.start_ms), "end": iso(one.end_ms), "silent": one.silent, "missing": one.missing}
            for one in disagreements(gaps, halts, rules.interval_ms)
        ],
        "lost_files": [{"table": found.name, **asdict(file)} for found in told for file in found.lost],
    }  # fmt: skip


def _table(found: Findings) -> dict[str, Any]:
    return {
        "table": found.name,
        "market": found.market,
        "symbol": found.symbol,
        "rows": found.rows,
        "first": iso(found.first_ms),
        "last": iso(found.last_ms),
        "gaps": len(found.gaps),
        "missing": sum(bars for _, bars in found.gaps),
        "longest_gap": max((bars for _, bars in found.gaps), default=0),
        "silent": found.silent_bars,
        "duplicates": found.duplicates,
        "conflicts": found.conflicts,
        "disorder": found.disorder,
        "cut": dict(found.cut),
        "jumps": found.jumps,
        "panic": found.panic,
        "outlier": found.outlier,
    }


def _run(run: JudgedRun, rules: IngestConfig) -> dict[str, Any]:
    end = run.start_ms + run.bars * rules.interval_ms
    return {
        "table": run.name,
        "start": iso(run.start_ms),
        "end": iso(end),
        "bars": run.bars,
        "cause": run.cause,
        "share": run.share,
        "listed": run.listed,
        "common_bars": run.common_bars,
    }


def _known(told: Sequence[Findings]) -> list[dict[str, Any]]:
    """Hours that the exchange is known to have changed, with the tables that hold them: in which version, they cannot
    say.
    """
    found = []
    for text in KNOWN_RESTATEMENTS:
        start = parse_iso(text)
        holding = [
            one.name for one in told if one.market == "spot" and one.first_ms < start + HOUR_MS and one.last_ms >= start
        ]
        if holding:
            found.append({"hour": text, "tables": len(holding)})
    return found
