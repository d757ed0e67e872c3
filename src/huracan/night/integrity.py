"""One integrity report of a night: what each rule did over all pairs, and whose every gap and halt was."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal

from huracan.domain.lake_check import ComparedDay, LakeCheck
from huracan.domain.records import IntegrityReport
from huracan.domain.time import iso
from huracan.ingest.config import IngestConfig
from huracan.ingest.gaps import AssignedRun, LostFile, Presence, assign_causes, lost_files, mostly_lost, outages
from huracan.night.state import Night

LISTED_ISSUES: Final = 20
"""Issues of one instrument that the report lists, the longest; its counts have the totals."""

RULES: Final = (
    ("off_grid", "cut", "off the time grid or outside the window"),
    ("non_finite", "cut", "NaN, infinite or absent"),
    ("non_positive", "cut", "price not above zero, or a volume below"),
    ("ohlc", "cut", "open or close outside low and high"),
    ("duplicates", "cut", "second row of one time"),
    ("conflicts", "flagged", "rows of one time with different values; the one with more trades stays"),
    ("disorder", "repaired", "out of order"),
    ("earlier_listings", "cut", "earlier listings of the symbol, each with all its bars"),
    ("filled", "repaired", "short gap, filled flat"),
    ("hole_bars", "flagged", "longer gap, left open"),
    ("jumps", "flagged", "price jump across a gap"),
    ("halt", "flagged", "flat bars without a trade, from the tenth on"),
    ("panic", "flagged", "extreme on full volume; kept"),
    ("outlier", "flagged", "extreme on little volume; kept"),
    ("listing", "flagged", "first day of a listing: high a multiple of low; kept"),
    ("settlements_unusable", "cut", "settlement without a time or a finite rate"),
    ("settlements_doubled", "cut", "second settlement of one minute; the later stays"),
    ("settlements_missing", "flagged", "settlements that are missing: the worst case is charged for their time"),
)
"""Name in the counts of a pair's report, what is done, and what it means."""


def night_integrity(night: Night, checked: LakeCheck | None = None) -> dict[str, object]:
    """The report as JSON values. `checked` is the last comparison with other sources, if there was one."""
    rules = IngestConfig(interval_ms=night.plan.interval_ms)
    reports = {coin: record.report for coin, record in sorted(night.ingested.items())}
    lost = {coin: lost_files(record.lost) for coin, record in night.ingested.items()}
    gaps = assign_causes([*_presences(night, reports, "gaps", lost)], rules)
    halts = assign_causes([*_presences(night, reports, "halts", {})], rules)
    own_gaps, own_halts = _grouped(gaps), _grouped(halts)
    mismatches = checked["mismatches"] if checked is not None else []
    return {
        "run_id": night.run_id,
        "data_cutoff": iso(night.plan.cutoff_ms),
        "interval_ms": rules.interval_ms,
        "rows": {
            "rows_in": sum(report.rows_in for report in reports.values()),
            "rows_out": sum(report.rows_out for report in reports.values()),
            "cut": sum(report.cut for report in reports.values()),
        },
        "rules": [_total(rule, reports.values()) for rule in RULES],
        "gaps": _by_cause(gaps),
        "halts": _by_cause(halts),
        "outages": [
            {"kind": kind, "market": found.market, "start": iso(found.start_ms), "end": iso(found.end_ms),
             "instruments": found.instruments, "share": found.share}
            for kind, assigned in (("missing bars", gaps), ("silent bars", halts))
            for found in outages(assigned, rules.interval_ms)
        ],
        "begins_late": _begins_late(night, reports, lost),
        "lost_files": [
            {"coin": coin, "file": one.name, "start": iso(one.start_ms), "end": iso(one.end_ms)}
            for coin, files in sorted(lost.items())
            for one in files
        ],
        "refused": [
            {"coin": skip.coin, "code": str(skip.code), "reason": skip.reason}
            for skip in night.skips
            if skip.step == 2 and skip.horizon == night.plan.horizons[0]
        ],
        "vendors": dict(checked) if checked else None,
        "instruments": [
            _instrument(
                coin,
                report,
                own_gaps.get(coin, []),
                own_halts.get(coin, []),
                [row for row in mismatches if row["instrument"] == report.instrument_id],
            )
            for coin, report in reports.items()
        ],
    }  # fmt: skip


