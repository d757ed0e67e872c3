"""Whose gap it is: the whole exchange stood still, or one instrument, or a file was lost, or nothing was listed.

One instrument's bars cannot tell. The others of its market can: what half of those listed at the time miss, the
exchange missed. The same holds for silent bars, where an exchange fills its halts with them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.ids import Market
from huracan.domain.time import parse_iso
from huracan.ingest.config import IngestConfig

GapCause = Literal["exchange", "symbol", "lost_file", "not_listed", "unknown"]

_PERIOD = re.compile(r"-(\d{4})-(\d{2})(?:-(\d{2}))?\.zip")


class Run(NamedTuple):
    """Consecutive bars that are missing, or silent: open time of the first, and how many."""

    start_ms: int
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFile:
    """An archive file that never came, and the time it would have covered (ms, half open)."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """When an instrument was there, and which runs of bars it lacks inside: open times of its first and last bar."""

    name: str
    market: Market
    first_ms: int
    last_ms: int
    runs: tuple[tuple[int, int], ...] = ()
    lost: tuple[LostFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedRun:
    """One run with its cause. `listed` instruments of the market were there meanwhile, and `share` of them lack it too
    (means over the run); `common_bars` is how much of it the exchange as a whole lacks.
    """

    name: str
    market: Market
    start_ms: int
    bars: int
    cause: GapCause
    share: float
    listed: float
    common_bars: int


def assign_causes(presences: Sequence[Presence], config: IngestConfig) -> tuple[AssignedRun, ...]:
    """Every run of every instrument with its cause, by name and time.

    In this order: most of it lies in a lost file; most of it was lacking in `config.common_share` or more of the
    instruments of the market that were listed, and in two at least (exchange); it lasted `config.relisting_ms` or
    longer (not listed); nobody else was there to compare with (unknown); else the symbol's own.
    """
    assigned: list[AssignedRun] = []
    for market in sorted({presence.market for presence in presences}):
        members = [presence for presence in presences if presence.market == market]
        crowd = _Crowd.of(members, config)
        assigned += (crowd.assign(member, run, config) for member in members for run in member.runs)
    return tuple(sorted(assigned, key=lambda run: (run.name, run.start_ms)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch that a whole market lacks (ms, half open): as long as the longest run in it, in so many instruments."""

    market: Market
    start_ms: int
    end_ms: int
    instruments: int
    share: float


