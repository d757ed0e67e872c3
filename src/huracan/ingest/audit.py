"""What is strange in one table of bars, and in many of them together; nothing is repaired, nothing is scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import polars as pl

from huracan.domain.doubles import FULLEST_BAR, NO_DOUBLES
from huracan.domain.ids import Market
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.ingest.config import IngestConfig
from huracan.ingest.flags import fictitious, mark_bars, silent_runs
from huracan.ingest.gaps import AssignedRun, LostFile, Presence, assign_causes
from huracan.ingest.grid import fill_gaps, missing_runs
from huracan.ingest.listings import ListingSpan, listing_spans
from huracan.ingest.order import order_rows, with_doubles
from huracan.ingest.rows import check_rows

SILENT_MS: Final = 10 * MINUTE_MS
"""Shortest silence that an audit looks at."""
SURELY_GONE_MS: Final = 30 * DAY_MS
"""Others must go on for so long before one that ends alone is called delisted: a download may stop early."""

BreakKind = Literal["rescaled", "reused", "relisted"]
EndKind = Literal["alive", "delisted", "gone", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A symbol that stopped and came back.

    `rescaled`: the price came back times a power of ten (a swap of the token's unit). `reused`: at another scale that
    is none (another asset). `relisted`: at its old scale; whether it is the same asset, bars cannot tell.
    """

    kind: BreakKind
    stopped_ms: int
    back_ms: int
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Strange:
    """A bar of a listing's first day with its high over its low."""

    open_ms: int
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one table holds. `first_ms` and `last_ms` are open times; `cut` counts impossible rows by rule."""

    source: str
    market: Market
    symbol: str
    rows: int
    first_ms: int
    last_ms: int
    cut: Mapping[str, int]
    duplicates: int
    conflicts: int
    disorder: int
    silent_bars: int
    gaps: tuple[tuple[int, int], ...]
    silences: tuple[tuple[int, int], ...]
    breaks: tuple[Break, ...]
    listing: tuple[Strange, ...]
    jumps: int
    panic: int
    outlier: int
    restated: tuple[int, ...] = ()
    lost: tuple[LostFile, ...] = ()
    doubles: pl.DataFrame = field(default_factory=lambda: NO_DOUBLES)

    @property
    def name(self) -> str:
        """Source and symbol."""
        return f"{self.source}/{self.symbol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Where a symbol's bars end, over all sources of its market, and what that means.

    `alive`: with the newest bars. `delisted`: alone (or with few), while others go on for a month and longer. `gone`:
    with its source, and it is absent from a later one that has most of its companions. `ended`: no source says why.
    """

    market: Market
    symbol: str
    last_ms: int
    kind: EndKind
    absent_from: str = ""


