"""Marks on bars that stay: silent runs, panics, outliers. Every mark is known when its bar closes."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import HALT, OUTLIER, PANIC, REPAIRED
from huracan.domain.records import IntegrityIssue, IssueKind
from huracan.domain.time import MINUTE_MS
from huracan.ingest.config import ISSUES_KEPT, IngestConfig


class SilentRuns(NamedTuple):
    """Runs of flat bars without volume on consecutive times: row of the first bar of each, and how many bars."""

    first: I64
    bars: I64


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Bars with their marks, all long silent runs as (open time of the first bar, bars), and what to say of it."""

    frame: pl.DataFrame
    halts: tuple[tuple[int, int], ...]
    counts: dict[str, int]
    issues: tuple[IntegrityIssue, ...]


def mark_bars(frame: pl.DataFrame, config: IngestConfig, listed_ms: int | None = None) -> Marked:
    """The frame with HALT, PANIC and OUTLIER added to `flags` (see IngestConfig for the definitions).

    A run of silent bars is a HALT from its tenth bar on: marking the first nine would be hindsight, and features
    read this mark. PANIC and OUTLIER use the bar itself and earlier ones only. `listed_ms` is the time of the first bar
    where the listing is known to begin with it.
    """
    times, runs = frame["open_time"].to_numpy(), silent_runs(frame, config, config.halt_bars)
    halts = tuple(zip(times[runs.first].tolist(), runs.bars.tolist(), strict=True))
    halted = np.zeros(frame.height, dtype=bool)
    for first, bars in zip(*runs, strict=True):
        halted[first + config.halt_bars - 1 : first + bars] = True
    extreme, busy = _extremes(frame, config)
    strange, panic = fictitious(frame, config, listed_ms), extreme & busy
    outlier = (extreme | strange) & ~panic
    before = frame["flags"].to_numpy()
    flags = before + HALT * halted + PANIC * panic + OUTLIER * outlier
    silent = (frame["volume"].to_numpy() == 0) & (before & REPAIRED == 0)
    marks = {"silent": silent, "halt": halted, "panic": panic, "outlier": outlier, "listing": strange}
    return Marked(
        frame=frame.with_columns(pl.Series("flags", flags, dtype=pl.Int32)),
        halts=halts,
        counts={name: int(mark.sum()) for name, mark in marks.items()},
        issues=(
            *_halt_issues(halts),
            *_issues("outlier", panic, "panic: extreme on full volume", times, config),
            *_issues("outlier", outlier & ~strange, "extreme on little volume", times, config),
            *_issues("listing", strange, "first day of a listing: high a multiple of low", times, config),
        ),
    )


def _halt_issues(halts: tuple[tuple[int, int], ...]) -> list[IntegrityIssue]:
    """A halt is listed whole, although its first bars carry no mark."""
    detail = "flat bars without a trade"
    return [
        IntegrityIssue(kind="halt", action="flagged", start_ms=start, bars=bars, detail=detail)
        for start, bars in sorted(halts, key=lambda run: -run[1])[:ISSUES_KEPT]
    ]


def _issues(kind: IssueKind, marked: Bool, detail: str, times: I64, config: IngestConfig) -> list[IntegrityIssue]:
    """One issue for each run of marked bars on consecutive times, the longest runs."""
    at = np.flatnonzero(marked)
    runs = np.split(at, np.flatnonzero(np.diff(times[at]) != config.interval_ms) + 1) if at.size else []
    return [
        IntegrityIssue(kind=kind, action="flagged", start_ms=int(times[run[0]]), bars=run.size, detail=detail)
        for run in sorted(runs, key=len, reverse=True)[:ISSUES_KEPT]
    ]


def silent_runs(frame: pl.DataFrame, config: IngestConfig, at_least: int) -> SilentRuns:
    """Every run of `at_least` or more flat bars without volume: a halt, where the exchange fills it, or a quiet
    coin.
    """
    close = frame["close"].to_numpy()
    if not close.size:
        return SilentRuns(first=np.zeros(0, dtype=np.int64), bars=np.zeros(0, dtype=np.int64))
    silent = (frame["volume"].to_numpy() == 0) & (frame["open"].to_numpy() == close)
    silent &= (frame["high"].to_numpy() == close) & (frame["low"].to_numpy() == close)
    breaks = np.ones(silent.size, dtype=bool)
    breaks[1:] = (np.diff(frame["open_time"].to_numpy()) != config.interval_ms) | (silent[1:] != silent[:-1])
    first = np.flatnonzero(breaks)
    bars = np.diff(np.append(first, silent.size))
    kept = silent[first] & (bars >= at_least)
    return SilentRuns(first=first[kept], bars=bars[kept])


def fictitious(frame: pl.DataFrame, config: IngestConfig, listed_ms: int | None) -> Bool:
    """Bars of a listing's first day whose high is a multiple of their low; none where no listing is known to begin."""
    if listed_ms is None:
        return np.zeros(frame.height, dtype=bool)
    young = frame["open_time"].to_numpy() < listed_ms + config.listing_ms
    return np.asarray(young & (frame["high"].to_numpy() >= config.listing_ratio * frame["low"].to_numpy()))


def _extremes(frame: pl.DataFrame, config: IngestConfig) -> tuple[Bool, Bool]:
    log_close = np.log(frame["close"].to_numpy())
    size: F64 = np.log(frame["high"].to_numpy()) - np.log(frame["low"].to_numpy())
    adjacent = np.diff(frame["open_time"].to_numpy()) == config.interval_ms
    size[1:] = np.maximum(size[1:], np.where(adjacent, np.abs(np.diff(log_close)), 0.0))
    volume = frame["volume"].to_numpy()
    usual = pl.DataFrame({"size": size, "volume": volume}).select(
        pl.all().rolling_mean(config.scale_bars, min_samples=max(4, config.scale_bars // 24)).shift(1)
    )
    usual_size, usual_volume = usual["size"].to_numpy(), usual["volume"].to_numpy()
    floor = config.extreme_floor * (config.interval_ms / MINUTE_MS) ** 0.5
    # A missing scale is NaN and compares false: a coin's first hour is never extreme.
    extreme = (size > config.extreme_multiple * usual_size) & (size > floor)
    return extreme, np.asarray(volume >= usual_volume)
