"""Listing epochs: a symbol that stops and comes back may be another unit, or another asset.

LUNAUSDT stopped at 0.00005 and came back as another coin at 1.0; BNX, QUICK and SUN came back in other units. A return
across such a break never happened to anybody, so the bars before it are not the history of what trades now: they are an
instrument of their own, which ended.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.doubles import FULLEST_BAR
from huracan.domain.records import EarlierListing, IntegrityIssue
from huracan.domain.time import HOUR_MS, iso
from huracan.ingest.order import order_rows
from huracan.ingest.rows import judge_rows
from huracan.ingest.rules import IngestRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingEpoch:
    """One uninterrupted listing: its bars' open times, and what parts it from the one before (None for the first).

    traded_ms: open time of the last bar with a trade. silent_ms: from the last traded bar's close to the first traded open.
    ratio: that open over that close.
    """

    first_ms: int
    last_ms: int
    traded_ms: int
    bars: int
    silent_ms: int | None = None
    ratio: float | None = None


def listing_epochs(frame: pl.DataFrame, rules: IngestRules, listed_ms: int | None = None) -> tuple[ListingEpoch, ...]:
    """The epochs of ascending bars, oldest first; none without bars.

    A new one begins where nothing was traded for `rules.relisting_ms` (longer than any outage of the whole exchange), or
    for an hour when the price came back at another scale (`rules.rescaled`), and where the exchange says that the present
    listing began (`listed_ms`). Flat bars without volume are no trade, so a halt that the exchange fills with them counts
    like missing bars. Known when the first bar of the new epoch closes.
    """
    if frame.is_empty():
        return ()
    times, traded = frame["open_time"].to_numpy(), frame["volume"].to_numpy() > 0
    at = np.flatnonzero(traded)
    silent = np.diff(times[at]) - rules.interval_ms
    ratio = frame["open"].to_numpy()[at[1:]] / frame["close"].to_numpy()[at[:-1]]
    far = np.maximum(ratio, 1 / ratio) >= rules.rescaled
    listed = listing_bar(listed_ms, rules)
    dated = (times[at[:-1]] < listed) & (times[at[1:]] >= listed)
    parted = np.flatnonzero((silent >= rules.relisting_ms) | ((silent >= HOUR_MS) & far) | dated)
    starts = [0, *at[parted + 1].tolist(), times.size]
    ends = [*times[at[parted]].tolist(), int(times[at[-1]] if at.size else times[-1])]
    return tuple(
        ListingEpoch(
            first_ms=int(times[low]),
            last_ms=int(times[high - 1]),
            traded_ms=ends[number],
            bars=high - low,
            silent_ms=int(silent[parted[number - 1]]) if number else None,
            ratio=float(ratio[parted[number - 1]]) if number else None,
        )
        for number, (low, high) in enumerate(itertools.pairwise(starts))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listings:
    """A symbol's bars parted: those of the newest listing, the earlier ones (oldest first), and an issue for each of these."""

    newest: pl.DataFrame
    earlier: tuple[EarlierListing, ...]
    issues: tuple[IntegrityIssue, ...]


def part_listings(frame: pl.DataFrame, rules: IngestRules, listed_ms: int | None = None) -> Listings:
    """The listings of ascending bars; the newest has none where the exchange says that it began after all of them."""
    epochs, listed = listing_epochs(frame, rules, listed_ms), listing_bar(listed_ms, rules)
    begins = [epoch.first_ms for epoch in epochs]
    if epochs and epochs[-1].traded_ms < listed:
        begins.append(listed)
    earlier = tuple(
        EarlierListing(first_ms=epoch.first_ms, last_ms=epoch.traded_ms, until_ms=until, bars=epoch.bars)
        for epoch, until in zip(epochs, begins[1:], strict=False)
    )
    if not earlier:
        return Listings(newest=frame, earlier=(), issues=())
    newest = frame.filter(pl.col("open_time") >= begins[-1])
    parts = zip(earlier, [*epochs[1:], None], strict=False)
    return Listings(newest=newest, earlier=earlier, issues=tuple(_issue(one, after) for one, after in parts))


def stored_listings(raw: pl.DataFrame, rules: IngestRules) -> Listings:
    """The listings of rows as they are stored (BAR_SCHEMA), impossible and doubled ones left out."""
    if raw.is_empty():
        return Listings(newest=raw, earlier=(), issues=())
    times = raw["open_time"]
    good = judge_rows(raw, rules.interval_ms, int(times[0]), int(times[-1]) + rules.interval_ms).good
    return part_listings(order_rows(good, "open_time", FULLEST_BAR).frame, rules)


def listing_bar(listed_ms: int | None, rules: IngestRules) -> int:
    """Open time of the bar in which a listing began; 0 where nobody says."""
    return (listed_ms or 0) // rules.interval_ms * rules.interval_ms


def _issue(earlier: EarlierListing, after: ListingEpoch | None) -> IntegrityIssue:
    detail = f"the exchange says that another listing began {iso(earlier.until_ms)}"
    silent = 0 if after is None else (after.silent_ms or 0) / HOUR_MS
    if after is not None and silent >= 1:
        detail = f"no trade for {silent:.0f} h, then price x {after.ratio:.6g}: another listing"
    return IntegrityIssue(kind="relisted", action="cut", start_ms=earlier.until_ms, bars=earlier.bars, detail=detail)
