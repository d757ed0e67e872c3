"""REST answers of the replay exchange: values, paging, errors and weights, over real HTTP."""

from collections.abc import Callable

import polars as pl
import pytest

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.payloads import decimal_text
from huracan.worlds.simulated import SimulatedWorld

from .conftest import Client


def test_both_clocks_tell_the_source_s_moment(client: Client, demo: SimulatedWorld) -> None:
    assert client.json("/api/v3/time") == client.json("/fapi/v1/time") == {"serverTime": demo.now_ms}


def test_klines_give_back_every_value_of_the_source(client: Client, demo: SimulatedWorld) -> None:
    for path, id_ in (("/api/v3/klines", "ALFAUSDT-spot"), ("/fapi/v1/klines", "ALFAUSDT-um")):
        rows = client.json(path, symbol="ALFAUSDT", interval="1m", limit=300)
        bars = demo.klines(id_, demo.now_ms - 300 * MINUTE_MS, demo.now_ms)
        assert [row[0] for row in rows] == bars["open_time"].to_list()
        assert [row[6] - row[0] for row in rows] == [59_999] * 300
        for place, name in ((1, "open"), (4, "close"), (5, "volume"), (7, "quote_volume"), (10, "taker_quote")):
            assert [float(row[place]) for row in rows] == bars[name].to_list()
        assert [row[8] for row in rows] == bars["trades"].cast(pl.Int64).to_list()
        assert all(len(row) == 12 for row in rows)