def _grouped(assigned: Iterable[AssignedRun]) -> dict[str, list[AssignedRun]]:
    found: dict[str, list[AssignedRun]] = {}
    for run in assigned:
        found.setdefault(run.name, []).append(run)
    return found


def _presences(
    night: Night,
    reports: Mapping[str, IntegrityReport],
    kind: Literal["gaps", "halts"],
    lost: Mapping[str, tuple[LostFile, ...]],
) -> Iterable[Presence]:
    markets = {member.instrument.coin: member.instrument.market for member in night.plan.members}
    for coin, report in reports.items():
        if report.first_ms is not None and report.last_ms is not None:
            yield Presence(
                name=coin,
                market=markets[coin],
                first_ms=report.first_ms,
                last_ms=report.last_ms,
                runs=report.gaps if kind == "gaps" else report.halts,
                lost=lost.get(coin, ()),
            )


def _total(rule: tuple[str, str, str], reports: Iterable[IntegrityReport]) -> dict[str, object]:
    name, action, meaning = rule
    found = [report.repaired if name == "filled" else report.counts.get(name, 0) for report in reports]
    return {
        "rule": name,
        "action": action,
        "meaning": meaning,
        "found": sum(found),
        "instruments": sum(number > 0 for number in found),
    }


def _by_cause(assigned: Sequence[AssignedRun]) -> dict[str, dict[str, int]]:
    """Runs, bars and instruments of each cause that occurs."""
    causes = sorted({run.cause for run in assigned})
    return {
        cause: {
            "runs": sum(run.cause == cause for run in assigned),
            "bars": sum(run.bars for run in assigned if run.cause == cause),
            "instruments": len({run.name for run in assigned if run.cause == cause}),
        }
        for cause in causes
    }


def _begins_late(
    night: Night, reports: Mapping[str, IntegrityReport], lost: Mapping[str, tuple[LostFile, ...]]
) -> list[dict[str, object]]:
    """Instruments whose first bar is later than the window's start: not listed until then, or their first files are
    lost.
    """
    start = night.plan.start_ms
    return [
        {
            "coin": coin,
            "until": iso(report.first_ms),
            "bars": (report.first_ms - start) // night.plan.interval_ms,
            "cause": "lost_file" if mostly_lost(start, report.first_ms, lost[coin]) else "not_listed",
        }
        for coin, report in reports.items()
        if report.first_ms is not None and report.first_ms > start
    ]


def _instrument(
    coin: str,
    report: IntegrityReport,
    gaps: Sequence[AssignedRun],
    halts: Sequence[AssignedRun],
    mismatches: Sequence[ComparedDay],
) -> dict[str, object]:
    issues = sorted(report.issues, key=lambda issue: -issue.bars)
    causes = Counter[str]()
    for run in gaps:
        causes[run.cause] += run.bars
    return {
        "coin": coin,
        "instrument": report.instrument_id,
        "vendor": report.vendor,
        "rows_in": report.rows_in,
        "rows_out": report.rows_out,
        "repaired": report.repaired,
        "cut": report.cut,
        "quality": report.quality,
        "counts": {**report.counts},
        "missing_bars": dict(sorted(causes.items())),
        "gaps": [asdict(run) for run in gaps[:LISTED_ISSUES]],
        "halts": [asdict(run) for run in halts[:LISTED_ISSUES]],
        "issues": [
            {**asdict(issue), "start": iso(issue.start_ms)}
            for issue in sorted(issues[:LISTED_ISSUES], key=lambda issue: issue.start_ms)
        ],
        "issues_left_out": max(0, len(issues) - LISTED_ISSUES),
        "mismatches": [{**row} for row in mismatches],
    }
