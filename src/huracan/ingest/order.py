"""Ascending times, each once: what disorder and duplicates were found, and which row won."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl

from huracan.domain.doubles import part_doubles
from huracan.domain.records import IntegrityIssue
from huracan.ingest.config import ISSUES_KEPT

CONFLICT: Final = "rows of one time with different values"
STAYS: Final = "the one with more trades, then more volume, then the later one stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Rows by rising time without duplicates."""

    frame: pl.DataFrame
    duplicates: int
    conflicts: int
    disorder: int
    issues: tuple[IntegrityIssue, ...]


def order_rows(frame: pl.DataFrame, time: str, fullest: Sequence[pl.Expr] = ()) -> Ordered:
    """Sort by the time column and keep one row of each time (see `part_doubles`); `conflicts` had other values than
    it.
    """
    times = frame[time].to_numpy()
    if times.size < 2 or bool(np.all(times[1:] > times[:-1])):
        return Ordered(frame=frame, duplicates=0, conflicts=0, disorder=0, issues=())
    late = times[1:] < np.maximum.accumulate(times)[:-1]
    kept, gone = part_doubles(frame, time, fullest)
    issues = []
    if late.any():
        first = int(times[1:][late][0])
        issues.append(IntegrityIssue(kind="disorder", action="repaired", start_ms=first, bars=int(late.sum())))
    same, differing = gone.filter(~pl.col("differs")), gone.filter("differs")
    if same.height:
        issues.append(_doubled("cut", int(same[time][0]), same.height, "identical rows"))
    if differing.height:
        issues.append(_doubled("flagged", int(differing[time][0]), differing.height, f"{CONFLICT}; {STAYS}"))
    return Ordered(
        frame=kept,
        duplicates=gone.height,
        conflicts=differing.height,
        disorder=int(late.sum()),
        issues=tuple(issues),
    )


def with_doubles(ordered: Ordered, doubles: pl.DataFrame) -> Ordered:
    """The same rows, and counted with them those that gave way before they were stored (DOUBLES_SCHEMA)."""
    return replace(
        ordered,
        duplicates=ordered.duplicates + int(doubles["rows"].sum()),
        conflicts=ordered.conflicts + int(doubles["conflicts"].sum()),
        issues=(*ordered.issues, *_double_issues(doubles)),
    )


def _double_issues(doubles: pl.DataFrame) -> Iterator[IntegrityIssue]:
    """An issue for each time at which rows gave way before they were stored (DOUBLES_SCHEMA), with their source."""
    same = doubles.filter(pl.col("rows") > pl.col("conflicts")).head(ISSUES_KEPT)
    for row in same.iter_rows(named=True):
        yield _doubled("cut", row["time_ms"], row["rows"] - row["conflicts"], f"{row['source']}: identical rows")
    for row in doubles.filter(pl.col("conflicts") > 0).head(ISSUES_KEPT).iter_rows(named=True):
        yield _doubled("flagged", row["time_ms"], row["conflicts"], f"{row['source']}: {CONFLICT}; {STAYS}")


def _doubled(action: Literal["cut", "flagged"], start_ms: int, bars: int, detail: str) -> IntegrityIssue:
    return IntegrityIssue(kind="duplicate", action=action, start_ms=start_ms, bars=bars, detail=detail)
