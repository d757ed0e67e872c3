"""Shapes of the exchange's REST answers, field by field as recorded in July 2026.

Numbers are exact decimals as text; what a source does not know is null, never 0. Constants that no model reads
(margin percentages, order types) are those of an ordinary recorded symbol.
"""

from decimal import Decimal
from typing import Final

import polars as pl

from huracan.domain.json import Json, JsonObject
from huracan.worlds.source import Book, Day, ListedInstrument

SPOT_PLACES: Final = 8


def decimal_text(value: float | None, places: int = SPOT_PLACES) -> str | None:
    """Exact positional text of a float, zero-padded to `places` decimals; None stays None.

    >>> decimal_text(61733.6), decimal_text(1e-7, 2), decimal_text(None)
    ('61733.60000000', '0.0000001', None)
    """
    if value is None:
        return None
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    whole, _, fraction = text.partition(".")
    fraction = ("" if fraction == "0" else fraction).ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def places_of(step: float) -> int:
    """Decimals of a tick or lot size; 8 where it is unknown (0).

    >>> places_of(0.01), places_of(0.0), places_of(1.0)
    (2, 8, 0)
    """
    if step <= 0:
        return SPOT_PLACES
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def kline_rows(bars: pl.DataFrame, interval_ms: int, places: tuple[int, int]) -> list[list[Json]]:
    """The twelve-field rows of `klines`; `places` are the decimals of prices and quantities."""
    price, quantity = places
    close_time = interval_ms - 1
    return [
        [
            row[0],
            *(decimal_text(value, price) for value in row[1:5]),
            decimal_text(row[5], quantity),
            row[0] + close_time,
            decimal_text(row[6], price),
            None if row[7] is None else int(row[7]),
            decimal_text(row[8], quantity),
            decimal_text(row[9], price),
            "0",
        ]
        for row in bars.iter_rows()
    ]


def ticker_24hr(listed: ListedInstrument, day: Day | None, book: Book | None, now_ms: int) -> JsonObject:
    """One row of `ticker/24hr`; spot adds the previous close and the book. A dead symbol has count 0 and prices 0."""
    spot = listed.instrument.market == "spot"
    price, quantity = decimals(listed)
    empty = Day(open=0.0, high=0.0, low=0.0, last=0.0, previous=0.0, volume=0.0, quote_volume=0.0, trades=0)
    now = day or empty
    change = now.last - now.open
    mean = now.quote_volume / now.volume if now.volume else 0.0
    bid, ask, bid_quantity, ask_quantity = book or (0.0, 0.0, 0.0, 0.0)
    row: dict[str, Json] = {
        "symbol": listed.instrument.symbol,
        "priceChange": f"{change:.{price}f}",
        "priceChangePercent": f"{100 * change / now.open if now.open else 0.0:.3f}",
        "weightedAvgPrice": f"{mean:.{price}f}",
        "prevClosePrice": decimal_text(now.previous, price),
        "lastPrice": decimal_text(now.last, price),
        "lastQty": decimal_text(0.0, quantity),
        "bidPrice": decimal_text(bid, price),
        "bidQty": decimal_text(bid_quantity, quantity),
        "askPrice": decimal_text(ask, price),
        "askQty": decimal_text(ask_quantity, quantity),
        "openPrice": decimal_text(now.open, price),
        "highPrice": decimal_text(now.high, price),
        "lowPrice": decimal_text(now.low, price),
        "volume": decimal_text(round(now.volume, 8), quantity),
        "quoteVolume": decimal_text(now.quote_volume, price),
        "openTime": now_ms - 86_400_000,
        "closeTime": now_ms,
        "firstId": 1 if now.trades else -1,
        "lastId": now.trades or -1,
        "count": now.trades,
    }
    if not spot:
        for name in ("prevClosePrice", "bidPrice", "bidQty", "askPrice", "askQty"):
            del row[name]
    return row


def book_ticker(listed: ListedInstrument, book: Book | None, now_ms: int) -> JsonObject:
    """One row of `ticker/bookTicker`; prices and quantities 0 where there is no two-sided book."""
    price, quantity = decimals(listed)
    if book is None:
        price = quantity = SPOT_PLACES
    bid, ask, bid_quantity, ask_quantity = book or (0.0, 0.0, 0.0, 0.0)
    row: dict[str, Json] = {
        "symbol": listed.instrument.symbol,
        "bidPrice": decimal_text(bid, price),
        "bidQty": decimal_text(bid_quantity, quantity),
        "askPrice": decimal_text(ask, price),
        "askQty": decimal_text(ask_quantity, quantity),
    }
    return row if listed.instrument.market == "spot" else {**row, "time": now_ms, "lastUpdateId": now_ms}


