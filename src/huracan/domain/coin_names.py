"""Coin names: BTC, BTCUSDT, BTC/USDT, BTC/USDT:USDT, BTC-um and BTCUSDT-um are one coin, in any letter case.

A name that says its market means that market alone: BTC-spot is never answered with the perpetual.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

_QUOTES: Final = ("FDUSD", "USDT", "USDC")
_MARKETS: Final = ("um", "spot")
NEAREST: Final = 3
SHOWN_COINS: Final = 5
"""Coins that a message names where none is near."""
_KEY: Final = re.compile(r"(.+)_([1-9][0-9]{0,4}[mhdMHD])")
_MULTIPLIED: Final = re.compile(r"1000(?:000)?(?=\D)(.+)")


class CoinNames:
    """Resolves names against the coins of a set; `instruments` maps coin to instrument id (``BTCUSDT-um``).

    `others` are coins of which the instrument is not known.
    """

    def __init__(self, instruments: Mapping[str, str], others: Iterable[str] = ()) -> None:
        self._coins = {*instruments, *others}
        self._markets = {coin: name.partition("~")[0].rpartition("-")[2] for coin, name in instruments.items()}
        self._symbols: dict[str, str] = {}
        self._tickers: dict[str, str] = {}
        self._quotes = set(_QUOTES)
        # A coin's own name is shorter than that of its other pairs, and wins the symbol they share.
        for coin in sorted(instruments, key=lambda name: (len(name), name), reverse=True):
            ticker = instruments[coin].split("~")[0]
            symbol = ticker.rpartition("-")[0]
            self._symbols[symbol], self._tickers[ticker] = coin, coin
            if symbol.startswith(coin):
                self._quotes.add(symbol.removeprefix(coin))
        self._folded = {
            name.upper(): name for name in sorted((*self._symbols, *self._tickers, *self._coins), reverse=True)
        }

    @property
    def coins(self) -> frozenset[str]:
        """Every canonical name."""
        return frozenset(self._coins)

    def resolve(self, name: str) -> str:
        """The canonical coin; a pair that no known coin has is cut to its base asset, anything else returned.

        >>> names = CoinNames({"BTC": "BTCUSDT-um", "SOLUSDC-spot": "SOLUSDC-spot"})
        >>> [names.resolve(name) for name in ("BTC", "btcusdt", "BTC/USDT", "BTC/USDT:USDT", "BTCUSDT-um")]
        ['BTC', 'BTC', 'BTC', 'BTC', 'BTC']
        >>> names.resolve("SOL/USDC"), names.resolve("XRP/USDT")
        ('SOLUSDC-spot', 'XRP')
        """
        known = self._known(name)
        if known is not None:
            return known
        text = name.strip()
        pair, colon, settle = text.partition(":")
        base, slash, quote = pair.partition("/")
        if (slash and quote.upper() not in self._quotes) or (
            colon and not (slash and settle.upper() in {base.upper(), quote.upper()})
        ):
            return name
        symbol = base + quote
        known = self._known(symbol)
        if known is not None:
            return known
        if slash:
            return self._known(base) or base or name
        bare, dash, market = symbol.rpartition("-")
        if dash:
            return self._on_market(bare, market.lower()) or name
        return self._base(symbol) or _cut(symbol) or name

    def nearest(self, name: str) -> list[str]:
        """Up to three coins whose names are near, the nearest first.

        >>> CoinNames({"SHIB": "1000SHIBUSDT-um", "SHELL": "SHELLUSDT-um"}).nearest("shiba")
        ['SHIB']
        """
        near = difflib.get_close_matches(name.upper(), self._folded, n=4 * NEAREST, cutoff=0.5)
        coins = dict.fromkeys(self._known(text) or text for text in near)
        return list(coins)[:NEAREST]

    def _on_market(self, bare: str, market: str) -> str | None:
        """The coin of a pair or base asset on one market; None where it trades on the other, or is not known."""
        if market not in _MARKETS:
            return None
        for quote in ("", *_QUOTES):
            ticker = self._folded.get(f"{bare}{quote}-{market}".upper())
            if ticker is not None:
                return self._known(ticker)
        coin = self._base(bare)
        return coin if coin is not None and self._markets.get(coin, market) == market else None

    def _base(self, symbol: str) -> str | None:
        """The coin of a base asset, with or without a quote asset behind it and a multiple before it."""
        cut = _cut(symbol)
        multiplied = _MULTIPLIED.fullmatch(cut)
        return self._known(cut) or (self._known(multiplied[1]) if multiplied else None)

    def _known(self, name: str) -> str | None:
        """The coin of a coin, symbol or ticker that is known, as it is written or in another letter case."""
        text = name.strip()
        for form in (text, self._folded.get(text.upper(), text)):
            if form in self._coins:
                return form
            found = self._tickers.get(form) or self._symbols.get(form)
            if found is not None:
                return found
        return None


def split_key(text: str) -> tuple[str, str | None]:
    """Coin and horizon of a result key; the text itself and None for any other name.

    >>> split_key("BTCUSDT-spot_4h"), split_key("BTC")
    (('BTCUSDT-spot', '4h'), ('BTC', None))
    """
    found = _KEY.fullmatch(text.strip())
    return (found[1], found[2].lower()) if found else (text, None)


def _cut(symbol: str) -> str:
    """A symbol without its quote asset."""
    ending = next((quote for quote in _QUOTES if symbol.upper().endswith(quote)), "")
    return symbol[: len(symbol) - len(ending)]


def did_you_mean(name: str, names: CoinNames) -> str:
    """What to say of a name that is not known: the nearest ones, or the first of those there are."""
    near, known = names.nearest(name), sorted(names.coins)
    if near:
        return f"did you mean {', '.join(near)}?"
    more = len(known) - SHOWN_COINS
    return f"known are {', '.join(known[:SHOWN_COINS]) or 'no coins'}{f' and {more} more' if more > 0 else ''}"
