"""REST endpoints: the listing now, and pages of history the archive does not have yet."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from huracan.adapters.binance.budget import SPOT, UM, UM_FUNDING
from huracan.adapters.binance.http import Ask, HttpClient, Params
from huracan.adapters.binance.listing import instruments, quotes
from huracan.adapters.binance.strict_json import parse_json
from huracan.adapters.binance.tables import all_funding_json, funding_json, klines_json
from huracan.domain.ids import Instrument, Market
from huracan.domain.json import Json
from huracan.domain.records import Quote
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import SchemaError, UpstreamError
from huracan.sections import BinanceSettings

FUNDING_PAGE: Final = 1000
_BIG: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    pool: str
    prefix: str
    info_weight: int
    ticker_weight: int
    book_weight: int
    page: int
    page_weight: int
    small_page: tuple[int, int] | None = None

    def page_for(self, rows: int) -> tuple[int, int]:
        """(limit, weight) of the cheapest page for the rows that are left."""
        if self.small_page is not None and rows <= self.small_page[0]:
            return rows, self.small_page[1]
        return self.page, self.page_weight


# um pages of 499 rows cost 2, of up to 99 rows 1; 1000 would cost 5.
_SPOT: Final = _Host(
    pool=SPOT, prefix="/api/v3", info_weight=20, ticker_weight=80, book_weight=4, page=1000, page_weight=2
)
_UM: Final = _Host(
    pool=UM,
    prefix="/fapi/v1",
    info_weight=1,
    ticker_weight=40,
    book_weight=5,
    page=499,
    page_weight=2,
    small_page=(99, 1),
)


class Rest:
    """The exchange's public endpoints on both hosts."""

    def __init__(self, http: HttpClient, settings: BinanceSettings, interval: str, interval_ms: int) -> None:
        self._http, self._interval, self._interval_ms = http, interval, interval_ms
        self._bases = {"spot": settings.rest_url.rstrip("/"), "um": settings.futures_url.rstrip("/")}

    async def server_time(self) -> int:
        """The exchange's clock, ms UTC."""
        answer = await self._get("spot", "time", 1)
        if not isinstance(answer, dict) or type(answer.get("serverTime")) is not int:
            message = f"spot time: wanted serverTime in ms, seen {str(answer)[:120]}"
            raise UpstreamError(message)
        return int(answer["serverTime"])

    async def listing(self, market: Market) -> tuple[list[Instrument], dict[str, Quote]]:
        """Everything a market lists, with its quotes."""
        host = _host(market)
        info, tickers, books = await asyncio.gather(
            self._get(market, "exchangeInfo", host.info_weight),
            self._get(market, "ticker/24hr", host.ticker_weight),
            self._get(market, "ticker/bookTicker", host.book_weight, trust=market == "spot"),
        )
        listed = instruments(info, market)
        return listed, quotes(listed, tickers, books, market)

    async def listed(self, market: Market) -> list[Instrument]:
        """Everything a market lists or remembers."""
        return instruments(await self._get(market, "exchangeInfo", _host(market).info_weight), market)

    async def day_before(self, instrument: Instrument, then_ms: int) -> tuple[float, float] | None:
        """Quote volume of the last 24 whole hours before a moment, and the last close; None where nothing was
        traded.
        """
        end = then_ms // HOUR_MS * HOUR_MS
        params: Params = {
            "symbol": instrument.symbol,
            "interval": "1h",
            "startTime": end - DAY_MS,
            "endTime": end - 1,
            "limit": 24,
        }
        frame, _ = await self._klines(instrument, params, 2 if instrument.market == "spot" else 1)
        traded = frame.filter(pl.col("volume") > 0)
        if traded.is_empty():
            return None
        volume = traded.select(pl.coalesce("quote_volume", pl.col("volume") * pl.col("close")).sum()).item()
        return float(volume), float(traded["close"][-1])

    async def bars(
        self, instrument: Instrument, start_ms: int, end_ms: int, now_ms: int
    ) -> AsyncIterator[pl.DataFrame]:
        """Pages of closed bars with start_ms <= open_time < end_ms; the unclosed bar is dropped."""
        host, at = _host(instrument.market), start_ms
        while at < end_ms:
            limit, weight = host.page_for(-(-(end_ms - at) // self._interval_ms))
            params: Params = {
                "symbol": instrument.symbol,
                "interval": self._interval,
                "startTime": at,
                "endTime": end_ms - 1,
                "limit": limit,
            }
            frame, closes = await self._klines(instrument, params, weight)
            time = frame["open_time"]
            inside = frame.filter((closes < now_ms) & time.is_between(at, end_ms, closed="left"))
            if inside.height:
                yield inside
            if frame.height < limit:
                return
            at = _advance(at, time, self._interval_ms, instrument)

    async def funding(self, instrument: Instrument, start_ms: int, end_ms: int) -> AsyncIterator[pl.DataFrame]:
        """Pages of settlements with start_ms <= time < end_ms."""
        at = start_ms
        while at < end_ms:
            params: Params = {
                "symbol": instrument.symbol,
                "startTime": at,
                "endTime": end_ms - 1,
                "limit": FUNDING_PAGE,
            }
            # The header counts the whole market's weight; against the small funding limit it would mean minutes of
            # waiting.
            answer = await self._get("um", "fundingRate", 1, params=params, pool=UM_FUNDING, trust=False)
            frame = funding_json(answer, f"fundingRate of {instrument.id}")
            time = frame["funding_time"]
            inside = frame.filter(time.is_between(at, end_ms, closed="left"))
            if inside.height:
                yield inside
            if frame.height < FUNDING_PAGE:
                return
            at = _advance(at, time, 1, instrument)

    async def all_funding(self, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Settlements of every symbol with start_ms <= time < end_ms: `symbol`, then FUNDING_SCHEMA.

        Without a symbol the exchange gives all of them by time, cut at a page's limit, and hundreds share a
        millisecond. So each page begins with the last millisecond of the one before. Raises SchemaError for an answer
        that cannot be whole: out of order, outside what was asked, or a page that one millisecond fills.
        """
        at, what = start_ms, "fundingRate of all symbols"
        pages: list[pl.DataFrame] = []
        while True:
            params: Params = {"startTime": at, "endTime": end_ms - 1, "limit": FUNDING_PAGE}
            answer = await self._get("um", "fundingRate", 1, params=params, pool=UM_FUNDING, trust=False)
            page = all_funding_json(answer, what)
            time = page["recorded_ms"]
            if not time.is_sorted() or not time.is_between(at, end_ms - 1).all():
                message = f"{what}: wanted ascending times from {at} to {end_ms - 1}, seen {time.head(3).to_list()} ..."
                raise SchemaError(message)
            pages.append(page)
            if page.height < FUNDING_PAGE:
                break
            if time[-1] <= at:
                message = f"{what}: {page.height} settlements at {at} fill a page; what follows is unknown"
                raise SchemaError(message)
            at = time[-1]
        settled = pl.concat(pages).unique(["symbol", "funding_time"], keep="last", maintain_order=True)
        inside = pl.col("funding_time").is_between(start_ms, end_ms, closed="left")
        return settled.filter(inside).drop("recorded_ms")

    async def _klines(self, instrument: Instrument, params: Params, weight: int) -> tuple[pl.DataFrame, pl.Series]:
        answer = await self._get(instrument.market, "klines", weight, params=params)
        return klines_json(answer, f"klines of {instrument.id}")

    async def _get(
        self,
        market: Market,
        endpoint: str,
        weight: int,
        *,
        params: Params | None = None,
        pool: str | None = None,
        trust: bool = True,
    ) -> Json:
        host = _host(market)
        url = f"{self._bases[market]}{host.prefix}/{endpoint}"
        cap = 4 << 20 if params else _BIG
        ask = Ask(pool=pool or host.pool, url=url, params=params, weight=weight, cap=cap, trust_weight_header=trust)
        body = await self._http.get(ask)
        if body is None:
            message = f"{url}: status 404; is the base URL right?"
            raise UpstreamError(message)
        return parse_json(body, url)


def _host(market: Market) -> _Host:
    return _SPOT if market == "spot" else _UM


def _advance(at: int, times: pl.Series, step_ms: int, instrument: Instrument) -> int:
    newest = times.max()
    if not isinstance(newest, int) or newest < at:
        message = f"{instrument.id}: a full page from {at} holds nothing newer"
        raise SchemaError(message)
    return newest + step_ms
