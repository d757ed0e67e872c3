"""Rows that gave way to another of the same time, as a table's seal keeps them: by source, in runs of equal steps.

A file in which every row stands twice is one run, so a seal stays short whatever the exchange publishes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from huracan.domain.doubles import DOUBLES_SCHEMA

Run = tuple[int, int, int, int, int]
"""First time (ms), step, number of times, and at each of them rows and conflicts."""

REST: Final = "rest"


def as_runs(doubles: pl.DataFrame) -> dict[str, tuple[Run, ...]]:
    """Doubles (DOUBLES_SCHEMA) by source."""
    ordered = doubles.sort("source", "time_ms")
    return {
        str(source): tuple(_runs(rows.select("time_ms", "rows", "conflicts").rows()))
        for (source,), rows in ordered.group_by("source", maintain_order=True)
    }


def from_runs(runs: Mapping[str, Sequence[Run]]) -> pl.DataFrame:
    """Doubles (DOUBLES_SCHEMA) by rising time."""
    rows = [
        (first + place * step, source, count, conflicts)
        for source, of_source in runs.items()
        for first, step, times, count, conflicts in of_source
        for place in range(times)
    ]
    return pl.DataFrame(rows, schema=DOUBLES_SCHEMA, orient="row").sort("time_ms", "source")


def counted(gone: pl.DataFrame, time: str) -> pl.DataFrame:
    """Rows with `source` and `differs` as doubles: one row for each time and source."""
    return gone.group_by(time_ms=pl.col(time), source="source").agg(
        rows=pl.len().cast(pl.Int64), conflicts=pl.col("differs").sum().cast(pl.Int64)
    )


def known_doubles(
    runs: Mapping[str, tuple[Run, ...]],
    replaced: Collection[str],
    within: pl.DataFrame,
    beside: pl.DataFrame,
    again: Collection[str],
) -> dict[str, tuple[Run, ...]]:
    """Doubles after an append: those known before, less what `replaced` files had, and those found `within` the append
    and `beside` stored rows, the same one once however often its source is read.

    A source that is read `again` meets the row that once won over its own, and then adds nothing.
    """
    known = {source: of_source for source, of_source in runs.items() if source not in replaced}
    if within.is_empty() and beside.is_empty():
        return known
    before = from_runs(known)
    known_before = pl.col("source").is_in(list(again)) & pl.col("time_ms").is_in(before["time_ms"].to_list())
    both = pl.concat(
        [before, *(found.select(list(DOUBLES_SCHEMA)) for found in (within, beside.filter(~known_before)))]
    )
    return as_runs(both.group_by("time_ms", "source").agg(pl.col("rows", "conflicts").max()))


def _runs(rows: Sequence[tuple[int, int, int]]) -> Iterator[Run]:
    at = 0
    while at < len(rows):
        first, count, conflicts = rows[at]
        step = rows[at + 1][0] - first if at + 1 < len(rows) else 0
        end = at + 1
        while end < len(rows) and rows[end] == (first + (end - at) * step, count, conflicts):
            end += 1
        yield first, step, end - at, count, conflicts
        at = end
