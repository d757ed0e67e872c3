"""The exchange's public REST interface over a MarketSource: endpoint, parameters in, status and bytes out.

Spot under ``/api/v3``, USD-M futures under ``/fapi/v1``; coin-margined futures (``/dapi/v1``) list nothing. Limits
above the maximum are cut to it. `ticker/24hr` and `bookTicker` of futures leave dead symbols out of the full list and
refuse them by name.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from huracan.domain.ids import Market
from huracan.domain.json import Json, JsonObject
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.worlds import payloads
from huracan.worlds.limits import LIMITS
from huracan.worlds.source import INTERVALS, Day, ListedInstrument, Listings, MarketSource, bars_of

Params = Mapping[str, str]

KLINES_LIMIT: Final[dict[Market, int]] = {"spot": 1000, "um": 1500}
ROOTS: Final[dict[str, Market]] = {"/api/v3/": "spot", "/fapi/v1/": "um", "/dapi/v1/": "um"}


class _RefusedError(Exception):
    """The answer is status 400 with Binance's code and message; never leaves this module."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Cost(NamedTuple):
    """Whose limits a request counts against, its endpoint, and its request weight."""

    market: Market
    endpoint: str
    weight: int


def settlement_jitter_ms(symbol: str, funding_ms: int) -> int:
    """Delay of a settlement's recorded time, 0 to 17 ms as seen on the exchange; always the same for the same one.

    >>> settlement_jitter_ms("BTCUSDT", 1767254400000)
    5
    """
    return (sum(symbol.encode()) + funding_ms // HOUR_MS) % 18


class RestApi:
    """Answers requests about one market view after another; remembers 24-hour statistics per moment."""

    def __init__(self) -> None:
        self._days: dict[str, tuple[int, Day | None]] = {}
        self._listings = Listings()

    def cost(self, path: str, params: Params) -> Cost | None:
        """What a GET of `path` costs, right or wrong; None when the path is not below a root of the interface."""
        root = next((root for root in ROOTS if path.startswith(root)), None)
        if root is None:
            return None
        name = path.removeprefix(root)
        return Cost(ROOTS[root], name, _weight(ROOTS[root], name, params))

    def answer(self, view: MarketSource, path: str, params: Params) -> tuple[int, bytes]:
        """Status and JSON of a GET of `path`, which is below a root."""
        root = next(root for root in ROOTS if path.startswith(root))
        endpoint = _ENDPOINTS[root].get(path.removeprefix(root))
        if endpoint is None:
            return 404, _packed({"code": -5000, "msg": f"Path {path}, Method GET is invalid"})
        try:
            return 200, _packed(endpoint(self, _Call(view=view, market=ROOTS[root], params=params)))
        except _RefusedError as refused:
            return 400, _packed({"code": refused.code, "msg": refused.text})

    def listed(self, view: MarketSource, market: Market) -> dict[str, ListedInstrument]:
        """Everything listed on a market, by symbol."""
        return self._listings.of(view, market)

    def day(self, view: MarketSource, id_: str) -> Day | None:
        """Rolling 24 hours of an instrument."""
        known = self._days.get(id_)
        if known is None or known[0] != view.now_ms:
            known = self._days[id_] = (view.now_ms, view.day(id_))
        return known[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    view: MarketSource
    market: Market
    params: Params

    def number(self, name: str, default: int | None) -> int | None:
        text = self.params.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise _RefusedError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        return int(text)

    def limit(self, default: int, most: int) -> int:
        value = self.number("limit", default)
        if not value:
            raise _RefusedError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)


Endpoint = Callable[[RestApi, _Call], Json]


def _time(_: RestApi, call: _Call) -> Json:
    return {"serverTime": call.view.now_ms}


def _exchange_info(api: RestApi, call: _Call) -> Json:
    shape = payloads.spot_symbol if call.market == "spot" else payloads.um_symbol
    chosen = _chosen(api, call)
    listed = api.listed(call.view, call.market).values() if chosen is None else chosen
    weight: JsonObject = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": LIMITS[call.market][0],
    }
    head: dict[str, Json] = {"timezone": "UTC", "serverTime": call.view.now_ms}
    if call.market == "um":
        head["futuresType"] = "U_MARGINED"
    head |= {"rateLimits": [weight], "exchangeFilters": []}
    if call.market == "um":
        head["assets"] = [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}]
    return {**head, "symbols": [shape(item) for item in listed]}


