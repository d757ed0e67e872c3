"""Ascending times, each once: what disorder and duplicates were found, and which row won."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.records import IntegrityIssue


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Rows by rising time without duplicates; of two rows of one time the later in the input stays."""

    frame: pl.DataFrame
    duplicates: int
    conflicts: int
    disorder: int
    issues: tuple[IntegrityIssue, ...]


def order_rows(frame: pl.DataFrame, time: str) -> Ordered:
    """Sort by the time column and keep the last row of each time; `conflicts` counts duplicates with other values."""
    times = frame[time].to_numpy()
    if times.size < 2 or bool(np.all(times[1:] > times[:-1])):
        return Ordered(frame=frame, duplicates=0, conflicts=0, disorder=0, issues=())
    late = times[1:] < np.maximum.accumulate(times)[:-1]
    ordered = frame.sort(time, maintain_order=True)
    values = [pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in frame.columns if name != time]
    judged = ordered.select(
        pl.col(time),
        replaced=pl.col(time).eq(pl.col(time).shift(-1)).fill_null(value=False),
        differs=pl.any_horizontal(values),
    )
    replaced, same_time = judged["replaced"], judged.filter(pl.col("replaced"))
    conflicts = same_time.filter(pl.col("differs"))
    issues = []
    if late.any():
        first = int(times[1:][late][0])
        issues.append(IntegrityIssue(kind="disorder", action="repaired", start_ms=first, bars=int(late.sum())))
    if same_time.height > conflicts.height:
        first = int(same_time.filter(~pl.col("differs"))[time][0])
        bars = same_time.height - conflicts.height
        issues.append(
            IntegrityIssue(kind="duplicate", action="cut", start_ms=first, bars=bars, detail="identical rows")
        )
    if conflicts.height:
        detail = "rows of one time with different values; the later one stays"
        first = int(conflicts[time][0])
        issues.append(
            IntegrityIssue(kind="duplicate", action="flagged", start_ms=first, bars=conflicts.height, detail=detail)
        )
    return Ordered(
        frame=ordered.filter(~replaced),
        duplicates=same_time.height,
        conflicts=conflicts.height,
        disorder=int(late.sum()),
        issues=tuple(issues),
    )
