"""The Dropbox-compatible HTTPS server: one account, one app, on 127.0.0.1.

``with DropboxServer() as server: dropbox.Dropbox(...)`` with ``DROPBOX_API_HOST`` and ``DROPBOX_API_CONTENT_HOST``
set to `server.host` and ``ca_certs`` to `server.ca_file`.
"""

import json
import socket
import ssl
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from huracan.worlds.dropbox.account import Account
from huracan.worlds.dropbox.argument import Argument
from huracan.worlds.dropbox.faults import Fault, FaultPlan
from huracan.worlds.dropbox.refusals import RefusedError, bad_request, limited
from huracan.worlds.dropbox.routes import ROUTES, Reply, Request, Route
from huracan.worlds.dropbox.tls import write_certificates
from huracan.worlds.dropbox.tokens import App, Tokens
from huracan.worlds.dropbox.uploads import UPLOADS, append_part
from huracan.worlds.loopback import LoopbackServer, LoopbackService

_JSON: Final = "application/json"
_REFRESH: Final = "oauth2/token"
_ROUTES: Final = {**ROUTES, **UPLOADS}


class DropboxServer(LoopbackService):
    """Serves from construction until `close`. `faults` may be replaced at any time; `account` is what it stores.

    `certificates` are an authority's file and a server's chain with key; without them the server makes its own.
    """

    def __init__(
        self,
        *,
        app: App | None = None,
        account: Account | None = None,
        faults: FaultPlan | None = None,
        port: int = 0,
        certificates: tuple[Path, Path] | None = None,
    ) -> None:
        super().__init__("dropbox")
        self.tokens, self.account, self.faults = Tokens(app or App()), account or Account(), faults or FaultPlan()
        self.ca_file, chain = certificates or write_certificates(self._folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._start(port, lambda: _Server(port, self, context))

    @property
    def host(self) -> str:
        """Host and port, as ``DROPBOX_API_HOST`` takes them."""
        return f"localhost:{self.port}"

    @property
    def commits(self) -> dict[str, int]:
        """Commits of the namespace so far, by route."""
        return dict(self.account.commits)

    def files(self) -> dict[str, bytes]:
        """Bytes of every file by path."""
        with self.account.guard:
            return self.account.tree.files()


class _Server(LoopbackServer):
    quiet = (ConnectionError, ssl.SSLError)  # a client that went away, or trusts another authority

    def __init__(self, port: int, dropbox: DropboxServer, context: ssl.SSLContext) -> None:
        self.dropbox, self._context = dropbox, context
        super().__init__(port, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake is left to the connection's own thread."""
        connection, address = super().get_request()
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        name = self.path.removeprefix("/2/").strip("/")
        argument = self.headers.get("Dropbox-API-Arg") or ("" if name == _REFRESH else body.decode("utf-8", "replace"))
        fault = self.server.dropbox.faults.at(name, argument)
        try:
            if fault is not None and not self._before(fault, name, argument, body):
                return
            reply = self._token(body) if name == _REFRESH else self._answer(name, argument, body, fault)
        except RefusedError as error:
            kind = "text/plain; charset=utf-8" if error.text is not None else _JSON
            self._send(error.status, {"Content-Type": kind, **error.headers}, error.body, fault)
        else:
            self._reply(reply, fault)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def _before(self, fault: Fault, name: str, argument: str, body: bytes) -> bool:
        """Commit faults that replace the work; whether the work is still to be done."""
        dropbox = self.server.dropbox
        if fault.kind in {"too_many_requests", "too_many_write_operations"}:
            raise limited(fault.kind, fault.retry_after_s)
        if fault.kind == "server_error":
            raise RefusedError(500, "Internal Server Error")
        if fault.kind == "expired_token":
            dropbox.tokens.expire()
        if fault.kind == "html":
            self._send(200, {"Content-Type": "text/html"}, b"<html>a proxy's page</html>", None)
            return False
        if fault.kind in {"drop", "timeout", "partial_upload"}:
            time.sleep(fault.delay_s)
            if fault.kind == "partial_upload" and name in UPLOADS:
                with dropbox.account.guard:
                    append_part(
                        Request(account=dropbox.account, route=name, arg=Argument(json.loads(argument)), body=body)
                    )
            self._drop()
            return False
        return True

    def _token(self, body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode()))
        return Reply(self.server.dropbox.tokens.refresh(form, self.headers.get("Authorization")))

    def _answer(self, name: str, argument: str, body: bytes, fault: Fault | None) -> Reply:
        dropbox, route = self.server.dropbox, _ROUTES.get(name)
        if route is None:
            raise RefusedError(404, f"{name} is not a route of this server")
        dropbox.tokens.check(name, self.headers.get("Authorization"), route.scope)
        data = body if route.style == "upload" else b""
        request = Request(account=dropbox.account, route=name, arg=_argument(name, argument), body=data, fault=fault)
        try:
            return _run(route, request)
        except (KeyError, TypeError) as error:
            raise bad_request(name, f"request body: missing or wrong field {error}") from None

    def _reply(self, reply: Reply, fault: Fault | None) -> None:
        # As ASCII, because it may travel in a header.
        text = json.dumps(reply.value)
        if reply.data is None:
            self._send(200, {"Content-Type": _JSON}, text.encode(), fault)
        else:
            headers = {"Content-Type": "application/octet-stream", "Dropbox-API-Result": text}
            self._send(200, headers, reply.data, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "lost_reply":
            time.sleep(fault.delay_s)
            self._drop()
            return
        self.send_response(status)
        given = {**headers, "Content-Length": str(len(body)), "X-Dropbox-Request-Id": "0" * 32}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.kind == "truncated":
            self.wfile.write(body[: len(body) // 2])
            self._drop()
            return
        self.wfile.write(body)

    def _drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def _argument(route: str, text: str) -> Argument:
    try:
        value = json.loads(text or "null")
    except ValueError as error:
        raise bad_request(route, f"could not decode input as JSON ({error})") from None
    return Argument(value if isinstance(value, dict) else {})


def _run(route: Route, request: Request) -> Reply:
    """Commits take the account's guard themselves, after the namespace; everything else holds it throughout."""
    if route.commits:
        return route.answer(request)
    with request.account.guard:
        return route.answer(request)
