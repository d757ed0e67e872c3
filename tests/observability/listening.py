"""Servers of the outside world for a night to talk to: a real Prometheus, an OTLP receiver, a Pushgateway, a file served."""

import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
NODE_EXPORTER = shutil.which("prometheus-node-exporter")
PUSHGATEWAY = shutil.which("prometheus-pushgateway")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def eventually(found: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The first true answer; a refused connection is none yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            answer = found()
        except OSError:
            answer = None
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@contextmanager
def running(command: list[str], log: Path, user: str | None = None) -> Iterator[subprocess.Popen]:
    """A server process of ours, ended by its own handle; `user` needs root."""
    groups = None if user is None else []
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, stdout=out, stderr=out, user=user, group=user and "nogroup", extra_groups=groups
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def prometheus(folder: Path, targets: dict[str, int], *, every: str = "250ms") -> Iterator[str]:
    """A real Prometheus on loopback that scrapes ports by job name, its data below `folder`; yields its URL."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()]
    config = {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        PROMETHEUS, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, folder / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: fetched(f"{url}/-/ready"), "Prometheus ready")
        # It looks for targets some seconds after it is ready: a short night would be over by then.
        seen = f"{url}/api/v1/query?query=count(up)%3D%3D{len(targets)}"
        eventually(lambda: json.loads(fetched(seen))["data"]["result"], "Prometheus scraping")
        yield url


@contextmanager
def pushgateway(folder: Path) -> Iterator[int]:
    """A real Pushgateway on loopback; yields its port."""
    port = free_port()
    command = [
        PUSHGATEWAY, f"--web.listen-address=127.0.0.1:{port}",
        f"--persistence.file={folder / 'pushgateway.metrics'}",  # Debian's keeps what is pushed in /var/lib
    ]  # fmt: skip
    with running(command, folder / "pushgateway.log"):
        eventually(lambda: fetched(f"http://127.0.0.1:{port}/-/ready"), "Pushgateway ready")
        yield port


@dataclass
class Received:
    """Spans as an OTLP/HTTP receiver got them."""

    url: str = ""
    spans: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    posts: int = 0


@contextmanager
def otlp_receiver() -> Iterator[Received]:
    """Parses what is posted to /v1/traces with OpenTelemetry's own protobuf classes."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got = Received()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            got.posts += 1
            if self.path == "/v1/traces" and got.status == 200:
                for group in ExportTraceServiceRequest.FromString(data).resource_spans:
                    got.resources.append(_plain(group.resource.attributes))
                    got.spans += [_span(span) for scope in group.scope_spans for span in scope.spans]
            self.send_response(got.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with served(Handler) as port:
        got.url = f"http://127.0.0.1:{port}"
        yield got


@contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def node_exporter(folder: Path, textfiles: Path, user: str | None = None) -> Iterator[int]:
    """A real node_exporter that reads nothing but *.prom files of a folder, as this user; yields its port."""
    port = free_port()
    command = [
        NODE_EXPORTER, "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={textfiles}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, folder / "node_exporter.log", user=user):
        eventually(lambda: fetched(f"http://127.0.0.1:{port}/metrics"), "node_exporter ready")
        yield port


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "trace": span.trace_id.hex(),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "error": span.status.code == 2,
        "message": span.status.message,
        "attributes": _plain(span.attributes),
    }


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
