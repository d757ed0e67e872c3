"""A Binance-compatible exchange on loopback: REST for spot and futures, the archive, one clock that stands still.

``with ReplayExchange(simulate(WorldSpec(name="demo"))) as exchange: exchange.urls["rest"]``
"""

import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from huracan.domain.time import iso
from huracan.errors import ConfigError
from huracan.worlds.archive import CHECKSUM, Archive
from huracan.worlds.faults import Fault, FaultHook
from huracan.worlds.rest import WEIGHT_LIMIT, Market, RestApi
from huracan.worlds.source import MarketSource

_JSON: Final = "application/json;charset=UTF-8"
_XML: Final = "application/xml"
_BINARY: Final = "binary/octet-stream"

_NO_SUCH_KEY: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
)


class Urls(TypedDict):
    """Where the parts of an exchange are; `stress` is a file with the declared worst day, or None."""

    rest: str
    futures: str
    archive: str
    now: str
    stress: str | None


class ReplayExchange:
    """Serves a MarketSource on 127.0.0.1 from construction until `close`.

    `tick` lets its clock run with the wall clock. `enforce_weights` answers 429 above the real weight limits.
    `stress_file` is written when the source declares a worst day; without a path it lies in the server's own folder,
    which `close` removes.
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
    ) -> None:
        self._source, self._tick, self._started = source, tick, time.monotonic()
        self.faults, self.enforce_weights = faults, enforce_weights
        self._folder = Path(tempfile.mkdtemp(prefix="huracan-exchange-"))
        self.rest, self.archive, self.weights = RestApi(), Archive(self._folder), _Weights()
        self._stress = self._write_stress(stress_file)
        try:
            self._server = _Server(port, self)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            message = f"port {port} on 127.0.0.1 cannot be opened: {error}; choose another --port (0 = any)"
            raise ConfigError(message) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="replay-exchange")
        self._thread.start()

    @property
    def urls(self) -> Urls:
        """Base addresses, the clock and the stress file."""
        base = f"http://127.0.0.1:{self._server.server_address[1]}"
        stress = None if self._stress is None else str(self._stress)
        return {"rest": base, "futures": base, "archive": base, "now": iso(self.view().now_ms), "stress": stress}

    def view(self) -> MarketSource:
        """The market at the exchange's present moment; a ticking clock stops where the source's future ends."""
        if not self._tick:
            return self._source
        elapsed_ms = int((time.monotonic() - self._started) * 1000)
        return self._source.at(min(self._source.now_ms + elapsed_ms, self._source.last_ms))

    def close(self) -> None:
        """Stop serving, drop open connections, remove the server's folder."""
        self._server.shutdown()
        self._thread.join()
        self._server.drop_connections()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_stress(self, path: Path | None) -> Path | None:
        table = self._source.stress_table()
        if table is None:
            return None
        target = path or self._folder / "stress.json"
        target.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        return target


class _Weights:
    """Request weight used in the current wall-clock minute, per market."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._minute, self._used = -1, dict.fromkeys(WEIGHT_LIMIT, 0)

    def add(self, market: Market, weight: int) -> int:
        with self._guard:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                self._minute, self._used = minute, dict.fromkeys(WEIGHT_LIMIT, 0)
            self._used[market] += weight
            return self._used[market]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, exchange: ReplayExchange) -> None:
        self.exchange = exchange
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own business; everything else is reported as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        exchange = self.server.exchange
        fault = exchange.faults(self.path) if exchange.faults is not None else None
        if fault is not None and fault.delay_s:
            time.sleep(fault.delay_s)
        if fault is not None and fault.status is not None:
            wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            body = b'{"code":-1003,"msg":"Too many requests."}' if fault.status in {418, 429} else b"<html></html>"
            self._send(fault.status, _JSON, body, wait, None)
            return
        self._answer(exchange, fault)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet: standard output carries the one JSON line."""

    def _answer(self, exchange: ReplayExchange, fault: Fault | None) -> None:
        parts = urlsplit(self.path)
        path, params = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        view = exchange.view()
        answer = exchange.rest.answer(view, path, params)
        if answer is not None:
            used = exchange.weights.add(answer.market, answer.weight)
            headers = {"X-MBX-USED-WEIGHT-1M": str(used), "X-MBX-USED-WEIGHT": str(used)}
            if exchange.enforce_weights and used > WEIGHT_LIMIT[answer.market]:
                wait = str(60 - int(time.monotonic() % 60))
                body = b'{"code":-1003,"msg":"Too many requests; current limit is used up for this minute."}'
                self._send(429, _JSON, body, {**headers, "Retry-After": wait}, fault)
                return
            self._send(answer.status, _JSON, answer.body, headers, fault)
        elif path == "/" and "prefix" in params:
            self._send(200, _XML, exchange.archive.listing(view, params), {}, fault)
        else:
            data = exchange.archive.get(view, path.removeprefix("/"))
            if data is not None and fault is not None and fault.corrupt_checksum and path.endswith(CHECKSUM):
                data = bytes(reversed(data[:64])) + data[64:]
            self._send(404 if data is None else 200, _BINARY if data else _XML, data or _NO_SUCH_KEY, {}, fault)

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.truncate is not None and fault.truncate < len(body):
            body = body[: fault.truncate]
            self.close_connection = True
        self.wfile.write(body)