def examine(
    source: str,
    market: Market,
    symbol: str,
    raw: pl.DataFrame,
    config: IngestConfig,
    *,
    restated: Sequence[int] = (),
    lost: tuple[LostFile, ...] = (),
    doubles: pl.DataFrame = NO_DOUBLES,
) -> Findings | None:
    """Everything one table (BAR_SCHEMA, in any order) says by itself; None without a usable row.

    `doubles` (DOUBLES_SCHEMA) are rows that gave way to others before `raw` was stored.
    """
    verdict = check_rows(raw, config.interval_ms, -(1 << 62), 1 << 62)
    ordered = with_doubles(order_rows(verdict.good, "open_time", FULLEST_BAR), doubles)
    frame = ordered.frame
    if frame.is_empty():
        return None
    times = frame["open_time"].to_numpy()
    spans = listing_spans(frame, config)
    filled = fill_gaps(frame, config)
    marked = mark_bars(frame.with_columns(flags=pl.lit(0, dtype=pl.Int32)), config)
    runs = silent_runs(frame, config, max(1, SILENT_MS // config.interval_ms))
    return Findings(
        source=source,
        market=market,
        symbol=symbol,
        rows=raw.height,
        first_ms=int(times[0]),
        last_ms=int(times[-1]),
        cut={issue.kind: issue.bars for issue in verdict.issues},
        duplicates=ordered.duplicates,
        conflicts=ordered.conflicts,
        doubles=doubles,
        disorder=ordered.disorder,
        silent_bars=marked.counts["silent"],
        gaps=missing_runs(times, config.interval_ms),
        silences=tuple(zip(times[runs.first].tolist(), runs.bars.tolist(), strict=True)),
        breaks=tuple(_break(span, config) for span in spans[1:]),
        listing=_first_days(frame, spans, config),
        jumps=filled.jumps,
        panic=marked.counts["panic"],
        outlier=marked.counts["outlier"],
        restated=tuple(restated),
        lost=lost,
    )


def gaps_with_causes(findings: Iterable[Findings], config: IngestConfig) -> tuple[AssignedRun, ...]:
    """Every gap with its cause; the tables of a market testify for each other."""
    return assign_causes([_presence(found, found.gaps) for found in findings], config)


def halts_with_causes(findings: Iterable[Findings], config: IngestConfig) -> tuple[AssignedRun, ...]:
    """Every silence of ten minutes or longer with its cause: an exchange's halt, or a coin that nobody traded."""
    return assign_causes([_presence(found, found.silences) for found in findings], config)


def restatements(one: pl.DataFrame, other: pl.DataFrame) -> tuple[int, list[int]]:
    """How many bars two tables share, and the times of those whose values differ where both have one."""
    both = one.join(other, on="open_time", suffix="_other")
    names = [name for name in one.columns if name != "open_time"]
    differs = pl.any_horizontal(pl.col(name).ne(pl.col(f"{name}_other")).fill_null(value=False) for name in names)
    return both.height, both.filter(differs)["open_time"].sort().to_list()


def endings(findings: Sequence[Findings], config: IngestConfig) -> tuple[Ending, ...]:
    """What the end of every symbol means, by market and symbol."""
    found = []
    for market in sorted({one.market for one in findings}):
        tables = [one for one in findings if one.market == market]
        newest = max(one.last_ms for one in tables)
        for symbol in sorted({one.symbol for one in tables}):
            last = max((one for one in tables if one.symbol == symbol), key=lambda one: one.last_ms)
            found.append(_ending(last, tables, newest, config))
    return tuple(found)


def _ending(last: Findings, tables: Sequence[Findings], newest_ms: int, config: IngestConfig) -> Ending:
    def ending(kind: EndKind, absent_from: str = "") -> Ending:
        return Ending(market=last.market, symbol=last.symbol, last_ms=last.last_ms, kind=kind, absent_from=absent_from)

    if newest_ms - last.last_ms < config.relisting_ms:
        return ending("alive")
    beside = [one for one in tables if one.source == last.source and one.first_ms <= last.last_ms]
    listed = [one for one in beside if one.last_ms > last.last_ms - DAY_MS]
    together = {one.symbol for one in listed if one.last_ms < last.last_ms + DAY_MS}
    if len(together) < 2 or len(together) < config.common_share * len(listed):
        return ending("delisted" if newest_ms - last.last_ms >= SURELY_GONE_MS else "ended")
    for source in sorted({one.source for one in tables}):
        held = [one for one in tables if one.source == source]
        begins_later = min(one.first_ms for one in held) > last.last_ms
        if begins_later and len(together & {one.symbol for one in held}) >= config.common_share * len(together):
            return ending("gone", source)
    return ending("ended")


def _presence(found: Findings, runs: tuple[tuple[int, int], ...]) -> Presence:
    return Presence(
        name=found.name,
        market=found.market,
        first_ms=found.first_ms,
        last_ms=found.last_ms,
        runs=runs,
        lost=found.lost,
    )


def _break(span: ListingSpan, config: IngestConfig) -> Break:
    silent_ms, ratio = span.silent_ms or 0, span.ratio or 1.0
    power = round(float(np.log10(ratio)))
    kind: BreakKind = "relisted"
    if not 1 / config.rescaled < ratio < config.rescaled:
        near = abs(float(np.log10(ratio)) - power) <= 0.1  # VIDT: 1:10, and 7 % lower after nine days
        kind = "rescaled" if near and power else "reused"
    stopped = span.first_ms - silent_ms - config.interval_ms
    return Break(kind=kind, stopped_ms=stopped, back_ms=span.first_ms, ratio=ratio)


def _first_days(frame: pl.DataFrame, spans: Sequence[ListingSpan], config: IngestConfig) -> tuple[Strange, ...]:
    found = np.zeros(frame.height, dtype=bool)
    for span in spans:
        later = frame["open_time"].to_numpy() >= span.first_ms
        found |= later & fictitious(frame, config, span.first_ms)
    rows = frame.filter(pl.Series(found, dtype=pl.Boolean))
    ratios = (rows["high"] / rows["low"]).to_list()
    return tuple(Strange(open_ms=time, ratio=ratio) for time, ratio in zip(rows["open_time"], ratios, strict=True))