def outages(assigned: Iterable[AssignedRun], interval_ms: int) -> tuple[Outage, ...]:
    """The exchange's own runs, those that overlap joined to one; `share` is the largest of theirs."""
    groups: list[list[AssignedRun]] = []
    end = 0
    for run in sorted((run for run in assigned if run.cause == "exchange"), key=lambda run: (run.market, run.start_ms)):
        apart = not groups or groups[-1][0].market != run.market or run.start_ms >= end
        if apart:
            groups.append([])
            end = 0
        groups[-1].append(run)
        end = max(end, run.start_ms + run.bars * interval_ms)
    return tuple(
        Outage(
            market=group[0].market,
            start_ms=group[0].start_ms,
            end_ms=max(run.start_ms + run.bars * interval_ms for run in group),
            instruments=len({run.name for run in group}),
            share=max(run.share for run in group),
        )
        for group in groups
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A stretch for which some tables hold silent bars and others none: downloads of different ages, one of them
    restated.
    """

    market: Market
    start_ms: int
    end_ms: int
    silent: int
    missing: int


def disagreements(
    gaps: Sequence[AssignedRun], halts: Sequence[AssignedRun], interval_ms: int
) -> tuple[Disagreement, ...]:
    """Where the exchange's silence in some tables is the exchange's gap in others."""

    def inside(runs: Iterable[AssignedRun], market: Market, start_ms: int, end_ms: int) -> int:
        return len(
            {
                run.name
                for run in runs
                if run.market == market and run.start_ms < end_ms and run.start_ms + run.bars * interval_ms > start_ms
            }
        )

    found = []
    missed = outages(gaps, interval_ms)
    for quiet in outages(halts, interval_ms):
        for out in missed:
            start, end = max(quiet.start_ms, out.start_ms), min(quiet.end_ms, out.end_ms)
            if quiet.market == out.market and start < end:
                silent, missing = inside(halts, out.market, start, end), inside(gaps, out.market, start, end)
                found.append(
                    Disagreement(market=out.market, start_ms=start, end_ms=end, silent=silent, missing=missing)
                )
    return tuple(found)


def lost_files(names: Iterable[str]) -> tuple[LostFile, ...]:
    """Archive files by the months and days in their names, ascending; names without one are left out.

    >>> [lost.end_ms - lost.start_ms for lost in lost_files(["SOLUSDT-1m-2025-06-01.zip", "x.zip"])]
    [86400000]
    """
    found = []
    for name in names:
        match = _PERIOD.search(name)
        if match is None:
            continue
        first = date(int(match[1]), int(match[2]), int(match[3] or 1))
        after = first + timedelta(days=1) if match[3] else (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        found.append(LostFile(name=name, start_ms=parse_iso(str(first)), end_ms=parse_iso(str(after))))
    return tuple(sorted(found, key=lambda lost: (lost.start_ms, lost.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowd:
    """Sums over time of one market, at the borders where anything changes: (k,) each, so a run costs two look-ups."""

    borders: I64
    common_ms: F64
    company_ms: F64
    listed: F64
    share: F64

    @classmethod
    def of(cls, members: Sequence[Presence], config: IngestConfig) -> "_Crowd":
        """The market as its members' spans and runs have it."""
        step = config.interval_ms
        spans = np.array([(member.first_ms, member.last_ms + step) for member in members], dtype=np.int64)
        lacks = np.array(
            [(start, start + bars * step) for member in members for start, bars in member.runs], dtype=np.int64
        ).reshape(-1, 2)
        borders = np.unique(np.concatenate([spans.ravel(), lacks.ravel()]))
        listed, lacking = _inside(borders, spans), _inside(borders, lacks)
        width = np.diff(borders, append=borders[-1]).astype(np.float64)
        common = (lacking >= 2) & (lacking >= config.common_share * listed)
        share = lacking / np.maximum(listed, 1)
        return cls(
            borders=borders,
            common_ms=_before(np.where(common, width, 0.0)),
            company_ms=_before(np.where(listed >= 2, width, 0.0)),
            listed=_before(listed * width),
            share=_before(share * width),
        )

    def assign(self, member: Presence, run: tuple[int, int], config: IngestConfig) -> AssignedRun:
        """One run of a member."""
        start, bars = run
        length = bars * config.interval_ms
        low, high = np.searchsorted(self.borders, (start, start + length))
        common = int(self.common_ms[high] - self.common_ms[low])
        cause: GapCause
        if mostly_lost(start, start + length, member.lost):
            cause = "lost_file"
        elif 2 * common >= length:
            cause = "exchange"
        elif length >= config.relisting_ms:
            cause = "not_listed"
        else:
            cause = "symbol" if self.company_ms[high] > self.company_ms[low] else "unknown"
        return AssignedRun(
            name=member.name,
            market=member.market,
            start_ms=start,
            bars=bars,
            cause=cause,
            share=round(float(self.share[high] - self.share[low]) / length, 4),
            listed=round(float(self.listed[high] - self.listed[low]) / length, 1),
            common_bars=common // config.interval_ms,
        )


def _inside(borders: I64, spans: I64) -> I64:
    """How many half-open spans cover each stretch that begins at a border."""
    change = np.zeros(borders.size, dtype=np.int64)
    np.add.at(change, np.searchsorted(borders, spans[:, 0]), 1)
    np.add.at(change, np.searchsorted(borders, spans[:, 1]), -1)
    return np.cumsum(change)


def _before(values: F64) -> F64:
    """Sum of all values before each place."""
    return np.asarray(np.cumsum(values) - values)


def mostly_lost(start_ms: int, end_ms: int, lost: Iterable[LostFile]) -> bool:
    """Whether lost files would have covered half or more of a stretch."""
    covered = sum(max(0, min(end_ms, file.end_ms) - max(start_ms, file.start_ms)) for file in lost)
    return 2 * covered >= end_ms - start_ms
