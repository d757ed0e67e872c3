"""Listing epochs: a symbol that stops and comes back may be another unit, or another asset.

LUNAUSDT stopped at 0.00005 and came back as another coin at 1.0; BNX, QUICK and SUN came back in other units. A return
across such a break never happened to anybody, so the bars before it are not the history of what trades now.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.records import IntegrityIssue
from huracan.domain.time import HOUR_MS
from huracan.ingest.rules import IngestRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingEpoch:
    """One uninterrupted listing: its bars' open times, and what parts it from the one before (None for the first).

    silent_ms: from the last traded bar's close to the first traded open. ratio: that open over that close.
    """

    first_ms: int
    last_ms: int
    bars: int
    silent_ms: int | None = None
    ratio: float | None = None


def listing_epochs(frame: pl.DataFrame, rules: IngestRules) -> tuple[ListingEpoch, ...]:
    """The epochs of ascending bars, oldest first; none without bars.

    A new one begins where nothing was traded for `rules.relisting_ms` (longer than any outage of the whole exchange), or
    for an hour when the price came back at another scale (`rules.rescaled`). Flat bars without volume are no trade, so a
    halt that the exchange fills with them counts like missing bars. Known when the first bar of the new epoch closes.
    """
    if frame.is_empty():
        return ()
    times, traded = frame["open_time"].to_numpy(), frame["volume"].to_numpy() > 0
    at = np.flatnonzero(traded)
    silent = np.diff(times[at]) - rules.interval_ms
    ratio = frame["open"].to_numpy()[at[1:]] / frame["close"].to_numpy()[at[:-1]]
    far = np.maximum(ratio, 1 / ratio) >= rules.rescaled
    parted = np.flatnonzero((silent >= rules.relisting_ms) | ((silent >= HOUR_MS) & far))
    starts = [0, *at[parted + 1].tolist(), times.size]
    return tuple(
        ListingEpoch(
            first_ms=int(times[low]),
            last_ms=int(times[high - 1]),
            bars=high - low,
            silent_ms=int(silent[parted[number - 1]]) if number else None,
            ratio=float(ratio[parted[number - 1]]) if number else None,
        )
        for number, (low, high) in enumerate(itertools.pairwise(starts))
    )


def newest_epoch(frame: pl.DataFrame, rules: IngestRules) -> tuple[pl.DataFrame, tuple[IntegrityIssue, ...]]:
    """The bars of the last epoch, and an issue for every earlier one that was cut."""
    epochs = listing_epochs(frame, rules)
    if len(epochs) < 2:
        return frame, ()
    issues = tuple(
        IntegrityIssue(
            kind="relisted",
            action="cut",
            start_ms=after.first_ms,
            bars=before.bars,
            detail=f"no trade for {(after.silent_ms or 0) / HOUR_MS:.0f} h, then price x {after.ratio:.6g}: another listing",
        )
        for before, after in itertools.pairwise(epochs)
    )
    return frame.filter(pl.col("open_time") >= epochs[-1].first_ms), issues
