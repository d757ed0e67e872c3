"""Bounded HTTP: deadlines, byte caps, retries that obey the exchange, errors of ours."""

import asyncio
import re
import ssl
import time
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx2
import stamina

from huracan.adapters.binance.budget import ARCHIVE, WeightBudget
from huracan.adapters.binance.proxies import proxy_advice, proxy_variables
from huracan.adapters.binance.retries import ATTEMPTS, RetryBudget, TransientError, asked_seconds, wait_before_retry
from huracan.errors import DelistedError, UpstreamError
from huracan.sections import BinanceSettings

DEFAULT_PAUSE_S: Final = 30.0  # um promises no Retry-After
DEFAULT_BAN_S: Final = 180.0  # bans start at two minutes
ARCHIVE_BUCKET_URL: Final = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
"""The real archive's files come by a host of their own, which does not list them."""
_ARCHIVE_HOST: Final = "data.binance.vision"
_WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
_WEIGHT: Final = re.compile("[0-9]{1,7}")
_NO_SUCH_SYMBOL: Final = re.compile(rb'"code": ?-(?:1121|1122|4108)\b')
"""Invalid symbol, invalid symbol status, and a contract that is being delivered, settled or closed."""


Params: TypeAlias = Mapping[str, str | int]
"""The query of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One GET: whose budget, where, what it costs, and how many bytes the answer may have (decoded)."""

    pool: str
    url: str
    params: Params | None = None
    weight: int = 1
    cap: int = 4 << 20
    trust_weight_header: bool = True


def list_url(settings: BinanceSettings) -> str:
    """Where the archive lists its files: as set, else the real archive's bucket, else the archive's own URL."""
    if settings.listing_url is not None:
        return settings.listing_url
    return ARCHIVE_BUCKET_URL if urlsplit(settings.archive_url).hostname == _ARCHIVE_HOST else settings.archive_url


