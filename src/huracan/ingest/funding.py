"""Settlements of a perpetual: cleaned, their intervals taken from the times themselves, their coverage judged."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.frames import FUNDING_SCHEMA, check_schema
from huracan.domain.time import HOUR_MS, MINUTE_MS
from huracan.ingest.order import order_rows
from huracan.ingest.rules import IngestRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlements:
    """Settlements in order with their intervals, and how many rows were unusable, doubled, out of order."""

    frame: pl.DataFrame
    unusable: int
    duplicates: int
    conflicts: int
    disorder: int


def clean_settlements(funding: pl.DataFrame, rules: IngestRules) -> Settlements:
    """Settlements (FUNDING_SCHEMA) ascending, one a minute at most, finite, `interval_hours` from consecutive times.

    The interval is the distance to the settlement before, in hours; the archive's own column is kept for the first
    row and after a hole longer than `funding_max_gap_ms`, null where that is absent too. Never today's setting:
    intervals change over a coin's life. Rows in = unusable + duplicates + rows out; of two rows of one minute the later stays.
    """
    check_schema(funding, FUNDING_SCHEMA, "settlements")
    known = funding.filter(pl.col("funding_time").is_not_null() & pl.col("rate").is_finite())
    minute = ((pl.col("funding_time") + MINUTE_MS // 2) // MINUTE_MS) * MINUTE_MS
    ordered = order_rows(known.with_columns(minute), "funding_time")
    distance = pl.col("funding_time").diff()
    stated = pl.col("interval_hours")
    frame = ordered.frame.with_columns(
        interval_hours=pl.when(distance <= rules.funding_max_gap_ms)
        .then((distance / HOUR_MS).round(9))  # polars multiplies by the reciprocal: 7.999999999999999
        .otherwise(pl.when(stated.is_finite() & (stated > 0)).then(stated))
    )
    return Settlements(
        frame=frame,
        unusable=funding.height - known.height,
        duplicates=ordered.duplicates,
        conflicts=ordered.conflicts,
        disorder=ordered.disorder,
    )


def funding_covers(funding: pl.DataFrame, first_ms: int, last_ms: int, rules: IngestRules) -> bool:
    """True when no stretch of [first_ms, last_ms] longer than the longest interval lacks a settlement."""
    times = funding["funding_time"].to_numpy()
    inside = times[(times >= first_ms) & (times <= last_ms)]
    edges = np.concatenate([[first_ms], inside, [last_ms]])
    return bool(np.all(np.diff(edges) <= rules.funding_max_gap_ms + rules.funding_slack_ms))
