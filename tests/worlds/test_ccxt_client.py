"""The official ccxt client, unchanged but for its URLs, takes the replay exchange for Binance."""

from collections.abc import Iterator

import pytest

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.limits import FIRST_BAN_S, LIMITS, PATIENCE
from huracan.worlds.simulated import SimulatedWorld
from huracan.worlds.wide import wide_world
from huracan.worlds.wide_listings import WideSpec

ccxt = pytest.importorskip("ccxt", reason="needs the extra huracan-engine[vendors]")
from ccxt import binance, binanceusdm  # noqa: E402

pytestmark = pytest.mark.slow


def pointed(client, base: str):  # type: ignore[no-untyped-def]
    """The client with every URL of Binance on loopback; nothing else of it is touched."""
    hosts = {"https://api.binance.com", "https://fapi.binance.com", "https://dapi.binance.com"}
    for name, url in client.urls["api"].items():
        for host in hosts:
            if url.startswith(host):
                client.urls["api"][name] = base + url.removeprefix(host)
    return client


@pytest.fixture(scope="module")
def limited(demo: SimulatedWorld) -> Iterator[ReplayExchange]:
    with ReplayExchange(demo, enforce_weights=True) as running:
        yield running


@pytest.fixture
def spot(limited: ReplayExchange) -> Iterator[binance]:
    client = pointed(binance(), limited.urls["rest"])
    yield client
    client.session.close()


@pytest.fixture
def um(limited: ReplayExchange) -> Iterator[binanceusdm]:
    client = pointed(binanceusdm(), limited.urls["rest"])
    yield client
    client.session.close()


def test_ccxt_reads_the_clock_of_both_markets(spot: binance, um: binanceusdm, demo: SimulatedWorld) -> None:
    assert spot.fetch_time() == um.fetch_time() == demo.now_ms


def test_ccxt_loads_the_markets_with_their_status_and_steps(spot: binance, demo: SimulatedWorld) -> None:
    markets = spot.load_markets()
    assert markets["BTC/USDT"]["spot"]
    assert markets["BTC/USDT:USDT"]["linear"]
    assert markets["测试币/USDT:USDT"]["id"] == "测试币USDT"
    assert (markets["HALT/USDT"]["active"], markets["ALFA/USDT"]["active"]) == (False, True)
    assert len(markets) == len(demo.instruments())
    for item in demo.instruments():
        coin = item.instrument
        symbol = f"{coin.base}/{coin.quote}" + (f":{coin.quote}" if coin.market == "um" else "")
        assert markets[symbol]["precision"]["price"] == pytest.approx(coin.tick_size)
        assert markets[symbol]["precision"]["amount"] == pytest.approx(item.step_size)


@pytest.mark.parametrize(
    ("name", "symbol", "id_"), [("spot", "ALFA/USDT", "ALFAUSDT-spot"), ("um", "测试币/USDT:USDT", "测试币USDT-um")]
)
def test_ccxt_pages_bars_exactly(
    request: pytest.FixtureRequest, demo: SimulatedWorld, name: str, symbol: str, id_: str
) -> None:
    client, start = request.getfixturevalue(name), demo.now_ms - 2 * DAY_MS
    rows = client.fetch_ohlcv(symbol, "1m", since=start, limit=2880, params={"paginate": True, "until": demo.now_ms})
    bars = demo.klines(id_, start, demo.now_ms)
    assert [row[0] for row in rows] == bars["open_time"].to_list()
    for place, column in enumerate(("open", "high", "low", "close", "volume"), start=1):
        assert [row[place] for row in rows] == bars[column].to_list()


def test_ccxt_reads_tickers_and_books(spot: binance, um: binanceusdm, demo: SimulatedWorld) -> None:
    for client, symbol, id_ in ((spot, "BTC/USDT", "BTCUSDT-spot"), (um, "BTC/USDT:USDT", "BTCUSDT-um")):
        bars, book = demo.klines(id_, demo.now_ms - DAY_MS, demo.now_ms), demo.book(id_)
        assert book is not None
        ticker = client.fetch_tickers()[symbol]
        assert ticker["last"] == bars["close"][-1]
        assert ticker["baseVolume"] == pytest.approx(bars["volume"].sum())
        assert client.fetch_tickers([symbol])[symbol]["last"] == ticker["last"]
        assert client.fetch_ticker(symbol)["high"] == bars["high"].max()
        best = client.fetch_bids_asks()[symbol]
        assert (best["bid"], best["ask"], best["bidVolume"], best["askVolume"]) == book


def test_ccxt_reads_funding(um: binanceusdm, demo: SimulatedWorld) -> None:
    settled = demo.funding("BTCUSDT-um")
    rows = um.fetch_funding_rate_history("BTC/USDT:USDT", since=int(settled["funding_time"][0]) - 1, limit=1000)
    assert [row["fundingRate"] for row in rows] == settled["rate"].to_list()
    assert [row["timestamp"] // HOUR_MS * HOUR_MS for row in rows] == settled["funding_time"].to_list()
    assert um.fetch_funding_rate("BTC/USDT:USDT")["fundingTimestamp"] == demo.now_ms + 8 * HOUR_MS
    assert um.fetch_funding_intervals()["测试币/USDT:USDT"]["interval"] == "4h"


def test_ccxt_gets_the_exchange_s_own_errors(spot: binance, limited: ReplayExchange) -> None:
    spot.load_markets()
    with pytest.raises(ccxt.BadSymbol):
        spot.fetch_ohlcv("NOPE/USDT")
    with pytest.raises(ccxt.BadRequest, match="-1120"):
        spot.publicGetKlines({"symbol": "BTCUSDT", "interval": "7m"})
    assert limited.limits.refused.total() == 0


def test_ccxt_is_told_to_wait_above_the_limit_and_banned_for_going_on(demo: SimulatedWorld) -> None:
    now = [1000.0]
    with ReplayExchange(
        demo, enforce_weights=True, clock=lambda: now[0], ip_limits={**LIMITS, "spot": (3, 60.0)}
    ) as running:
        client = pointed(binance(), running.urls["rest"])
        for _ in range(3):
            client.fetch_time()
        for _ in range(PATIENCE):
            with pytest.raises(ccxt.DDoSProtection, match="429"):
                client.fetch_time()
        for _ in range(2):
            with pytest.raises(ccxt.DDoSProtection, match="418"):
                client.fetch_time()
            now[0] += FIRST_BAN_S / 2
        assert client.fetch_time() == demo.now_ms
        client.session.close()


def test_ccxt_loads_a_market_of_many_kinds() -> None:
    world = wide_world(WideSpec(symbols=600, days=3))
    with ReplayExchange(world) as running:
        client = pointed(binance(), running.urls["rest"])
        markets = client.load_markets()
        assert len(markets) == 600
        quarterly = [market for market in markets.values() if market["future"]]
        assert len(quarterly) == 4
        assert all(market["expiry"] > world.now_ms for market in quarterly)
        bars = client.fetch_ohlcv("BTC/USDT:USDT", "1m", since=world.now_ms - 5 * MINUTE_MS)
        assert [row[4] for row in bars] == world.klines("BTCUSDT-um", world.now_ms - 5 * MINUTE_MS, world.now_ms)[
            "close"
        ].to_list()
        assert not all(market["active"] for market in markets.values())
        client.session.close()