def _nothing_listed(_: RestApi, call: _Call) -> Json:
    return {"timezone": "UTC", "serverTime": call.view.now_ms, "rateLimits": [], "exchangeFilters": [], "symbols": []}


def _klines(api: RestApi, call: _Call) -> Json:
    listed = _required(api, call)
    text = call.params.get("interval")
    if not text:
        raise _RefusedError(-1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.")
    interval = INTERVALS.get(text)
    if interval is None or interval % listed.interval_ms:
        raise _RefusedError(-1120, "Invalid interval.")
    limit = call.limit(500, KLINES_LIMIT[call.market])
    start, end = call.number("startTime", None), call.number("endTime", None)
    last = min(call.view.now_ms, 2**62 if end is None else end + 1)
    # Bars belong to the request by their open time; the first and the last one are whole.
    if start is None:
        first = (last - 1) // interval * interval - (limit - 1) * interval
        bars = bars_of(call.view, listed, first, last, interval).tail(limit)
        if bars.height < limit:
            bars = bars_of(call.view, listed, 0, last, interval).tail(limit)
    else:
        first = -(-start // interval) * interval
        bars = bars_of(call.view, listed, first, min(last, first + limit * interval), interval)
        if bars.height < limit:
            bars = bars_of(call.view, listed, first, last, interval).head(limit)
    return payloads.kline_rows(bars, interval, payloads.decimals(listed))


def _ticker_24hr(api: RestApi, call: _Call) -> Json:
    view = call.view

    def row(item: ListedInstrument) -> Json:
        return payloads.ticker_24hr(item, api.day(view, item.id), view.book(item.id), view.now_ms)

    return _rows(api, call, row)


def _book_ticker(api: RestApi, call: _Call) -> Json:
    return _rows(api, call, lambda item: payloads.book_ticker(item, call.view.book(item.id), call.view.now_ms))


def _premium_index(api: RestApi, call: _Call) -> Json:
    view = call.view

    def row(item: ListedInstrument) -> Json:
        day, settled = api.day(view, item.id), view.funding(item.id)
        rate = float(settled["rate"][-1]) if settled.height else None
        step = (item.funding_hours or 0) * HOUR_MS
        upcoming = (view.now_ms // step + 1) * step if step else 0
        return payloads.premium_index(item, day.last if day else 0.0, rate, upcoming, view.now_ms)

    return _rows(api, call, row)


def _funding_info(api: RestApi, call: _Call) -> Json:
    listed = api.listed(call.view, "um").values()
    return [payloads.funding_info(item) for item in listed if item.funding_hours not in {None, 8}]


def _funding_rate(api: RestApi, call: _Call) -> Json:
    start, end = call.number("startTime", None), call.number("endTime", None)
    timeless = start is None and end is None
    limit = call.limit(200 if timeless else 100, 1000)
    items = [_required(api, call)] if call.params.get("symbol") else list(api.listed(call.view, "um").values())
    # Of each instrument no more than a page can count: ten thousand of them have millions of settlements.
    found = [row for item in items for row in _settlements(call.view, item, start, end, limit)]
    found.sort(key=lambda row: (row[0], row[2]))
    return [_settlement(call.view, *row) for row in (found[-limit:] if start is None else found[:limit])]


def _settlements(
    view: MarketSource, item: ListedInstrument, start: int | None, end: int | None, limit: int
) -> list[tuple[int, float, str]]:
    """(recorded time, rate, symbol) of one instrument's settlements within a page."""
    symbol = item.instrument.symbol
    near = pl.col("funding_time").is_between((start or 0) - HOUR_MS, 2**62 if end is None else end)
    rows = [
        (time + settlement_jitter_ms(symbol, time), rate, symbol)
        for time, rate in view.funding(item.id).filter(near).select("funding_time", "rate").iter_rows()
    ]
    rows = [row for row in rows if (start or 0) <= row[0] <= (2**62 if end is None else end)]
    return rows[-limit:] if start is None else rows[:limit]


def _settlement(view: MarketSource, recorded: int, rate: float, symbol: str) -> Json:
    mark = view.klines(f"{symbol}-um", recorded - DAY_MS, recorded)
    price = payloads.decimal_text(float(mark["close"][-1])) if mark.height else ""
    return {"symbol": symbol, "fundingTime": recorded, "fundingRate": f"{rate:.8f}", "markPrice": price}


def _required(api: RestApi, call: _Call) -> ListedInstrument:
    symbol = call.params.get("symbol")
    if not symbol:
        raise _RefusedError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    found = api.listed(call.view, call.market).get(symbol)
    if found is None:
        raise _RefusedError(-1121, "Invalid symbol.")
    return found


def _chosen(api: RestApi, call: _Call) -> list[ListedInstrument] | None:
    """The instruments asked for by `symbol` or (spot) `symbols`; None for all."""
    if "symbol" in call.params:
        return [_required(api, call)]
    text = call.params.get("symbols") if call.market == "spot" else None
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise _RefusedError(-1100, "Illegal characters found in parameter 'symbols'.")
    known = api.listed(call.view, call.market)
    if not all(name in known for name in names):
        raise _RefusedError(-1121, "Invalid symbol.")
    return [known[name] for name in names]


def _rows(api: RestApi, call: _Call, row: Callable[[ListedInstrument], Json]) -> Json:
    chosen = _chosen(api, call)
    if chosen is not None:
        if call.market == "um" and chosen[0].instrument.status != "TRADING":
            raise _RefusedError(-1122, "Invalid symbol status.")
        rows = [row(item) for item in chosen]
        return rows[0] if "symbol" in call.params else rows
    listed = api.listed(call.view, call.market).values()
    return [row(item) for item in listed if call.market == "spot" or item.instrument.status == "TRADING"]


def _weight(market: Market, name: str, params: Params) -> int:
    one = "symbol" in params
    if name == "klines":
        text = params.get("limit", "500")
        limit = int(text) if text.isascii() and text.isdigit() else 500
        return 2 if market == "spot" else next((w for top, w in ((99, 1), (499, 2), (1000, 5)) if limit <= top), 10)
    if name == "ticker/24hr":
        few = params.get("symbols", "").count(",") + 1 if "symbols" in params else None
        if market == "um" or few is None:
            return (2 if one else 80) if market == "spot" else (1 if one else 40)
        return 2 if few <= 20 else 40 if few <= 100 else 80
    table = {
        ("spot", "exchangeInfo"): 20,
        ("um", "exchangeInfo"): 1,
        ("spot", "ticker/bookTicker"): 2 if one else 4,
        ("um", "ticker/bookTicker"): 2 if one else 5,
        ("um", "premiumIndex"): 1 if one else 10,
        ("um", "fundingInfo"): 0,
        ("um", "fundingRate"): 0,
    }
    return table.get((market, name), 1)


def _packed(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


_SHARED: Final[dict[str, Endpoint]] = {
    "time": _time,
    "exchangeInfo": _exchange_info,
    "klines": _klines,
    "ticker/24hr": _ticker_24hr,
    "ticker/bookTicker": _book_ticker,
}
_ENDPOINTS: Final[dict[str, dict[str, Endpoint]]] = {
    "/api/v3/": _SHARED,
    "/fapi/v1/": {
        **_SHARED,
        "fundingRate": _funding_rate,
        "fundingInfo": _funding_info,
        "premiumIndex": _premium_index,
    },
    "/dapi/v1/": {"time": _time, "exchangeInfo": _nothing_listed},
}
