"""Small markets and a running exchange that the tests of this room share."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import SimulatedWorld, simulate
from huracan.worlds.spec import WorldSpec

MARKET = Path(__file__).resolve().parents[3] / "shared" / "market"


class Client:
    """Keep-alive HTTP client of one exchange."""

    def __init__(self, base: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)

    def get(self, path: str, method: str = "GET", **params: object) -> tuple[int, dict[str, str], bytes]:
        target = quote(path) + ("?" + urlencode(params) if params else "")
        self.connection.request(method, target)
        answer = self.connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def json(self, path: str, **params: object) -> Any:
        status, _, body = self.get(path, **params)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="session")
def demo() -> SimulatedWorld:
    return simulate(WorldSpec(name="demo", coins=5, days=40))


@pytest.fixture
def connect() -> Iterator[Callable[[ReplayExchange], Client]]:
    clients: list[Client] = []

    def make(exchange: ReplayExchange) -> Client:
        clients.append(Client(exchange.urls["rest"]))
        return clients[-1]

    yield make
    for client in clients:
        client.connection.close()


@pytest.fixture(scope="session")
def exchange(demo: SimulatedWorld) -> Iterator[ReplayExchange]:
    with ReplayExchange(demo) as running:
        yield running


@pytest.fixture
def client(exchange: ReplayExchange, connect: Callable[[ReplayExchange], Client]) -> Client:
    return connect(exchange)


@pytest.fixture(scope="session")
def recorded() -> Path:
    if not MARKET.is_dir():
        pytest.skip("the recorded market data are not beside this checkout (../shared/market)")
    return MARKET
