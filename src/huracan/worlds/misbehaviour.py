"""How a replay exchange sends an answer: as it is, or with one of the faults that `faults` names."""

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Final

from huracan.worlds.faults import Fault

JSON: Final = "application/json;charset=UTF-8"
XML: Final = "application/xml"
BINARY: Final = "binary/octet-stream"
HTML: Final = "text/html"

SILENCE_S: Final = 60.0
BOMB_BYTES: Final = 128 << 20
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>Please wait</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is sent."""

    status: int
    kind: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def head(self, length: int | None = None) -> bytes:
        """Status line and headers; `length` instead of the body's true one."""
        given = {
            "Content-Type": self.kind,
            "Content-Length": str(len(self.body) if length is None else length),
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in given.items()), "", ""]).encode()


class Wire:
    """One connection's end of a handler: writes, silence that ends with the exchange, and a reset."""

    def __init__(self, handler: BaseHTTPRequestHandler, stopping: threading.Event) -> None:
        self._handler, self._stopping = handler, stopping

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._handler.wfile.write(data)

    def wait(self, seconds: float) -> bool:
        """Send nothing for so long; whether the exchange is closing."""
        return self._stopping.wait(seconds)

    def trickle(self, data: bytes, pace_s: float) -> None:
        """Send one byte after the other."""
        for at in range(len(data)):
            self.write(data[at : at + 1])
            if self.wait(pace_s):
                return

    def end(self) -> None:
        """Take no further request on this connection."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """End it with a reset instead of a farewell."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        self.end()


def send(wire: Wire, reply: Reply, fault: Fault | None, *, head_only: bool = False) -> None:
    """Send an answer, spoiled by a fault."""
    if fault is None or head_only:
        wire.write(reply.head() + (b"" if head_only else reply.body))
        return
    spoiled = _spoiled(reply, fault)
    spoil = _WAYS.get(fault.kind or "")
    if spoil is not None:
        wire.end()
        spoil(wire, spoiled, fault)
    elif fault.truncate is not None and fault.truncate < len(spoiled.body):
        wire.end()
        wire.write(spoiled.head() + spoiled.body[: fault.truncate])
    else:
        wire.write(spoiled.head() + spoiled.body)


def _spoiled(reply: Reply, fault: Fault) -> Reply:
    """The answer with another content, where the fault is one of content."""
    body = reply.body
    if fault.kind == "server_error":
        return Reply(fault.status or 503, HTML, _PAGE)
    if fault.kind == "waf":
        return Reply(403, HTML, _PAGE)
    if fault.kind == "html":
        return Reply(200, HTML, _PAGE)
    if fault.kind == "gzip_bomb":
        return Reply(200, JSON, _bomb(), {"Content-Encoding": "gzip"})
    if fault.kind == "garbage":
        return replace(reply, body=body + b'}<!-- {"')
    if fault.kind == "truncated_file":
        return replace(reply, body=body[: len(body) // 2])
    if fault.kind == "skew" and reply.kind == JSON:
        return replace(reply, body=_skewed(body, fault.skew_ms))
    return reply


def _skewed(body: bytes, skew_ms: int) -> bytes:
    value = json.loads(body)
    if isinstance(value, dict) and "serverTime" in value:
        value["serverTime"] += skew_ms
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), compresslevel=1, mtime=0)


def _silent(wire: Wire, sent: bytes, fault: Fault) -> None:
    wire.write(sent)
    wire.wait(fault.delay_s or SILENCE_S)


def _timeout(wire: Wire, _: Reply, fault: Fault) -> None:
    _silent(wire, b"", fault)


def _timeout_in_headers(wire: Wire, reply: Reply, fault: Fault) -> None:
    head = reply.head()
    _silent(wire, head[: len(head) // 2], fault)


def _timeout_in_body(wire: Wire, reply: Reply, fault: Fault) -> None:
    _silent(wire, reply.head() + reply.body[: len(reply.body) // 2], fault)


def _reset(wire: Wire, _reply: Reply, _fault: Fault) -> None:
    wire.reset()


def _reset_in_body(wire: Wire, reply: Reply, _: Fault) -> None:
    wire.write(reply.head() + reply.body[: len(reply.body) // 2])
    wire.wait(0.01)  # or the reset overtakes the bytes
    wire.reset()


def _slow_headers(wire: Wire, reply: Reply, fault: Fault) -> None:
    wire.trickle(reply.head() + reply.body, fault.pace_s)


def _slow_body(wire: Wire, reply: Reply, fault: Fault) -> None:
    wire.write(reply.head())
    wire.trickle(reply.body, fault.pace_s)


def _long_length(wire: Wire, reply: Reply, _: Fault) -> None:
    wire.write(reply.head(len(reply.body) + 10) + reply.body)


def _short_length(wire: Wire, reply: Reply, _: Fault) -> None:
    wire.write(reply.head(len(reply.body) // 2) + reply.body)


_WAYS: Final[dict[str, Callable[[Wire, Reply, Fault], None]]] = {
    "timeout": _timeout,
    "timeout_in_headers": _timeout_in_headers,
    "timeout_in_body": _timeout_in_body,
    "reset": _reset,
    "reset_in_body": _reset_in_body,
    "slow_headers": _slow_headers,
    "slow_body": _slow_body,
    "long_length": _long_length,
    "short_length": _short_length,
}
