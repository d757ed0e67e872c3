"""A Binance-compatible exchange on loopback: REST for spot and futures, the archive, one clock that stands still.

``with ReplayExchange(simulate(WorldSpec(name="demo"))) as exchange: exchange.urls["rest"]``
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from huracan.domain.time import iso
from huracan.worlds.archive import CHECKSUM, Archive
from huracan.worlds.changes import ChangedMarket
from huracan.worlds.faults import Change, Fault, FaultHook
from huracan.worlds.limits import LIMITS, IpLimits, Window
from huracan.worlds.loopback import LoopbackServer, LoopbackService
from huracan.worlds.misbehaviour import BINARY, JSON, XML, Reply, Wire, send
from huracan.worlds.rest import Cost, RestApi
from huracan.worlds.source import MarketSource

_NO_SUCH_KEY: Final = Reply(
    404,
    XML,
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>",
)
_TOO_MANY: Final = b'{"code":-1003,"msg":"Too many requests."}'


class Urls(TypedDict):
    """Where the parts of an exchange are; `stress` is a file with the declared worst day, or None."""

    rest: str
    futures: str
    archive: str
    now: str
    stress: str | None


class ReplayExchange(LoopbackService):
    """Serves a MarketSource on 127.0.0.1 from construction until `close`.

    `clock` counts seconds: the windows and bans of `limits` follow it, and with `tick` so does the market's moment.
    `enforce_weights` answers 429 above the real limits, and 418 to those who go on (`ip_limits` may be others).
    `unlisted` instruments are not there until a fault lists them. `stress_file` is written when the source declares a
    worst day; without a path it lies in the server's own folder, which `close` removes.
    """

    def __init__(
        self,
        source: MarketSource,
        *,
        port: int = 0,
        tick: bool = False,
        faults: FaultHook | None = None,
        enforce_weights: bool = False,
        stress_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        ip_limits: Mapping[Window, tuple[int, float]] = LIMITS,
        unlisted: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__("exchange")
        self._source: MarketSource = ChangedMarket(source=source, unlisted=unlisted) if unlisted else source
        self._tick, self._clock, self._started = tick, clock, clock()
        self._changing = threading.Lock()
        self.faults, self.stopping = faults, threading.Event()
        self.rest, self.archive = RestApi(), Archive(self._folder)
        self.limits = IpLimits(clock, ip_limits, enforce=enforce_weights)
        self._stress = self._write_stress(stress_file)
        self._start(port, lambda: _Server(port, self))

    @property
    def urls(self) -> Urls:
        """Base addresses, the clock and the stress file."""
        base = f"http://127.0.0.1:{self.port}"
        stress = None if self._stress is None else str(self._stress)
        return {"rest": base, "futures": base, "archive": base, "now": iso(self.view().now_ms), "stress": stress}

    def view(self) -> MarketSource:
        """The market at the exchange's present moment; a ticking clock stops where the source's future ends."""
        source = self._source
        if not self._tick:
            return source
        elapsed_ms = int((self._clock() - self._started) * 1000)
        return source.at(min(source.now_ms + elapsed_ms, source.last_ms))

    def change(self, change: Change) -> None:
        """Ban the address, make archive files others, or rename, delist or list an instrument, from now on."""
        if change.kind == "ban":
            self.limits.ban(change.seconds)
        elif change.kind in {"replaced", "unit_mix", "header_switch"}:
            self.archive.edit(change)
        else:
            with self._changing:
                now = self.view().now_ms
                market = self._source if isinstance(self._source, ChangedMarket) else ChangedMarket(source=self._source)
                self._source = market.changed(change, now)
                self.rest = RestApi()

    def answer(self, target: str) -> Reply:
        """What a GET of a path with query gets, faults aside."""
        parts = urlsplit(target)
        path, params = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        cost = self.rest.cost(path, params)
        if cost is not None:
            return self._answer_rest(cost, path, params)
        view = self.view()
        if path == "/" and "prefix" in params:
            return Reply(200, XML, self.archive.listing(view, params))
        data = self.archive.get(view, path.removeprefix("/"))
        return _NO_SUCH_KEY if data is None else Reply(200, BINARY, data)

    def close(self) -> None:
        """Stop serving, end what is slow or silent on purpose, drop open connections, remove the server's folder."""
        self.stopping.set()
        super().close()

    def _answer_rest(self, cost: Cost, path: str, params: Mapping[str, str]) -> Reply:
        verdict = self.limits.enter(*cost)
        headers = {"X-MBX-USED-WEIGHT-1M": str(verdict.used), "X-MBX-USED-WEIGHT": str(verdict.used)}
        if verdict.status != 200:
            return Reply(verdict.status, JSON, _TOO_MANY, {**headers, "Retry-After": str(verdict.wait_s)})
        status, body = self.rest.answer(self.view(), path, params)
        return Reply(status, JSON, body, headers)

    def _write_stress(self, path: Path | None) -> Path | None:
        table = self._source.stress_table()
        if table is None:
            return None
        target = path or self._folder / "stress.json"
        target.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        return target


class _Server(LoopbackServer):
    def __init__(self, port: int, exchange: ReplayExchange) -> None:
        self.exchange = exchange
        super().__init__(port, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        exchange = self.server.exchange
        fault = exchange.faults(self.path) if exchange.faults is not None else None
        wire = Wire(self, exchange.stopping)
        if fault is not None:
            for change in fault.changes:
                exchange.change(change)
            if fault.kind is None and fault.delay_s:
                wire.wait(fault.delay_s)
        refusal = None if fault is None or fault.kind is not None else _refusal(fault)
        reply = refusal or exchange.answer(self.path)
        if fault is not None and _lies(fault) and urlsplit(self.path).path.endswith(CHECKSUM) and reply.status == 200:
            reply = Reply(200, BINARY, bytes(reversed(reply.body[:64])) + reply.body[64:])
        send(wire, reply, fault, head_only=self.command == "HEAD")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: standard output carries the one JSON line."""


def _lies(fault: Fault) -> bool:
    return fault.corrupt_checksum or fault.kind == "wrong_checksum"


def _refusal(fault: Fault) -> Reply | None:
    """The bare status that a rule without a kind asks for."""
    if fault.status is None:
        return None
    wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    return Reply(fault.status, JSON, _TOO_MANY if fault.status in {418, 429} else b"<html></html>", wait)