class HttpClient:
    """GET with everything bounded. One total deadline covers all attempts of a request; waiting for our own weight
    budget or for a free connection does not count, because nothing is wrong then.
    """

    def __init__(
        self, settings: BinanceSettings, budget: WeightBudget, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._total_s, self._budget, self._retries = settings.total_timeout_s, budget, RetryBudget()
        self.received = 0
        """Bytes of bodies so far."""
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.max_connections)
        )
        timeout = httpx2.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s, pool=None)
        urls = (settings.rest_url, settings.futures_url, settings.archive_url, list_url(settings))
        hosts = {urlsplit(url).hostname for url in urls}
        outside = not hosts <= {"127.0.0.1", "localhost", "::1"}  # a proxy must not see loopback
        self._proxies = proxy_variables() if outside else {}
        self._client = httpx2.AsyncClient(
            timeout=timeout,
            limits=httpx2.Limits(
                max_connections=settings.max_connections, max_keepalive_connections=settings.max_connections
            ),
            follow_redirects=False,
            verify=_tls(),
            trust_env=outside,
            transport=transport,
            headers={"User-Agent": "huracan"},
        )

    async def get(self, ask: Ask) -> bytes | None:
        """The body of a 200, None for a 404. Raises UpstreamError within the deadline, BannedError after a 418.

        A symbol that the exchange refuses by name is a DelistedError.
        """
        async with self._gates[ask.pool]:
            await self._budget.spend(ask.pool, ask.weight)
            try:
                async with asyncio.timeout(self._total_s):
                    return await self._with_retries(ask)
            except TimeoutError as error:
                message = f"{ask.url}: no answer within {self._total_s:g} s, all attempts together"
                raise UpstreamError(message) from error
            except TransientError as error:
                message = f"{ask.url}: {error} (gave up after {ATTEMPTS} attempts)"
                raise UpstreamError(message) from error

    async def aclose(self) -> None:
        """Release connections."""
        await self._client.aclose()

    async def _with_retries(self, ask: Ask) -> bytes | None:
        async for attempt in stamina.retry_context(on=wait_before_retry, attempts=ATTEMPTS, timeout=None):
            with attempt:
                if attempt.num > 1:
                    await self._budget.spend(ask.pool, ask.weight)
                try:
                    body = await self._once(ask)
                except (TransientError, httpx2.TransportError, httpx2.StreamError) as error:
                    raise self._another_try(ask, error, attempt.num) from error
                except (httpx2.InvalidURL, httpx2.RequestError) as error:
                    message = f"{ask.url}: {type(error).__name__} {error}"
                    raise UpstreamError(message) from error
                self._retries.answered(ask.pool)
                return body
        raise AssertionError

    def _another_try(self, ask: Ask, error: Exception, attempt: int) -> Exception:
        """What to raise for a failed attempt: a TransientError while the retry budget lasts."""
        what = str(error) if isinstance(error, TransientError) else f"{type(error).__name__} {error}".strip()
        if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
            what += proxy_advice(ask.url, self._proxies)
        if attempt < ATTEMPTS and not self._retries.take(ask.pool):
            return UpstreamError(f"{ask.url}: {what} (not tried again: too many requests to this host have failed)")
        transient = TransientError(what)
        transient.attempt = attempt
        return transient

    async def _refuse_while_banned(self, event: str, _info: Mapping[str, object]) -> None:
        """Called before the bytes leave: a ban may have come while the request waited for its connection."""
        if event == "http11.send_request_headers.started":
            self._budget.check_ban()

    async def _once(self, ask: Ask) -> bytes | None:
        encoding = "identity" if ask.pool == ARCHIVE else "gzip"
        request = self._client.build_request(
            "GET",
            ask.url,
            params=ask.params,
            headers={"Accept-Encoding": encoding},
            extensions={"trace": self._refuse_while_banned},
        )
        response = await self._client.send(request, stream=True)
        try:
            used = response.headers.get(_WEIGHT_HEADER, "")
            if ask.trust_weight_header and _WEIGHT.fullmatch(used):
                self._budget.observe(ask.pool, int(used))
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                await self._refuse(ask, response)
            body = await _read(ask, response, ask.cap)
            self.received += len(body)
        finally:
            await response.aclose()
        return _decoded(ask, body, response.headers.get("content-encoding", "identity"))

    async def _refuse(self, ask: Ask, response: httpx2.Response) -> None:
        status = response.status_code
        if status == 418:
            raise self._budget.ban(_retry_after(response, DEFAULT_BAN_S))
        if status == 429:
            seconds = _retry_after(response, DEFAULT_PAUSE_S)
            seconds = self._budget.pause(ask.pool, seconds)
            if seconds >= self._total_s:
                message = (
                    f"{ask.url}: 429, asked to wait {seconds:g} s, longer than the deadline of {self._total_s:g} s"
                )
                raise UpstreamError(message)
            message = f"status 429 (wait {seconds:g} s)"
            raise TransientError(message)
        if status >= 500:
            message = f"status {status}"
            raise TransientError(message)
        words = (await _read(ask, response, 1 << 16))[:200]
        message = f"{ask.url}: status {status}, body starts {words!r}"
        if status == 400 and ask.params and _NO_SUCH_SYMBOL.search(words):
            raise DelistedError(f"{ask.params.get('symbol')} is refused by the exchange: {message}")
        raise UpstreamError(message)


@cache
def _tls() -> ssl.SSLContext:
    """One context a process: reading the root certificates costs more than a hundred requests."""
    return httpx2.create_ssl_context()


async def _read(ask: Ask, response: httpx2.Response, cap: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > cap:
            message = f"{ask.url}: answer exceeds {cap} bytes"
            raise UpstreamError(message)
    return bytes(body)


def _decoded(ask: Ask, body: bytes, encoding: str) -> bytes:
    if encoding == "identity":
        return body
    if encoding != "gzip" or ask.pool == ARCHIVE:
        message = f"{ask.url}: content encoding {encoding!r} was not asked for"
        raise UpstreamError(message)
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(body, ask.cap + 1)
    except zlib.error as error:
        message = f"{ask.url}: broken gzip ({error})"
        raise UpstreamError(message) from error
    if len(plain) > ask.cap or not stream.eof or stream.unused_data:
        message = f"{ask.url}: gzip answer exceeds {ask.cap} bytes or does not end"
        raise UpstreamError(message)
    return plain


def _retry_after(response: httpx2.Response, default_s: float) -> float:
    headers = response.headers
    return asked_seconds(headers.get("retry-after", ""), default_s, sent=headers.get("date", ""), now_s=time.time())
