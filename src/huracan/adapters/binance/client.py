"""Binance as MarketData: archive first, as its list says, and REST for the tail and the holes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import httpx2
import polars as pl

from huracan.adapters.binance.archive import Archive, Parser
from huracan.adapters.binance.budget import WeightBudget
from huracan.adapters.binance.http import HttpClient
from huracan.adapters.binance.listing import GBP_PAIR, rates_per_gbp
from huracan.adapters.binance.plan import ArchiveFile, FilePlan, Span, uncovered
from huracan.adapters.binance.rest import Rest
from huracan.adapters.binance.tables import funding_csv, klines_csv
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, LONGEST_FUNDING_MS, Schema, empty
from huracan.domain.ids import DELISTED, Instrument, Market
from huracan.domain.records import Quote, Snapshot
from huracan.domain.time import DAY_MS, Horizon, iso
from huracan.errors import ChecksumError, DelistedError, SchemaError
from huracan.ports import FetchedFile, FetchedRows, KnownSettlements
from huracan.sections import BinanceSettings

_TIME_VALID_S: Final = 60.0
GONE_DAYS: Final = 45
"""A file comes at most this long after its days: a month's funding, with the fortnight after which a file is lost."""
_PARSERS: Final[dict[str, Parser]] = {"bars": klines_csv, "funding": funding_csv}
_SCHEMAS: Final[dict[str, Schema]] = {"bars": BAR_SCHEMA, "funding": FUNDING_SCHEMA}