def test_klines_page_by_start_end_and_limit(client: Client, demo: SimulatedWorld) -> None:
    def times(**params: int | str) -> list[int]:
        return [row[0] for row in client.json("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", **params)]

    start = demo.now_ms - DAY_MS
    assert times(startTime=start, limit=3) == [start, start + MINUTE_MS, start + 2 * MINUTE_MS]
    assert times(startTime=start + 1, limit=1) == [start + MINUTE_MS]
    assert times(endTime=start, limit=2) == [start - MINUTE_MS, start]
    assert times(startTime=start, endTime=start + 2 * MINUTE_MS) == [start + k * MINUTE_MS for k in range(3)]
    assert times(startTime=demo.now_ms) == []
    assert len(times()) == 500
    assert len(times(limit=9999)) == 1500
    assert len(client.json("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=9999)) == 1000


def test_klines_bridge_a_hole_to_fill_their_limit(client: Client, demo: SimulatedWorld) -> None:
    times = demo.klines("GAPPYUSDT-um", 0, 2**62)["open_time"]
    hole = int(times.filter(times.diff() > HOUR_MS)[0])
    rows = client.json("/fapi/v1/klines", symbol="GAPPYUSDT", interval="1m", startTime=hole - 91 * MINUTE_MS, limit=5)
    assert [row[0] for row in rows] == [hole - 91 * MINUTE_MS, *(hole + k * MINUTE_MS for k in range(4))]
    last = client.json("/fapi/v1/klines", symbol="GAPPYUSDT", interval="1m", endTime=hole, limit=3)
    assert [row[0] for row in last] == [hole - 92 * MINUTE_MS, hole - 91 * MINUTE_MS, hole]


def test_longer_intervals_are_made_of_the_minutes(client: Client, demo: SimulatedWorld) -> None:
    (row,) = client.json("/fapi/v1/klines", symbol="ALFAUSDT", interval="4h", startTime=demo.now_ms - 4 * HOUR_MS)
    bars = demo.klines("ALFAUSDT-um", demo.now_ms - 4 * HOUR_MS, demo.now_ms)
    assert float(row[1]) == bars["open"][0]
    assert float(row[2]) == bars["high"].max()
    assert float(row[3]) == bars["low"].min()
    assert float(row[4]) == bars["close"][-1]
    assert float(row[5]) == pytest.approx(bars["volume"].sum())
    assert row[6] == row[0] + 4 * HOUR_MS - 1


def test_a_non_ascii_symbol_is_served_like_any_other(client: Client) -> None:
    rows = client.json("/fapi/v1/klines", symbol="测试币USDT", interval="1m", limit=2)
    assert len(rows) == 2
    assert "测试币USDT" in {row["symbol"] for row in client.json("/fapi/v1/ticker/bookTicker")}


def test_exchange_info_lists_dead_and_living(client: Client, demo: SimulatedWorld) -> None:
    spot, um = client.json("/api/v3/exchangeInfo"), client.json("/fapi/v1/exchangeInfo")
    listed = {(item.instrument.market, item.instrument.symbol): item for item in demo.instruments()}
    seen = {("spot", row["symbol"]): row for row in spot["symbols"]} | {
        ("um", row["symbol"]): row for row in um["symbols"]
    }
    assert seen.keys() == listed.keys()
    for (market, symbol), row in seen.items():
        item = listed[market, symbol]
        assert row["status"] == item.instrument.status
        assert (row["baseAsset"], row["quoteAsset"]) == (item.instrument.base, item.instrument.quote)
        filters = {part["filterType"]: part for part in row["filters"]}
        assert float(filters["PRICE_FILTER"]["tickSize"]) == item.instrument.tick_size
        assert float(filters["LOT_SIZE"]["stepSize"]) == item.step_size
        if market == "um":
            assert (row["contractType"], row["onboardDate"]) == ("PERPETUAL", item.onboard_ms)
    assert [row["symbol"] for row in client.json("/api/v3/exchangeInfo", symbol="BTCUSDT")["symbols"]] == ["BTCUSDT"]
    two = client.json("/api/v3/exchangeInfo", symbols='["ALFAUSDT","BTCUSDT"]')["symbols"]
    assert [row["symbol"] for row in two] == ["ALFAUSDT", "BTCUSDT"]


def test_day_tickers_sum_the_last_24_hours(client: Client, demo: SimulatedWorld) -> None:
    bars = demo.klines("BTCUSDT-um", demo.now_ms - DAY_MS, demo.now_ms)
    row = client.json("/fapi/v1/ticker/24hr", symbol="BTCUSDT")
    assert float(row["quoteVolume"]) == pytest.approx(bars["quote_volume"].sum())
    assert float(row["lastPrice"]) == bars["close"][-1]
    assert float(row["highPrice"]) == bars["high"].max()
    assert row["count"] == int(bars["trades"].sum())
    assert row["closeTime"] - row["openTime"] == DAY_MS
    spot = {row["symbol"]: row for row in client.json("/api/v3/ticker/24hr")}
    assert spot["BTCUSDT"]["bidPrice"] < spot["BTCUSDT"]["askPrice"]
    dead = spot["HALTUSDT"]
    assert (dead["count"], dead["firstId"], float(dead["lastPrice"]), float(dead["bidPrice"])) == (0, -1, 0.0, 0.0)
    assert "GONEUSDT" not in {row["symbol"] for row in client.json("/fapi/v1/ticker/24hr")}


def test_a_book_without_two_sides_reads_zero(client: Client) -> None:
    row = client.json("/api/v3/ticker/bookTicker", symbol="HALTUSDT")
    zero = "0.00000000"
    assert row == {"symbol": "HALTUSDT", "bidPrice": zero, "bidQty": zero, "askPrice": zero, "askQty": zero}
    rows = client.json("/api/v3/ticker/bookTicker", symbols='["BTCUSDT"]')
    assert 0 < float(rows[0]["bidPrice"]) < float(rows[0]["askPrice"])


@pytest.mark.slow
def test_funding_rates_page_and_carry_the_mark(client: Client, demo: SimulatedWorld) -> None:
    settled = demo.funding("BTCUSDT-um")
    latest = client.json("/fapi/v1/fundingRate", symbol="BTCUSDT")
    assert len(latest) == min(200, settled.height)
    assert all(0 <= row["fundingTime"] % MINUTE_MS <= 17 for row in latest)
    assert [float(row["fundingRate"]) for row in latest] == settled["rate"].tail(200).to_list()
    assert all(float(row["markPrice"]) > 0 for row in latest)
    start = int(settled["funding_time"][2])
    page = client.json("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=start, limit=2)
    assert [row["fundingTime"] // MINUTE_MS * MINUTE_MS for row in page] == settled["funding_time"][2:4].to_list()
    until = client.json("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=start, endTime=start + HOUR_MS)
    assert len(until) == 1
    everyone = client.json("/fapi/v1/fundingRate", startTime=start, limit=1000)
    assert {row["symbol"] for row in everyone} >= {"ALFAUSDT", "BTCUSDT"}
    assert [row["fundingTime"] for row in everyone] == sorted(row["fundingTime"] for row in everyone)


def test_funding_info_lists_only_intervals_that_are_not_eight_hours(client: Client) -> None:
    hours = {row["symbol"]: row["fundingIntervalHours"] for row in client.json("/fapi/v1/fundingInfo")}
    assert set(hours.values()) == {4}
    assert "BTCUSDT" not in hours


def test_premium_index_looks_forward_to_the_next_settlement(client: Client, demo: SimulatedWorld) -> None:
    row = client.json("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert row["nextFundingTime"] == demo.now_ms + 8 * HOUR_MS
    assert float(row["markPrice"]) > 0
    assert len(client.json("/fapi/v1/premiumIndex")) > 5


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/api/v3/klines", {"interval": "1m"}, 400, -1102),
        ("/api/v3/klines", {"symbol": "BTCUSDT"}, 400, -1102),
        ("/api/v3/klines", {"symbol": "NOPEUSDT", "interval": "1m"}, 400, -1121),
        ("/fapi/v1/klines", {"symbol": "btcusdt", "interval": "1m"}, 400, -1121),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "x"}, 400, -1100),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "-5"}, 400, -1100),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, 400, -1130),
        ("/api/v3/ticker/24hr", {"symbols": "BTCUSDT"}, 400, -1100),
        ("/api/v3/ticker/24hr", {"symbols": '["NOPE"]'}, 400, -1121),
        ("/fapi/v1/ticker/bookTicker", {"symbol": "GONEUSDT"}, 400, -1122),
        ("/fapi/v1/nothing", {}, 404, -5000),
    ],
)
def test_bad_requests_get_the_exchange_s_own_error(
    client: Client, path: str, params: dict[str, str], status: int, code: int
) -> None:
    import json

    answer, _, body = client.get(path, **params)
    assert (answer, json.loads(body)["code"]) == (status, code)
    if code == -1121:
        assert json.loads(body) == {"code": -1121, "msg": "Invalid symbol."}


