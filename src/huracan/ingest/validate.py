"""Step 2 for one instrument: raw rows in, bars that later steps may trust out, and a report that adds up."""

from collections.abc import Iterable

import polars as pl

from huracan.domain.doubles import FULLEST_BAR, NO_DOUBLES
from huracan.domain.frames import BAR_SCHEMA, CLEAN_SCHEMA, HOLES_SCHEMA, Bars, check_schema, empty
from huracan.domain.ids import Instrument
from huracan.domain.records import IntegrityIssue, IntegrityReport
from huracan.ingest.config import ISSUES_KEPT, RUNS_KEPT, IngestConfig
from huracan.ingest.flags import mark_bars
from huracan.ingest.funding import Settlements, clean_settlements, funding_holes
from huracan.ingest.grid import Filled, fill_gaps
from huracan.ingest.hashing import values_hash
from huracan.ingest.listings import part_listings
from huracan.ingest.order import Ordered, order_rows, with_doubles
from huracan.ingest.rows import check_rows


def validate_bars(
    instrument: Instrument,
    raw: pl.DataFrame,
    funding: pl.DataFrame,
    config: IngestConfig,
    *,
    start_ms: int,
    end_ms: int,
    vendor: str,
    doubles: pl.DataFrame = NO_DOUBLES,
) -> tuple[Bars, IntegrityReport]:
    """Bars of [start_ms, end_ms) and what was wrong with them: rows_in + repaired - cut - duplicates = rows_out.

    `raw` has BAR_SCHEMA, in any order; `funding` has FUNDING_SCHEMA. Rows that are impossible alone are cut first,
    then duplicates, then earlier listings of the symbol (`listings`), then gaps are filled, so a cut bar may come back
    as a repaired one. Nothing extreme is deleted. `doubles` (DOUBLES_SCHEMA) gave way before `raw` was stored.
    The report keeps the longest 50 issues of each kind and action; `counts` has the totals. Raises SchemaError for
    other columns; an instrument without a usable row gives empty bars.
    """
    check_schema(raw, BAR_SCHEMA, f"raw bars of {instrument.id}")
    verdict = check_rows(raw, config.interval_ms, start_ms, end_ms)
    ordered = with_doubles(order_rows(verdict.good, "open_time", FULLEST_BAR), doubles)
    listings = part_listings(ordered.frame, config, instrument.listed_ms)
    filled = fill_gaps(current := listings.newest, config)
    marked = mark_bars(filled.frame, config, _listed(current, start_ms))
    frame = marked.frame.select(list(CLEAN_SCHEMA))
    settled = clean_settlements(funding, config)
    settlements, holes = _settlements(instrument, frame, settled, config, end_ms)
    bars = Bars(
        instrument=instrument,
        interval_ms=config.interval_ms,
        frame=frame,
        funding=settlements,
        funding_known=instrument.market == "spot" or (holes.is_empty() and not frame.is_empty()),
        funding_holes=holes,
        vendor=vendor,
        data_hash=values_hash(frame, settlements),
    )
    report = IntegrityReport(
        instrument_id=instrument.id,
        vendor=vendor,
        rows_in=raw.height + int(doubles["rows"].sum()),
        rows_out=frame.height,
        repaired=filled.repaired,
        cut=verdict.cut + ordered.frame.height - current.height,
        issues=_longest((*verdict.issues, *ordered.issues, *listings.issues, *filled.issues, *marked.issues)),
        quality=_quality(frame, filled.repaired, config, end_ms),
        counts={
            **_counts(ordered, filled),
            "earlier_listings": len(listings.earlier),
            **marked.counts,
            **{issue.kind: issue.bars for issue in verdict.issues},
            **_settlement_counts(bars, settled),
        },
        first_ms=None if frame.is_empty() else int(frame["open_time"][0]),
        last_ms=None if frame.is_empty() else int(frame["open_time"][-1]),
        gaps=_kept(filled.missing),
        halts=_kept(marked.halts),
        earlier=listings.earlier,
    )
    return bars, report


def _counts(ordered: Ordered, filled: Filled) -> dict[str, int]:
    return {
        "duplicates": ordered.duplicates,
        "conflicts": ordered.conflicts,
        "disorder": ordered.disorder,
        "gaps": filled.gaps,
        "holes": filled.holes,
        "hole_bars": filled.hole_bars,
        "jumps": filled.jumps,
    }


def _settlement_counts(bars: Bars, settled: Settlements) -> dict[str, int]:
    return {
        "settlements": bars.funding.height,
        "settlements_cut": settled.frame.height - bars.funding.height,
        "settlements_unusable": settled.unusable,
        "settlements_doubled": settled.duplicates,
        "settlements_missing": int(bars.funding_holes["missing"].sum()),
        "settlement_holes": bars.funding_holes.height,
    }


def _kept(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(sorted(runs, key=lambda run: -run[1])[:RUNS_KEPT]))


def _listed(frame: pl.DataFrame, start_ms: int) -> int | None:
    """Time of the first bar where it is later than the window's start: the listing begins there."""
    if frame.is_empty() or int(frame["open_time"][0]) <= start_ms:
        return None
    return int(frame["open_time"][0])


def _settlements(
    instrument: Instrument, frame: pl.DataFrame, settled: Settlements, config: IngestConfig, end_ms: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Settlements within the life of the bars, and the holes in them: the archive goes on for months after a contract
    has died, and a ticker given to another asset brings the old one's along.
    """
    if instrument.market == "spot" or frame.is_empty():
        return settled.frame.clear(), empty(HOLES_SCHEMA)
    times = frame["open_time"]
    first, last = int(times[0]), int(times[-1])
    time = pl.col("funding_time")
    alive = settled.frame.filter(time.is_between(first, last + config.interval_ms) & (time < end_ms))
    return alive, funding_holes(alive, first, last, config)


def _quality(frame: pl.DataFrame, repaired: int, config: IngestConfig, end_ms: int) -> float:
    if frame.is_empty():
        return 0.0
    expected = max(1, (end_ms - int(frame["open_time"][0])) // config.interval_ms)
    return min(1.0, (frame.height - repaired) / expected)


def _longest(issues: Iterable[IntegrityIssue]) -> tuple[IntegrityIssue, ...]:
    kept: list[IntegrityIssue] = []
    taken: dict[tuple[str, str], int] = {}
    for issue in sorted(issues, key=lambda issue: (-issue.bars, issue.start_ms)):
        group = (issue.kind, issue.action)
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= ISSUES_KEPT:
            kept.append(issue)
    return tuple(sorted(kept, key=lambda issue: (issue.start_ms, issue.kind, issue.action)))
