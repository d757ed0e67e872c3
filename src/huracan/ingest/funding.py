"""Settlements of a perpetual: cleaned, their intervals taken from the times themselves, their coverage checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import FUNDING_SCHEMA, HOLES_SCHEMA, check_schema
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.ingest.config import IngestConfig
from huracan.ingest.order import order_rows

NEIGHBOURS: Final = 3
"""Settlements on either side that say which interval was in force."""
SLACK_PARTS: Final = 4
"""A settlement may be late by this part of its interval."""
NEARBY_MS: Final = 3 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlements:
    """Settlements in order with their intervals, and how many rows were unusable, doubled, out of order."""

    frame: pl.DataFrame
    unusable: int
    duplicates: int
    conflicts: int
    disorder: int


def clean_settlements(funding: pl.DataFrame, config: IngestConfig) -> Settlements:
    """Settlements (FUNDING_SCHEMA) ascending, one a minute at most, finite, `interval_hours` from consecutive times.

    The interval is the distance to the settlement before, in hours, and never more than the archive's own column says:
    what is longer lacks settlements. That column stands alone at the first row and after `funding_max_gap_ms`, null
    where it is absent, too. Never today's setting: intervals change over a coin's life. Rows in = unusable + duplicates
    + rows out; of two rows of one minute the later stays.
    """
    check_schema(funding, FUNDING_SCHEMA, "settlements")
    known = funding.filter(pl.col("funding_time").is_not_null() & pl.col("rate").is_finite())
    minute = ((pl.col("funding_time") + MINUTE_MS // 2) // MINUTE_MS) * MINUTE_MS
    ordered = order_rows(known.with_columns(minute), "funding_time")
    distance = pl.col("funding_time").diff()
    stated = pl.when(pl.col("interval_hours").is_finite() & (pl.col("interval_hours") > 0)).then("interval_hours")
    in_force = pl.max_horizontal(stated, stated.shift())  # a row of the day of a change ends the interval before it
    frame = ordered.frame.with_columns(
        interval_hours=pl.when(distance <= config.funding_max_gap_ms)
        .then(
            pl.min_horizontal((distance / HOUR_MS).round(9), in_force)
        )  # a product with 1/HOUR_MS is 7.999999999999999
        .otherwise(stated)
    )
    return Settlements(
        frame=frame,
        unusable=funding.height - known.height,
        duplicates=ordered.duplicates,
        conflicts=ordered.conflicts,
        disorder=ordered.disorder,
    )


def funding_holes(funding: pl.DataFrame, first_ms: int, last_ms: int, config: IngestConfig) -> pl.DataFrame:
    """Stretches of [first_ms, last_ms] without a settlement that was due (HOLES_SCHEMA); `funding` as cleaned.

    Due is what the archive states and what the settlements around keep: the longer of the shortest distances of the
    three before and of the three after, so a change of interval is no hole and a missing row is one. A stretch ends
    one interval before the settlement that is there. Its worst rate is the largest of either sign within three days.
    """
    times = funding["funding_time"].to_numpy()
    if not times.size:
        return _holes([(first_ms, last_ms, 1, 0.0)] if last_ms > first_ms else [])
    due = _due_ms(times, funding["interval_hours"].fill_null(np.nan).to_numpy(), config)
    rates = np.abs(funding["rate"].to_numpy()) * 1e4
    found = [_hole(first_ms, int(times[0]), max(int(due[0]), config.funding_max_gap_ms), times, rates)]
    found += [
        _hole(int(times[i - 1]), int(times[i]), int(due[i]), times, rates)
        for i in np.flatnonzero(_late(times, due)) + 1
    ]
    found.append(_hole(int(times[-1]), last_ms, int(due[-1]), times, rates, settled=False))
    return _holes([hole for hole in found if hole is not None])


def _holes(rows: Sequence[tuple[int, int, int, float]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=HOLES_SCHEMA, orient="row")


def _late(times: I64, due: I64) -> Bool:
    late: Bool = np.diff(times) > due[1:] + due[1:] // SLACK_PARTS
    return late


def _due_ms(times: I64, hours: F64, config: IngestConfig) -> I64:
    """How long after the settlement before each one was due, in ms; of the first row, what holds after it."""
    gaps = np.diff(times).astype(np.float64)
    longest = float(config.funding_max_gap_ms)
    if not gaps.size:
        return np.full(times.size, longest).astype(np.int64)
    padded = np.concatenate([np.full(NEIGHBOURS, np.inf), gaps, np.full(NEIGHBOURS, np.inf)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS).min(axis=1)
    before, after = windows[: gaps.size], windows[NEIGHBOURS + 1 : NEIGHBOURS + 1 + gaps.size]
    around = np.where(np.isinf(before), after, np.where(np.isinf(after), before, np.maximum(before, after)))
    stated = np.fmax(hours[1:], hours[:-1]) * HOUR_MS
    due = np.fmin(np.minimum(around, longest), stated)
    return np.concatenate([due[:1], due]).astype(np.int64)


def _hole(
    start_ms: int, end_ms: int, due_ms: int, times: I64, rates: F64, *, settled: bool = True
) -> tuple[int, int, int, float] | None:
    """The hole between two moments, of which the later one is a settlement or the end of the bars; None where none
    is.
    """
    length = end_ms - start_ms
    if length <= due_ms + due_ms // SLACK_PARTS:
        return None
    missing = max(1, round(length / due_ms) - 1 if settled else length // due_ms)
    near = (times >= start_ms - NEARBY_MS) & (times <= end_ms + NEARBY_MS)
    worst = float(rates[near].max()) * DAY_MS / due_ms if near.any() else 0.0
    return start_ms, min(end_ms, start_ms + missing * due_ms), missing, worst
