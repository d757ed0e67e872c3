"""Coin names: BTC, BTCUSDT, BTC/USDT and BTC/USDT:USDT are one coin."""

from collections.abc import Iterable, Mapping

_QUOTES = ("FDUSD", "USDT", "USDC")


class CoinNames:
    """Resolves names against the coins of a set; `instruments` maps coin to instrument id (``BTCUSDT-um``)."""

    def __init__(self, instruments: Mapping[str, str], others: Iterable[str] = ()) -> None:
        self._coins = {*instruments, *others}
        self._symbols: dict[str, str] = {}
        self._quotes = set(_QUOTES)
        # A coin's own name is shorter than that of its other pairs, and wins the symbol they share.
        for coin in sorted(instruments, key=lambda name: (len(name), name), reverse=True):
            symbol = instruments[coin].split("~")[0].rsplit("-", 1)[0]
            self._symbols[symbol] = coin
            if symbol.startswith(coin):
                self._quotes.add(symbol.removeprefix(coin))

    def resolve(self, name: str) -> str:
        """The canonical coin; a pair that no known coin has is cut to its base asset, anything else returned.

        >>> names = CoinNames({"BTC": "BTCUSDT-um", "SOLUSDC-spot": "SOLUSDC-spot"})
        >>> [names.resolve(n) for n in ("BTC", "BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", "SOL/USDC", "XRP/USDT")]
        ['BTC', 'BTC', 'BTC', 'BTC', 'SOLUSDC-spot', 'XRP']
        """
        if name in self._coins:
            return name
        pair, colon, settle = name.partition(":")
        base, slash, quote = pair.partition("/")
        if (slash and quote not in self._quotes) or (colon and not (slash and settle in {base, quote})):
            return name
        symbol = base + quote
        if symbol in self._symbols:
            return self._symbols[symbol]
        if slash:
            return base or name
        ending = next((quote for quote in _QUOTES if symbol.endswith(quote)), "")
        return symbol.removesuffix(ending) or name
