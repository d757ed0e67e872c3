"""Settlements of all perpetuals in one read: the rows that asking one by one gives, or an error, never fewer."""

import asyncio
import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huracan.adapters.binance import BinanceMarketData, rest
from huracan.adapters.binance.client import _known_to
from huracan.domain.frames import FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import SchemaError
from huracan.ports import KnownSettlements
from huracan.sections import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.rest import settlement_jitter_ms
from huracan.worlds.wide import wide_world
from huracan.worlds.wide_listings import WideSpec

pytestmark = pytest.mark.slow

PATH = "fapi/v1/fundingRate"
T = 1_760_000_000_000 // (8 * HOUR_MS) * 8 * HOUR_MS


@pytest.fixture(scope="module")
def world():
    return wide_world(WideSpec(symbols=300, days=4))


@pytest.fixture
async def client(world):
    with ReplayExchange(world) as exchange:
        urls = exchange.urls
        addresses = {"rest_url": urls["rest"], "futures_url": urls["futures"], "archive_url": urls["archive"]}
        opened = BinanceMarketData(BinanceSettings(**addresses), 1.25)
        yield opened
        await opened.aclose()


@pytest.mark.parametrize("page", [7, 60, 1000])
async def test_all_at_once_is_one_by_one(client, world, monkeypatch, page):
    crowd = max(len(rows) for rows in by_moment(world).values())
    monkeypatch.setattr(rest, "FUNDING_PAGE", max(page, crowd + 1))
    contracts = [one for one in await client.listed() if one.market == "um"]
    assert len(contracts) > 10
    start, end = world.now_ms - 2 * DAY_MS, world.now_ms
    found = await client.recent_settlements(start, end)
    assert found.columns == ["symbol", *FUNDING_SCHEMA]
    for one in contracts:
        pages = [rows async for rows in client._rest.funding(one, start, end)]
        alone = pl.concat(pages) if pages else pl.DataFrame(schema=FUNDING_SCHEMA)
        together = found.filter(pl.col("symbol") == one.symbol).drop("symbol")
        assert together.equals(alone), one.id
    assert set(found["symbol"]) <= {one.symbol for one in contracts}
    assert found.height > 3 * len(contracts)


def by_moment(world):
    found = {}
    for item in world.instruments():
        if item.instrument.contract_type == "PERPETUAL":
            for time in world.funding(item.id)["funding_time"]:
                found.setdefault(time + settlement_jitter_ms(item.instrument.symbol, time), []).append(item.id)
    return found


