"""Instruments by their symbols alone, for an archive that remembers what the exchange has long forgotten.

The archive's folders name symbols and nothing else, and exchangeInfo does not know every delisted one. So base and
quote are parted by the longest known quote asset that the symbol ends in.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from huracan.domain.ids import Instrument, Market
from huracan.universe.names import PERPETUAL
from huracan.universe.pegged import PEGGED

QUOTES: Final = (
    *("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "PAX", "USDS", "DAI", "UST", "USD1", "USDE", "RLUSD"),
    *("BTC", "ETH", "BNB", "TRX", "XRP", "SOL", "DOGE", "DOT", "VAI", "BIDR", "IDRT", "BVND", "BKRW"),
    *("EUR", "AEUR", "EURI", "GBP", "AUD", "TRY", "BRL", "ARS", "COP", "MXN", "CZK", "PLN", "RON", "UAH", "RUB"),
    *("NGN", "ZAR", "JPY", "IDR"),
)
"""Quote assets of Binance since 2017. A symbol that ends in none of them is of a quote nobody asked for."""


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Base and quote asset of a symbol, None where it ends in no known quote or is a dated contract.

    >>> split_symbol("BTCFDUSD"), split_symbol("1000SHIBUSDT"), split_symbol("BTCUSDT_260925"), split_symbol("ABC")
    (('BTC', 'FDUSD'), ('1000SHIB', 'USDT'), None, None)
    """
    fitting = [quote for quote in QUOTES if symbol.endswith(quote) and symbol != quote]
    quote = max(fitting, key=len, default=None)
    return None if quote is None or "_" in symbol else (symbol.removesuffix(quote), quote)


def archived_instruments(
    symbols: Iterable[str], market: Market, quote_assets: Sequence[str]
) -> tuple[list[Instrument], Counter[str]]:
    """Instruments of the quote assets, and how many symbols were left out and why: PEGGED, QUOTE_ASSET or
    CONTRACT_TYPE.

    What only exchangeInfo knows is not known here: contracts on equities are among the perpetuals.
    """
    found: list[Instrument] = []
    left_out: Counter[str] = Counter()
    for symbol in symbols:
        parts = split_symbol(symbol)
        if "_" in symbol:
            left_out["CONTRACT_TYPE"] += 1
        elif parts is None or parts[1] not in quote_assets:
            left_out["QUOTE_ASSET"] += 1
        elif parts[0] in PEGGED:
            left_out["PEGGED"] += 1
        else:
            kind = PERPETUAL if market == "um" else None
            found.append(Instrument(market=market, symbol=symbol, base=parts[0], quote=parts[1], contract_type=kind))
    return found, left_out