class BinanceMarketData:
    """The public data of one Binance-compatible exchange. Use it from one event loop, then `aclose` it."""

    def __init__(
        self,
        settings: BinanceSettings,
        quote_per_gbp: float,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        interval: str = "1m",
        budget: WeightBudget | None = None,
    ) -> None:
        self._budget = budget or WeightBudget()
        self._http = HttpClient(settings, self._budget, transport)
        self._archive = Archive(self._http, settings)
        self._interval, self._interval_ms = interval, Horizon.parse(interval).ms
        self._rest = Rest(self._http, settings, interval, self._interval_ms)
        self._quote_per_gbp, self._connections = quote_per_gbp, settings.max_connections
        self._server_time: tuple[float, int] | None = None

    async def server_time(self) -> int:
        """The exchange's clock, ms UTC."""
        now = await self._rest.server_time()
        self._server_time = (time.monotonic(), now)
        return now

    async def snapshot(self, now_ms: int) -> Snapshot:
        """Everything both markets list, with quotes; a host that does not answer is an UpstreamError."""
        (spot, spot_quotes), (um, um_quotes) = await asyncio.gather(
            self._rest.listing("spot"), self._rest.listing("um")
        )
        known = spot_quotes | um_quotes
        rates, source = rates_per_gbp(known, self._quote_per_gbp)
        return Snapshot(now_ms=now_ms, instruments=(*spot, *um), quotes=known, quote_per_gbp=rates, gbp_source=source)

    async def snapshot_as_of(self, then_ms: int, quote_assets: Sequence[str]) -> Snapshot:
        """Who traded in the 24 hours before a past moment, and how much: from those hours' own bars.

        Instruments of other quote assets are left out. One that was not listed yet is left out where the exchange knows
        its listing date; one without a trade is BREAK, one whose bars the exchange refuses by now is DELISTED. No books
        are known, so spreads are for step 2 to estimate.
        """
        asked = [
            one
            for one in await self.listed()
            if (one.quote in quote_assets and (one.listed_ms or 0) < then_ms) or one.id == GBP_PAIR
        ]
        days = await asyncio.gather(*(self._day_before(one, then_ms) for one in asked))
        quotes = {
            one.id: Quote(volume_24h_quote=day[0] if day else None, bid=None, ask=None)
            for one, (_, day) in zip(asked, days, strict=True)
        }
        prices = {one.id: day[1] for one, (_, day) in zip(asked, days, strict=True) if day}
        seen = {key: Quote(volume_24h_quote=None, bid=price, ask=price) for key, price in prices.items()}
        rates, gbp = rates_per_gbp(seen, self._quote_per_gbp)
        traded = tuple(
            replace(one, status=status)
            for one, (status, _) in zip(asked, days, strict=True)
            if one.quote in quote_assets
        )
        gbp = gbp.replace("mid on the exchange", "close of that day")
        source = f"put together from the bars of the 24 h before {iso(then_ms)}"
        return Snapshot(
            now_ms=then_ms, instruments=traded, quotes=quotes, quote_per_gbp=rates, gbp_source=gbp, source=source
        )

    async def listed(self) -> tuple[Instrument, ...]:
        """Everything both markets list or remember now, with its status; a host that does not answer is an
        UpstreamError.
        """
        spot, um = await asyncio.gather(self._rest.listed("spot"), self._rest.listed("um"))
        return (*spot, *um)

    async def recent_settlements(self, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Settlements of every perpetual with start_ms <= time < end_ms: `symbol`, then FUNDING_SCHEMA; a page has
        1,000.
        """
        return await self._rest.all_funding(start_ms, end_ms)

    async def fetch(
        self,
        instrument: Instrument,
        start_ms: int,
        end_ms: int,
        known: Mapping[str, FetchedFile],
        settled: KnownSettlements | None = None,
    ) -> AsyncIterator[FetchedRows]:
        """Closed bars, then settlements, before end_ms: one batch a file or page, so memory stays bounded.

        An archive file comes whole even where it reaches back before start_ms: a stored file is complete. Files of the
        ticker's earlier listings come, too; REST is asked about them for lost files alone. Of an instrument that does
        not trade any more, what REST refuses is left out. A file that is damaged (ChecksumError) or no table of ours
        (SchemaError) is left out; the other files come, and then the error. Raises DataError subclasses only.
        """
        for kind in self._kinds(instrument):
            covered: list[Span] = []
            async for batch in self._history(
                kind, instrument, (start_ms, end_ms), known, covered, tail=True, settled=settled
            ):
                yield batch
            if not instrument.trades and not covered:
                return  # without a bar in the window it was gone before

    async def fetch_archived(
        self, instrument: Instrument, start_ms: int, end_ms: int, known: Mapping[str, FetchedFile]
    ) -> AsyncIterator[FetchedRows]:
        """As `fetch`, but REST is asked for the time of lost files alone: what the archive does not have yet is left
        out.
        """
        for kind in self._kinds(instrument):
            async for batch in self._history(kind, instrument, (start_ms, end_ms), known, [], tail=False):
                yield batch

    async def rest_bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Closed bars with start_ms <= open_time < end_ms from REST alone, ascending; raises DataError subclasses
        only.
        """
        pages = [rows async for rows in self._rest.bars(instrument, start_ms, end_ms, await self._now())]
        return pl.concat(pages) if pages else empty(BAR_SCHEMA)

    async def rest_funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Settlements with start_ms <= time < end_ms from REST alone, ascending; raises DataError subclasses only."""
        pages = [rows async for rows in self._rest.funding(instrument, start_ms, end_ms)]
        return pl.concat(pages) if pages else empty(FUNDING_SCHEMA)

    @property
    def connections(self) -> int:
        """How many requests one host is asked at once."""
        return self._connections

    @property
    def bytes_received(self) -> int:
        """Bytes of all answers so far."""
        return self._http.received

    async def archived_symbols(self, market: Market) -> list[str]:
        """Every symbol the archive has klines of, delisted ones included, whatever exchangeInfo says now."""
        return await self._archive.symbols(market)

    async def newest_archived_day(self, instrument: Instrument, since_ms: int) -> str | None:
        """Name of the newest daily file since a day, None without one; raises DataError subclasses where it does not
        answer.
        """
        return await self._archive.newest_day(instrument, self._interval, since_ms)

    async def aclose(self) -> None:
        """Release connections."""
        await self._http.aclose()
        self._budget.close()

    async def _day_before(self, instrument: Instrument, then_ms: int) -> tuple[str, tuple[float, float] | None]:
        """Status of an instrument at a past moment, and its quote volume and last price of the 24 h before."""
        try:
            day = await self._rest.day_before(instrument, then_ms)
        except DelistedError:
            return DELISTED, None
        return ("TRADING" if day else "BREAK"), day

    @staticmethod
    def _kinds(instrument: Instrument) -> tuple[str, ...]:
        return ("bars", "funding") if instrument.market == "um" else ("bars",)

    async def _history(
        self,
        kind: str,
        instrument: Instrument,
        window: Span,
        known: Mapping[str, FetchedFile],
        covered: list[Span],
        *,
        tail: bool,
        settled: KnownSettlements | None = None,
    ) -> AsyncIterator[FetchedRows]:
        """One kind of rows; the spans of all files the lake has, or now gets, are put into `covered`."""
        plan, refused = await self._plan(kind, instrument, window, known), None
        covered += [file.span for file in plan.kept]
        for file in plan.published:
            try:
                done, batch = await self._file(kind, file, known.get(file.name))
            except (ChecksumError, SchemaError) as error:
                refused = refused or error
                continue
            if batch:
                yield batch
            if done:
                covered.append(file.span)
        if refused is not None:
            raise refused
        filled: dict[str, int] = {file.name: 0 for file in plan.lost}
        try:
            listed = _floor(instrument.listed_ms or 0, self._interval_ms)
            of_rest = (max(window[0], listed), window[1])
            for low, high in _asked_of_rest(kind, plan, of_rest, covered, instrument, tail=tail):
                async for rows in self._pages(kind, instrument, low, high, settled if high == window[1] else None):
                    for file in plan.lost:
                        filled[file.name] += int(rows[rows.columns[0]].is_between(*file.span, closed="left").sum())
                    yield FetchedRows(kind=kind, rows=rows, source="rest")
        except DelistedError:
            if instrument.trades:
                raise
        for name, count in filled.items():
            record = FetchedFile(name=name, sha256="", rows=count)
            yield FetchedRows(kind=kind, rows=empty(_SCHEMAS[kind]), source="rest", file=record)

    async def _plan(
        self, kind: str, instrument: Instrument, window: Span, known: Mapping[str, FetchedFile]
    ) -> FilePlan:
        if kind == "bars":
            return await self._archive.plan_klines(instrument, self._interval, window, known)
        return await self._archive.plan_funding(instrument, window, known)

    async def _pages(
        self, kind: str, instrument: Instrument, low: int, high: int, settled: KnownSettlements | None
    ) -> AsyncIterator[pl.DataFrame]:
        if kind == "bars":
            async for rows in self._rest.bars(instrument, low, high, await self._now()):
                yield rows
            return
        known_to = _known_to(settled, low)
        if settled is not None and known_to >= settled.since_ms and (whole := _joining(settled, high)) is not None:
            yield whole.filter(pl.col("funding_time").is_between(low, high, closed="left"))
            return
        async for rows in self._rest.funding(instrument, known_to, high):
            yield rows

    async def _file(self, kind: str, file: ArchiveFile, stored: FetchedFile | None) -> tuple[bool, FetchedRows | None]:
        """Whether the lake has, or now gets, the file's rows; and what is new about them, if anything."""
        if stored is not None and stored.stamp == file.stamp:
            return True, None
        verified = await self._archive.read(file, _PARSERS[kind], stored)
        if verified is None:
            return stored is not None and not stored.lost, None
        rows = empty(_SCHEMAS[kind]) if verified.rows is None else verified.rows
        return True, FetchedRows(kind=kind, rows=rows, source="archive", file=verified.file)

    async def _now(self) -> int:
        """A server time at most a minute old; an older one only drops bars that closed meanwhile."""
        if self._server_time is None or time.monotonic() - self._server_time[0] > _TIME_VALID_S:
            return await self.server_time()
        return self._server_time[1]


def _asked_of_rest(
    kind: str, plan: FilePlan, window: Span, covered: list[Span], instrument: Instrument, *, tail: bool
) -> list[Span]:
    """What no file covers: of the whole window and of files lost before it, or (without `tail`) of lost files alone.

    The window begins with the listing. Where the listing date is unknown, the archive's first file does: it has every
    symbol's first day. One that does not trade any more has nothing after its last file, once that is older than files
    are late, and no bars without one.
    """
    start_ms, end_ms = window
    if not tail:
        return _joined(file.span for file in plan.lost)
    before = _joined(file.span for file in plan.lost if file.span[1] <= start_ms)
    if instrument.listed_ms is None and covered:
        start_ms = max(start_ms, min(covered)[0])
    if not instrument.trades and (covered or kind == "bars"):
        newest = max((high for _, high in covered), default=start_ms)
        end_ms = end_ms if covered and newest + GONE_DAYS * DAY_MS >= end_ms else newest
    return [*before, *uncovered(start_ms, end_ms, covered)]


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Ascending spans, neighbours as one."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def _known_to(settled: KnownSettlements | None, low: int) -> int:
    """From where on settlements are to be asked for: behind what is stored, where that reaches back to `low`."""
    if settled is None or settled.stored is None or settled.stored[0] - LONGEST_FUNDING_MS > low:
        return low
    return max(low, settled.stored[1] + 1)


def _joining(settled: KnownSettlements, high: int) -> pl.DataFrame | None:
    """The rows read for all, if they hold the newest stored one and reach `high`: a short answer alone proves no
    end.
    """
    if settled.rows is None or settled.rows.is_empty() or settled.stored is None:
        return None
    times = settled.rows["funding_time"]
    whole = settled.stored[1] in times and int(times[-1]) >= high - LONGEST_FUNDING_MS
    return settled.rows if whole else None


def _floor(time_ms: int, step_ms: int) -> int:
    return time_ms // step_ms * step_ms
