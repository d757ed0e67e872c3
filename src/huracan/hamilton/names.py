"""Coin names: BTC, BTCUSDT, BTC/USDT and BTC/USDT:USDT are one coin."""

from collections.abc import Iterable, Mapping

_QUOTES = ("FDUSD", "USDT", "USDC")


class CoinNames:
    """Resolves names against the coins of a set; `instruments` maps coin to instrument id (``BTCUSDT-um``)."""

    def __init__(self, instruments: Mapping[str, str], others: Iterable[str] = ()) -> None:
        self._coins = {*instruments, *others}
        self._symbols: dict[str, str] = {}
        # A coin's own name is shorter than that of its other pairs, and wins the symbol they share.
        for coin in sorted(instruments, key=lambda name: (len(name), name), reverse=True):
            symbol = instruments[coin].split("~")[0].rsplit("-", 1)[0]
            self._symbols[symbol] = coin

    def resolve(self, name: str) -> str:
        """The canonical coin; a name that no known coin has is cut to its base asset and returned.

        >>> names = CoinNames({"BTC": "BTCUSDT-um", "SOLUSDC-spot": "SOLUSDC-spot"})
        >>> [names.resolve(n) for n in ("BTC", "BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", "SOL/USDC", "XRP/USDT")]
        ['BTC', 'BTC', 'BTC', 'BTC', 'SOLUSDC-spot', 'XRP']
        """
        if name in self._coins:
            return name
        pair = name.split(":", maxsplit=1)[0]
        symbol = pair.replace("/", "")
        if symbol in self._symbols:
            return self._symbols[symbol]
        base, slash, _ = pair.partition("/")
        if slash and base:
            return base
        for quote in _QUOTES:
            if symbol.endswith(quote) and len(symbol) > len(quote):
                return symbol.removesuffix(quote)
        return name
