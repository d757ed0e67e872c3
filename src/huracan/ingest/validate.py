"""Step 2 for one instrument: raw rows in, bars that later steps may trust out, and a report that adds up."""

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.frames import BAR_SCHEMA, CLEAN_SCHEMA, HALT, OUTLIER, PANIC, Bars, check_schema
from huracan.domain.ids import Instrument
from huracan.domain.records import IntegrityIssue, IntegrityReport, IssueKind
from huracan.ingest.epochs import newest_epoch
from huracan.ingest.flags import SilentRuns, fictitious, mark_bars, silent_runs
from huracan.ingest.funding import Settlements, clean_settlements, funding_covers
from huracan.ingest.grid import fill_gaps
from huracan.ingest.hashing import values_hash
from huracan.ingest.order import order_rows
from huracan.ingest.rows import judge_rows
from huracan.ingest.rules import ISSUES_KEPT, RUNS_KEPT, IngestRules


def validate_bars(
    instrument: Instrument,
    raw: pl.DataFrame,
    funding: pl.DataFrame,
    rules: IngestRules,
    start_ms: int,
    end_ms: int,
    vendor: str,
) -> tuple[Bars, IntegrityReport]:
    """Bars of [start_ms, end_ms) and what was wrong with them: rows_in + repaired - cut - duplicates = rows_out.

    `raw` has BAR_SCHEMA, in any order; `funding` has FUNDING_SCHEMA. Rows that are impossible alone are cut first,
    then duplicates, then earlier listings of the symbol (`epochs`), then gaps are filled, so a cut bar may come back
    as a repaired one. Nothing extreme is deleted.
    The report keeps the longest 50 issues of each kind and action; `counts` has the totals. Raises SchemaError for
    other columns; an instrument without a usable row gives empty bars.
    """
    check_schema(raw, BAR_SCHEMA, f"raw bars of {instrument.id}")
    verdict = judge_rows(raw, rules.interval_ms, start_ms, end_ms)
    ordered = order_rows(verdict.good, "open_time")
    current, earlier = newest_epoch(ordered.frame, rules)
    filled = fill_gaps(current, rules)
    listed_ms = _listed(current, start_ms)
    frame = mark_bars(filled.frame, rules, listed_ms).select(list(CLEAN_SCHEMA))
    halts, strange = silent_runs(frame, rules, rules.halt_bars), fictitious(frame, rules, listed_ms)
    if earlier:
        funding = funding.filter(pl.col("funding_time") >= int(current["open_time"][0]))
    settled = clean_settlements(funding, rules)
    settlements, known = _settlements(instrument, frame, settled, rules, end_ms)
    bars = Bars(
        instrument=instrument,
        interval_ms=rules.interval_ms,
        frame=frame,
        funding=settlements,
        funding_known=known,
        vendor=vendor,
        data_hash=values_hash(frame, settlements),
    )
    report = IntegrityReport(
        instrument_id=instrument.id,
        vendor=vendor,
        rows_in=raw.height,
        rows_out=frame.height,
        repaired=filled.repaired,
        cut=verdict.cut + ordered.frame.height - current.height,
        issues=_longest(
            (*verdict.issues, *ordered.issues, *earlier, *filled.issues, *_mark_issues(frame, rules, halts, strange))
        ),
        quality=_quality(frame, filled.repaired, rules, end_ms),
        counts={
            "duplicates": ordered.duplicates,
            "conflicts": ordered.conflicts,
            "disorder": ordered.disorder,
            "earlier_listings": len(earlier),
            "gaps": filled.gaps,
            "holes": filled.holes,
            "hole_bars": filled.hole_bars,
            "jumps": filled.jumps,
            "listing": int(strange.sum()),
            **_marks(frame),
            **{issue.kind: issue.bars for issue in verdict.issues},
            "settlements": settlements.height,
            "settlements_cut": settled.cut,
            "settlements_doubled": settled.duplicates,
            "settlements_missing": int(instrument.market == "um" and not known),
        },
        first_ms=None if frame.is_empty() else int(frame["open_time"][0]),
        last_ms=None if frame.is_empty() else int(frame["open_time"][-1]),
        gaps=_kept(filled.missing),
        halts=_kept(zip(frame["open_time"].gather(halts.first).to_list(), halts.bars.tolist(), strict=True)),
    )
    return bars, report


