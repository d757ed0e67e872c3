"""How metrics leave the process: a scrape endpoint while the night runs, a textfile, and a Pushgateway at its end."""

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from prometheus_client import MetricsHandler, generate_latest, push_to_gateway
from prometheus_client.registry import Collector

ENDS: Final = frozenset({"run_finished", "run_refused", "run_crashed", "run_interrupted"})
WRITTEN_AT: Final = ENDS | {"workdir_opened", "stage_finished", "stage_failed"}
JOB: Final = "huracan"
CALLER_TIMEOUT_S: Final = 10.0
READABLE: Final = 0o644
ENTERABLE: Final = 0o755
"""node_exporter reads the textfile as a user of its own. It holds no secret, and no name of a coin."""
REWRITTEN_S: Final = 10.0
"""How old a textfile may get while jobs go on; a wave can last for hours."""


class ScrapeEndpoint:
    """Serves the metrics over HTTP (HTTPS with a certificate) in threads of its own until closed.

    Raises OSError where the address is taken or the certificate cannot be read. Not the client library's server: that
    one shakes hands over TLS in its only accepting thread, where a silent caller would stop it and the end of the night
    with it.
    """

    def __init__(
        self, collector: Collector, *, bind: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        tls = None
        if certificate and key:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate, key)
        family = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][0]
        self._server = _server_class(family, tls)((bind, port), MetricsHandler.factory(collector))
        serve = partial(self._server.serve_forever, poll_interval=0.05)
        self._thread = threading.Thread(target=serve, name="huracan-metrics", daemon=True)
        self._thread.start()
        host = f"[{bind}]" if ":" in bind else bind
        self.address = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port; a caller that is still connected is left behind."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server_class(family: socket.AddressFamily, tls: ssl.SSLContext | None) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = family

        def finish_request(self, request: Any, client_address: Any) -> None:
            """Answer in the connection's own thread, within a time-out, the TLS handshake included."""
            request.settimeout(CALLER_TIMEOUT_S)
            if tls is None:
                super().finish_request(request, client_address)
                return
            with tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A caller that hangs up or does not trust us is no event of the night."""

    return Server


class _OwnRunOnly:
    """Acts on some events of a run that owns its workdir: a run that was locked out must not overwrite the account of
    the run that owns it.

    With `every_s`, on any other event too once that many seconds have passed since it last acted.
    """

    def __init__(self, moments: frozenset[str], act: Callable[[], None], *, every_s: float | None = None) -> None:
        self._moments = moments
        self._act = act
        self._every_s = every_s
        self._acted = -math.inf
        self._owns = False

    def event(self, name: str, **_: Any) -> None:
        """Act when it is time; raises what writing raises."""
        self._owns = self._owns or name == "workdir_opened"
        now = time.monotonic()
        old = self._every_s is not None and now - self._acted >= self._every_s
        if self._owns and (old or name in self._moments):
            self._acted = now
            self._act()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


def textfile(collector: Collector, path: Path, *, every_s: float = REWRITTEN_S) -> _OwnRunOnly:
    """Replaces the file atomically: when the workdir is opened, after every step, every few seconds between, at the
    end.
    """

    def write() -> None:
        _make_readable(path.parent)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_bytes(generate_latest(collector))
            temporary.chmod(READABLE)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    return _OwnRunOnly(WRITTEN_AT, write, every_s=every_s)


def _make_readable(folder: Path) -> None:
    """Make the folder where it is missing; what is made here another user may enter, whatever the umask."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        made.chmod(ENTERABLE)


def pushgateway(collector: Collector, url: str, timeout_s: float, instance: str | None = None) -> _OwnRunOnly:
    """Replaces everything under job "huracan" and the instance (this host's name) at a Pushgateway when the run ends.

    Another host's account is another group, and stays.
    """

    def push() -> None:
        push_to_gateway(
            url,
            job=JOB,
            grouping_key={"instance": instance or socket.gethostname()},
            registry=collector,
            timeout=timeout_s,
            handler=_send,
        )

    return _OwnRunOnly(ENDS, push)


def _send(
    url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """One request, closed whatever it answers; raises OSError that names the status."""

    def send() -> None:
        request = Request(url, data=data, method=method, headers=dict(headers))  # noqa: S310 - http(s), by the settings
        try:
            with urlopen(request, timeout=timeout):  # noqa: S310
                return
        except HTTPError as error:
            with error:
                raise OSError(f"the Pushgateway answered {error.code}") from None

    return send
