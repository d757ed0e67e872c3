"""How metrics leave the process: a scrape endpoint while the night runs, a textfile, and a Pushgateway at its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import push_to_gateway, start_http_server, write_to_textfile
from prometheus_client.registry import Collector

ENDS: Final = frozenset({"run_finished", "run_refused", "run_crashed"})
WRITTEN_AT: Final = ENDS | {"workdir_opened", "stage_finished", "stage_failed"}
JOB: Final = "huracan"


class ScrapeEndpoint:
    """Serves the metrics over HTTP (HTTPS with a certificate) in a thread of its own until closed.

    Raises OSError where the address is taken or the certificate cannot be read.
    """

    def __init__(
        self, collector: Collector, *, bind: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        cert, pem_key = (str(certificate), str(key)) if certificate and key else (None, None)
        server, self._thread = start_http_server(port, addr=bind, registry=collector, certfile=cert, keyfile=pem_key)
        self._server: WSGIServer = server
        self.address = f"{'https' if cert else 'http'}://{bind}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _OwnRunOnly:
    """Acts on some events of a run that owns its workdir: a run that was locked out must not overwrite the owner's account."""

    def __init__(self, moments: frozenset[str], act: Callable[[], None]) -> None:
        self._moments = moments
        self._act = act
        self._owns = False

    def event(self, name: str, **_: Any) -> None:
        """Act when it is time; raises what writing raises."""
        self._owns = self._owns or name == "workdir_opened"
        if self._owns and name in self._moments:
            self._act()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


def textfile(collector: Collector, path: Path) -> _OwnRunOnly:
    """Replaces the file atomically when the workdir is opened, after every step and at the end of the run."""

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), collector)

    return _OwnRunOnly(WRITTEN_AT, write)


def pushgateway(collector: Collector, url: str, timeout_s: float) -> _OwnRunOnly:
    """Replaces everything under job "huracan" at a Pushgateway when the run ends, in one request."""
    return _OwnRunOnly(ENDS, lambda: push_to_gateway(url, job=JOB, registry=collector, timeout=timeout_s))
