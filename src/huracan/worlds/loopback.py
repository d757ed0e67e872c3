"""What the simulated services share: a threaded HTTP server on 127.0.0.1 with a folder of its own and a clean end."""

import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from huracan.errors import ConfigError


class LoopbackServer(ThreadingHTTPServer):
    """Knows its open connections, so that they can be dropped; `quiet` errors are a client's own business."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    quiet: tuple[type[BaseException], ...] = (ConnectionError,)

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread."""
        with self._guard:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is not a client's own business."""
        if not isinstance(sys.exception(), self.quiet):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        """End every open connection."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class LoopbackService:
    """Serves from `_start` until `close`; `_folder` is removed then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._folder = Path(tempfile.mkdtemp(prefix=f"huracan-{name}-"))

    def _start(self, port: int, make_server: Callable[[], LoopbackServer]) -> None:
        """Raises ConfigError, and leaves nothing behind, where the port is taken."""
        try:
            self._server = make_server()
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            message = f"port {port} on 127.0.0.1 cannot be opened: {error}; choose another --port (0 = any)"
            raise ConfigError(message) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=self._name)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving, drop open connections, remove the folder."""
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
