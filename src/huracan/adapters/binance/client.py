"""Binance as MarketData: archive first, REST for the tail and the holes."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import httpx2
import polars as pl

from huracan.adapters.binance.archive import Archive, Parser
from huracan.adapters.binance.budget import WeightBudget
from huracan.adapters.binance.http import HttpClient
from huracan.adapters.binance.listing import GBP_PAIR, rates_per_gbp
from huracan.adapters.binance.plan import ArchiveFile, MonthPlan, Span, newest, plan_funding, plan_klines, uncovered
from huracan.adapters.binance.rest import Rest
from huracan.adapters.binance.tables import funding_csv, klines_csv
from huracan.domain.frames import BAR_SCHEMA, empty
from huracan.domain.ids import DELISTED, Instrument
from huracan.domain.records import Quote, Snapshot
from huracan.domain.time import Horizon, iso
from huracan.errors import DelistedError
from huracan.ports import FetchedFile, FetchedRows
from huracan.sections import BinanceSettings

RECHECKED: Final = 2
"""Newest known files whose checksum is compared again; older ones are trusted."""
_TIME_VALID_S: Final = 60.0


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
        self._archive = Archive(self._http, settings.archive_url)
        self._interval, self._interval_ms = interval, Horizon.parse(interval).ms
        self._rest = Rest(self._http, settings, interval, self._interval_ms)
        self._quote_per_gbp = quote_per_gbp
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

        Instruments of other quote assets are left out. One that was not listed yet is left out where the exchange knows its
        listing date; one without a trade is BREAK, one whose bars the exchange refuses by now is DELISTED. No books are known,
        so spreads are for step 2 to estimate.
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
        """Everything both markets list or remember now, with its status; a host that does not answer is an UpstreamError."""
        spot, um = await asyncio.gather(self._rest.listed("spot"), self._rest.listed("um"))
        return (*spot, *um)

    async def fetch(
        self, instrument: Instrument, start_ms: int, end_ms: int, known: Mapping[str, FetchedFile]
    ) -> AsyncIterator[FetchedRows]:
        """Closed bars, then settlements, before end_ms: one batch a file or page, so memory stays bounded.

        An archive file comes whole even where it reaches back before start_ms: a stored file is complete. Nothing
        older than the listing is given (tickers are reused). Raises DataError subclasses only.
        """
        start_ms = await self._listed_start(instrument, start_ms, end_ms, known)
        if start_ms >= end_ms:
            return
        async for batch in self._bars(instrument, start_ms, end_ms, known):
            yield batch
        if instrument.market == "um":
            async for batch in self._funding(instrument, start_ms, end_ms, known):
                yield batch

    async def rest_bars(self, instrument: Instrument, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Closed bars with start_ms <= open_time < end_ms from REST alone, ascending; raises DataError subclasses only."""
        pages = [rows async for rows in self._rest.bars(instrument, start_ms, end_ms, await self._now())]
        return pl.concat(pages) if pages else empty(BAR_SCHEMA)

    async def published(self, file: ArchiveFile) -> bool:
        """Whether the archive has a file, by its checksum; raises DataError subclasses when the archive does not answer."""
        return await self._archive.checksum(file) is not None

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

    async def _bars(
        self, instrument: Instrument, start_ms: int, end_ms: int, known: Mapping[str, FetchedFile]
    ) -> AsyncIterator[FetchedRows]:
        plans = plan_klines(instrument, self._interval, start_ms, end_ms)
        everything = [file for plan in plans for file in (*([plan.month] if plan.month else []), *plan.days)]
        recheck = newest([file for file in everything if file.name in known], RECHECKED)
        covered: list[Span] = []
        for plan in plans:
            for file in _wanted(plan, known):
                done, batch = await self._file(instrument, file, "bars", klines_csv, known, recheck)
                if batch:
                    yield batch
                if done:
                    covered.append(file.span)
                if done and file is plan.month:
                    break
        for low, high in uncovered(start_ms, end_ms, covered):
            async for rows in self._rest.bars(instrument, low, high, await self._now()):
                yield FetchedRows(kind="bars", rows=rows, source="rest")

    async def _funding(
        self, instrument: Instrument, start_ms: int, end_ms: int, known: Mapping[str, FetchedFile]
    ) -> AsyncIterator[FetchedRows]:
        plan = plan_funding(instrument, start_ms, end_ms)
        recheck = newest([file for file in plan if file.name in known], RECHECKED)
        covered: list[Span] = []
        for file in plan:
            done, batch = await self._file(instrument, file, "funding", funding_csv, known, recheck)
            if batch:
                yield batch
            if done:
                covered.append(file.span)
        for low, high in uncovered(start_ms, end_ms, covered):
            async for rows in self._rest.funding(instrument, low, high):
                yield FetchedRows(kind="funding", rows=rows, source="rest")

    async def _file(
        self,
        instrument: Instrument,
        file: ArchiveFile,
        kind: str,
        parse: Parser,
        known: Mapping[str, FetchedFile],
        recheck: frozenset[str],
    ) -> tuple[bool, FetchedRows | None]:
        """Whether the lake has, or now gets, the file's rows; and those rows if they are new."""
        stored, sha256 = known.get(file.name), None
        if stored is not None:
            if file.name not in recheck:
                return True, None
            sha256 = await self._archive.checksum(file)
            if sha256 in {None, stored.sha256}:
                return True, None
        verified = await self._archive.fetch(file, parse, sha256)
        if verified is None:
            return stored is not None, None
        rows = verified.rows
        if instrument.listed_ms is not None:
            rows = rows.filter(pl.col(rows.columns[0]) >= _floor(instrument.listed_ms, self._interval_ms))
        return True, FetchedRows(kind=kind, rows=rows, source="archive", file=verified.file)

    async def _listed_start(
        self, instrument: Instrument, start_ms: int, end_ms: int, known: Mapping[str, FetchedFile]
    ) -> int:
        """start_ms, or the first bar where that is later; asked of the exchange only for a coin new to the lake."""
        if instrument.listed_ms is not None:
            return max(start_ms, _floor(instrument.listed_ms, self._interval_ms))
        for plan in plan_klines(instrument, self._interval, start_ms, end_ms)[:1]:
            if any(file.name in known for file in (plan.month, *plan.days[:1]) if file):
                return start_ms
        first = await self._rest.first_bar(instrument)
        return end_ms if first is None else max(start_ms, first)

    async def _now(self) -> int:
        """A server time at most a minute old; an older one only drops bars that closed meanwhile."""
        if self._server_time is None or time.monotonic() - self._server_time[0] > _TIME_VALID_S:
            return await self.server_time()
        return self._server_time[1]


def _wanted(plan: MonthPlan, known: Mapping[str, FetchedFile]) -> tuple[ArchiveFile, ...]:
    """The month's file and then its days for where it is missing; only the days once all of them are stored."""
    if plan.month is None or (plan.month.name not in known and plan.days and all(d.name in known for d in plan.days)):
        return plan.days
    return (plan.month, *plan.days)


def _floor(time_ms: int, step_ms: int) -> int:
    return time_ms // step_ms * step_ms
