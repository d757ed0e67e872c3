"""Listings of one symbol: a symbol that stops and comes back may be another unit, or another asset.

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
from huracan.ingest.config import IngestConfig
from huracan.ingest.order import order_rows
from huracan.ingest.rows import check_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingSpan:
    """One uninterrupted listing: its bars' open times, and what parts it from the one before (None for the first).

    traded_ms: open time of the last bar with a trade. silent_ms: from the last traded bar's close to the first traded
    open. ratio: that open over that close.
    """

    first_ms: int
    last_ms: int
    traded_ms: int
    bars: int
    silent_ms: int | None = None
    ratio: float | None = None


def listing_spans(frame: pl.DataFrame, config: IngestConfig, listed_ms: int | None = None) -> tuple[ListingSpan, ...]:
    """The listings of ascending bars, oldest first; none without bars.

    A new one begins where nothing was traded for `config.relisting_ms` (longer than any outage of the whole exchange),
    or for an hour when the price came back at another scale (`config.rescaled`), and where the exchange says that the
    present listing began (`listed_ms`). Flat bars without volume are no trade, so a halt that the exchange fills with
    them counts like missing bars. Known when the first bar of the new listing closes.
    """
    if frame.is_empty():
        return ()
    times, traded = frame["open_time"].to_numpy(), frame["volume"].to_numpy() > 0
    at = np.flatnonzero(traded)
    silent = np.diff(times[at]) - config.interval_ms
    ratio = frame["open"].to_numpy()[at[1:]] / frame["close"].to_numpy()[at[:-1]]
    far = np.maximum(ratio, 1 / ratio) >= config.rescaled
    listed = listing_bar(listed_ms, config)
    dated = (times[at[:-1]] < listed) & (times[at[1:]] >= listed)
    parted = np.flatnonzero((silent >= config.relisting_ms) | ((silent >= HOUR_MS) & far) | dated)
    starts = [0, *at[parted + 1].tolist(), times.size]
    ends = [*times[at[parted]].tolist(), int(times[at[-1]] if at.size else times[-1])]
    return tuple(
        ListingSpan(
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
    """A symbol's bars parted: those of the newest listing, the earlier ones (oldest first), and an issue for each of
    these.
    """

    newest: pl.DataFrame
    earlier: tuple[EarlierListing, ...]
    issues: tuple[IntegrityIssue, ...]


def part_listings(frame: pl.DataFrame, config: IngestConfig, listed_ms: int | None = None) -> Listings:
    """The listings of ascending bars; the newest has none where the exchange says that it began after all of them."""
    spans, listed = listing_spans(frame, config, listed_ms), listing_bar(listed_ms, config)
    begins = [span.first_ms for span in spans]
    if spans and spans[-1].traded_ms < listed:
        begins.append(listed)
    earlier = tuple(
        EarlierListing(first_ms=span.first_ms, last_ms=span.traded_ms, until_ms=until, bars=span.bars)
        for span, until in zip(spans, begins[1:], strict=False)
    )
    if not earlier:
        return Listings(newest=frame, earlier=(), issues=())
    newest = frame.filter(pl.col("open_time") >= begins[-1])
    parts = zip(earlier, [*spans[1:], None], strict=False)
    return Listings(newest=newest, earlier=earlier, issues=tuple(_issue(one, after) for one, after in parts))


def stored_listings(raw: pl.DataFrame, config: IngestConfig) -> Listings:
    """The listings of rows as they are stored (BAR_SCHEMA), impossible and doubled ones left out."""
    if raw.is_empty():
        return Listings(newest=raw, earlier=(), issues=())
    times = raw["open_time"]
    good = check_rows(raw, config.interval_ms, int(times[0]), int(times[-1]) + config.interval_ms).good
    return part_listings(order_rows(good, "open_time", FULLEST_BAR).frame, config)


def listing_bar(listed_ms: int | None, config: IngestConfig) -> int:
    """Open time of the bar in which a listing began; 0 where nobody says."""
    return (listed_ms or 0) // config.interval_ms * config.interval_ms


def _issue(earlier: EarlierListing, after: ListingSpan | None) -> IntegrityIssue:
    detail = f"the exchange says that another listing began {iso(earlier.until_ms)}"
    silent = 0 if after is None else (after.silent_ms or 0) / HOUR_MS
    if after is not None and silent >= 1:
        detail = f"no trade for {silent:.0f} h, then price x {after.ratio:.6g}: another listing"
    return IntegrityIssue(kind="relisted", action="cut", start_ms=earlier.until_ms, bars=earlier.bars, detail=detail)
