"""How far the exchange's clock may be from this machine's, and when that question has no meaning."""

from typing import Final
from urllib.parse import urlsplit

from huracan.domain.addresses import is_loopback

MAX_SKEW_MS: Final = 5_000


def clock_skew_ms(url: str, server_ms: int, system_ms: int) -> int | None:
    """How far two clocks are apart, ms; None for an exchange on loopback, which replays another time.

    >>> clock_skew_ms("https://api.binance.com", 1_000, 7_500), clock_skew_ms("http://127.0.0.1:8080", 1_000, 7_500)
    (6500, None)
    """
    return None if is_loopback(urlsplit(url).hostname or "") else abs(server_ms - system_ms)