@pytest.mark.slow
def test_every_request_costs_its_documented_weight(
    demo: SimulatedWorld, connect: Callable[[ReplayExchange], Client]
) -> None:
    requests = [
        ("/api/v3/exchangeInfo", {}, 20),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1000}, 2),
        ("/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("/api/v3/ticker/24hr", {"symbols": '["BTCUSDT"]'}, 2),
        ("/api/v3/ticker/24hr", {}, 80),
        ("/api/v3/ticker/bookTicker", {}, 4),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 99}, 1),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 499}, 2),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1000}, 5),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1500}, 10),
        ("/fapi/v1/ticker/24hr", {"symbol": "BTCUSDT"}, 1),
        ("/fapi/v1/ticker/24hr", {}, 40),
        ("/fapi/v1/ticker/bookTicker", {}, 5),
        ("/fapi/v1/premiumIndex", {}, 10),
        ("/fapi/v1/fundingInfo", {}, 0),
        ("/fapi/v1/exchangeInfo", {}, 1),
    ]
    with ReplayExchange(demo, clock=lambda: 30.0) as running:
        client = connect(running)
        before = {"spot": 0, "um": 0}
        for path, params, weight in requests:
            market = "spot" if path.startswith("/api") else "um"
            _, headers, _ = client.get(path, **params)
            used = int(headers["x-mbx-used-weight-1m"])
            assert used - before[market] == weight, path
            before[market] = used


def test_decimals_are_exact_and_positional() -> None:
    for value in (1e-8, 0.1, 123456789.12345678, 5e-7, 1e22, 60000.0):
        text = decimal_text(value)
        assert text is not None
        assert float(text) == value
        assert "e" not in text
