"""A small exchange on loopback: real HTTP, canned answers, every request remembered."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
import stamina
from buckets import conflict_at, lake_bucket, s3_apart, s3_apart_process

from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.sections import BinanceSettings

__all__ = ["conflict_at", "lake_bucket", "s3_apart", "s3_apart_process"]


class Reply:
    """What to send: status, body, headers, and how to misbehave."""

    def __init__(self, body=b"", status=200, headers=None, *, length=None, stall=None, close=False):
        self.body, self.status, self.headers = body, status, headers or {}
        self.length, self.stall, self.close = length, stall, close


class Loopback:
    """Answers by path: a Reply, a list of replies (the last one stays), or a callable of the query."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.requests: list[str] = []
        self.queries: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.unlisted: set[str] = set()
        self.page_size = 1000
        self.answers[""] = self.listing
        self.released = threading.Event()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                loopback.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler):
        parts = urlsplit(handler.path)
        path = unquote(parts.path).lstrip("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(path)
        self.queries[path].append(query)
        found = self.answers.get(path, Reply(b"not found", 404))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if callable(found):
            found = found(query)
        reply = found if isinstance(found, Reply) else Reply(found)
        if reply.close:
            handler.close_connection = True
            handler.connection.close()
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        handler.wfile.write(reply.body)
        if reply.stall:
            handler.wfile.flush()
            self.released.wait(reply.stall)
        if reply.length is not None:
            handler.close_connection = True

    def listing(self, query):
        """One S3 page over everything that is answered with plain bytes."""
        prefix, delimiter = query["prefix"], query.get("delimiter")
        entries = {}
        for key, found in self.answers.items():
            body = found[-1] if isinstance(found, list) else found
            if not key.startswith(prefix) or not isinstance(body, bytes) or key in self.unlisted:
                continue
            rest = key[len(prefix) :]
            folder = prefix + rest.partition("/")[0] + "/" if delimiter and "/" in rest else None
            entries[folder or key] = None if folder else body
        keys = sorted(key for key in entries if key > query.get("marker", ""))
        page = keys[: self.page_size]
        parts = [f"<Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(page != keys).lower()}</IsTruncated>"]
        for key in page:
            body = entries[key]
            if body is None:
                parts.append(f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>")
            else:
                tag = f"&quot;{hashlib.md5(body).hexdigest()}&quot;"
                parts.append(f"<Contents><Key>{escape(key)}</Key><ETag>{tag}</ETag><Size>{len(body)}</Size></Contents>")
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        return f'<?xml version="1.0"?><ListBucketResult xmlns="{space}">{"".join(parts)}</ListBucketResult>'.encode()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def settings_for(loopback):
    """Settings that point every host at the loopback server."""

    def make(**more) -> BinanceSettings:
        urls = dict.fromkeys(("rest_url", "futures_url", "archive_url"), loopback.url)
        return BinanceSettings(**{**urls, "total_timeout_s": 5.0, **more})

    return make


@pytest.fixture
async def market(settings_for):
    """A client of the loopback exchange whose budget never waits in real time."""
    clients = []

    def make(*, interval="1m", budget=None, **more):
        client = BinanceMarketData(settings_for(**more), 1.3, interval=interval, budget=budget or instant_budget())
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


def instant_budget(**more) -> WeightBudget:
    """A budget on its own clock, which sleeping moves."""
    now = [0.0]

    async def sleep(seconds):
        now[0] += seconds

    budget = WeightBudget(clock=lambda: now[0], sleep=sleep, **more)
    budget.elapsed = now  # type: ignore[attr-defined]
    return budget


@pytest.fixture
def reply():
    """The Reply class (test files cannot import a conftest in importlib mode)."""
    return Reply


@pytest.fixture
def make_budget():
    return instant_budget


@pytest.fixture(autouse=True)
def _no_backoff_waits():
    stamina.set_testing(True, attempts=6, cap=True)
    yield
    stamina.set_testing(False)
