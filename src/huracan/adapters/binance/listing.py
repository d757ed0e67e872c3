"""What the exchange lists: exchangeInfo, 24 h tickers and best bids and asks, to instruments and quotes."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from huracan.domain.ids import Instrument, Market
from huracan.domain.json import Json, JsonObject
from huracan.domain.records import Quote
from huracan.errors import SchemaError

GBP_PAIR: Final = "GBPUSDT-spot"
_DOLLARS: Final = ("USDT", "USDC", "FDUSD", "TUSD", "USDP", "BUSD", "USD1", "U", "USDE")


def instruments(info: Json, market: Market) -> list[Instrument]:
    """Every listed instrument of an exchangeInfo answer, whatever its status. Raises SchemaError."""
    found: dict[str, Instrument] = {}
    for entry in _list(_field(info, "symbols", market), f"{market} exchangeInfo symbols"):
        symbol = _text(entry, "symbol", market)
        if symbol in found:
            message = f"{market} exchangeInfo lists {symbol!r} twice"
            raise SchemaError(message)
        found[symbol] = Instrument(
            market=market,
            symbol=symbol,
            base=_text(entry, "baseAsset", symbol),
            quote=_text(entry, "quoteAsset", symbol),
            status=_text(entry, "status", symbol),
            contract_type=_text(entry, "contractType", symbol) if market == "um" else None,
            tick_size=_tick(entry, symbol),
            listed_ms=_listed(entry, symbol) if market == "um" else None,
        )
    return list(found.values())


def quotes(listed: Sequence[Instrument], tickers: Json, books: Json, market: Market) -> dict[str, Quote]:
    """Quote of every listed instrument by Instrument.id; None where the exchange says nothing or zero."""
    volume = {
        _text(t, "symbol", market): number(t.get("quoteVolume"), market) for t in _list(tickers, f"{market} 24hr")
    }
    book = {_text(b, "symbol", market): b for b in _list(books, f"{market} bookTicker")}
    found = {}
    for instrument in listed:
        best: JsonObject = book.get(instrument.symbol, {})
        bid, ask = (number(best.get(side), instrument.id) for side in ("bidPrice", "askPrice"))
        found[instrument.id] = Quote(volume_24h_quote=volume.get(instrument.symbol), bid=bid or None, ask=ask or None)
    return found


def rates_per_gbp(known: Mapping[str, Quote], configured: float) -> tuple[dict[str, float], str]:
    """Units of each quote asset for one GBP, and where the rate came from.

    The pound is GBPUSDT's mid where that book is two-sided, else the configured rate. Other assets follow their own
    book against USDT; dollars without a book count as one.
    """
    pound = known.get(GBP_PAIR)
    mid = _mid(pound)
    rate, source = (mid, "GBPUSDT mid on the exchange") if mid else (configured, f"configured: {configured:g}")
    rates = {"USDT": rate} | dict.fromkeys(_DOLLARS, rate)
    for identity, quote in known.items():
        asset = identity.removesuffix("USDT-spot")
        price = _mid(quote) if asset != identity else None
        if price:
            rates[asset] = rate / price
    return rates, source


def number(value: Json, what: str) -> float | None:
    """A number or a text of one; None stays None. Raises SchemaError for all else, infinities included."""
    if value is None:
        return None
    try:
        parsed = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        parsed = math.nan
    if not math.isfinite(parsed) or isinstance(value, bool):
        message = f"{what}: {value!r} is not a number"
        raise SchemaError(message)
    return parsed


def _mid(quote: Quote | None) -> float | None:
    if quote is None or quote.spread_bps is None or quote.bid is None or quote.ask is None:
        return None
    return (quote.bid + quote.ask) / 2


def _tick(entry: JsonObject, symbol: str) -> float:
    for rule in _list(entry.get("filters", []), f"{symbol} filters"):
        if rule.get("filterType") == "PRICE_FILTER":
            return number(rule.get("tickSize"), symbol) or 0.0
    return 0.0


def _listed(entry: JsonObject, symbol: str) -> int | None:
    onboard = number(entry.get("onboardDate"), symbol)
    return None if onboard is None else int(onboard)


def _list(value: Json, what: str) -> list[JsonObject]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        message = f"{what}: wanted a list of objects, seen {str(value)[:120]}"
        raise SchemaError(message)
    return value


def _field(value: Json, name: str, what: str) -> Json:
    if not isinstance(value, dict) or name not in value:
        message = f"{what}: wanted an object with {name!r}, seen {str(value)[:120]}"
        raise SchemaError(message)
    found: Json = value[name]
    return found


def _text(value: JsonObject, name: str, what: str) -> str:
    text = _field(value, name, what)
    if not isinstance(text, str) or not text:
        message = f"{what}: {name} is {text!r}, wanted a text"
        raise SchemaError(message)
    return text