def _kept(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(sorted(runs, key=lambda run: -run[1])[:RUNS_KEPT]))


def _listed(frame: pl.DataFrame, start_ms: int) -> int | None:
    """Time of the first bar where it is later than the window's start: the listing begins there."""
    if frame.is_empty() or int(frame["open_time"][0]) <= start_ms:
        return None
    return int(frame["open_time"][0])


def _settlements(
    instrument: Instrument, frame: pl.DataFrame, settled: Settlements, rules: IngestRules, end_ms: int
) -> tuple[pl.DataFrame, bool]:
    settlements = settled.frame.filter(pl.col("funding_time") < end_ms)
    if instrument.market == "spot":
        return settlements.clear(), True
    if frame.is_empty():
        return settlements, False
    times = frame["open_time"]
    return settlements, funding_covers(settlements, int(times[0]), int(times[-1]), rules)


def _quality(frame: pl.DataFrame, repaired: int, rules: IngestRules, end_ms: int) -> float:
    if frame.is_empty():
        return 0.0
    expected = max(1, (end_ms - int(frame["open_time"][0])) // rules.interval_ms)
    return min(1.0, (frame.height - repaired) / expected)


def _marks(frame: pl.DataFrame) -> dict[str, int]:
    """How many bars are silent, and how many carry each mark."""
    marks = {"halt": HALT, "panic": PANIC, "outlier": OUTLIER}
    silent = int(((frame["volume"] == 0) & (frame["flags"] & 1 == 0)).sum())
    return {"silent": silent, **{name: _marked(frame, bit) for name, bit in marks.items()}}


def _marked(frame: pl.DataFrame, bit: int) -> int:
    return int((frame["flags"].to_numpy() & bit != 0).sum())


def _mark_issues(
    frame: pl.DataFrame, rules: IngestRules, halts: SilentRuns, strange: NDArray[np.bool_]
) -> list[IntegrityIssue]:
    """Issues of marked bars. A halt is listed whole, although its first bars carry no mark."""
    times, flags = frame["open_time"].to_numpy(), frame["flags"].to_numpy()
    kinds: tuple[tuple[IssueKind, NDArray[np.bool_], str], ...] = (
        ("outlier", flags & PANIC != 0, "panic: extreme on full volume"),
        ("outlier", (flags & OUTLIER != 0) & ~strange, "extreme on little volume"),
        ("listing", strange, "first day of a listing: high a multiple of low"),
    )
    longest = np.argsort(-halts.bars, kind="stable")[:ISSUES_KEPT]
    issues = [
        IntegrityIssue(
            kind="halt",
            action="flagged",
            start_ms=int(times[halts.first[run]]),
            bars=int(halts.bars[run]),
            detail="flat bars without a trade",
        )
        for run in longest
    ]
    for kind, marked, detail in kinds:
        at = np.flatnonzero(marked)
        runs = np.split(at, np.flatnonzero(np.diff(times[at]) != rules.interval_ms) + 1) if at.size else []
        issues += [
            IntegrityIssue(kind=kind, action="flagged", start_ms=int(times[run[0]]), bars=run.size, detail=detail)
            for run in sorted(runs, key=len, reverse=True)[:ISSUES_KEPT]
        ]
    return issues


def _longest(issues: Iterable[IntegrityIssue]) -> tuple[IntegrityIssue, ...]:
    kept: list[IntegrityIssue] = []
    taken: dict[tuple[str, str], int] = {}
    for issue in sorted(issues, key=lambda issue: (-issue.bars, issue.start_ms)):
        group = (issue.kind, issue.action)
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= ISSUES_KEPT:
            kept.append(issue)
    return tuple(sorted(kept, key=lambda issue: (issue.start_ms, issue.kind, issue.action)))
