"""Identities: instruments, coins, result keys, content hashes, and names that are safe as paths."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

Market = Literal["spot", "um"]
DELISTED: Final = "DELISTED"
"""Our own status of an instrument that the exchange refuses to speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One thing that trades: a symbol on one market, in one listing (tickers are reused).

    `listing_end` tells an earlier listing of the symbol by the UTC day of its last trade, as in 20220513. The newest
    one has 0 and so keeps its plain id. `until_ms` is the moment from which the symbol's bars are another listing's
    (None: the newest). `listed_ms` is when the exchange says the listing began. `tick_size` is the price filter's, in
    quote currency (0 = unknown); `contract_type` is None on spot. `coin` is the prefix of all result keys: the base
    asset for the preferred instrument of a base, else ``SYMBOL-market``; it is empty until the universe has chosen.
    """

    market: Market
    symbol: str
    base: str
    quote: str
    status: str = "TRADING"
    contract_type: str | None = None
    tick_size: float = 0.0
    listed_ms: int | None = None
    listing_end: int = 0
    until_ms: int | None = None
    coin: str = ""

    @property
    def id(self) -> str:
        """Unique text: ``LUNAUSDT-spot``; an earlier listing carries the day it ended, ``LUNAUSDT-spot~20220513``."""
        return f"{self.ticker}~{self.listing_end}" if self.listing_end else self.ticker

    @property
    def ticker(self) -> str:
        """Symbol and market, the same for all listings: what an archive folder or a table of the lake is called."""
        return f"{self.symbol}-{self.market}"

    @property
    def path_id(self) -> str:
        """`ticker` as one safe path segment."""
        return path_segment(self.ticker)

    @property
    def trades(self) -> bool:
        """Whether the exchange lets it trade now; what does not may have ended for good."""
        return self.status == "TRADING"


def result_key(coin: str, horizon: str) -> str:
    """Key of a (coin, horizon) in results: ``BTC_1h``."""
    return f"{coin}_{horizon}"


def path_segment(text: str) -> str:
    """A name as one path segment: ASCII letters, digits, ``_ - ~`` as they are, all else percent-encoded.

    >>> path_segment("BTC_1h"), path_segment("../x"), unquote(path_segment("币安人生USDT"))
    ('BTC_1h', '%2E%2E%2Fx', '币安人生USDT')
    """
    return quote(text, safe="").replace(".", "%2E")


def from_path_segment(segment: str) -> str:
    """Inverse of `path_segment`."""
    return unquote(segment)


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, floats by repr, no NaN.

    Dataclasses are read as dicts, tuples as lists. Raises ValueError for NaN and infinities.

    >>> canonical_json({"b": 1.5, "a": (1, None)})
    b'{"a":[1,null],"b":1.5}'
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_hash(*parts: Any) -> str:
    """Hex sha256 over the canonical JSON of the parts; bytes parts enter by their own sha256."""
    return hashlib.sha256(canonical_json(list(parts))).hexdigest()


def sha256_hex(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def random_seed(root: int, *names: str) -> int:
    """Seed of the random stream that belongs to these names, independent of all others."""
    return int(content_hash(root, *names)[:15], 16)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return {"sha256": sha256_hex(value)}
    if isinstance(value, float) and not math.isfinite(value):
        message = f"{value} has no JSON form"
        raise ValueError(message)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