def premium_index(listed: ListedInstrument, mark: float, rate: float | None, next_ms: int, now_ms: int) -> JsonObject:
    """One row of `premiumIndex`: the last settled rate stands in for the running estimate."""
    price = decimal_text(mark)
    return {
        "symbol": listed.instrument.symbol,
        "markPrice": price,
        "indexPrice": price,
        "estimatedSettlePrice": price,
        "lastFundingRate": "" if rate is None else f"{rate:.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": next_ms,
        "time": now_ms,
    }


def funding_info(listed: ListedInstrument) -> JsonObject:
    """One row of `fundingInfo` (only symbols whose interval is not 8 h have one)."""
    return {
        "symbol": listed.instrument.symbol,
        "adjustedFundingRateCap": "0.02000000",
        "adjustedFundingRateFloor": "-0.02000000",
        "fundingIntervalHours": listed.funding_hours,
        "disclaimer": False,
        "updateTime": listed.onboard_ms,
    }


_SPOT_ORDERS: Final = [
    *("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"),
]
_SPOT_ALLOWS: Final = (
    *("icebergAllowed", "ocoAllowed", "otoAllowed", "opoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop"),
    *("cancelReplaceAllowed", "amendAllowed", "pegInstructionsAllowed", "isSpotTradingAllowed"),
)
_SELF_TRADE: Final = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
_SPOT_CONSTANT_FILTERS: Final[tuple[JsonObject, ...]] = (
    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
    {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
)
_MARKET_LOTS: Final[JsonObject] = {
    "filterType": "MARKET_LOT_SIZE",
    "minQty": "0.00000000",
    "maxQty": "1000000.00000000",
    "stepSize": "0.00000000",
}
_TRAILING: Final[JsonObject] = {
    "filterType": "TRAILING_DELTA",
    "minTrailingAboveDelta": 10,
    "maxTrailingAboveDelta": 2000,
    "minTrailingBelowDelta": 10,
    "maxTrailingBelowDelta": 2000,
}
_PERCENT_PRICE: Final[JsonObject] = {
    "filterType": "PERCENT_PRICE_BY_SIDE",
    "bidMultiplierUp": "2",
    "bidMultiplierDown": "0.5",
    "askMultiplierUp": "2",
    "askMultiplierDown": "0.5",
    "avgPriceMins": 5,
}


def spot_symbol(listed: ListedInstrument) -> JsonObject:
    """One symbol of spot `exchangeInfo`."""
    coin = listed.instrument
    trading = coin.status == "TRADING"
    return {
        "symbol": coin.symbol,
        "status": coin.status,
        "baseAsset": coin.base,
        "baseAssetPrecision": 8,
        "quoteAsset": coin.quote,
        **dict.fromkeys(("quotePrecision", "quoteAssetPrecision"), 8),
        **dict.fromkeys(("baseCommissionPrecision", "quoteCommissionPrecision"), 8),
        "orderTypes": _SPOT_ORDERS,
        **dict.fromkeys(_SPOT_ALLOWS, True),
        "isMarginTradingAllowed": trading,
        "filters": _spot_filters(listed),
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"] if trading else ["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _SELF_TRADE,
    }


def _spot_filters(listed: ListedInstrument) -> list[JsonObject]:
    tick, step = decimal_text(listed.instrument.tick_size), decimal_text(listed.step_size)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "90000000.00000000", "stepSize": step},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        _MARKET_LOTS,
        _TRAILING,
        _PERCENT_PRICE,
        {
            "filterType": "NOTIONAL",
            "minNotional": decimal_text(listed.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        *_SPOT_CONSTANT_FILTERS,
    ]


def um_symbol(listed: ListedInstrument) -> JsonObject:
    """One symbol of USD-M `exchangeInfo`."""
    coin = listed.instrument
    price, quantity = decimals(listed)
    tick, step = decimal_text(coin.tick_size, price), decimal_text(listed.step_size, quantity)
    filters: list[JsonObject] = [
        {"maxPrice": "1000000", "tickSize": tick, "minPrice": tick, "filterType": "PRICE_FILTER"},
        {"filterType": "LOT_SIZE", "minQty": step, "stepSize": step, "maxQty": "90000000"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "1000000", "stepSize": step},
        {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
        {"filterType": "MIN_NOTIONAL", "notional": decimal_text(listed.min_notional, 0)},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
        {"positionControlSide": "NONE", "filterType": "POSITION_RISK_CONTROL"},
    ]
    return {
        "symbol": coin.symbol,
        "pair": coin.symbol,
        "contractType": coin.contract_type,
        "deliveryDate": listed.delivery_ms,
        "onboardDate": listed.onboard_ms,
        "status": coin.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": coin.base,
        "quoteAsset": coin.quote,
        "marginAsset": coin.quote,
        "pricePrecision": price,
        "quantityPrecision": quantity,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": filters,
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }


def decimals(listed: ListedInstrument) -> tuple[int, int]:
    """Decimals of prices and of quantities in answers: always 8 on spot, tick and lot on futures."""
    if listed.instrument.market == "spot":
        return SPOT_PLACES, SPOT_PLACES
    return places_of(listed.instrument.tick_size), places_of(listed.step_size)