class Answering:
    """The documented answer: everything from startTime to endTime by time, cut at the limit."""

    def __init__(self, rows):
        self.rows, self.asked = sorted(rows), 0

    def __call__(self, query):
        self.asked += 1
        low, high, limit = (int(query[name]) for name in ("startTime", "endTime", "limit"))
        assert "symbol" not in query
        inside = [row for row in self.rows if low <= row[0] <= high][:limit]
        return json.dumps(
            [{"symbol": name, "fundingTime": time, "fundingRate": rate, "markPrice": ""} for time, name, rate in inside]
        ).encode()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    crowds=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    page=st.integers(7, 20),
    jitter=st.lists(st.integers(0, 17), min_size=12, max_size=12),
)
def test_nothing_is_lost_where_pages_are_cut_within_a_moment(loopback, market, crowds, page, jitter):
    rows = [
        (T + place * HOUR_MS + jitter[place], f"币{number}USDT", f"0.000{number}")
        for place, crowd in enumerate(crowds)
        for number in range(crowd)
    ]
    answering = loopback.answers[PATH] = Answering(rows)

    async def read():
        client = market()
        try:
            return await client.recent_settlements(T, T + 12 * HOUR_MS)
        finally:
            await client.aclose()

    before = rest.FUNDING_PAGE
    try:
        rest.FUNDING_PAGE = page
        found = asyncio.run(read())
    finally:
        rest.FUNDING_PAGE = before
    wanted = sorted((T + place * HOUR_MS, f"币{n}USDT", n) for place, crowd in enumerate(crowds) for n in range(crowd))
    assert sorted((row[1], row[0], round(row[2] * 1e4)) for row in found.iter_rows()) == wanted
    assert answering.asked <= 2 + len(rows) // (page - 6)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"symbol": "A", "fundingTime": T + 9, "fundingRate": "0"}, {"symbol": "B", "fundingTime": T, "fundingRate": "0"}], "ascending"),
        ([{"symbol": "A", "fundingTime": T - 1, "fundingRate": "0"}], "ascending"),
        ([{"symbol": "A", "fundingTime": T + DAY_MS, "fundingRate": "0"}], "ascending"),
        ([{"fundingTime": T, "fundingRate": "0"}], "names no symbol"),
        ([{"symbol": 7, "fundingTime": T, "fundingRate": "0"}], "names no symbol"),
        ([{"symbol": "A", "fundingTime": T}], "lacks fundingTime or fundingRate"),
        ({"code": 1}, "wanted a list"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_whole_is_refused(loopback, market, rows, words):
    loopback.answers[PATH] = json.dumps(rows).encode()
    with pytest.raises(SchemaError, match=words):
        await market().recent_settlements(T, T + DAY_MS)


async def test_a_moment_that_fills_a_page_is_refused(loopback, market, monkeypatch):
    monkeypatch.setattr(rest, "FUNDING_PAGE", 5)
    loopback.answers[PATH] = Answering([(T, f"C{n}", "0.0001") for n in range(9)])
    with pytest.raises(SchemaError, match="fill a page"):
        await market().recent_settlements(T, T + DAY_MS)


@pytest.mark.parametrize(
    ("stored", "low", "wanted"),
    [
        (None, T, T),
        ((T, T + DAY_MS), T, T + DAY_MS + 1),
        ((T + 8 * HOUR_MS, T + DAY_MS), T, T + DAY_MS + 1),
        ((T + 9 * HOUR_MS, T + DAY_MS), T, T),  # what is before the stored ones was never read
        ((T - 9 * DAY_MS, T - DAY_MS), T, T),
    ],
)
def test_what_is_stored_without_a_hole_is_not_asked_for_again(stored, low, wanted):
    assert _known_to(KnownSettlements(stored=stored, since_ms=T, rows=None), low) == wanted


UM = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT", contract_type="PERPETUAL", listed_ms=T)


async def settlements(client, settled, end=T + 9 * DAY_MS):
    batches = [batch async for batch in client.fetch(UM, T, end, {}, settled)]
    return [time for batch in batches if batch.kind == "funding" for time in batch.rows["funding_time"]]


def shared(*times):
    rate, none = pl.lit(1e-4), pl.lit(None, pl.Float64)
    return pl.DataFrame({"funding_time": times}).select("funding_time", rate=rate, interval_hours=none)


async def test_a_pair_takes_what_was_read_for_all_and_asks_for_the_rest_alone(loopback, market):
    loopback.answers["fapi/v1/klines"], loopback.answers["api/v3/time"] = b"[]", json.dumps({"serverTime": T}).encode()
    loopback.answers[PATH] = json.dumps(
        [{"symbol": "SOLUSDT", "fundingTime": T + DAY_MS, "fundingRate": "0.1"}]
    ).encode()
    client, since = market(), T + 6 * DAY_MS
    rows = shared(T + 5 * DAY_MS, since, since + 8 * HOUR_MS)
    known = KnownSettlements(stored=(T, since + 8 * HOUR_MS), since_ms=since, rows=rows)
    assert await settlements(client, known, since + 16 * HOUR_MS) == [T + 5 * DAY_MS, since, since + 8 * HOUR_MS]
    assert loopback.queries[PATH] == []
    alone = (
        (
            KnownSettlements(stored=(T, since - 2 * DAY_MS), since_ms=since, rows=rows),
            since - 2 * DAY_MS + 1,
        ),  # a night missed
        (KnownSettlements(stored=None, since_ms=since, rows=rows), T),  # a new pair
        (KnownSettlements(stored=(T, since + HOUR_MS), since_ms=since, rows=None), since + HOUR_MS + 1),  # not named
        (None, T),
    )
    for settled, start in alone:
        assert await settlements(client, settled) == ([T + DAY_MS] if start == T else [])
        assert int(loopback.queries[PATH][-1]["startTime"]) == start
        assert loopback.queries[PATH][-1]["symbol"] == "SOLUSDT"
    assert len(loopback.queries[PATH]) == len(alone)


@pytest.mark.parametrize("hours", [(16,), (0, 8), (0, 16)], ids=["no start", "no end", "without the stored one"])
async def test_shared_rows_that_a_short_answer_may_have_cut_are_not_believed(loopback, market, hours):
    loopback.answers["fapi/v1/klines"], loopback.answers["api/v3/time"] = b"[]", json.dumps({"serverTime": T}).encode()
    since = T + 6 * DAY_MS
    stored = (T, since + 8 * HOUR_MS)
    loopback.answers[PATH] = json.dumps(
        [{"symbol": "SOLUSDT", "fundingTime": since + hour * HOUR_MS, "fundingRate": "0.1"} for hour in (16, 24)]
    ).encode()
    rows = shared(*(since + hour * HOUR_MS for hour in hours))
    settled = KnownSettlements(stored=stored, since_ms=since, rows=rows)
    found = await settlements(market(), settled, since + 32 * HOUR_MS)
    assert found == [since + 16 * HOUR_MS, since + 24 * HOUR_MS]
    assert int(loopback.queries[PATH][-1]["startTime"]) == stored[1] + 1
