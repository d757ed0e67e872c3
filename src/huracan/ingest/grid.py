"""Gaps on the time grid: short ones filled flat and marked, long ones left as holes that part segments."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from huracan.domain.arrays import I64, Bool
from huracan.domain.frames import REPAIRED
from huracan.domain.records import IntegrityIssue
from huracan.ingest.config import ISSUES_KEPT, IngestConfig
from huracan.ingest.rows import OPTIONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Bars with `flags` (REPAIRED or 0) and `segment`; `holes` and `hole_bars` count what stayed open.

    `missing` are all stretches without a bar, filled or not, as (open time of the first, bars).
    """

    frame: pl.DataFrame
    repaired: int
    gaps: int
    holes: int
    hole_bars: int
    jumps: int
    missing: tuple[tuple[int, int], ...]
    issues: tuple[IntegrityIssue, ...]


def fill_gaps(frame: pl.DataFrame, config: IngestConfig) -> Filled:
    """Fill gaps of at most `config.repairable_bars` at the previous close with no volume; number the segments.

    Known when the next real bar arrives, and equal to what a chart showed meanwhile: nothing of the future is used.
    An optional column that is null before the gap stays null in it.
    """
    times = frame["open_time"].to_numpy()
    missing = np.zeros(times.size, dtype=np.int64)
    missing[:-1] = np.diff(times) // config.interval_ms - 1
    fillable = (missing > 0) & (missing <= config.repairable_bars)
    holes = missing > config.repairable_bars
    long = missing * config.interval_ms > config.segment_gap_ms
    segment = np.concatenate([[0], np.cumsum(long)[:-1]]).astype(np.int32) if times.size else np.zeros(0, np.int32)
    marked = frame.with_columns(flags=pl.lit(0, dtype=pl.Int32), segment=pl.Series(segment, dtype=pl.Int32))
    repaired = int(missing[fillable].sum())
    jumps = _jumps(frame, holes, config)
    return Filled(
        frame=_repeat(marked, np.where(fillable, missing, 0), config.interval_ms) if repaired else marked,
        repaired=repaired,
        gaps=int(fillable.sum()),
        holes=int(holes.sum()),
        hole_bars=int(missing[holes].sum()),
        jumps=len(jumps),
        missing=missing_runs(times, config.interval_ms),
        issues=(
            *_gap_issues(times, missing, fillable, "repaired", config),
            *_gap_issues(times, missing, holes, "flagged", config),
            *jumps,
        ),
    )


def missing_runs(times: I64, interval_ms: int) -> tuple[tuple[int, int], ...]:
    """Stretches without a bar between ascending open times, as (open time of the first, bars)."""
    step = np.diff(times)
    at = np.flatnonzero(step > interval_ms)
    starts, bars = times[at] + interval_ms, step[at] // interval_ms - 1
    return tuple(zip(starts.tolist(), bars.tolist(), strict=True))


def _repeat(frame: pl.DataFrame, extra: I64, interval_ms: int) -> pl.DataFrame:
    counts = extra + 1
    source = np.repeat(np.arange(counts.size), counts)
    step = np.arange(source.size) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = frame[source].with_columns(step=pl.Series(step, dtype=pl.Int64))
    ours, close = pl.col("step") > 0, pl.col("close")
    nothing = (
        pl.when(ours & pl.col(name).is_not_null()).then(0.0).otherwise(pl.col(name)).alias(name) for name in OPTIONAL
    )
    return rows.with_columns(
        pl.col("open_time") + pl.col("step") * interval_ms,
        *(pl.when(ours).then(close).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low")),
        pl.when(ours).then(0.0).otherwise(pl.col("volume")).alias("volume"),
        *nothing,
        pl.when(ours).then(REPAIRED).otherwise(pl.col("flags")).cast(pl.Int32).alias("flags"),
    ).drop("step")


def _gap_issues(
    times: I64, missing: I64, kept: Bool, action: Literal["repaired", "flagged"], config: IngestConfig
) -> list[IntegrityIssue]:
    at = np.flatnonzero(kept)
    longest = at[np.argsort(-missing[at], kind="stable")[:ISSUES_KEPT]]
    return [
        IntegrityIssue(kind="gap", action=action, start_ms=int(times[i]) + config.interval_ms, bars=int(missing[i]))
        for i in longest
    ]


def _jumps(frame: pl.DataFrame, holes: Bool, config: IngestConfig) -> list[IntegrityIssue]:
    before = np.flatnonzero(holes)
    if not before.size:
        return []
    last, first = frame["close"].to_numpy()[before], frame["open"].to_numpy()[before + 1]
    ratio = np.exp(np.log(first) - np.log(last))
    far = np.maximum(ratio, 1 / ratio) > config.jump_ratio
    times = frame["open_time"].to_numpy()[before + 1]
    return [
        IntegrityIssue(
            kind="jump",
            action="flagged",
            start_ms=int(times[at]),
            bars=1,
            detail=f"price x {ratio[at]:.6g} across a hole: renamed unit or other asset?",
        )
        for at in np.flatnonzero(far)
    ]
