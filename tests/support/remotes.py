"""Remote stores for tests: a reference in memory, faults and pauses around any store, and a real S3 server on loopback."""

import io
import threading
import time
import urllib.request
from collections.abc import Callable
from itertools import count

import pytest

from huracan.adapters.publishers.mirror import read_fence, remote_tree
from huracan.adapters.publishers.paths import inside
from huracan.adapters.publishers.pull import manifests
from huracan.domain.bundle import MANIFEST_FILE, MAX_MANIFEST, Manifest
from huracan.domain.ids import sha256_hex
from huracan.errors import BundleFormatError, FencedError, PublishError
from huracan.export.trust import checked_bytes, read_signed
from huracan.ports import RemoteFile

_BUCKETS = count()


class MemoryRemote:
    """The port in its plainest form: one dictionary, one lock, revisions counted."""

    def __init__(self, name="memory://reference"):
        self.identity = name
        self.data: dict[str, tuple[bytes, str]] = {}
        self.sent: list[str] = []
        self._lock = threading.Lock()
        self._revisions = count(1)

    @property
    def tree(self):
        return {path: data for path, (data, _) in self.data.items()}

    def preflight(self):
        return None

    def files(self, prefix):
        return {path: self._file(path) for path in sorted(self.data) if not prefix or path.startswith(f"{prefix}/")}

    def read(self, path, limit):
        found = self.data.get(inside(path))
        if found is None:
            return None
        if len(found[0]) > limit:
            raise BundleFormatError(f"{path}: more than {limit} bytes")
        return found[0], self._file(path)

    def write_new(self, files):
        sent = 0
        for path, data in files:
            inside(path)
            with self._lock:
                if path not in self.data:
                    self.data[path] = (data, str(next(self._revisions)))
                    self.sent.append(path)
                    sent += 1
                elif self.data[path][0] != data:
                    raise FencedError(f"{self.identity}: {path} holds other bytes")
        return sent

    def swap(self, path, data, revision):
        inside(path)
        with self._lock:
            if (self.data[path][1] if path in self.data else None) != revision:
                raise FencedError(f"{self.identity}: {path} was replaced meanwhile")
            self.data[path] = (data, str(next(self._revisions)))
            self.sent.append(path)
            return self.data[path][1]

    def remove(self, paths):
        for path in paths:
            self.data.pop(inside(path), None)

    def close(self):
        return None

    def _file(self, path):
        data, revision = self.data[path]
        return RemoteFile(path=path, size=len(data), revision=revision, digest=sha256_hex(data))


class Stepped:
    """A remote whose every change is announced first: `before(name, path)` may raise, wait, or count.

    `write_new` goes one file at a time, so each file is a step of its own.
    """

    def __init__(self, inner, before: Callable[[str, str], None], after: Callable[[str, str], None] = lambda *_: None):
        self.inner, self.before, self.after = inner, before, after

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def _do(self, name, path, call):
        self.before(name, path)
        answer = call()
        self.after(name, path)
        return answer

    def files(self, prefix):
        return self._do("files", prefix, lambda: self.inner.files(prefix))

    def read(self, path, limit):
        return self._do("read", path, lambda: self.inner.read(path, limit))

    def write_new(self, files):
        return sum(
            self._do("write", path, lambda p=path, d=data: self.inner.write_new([(p, d)])) for path, data in files
        )

    def swap(self, path, data, revision):
        return self._do("swap", path, lambda: self.inner.swap(path, data, revision))

    def remove(self, paths):
        for path in paths:
            self._do("remove", path, lambda p=path: self.inner.remove([p]))


def whole(remote, keys):
    """The verified tree that readers see, after every file of its current set was read and checked."""
    tree, view = remote_tree(remote, read_fence(remote), keys)
    for path in manifests(tree.current):
        manifest = Manifest.from_bytes(read_signed(view.fetch, tree.files, path, MAX_MANIFEST))
        for name, entry in manifest.files.items():
            checked_bytes(view.fetch, path.replace(MANIFEST_FILE, name), entry.sha256, entry.size, entry.size)
    return tree


class CrashedError(PublishError):
    """The process is gone; nothing after this happens."""


def failing(inner, at, *, lost=False, kinds=("files", "read", "write", "swap", "remove")):
    """The remote whose k-th call of these kinds raises; with `lost` it takes effect and only its answer is lost."""
    calls = count()

    def strike(name, path):
        if name in kinds and next(calls) == at:
            raise CrashedError(f"call {at}: {name} {path}")

    return Stepped(inner, lambda *_: None, strike) if lost else Stepped(inner, strike)


class FaultyS3:
    """A real S3 server (moto's) on loopback whose `fault` may meddle with a request.

    `fault(method, path)` returns None, a status to answer instead, "lost" (it takes effect, the answer is a 500), "slow", or
    "unconditional" (the conditions of the request are ignored, as some servers do), or a pair of a status and a body.
    """

    def __init__(self):
        import logging

        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.fault = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        kind = self.fault(method, path)
        if kind == "unconditional":
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        elif kind == "slow":
            time.sleep(1.5)
        elif kind == "lost":
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            list(self._app(environ, lambda *_: None))
            kind = 500
        status, body = kind if isinstance(kind, tuple) else (kind, b"injected")
        if isinstance(status, int):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            headers = [("Content-Type", "application/xml"), ("x-amz-bucket-region", "eu-west-1")]
            start_response(f"{status} Fault", headers)
            return [b"" if method == "HEAD" else body]
        return self._app(environ, start_response)


def make_bucket(endpoint: str, name: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT"), timeout=10).read()


def s3_variables(endpoint: str) -> dict[str, str]:
    """What the environment of a user of that server holds."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test-id",
        "AWS_SECRET_ACCESS_KEY": "test-secret-of-the-bucket",
        "AWS_REGION": "us-east-1",
        "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9",  # a machine's role is never asked for in a test
    }


@pytest.fixture(scope="session")
def s3_process():
    with FaultyS3() as server:
        yield server


@pytest.fixture
def s3(s3_process):
    """The server without faults, to which a test may add some."""
    s3_process.fault = lambda _method, _path: None
    s3_process.requests.clear()
    yield s3_process
    s3_process.fault = lambda _method, _path: None


@pytest.fixture
def bucket(s3, monkeypatch):
    """A fresh bucket's URL with a prefix, and the environment of its user."""
    for name, value in s3_variables(s3.url).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_BUCKETS)}"
    make_bucket(s3.url, name)
    return f"s3://{name}/huracan"
