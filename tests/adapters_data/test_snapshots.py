"""A past day's universe is that day's: stored when it was seen, or told by that day's own bars, never by today's listing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.snapshots import SnapshotArchive
from huracan.domain.ids import Instrument
from huracan.domain.records import Quote, Snapshot
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import PublishError, SchemaError
from huracan.sections import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import START_MS, WorldSpec

NOW = 1_767_225_600_000


def snapshot(now_ms=NOW, **rates):
    coins = (
        Instrument(
            market="um", symbol="测试币USDT", base="测试币", quote="USDT", contract_type="PERPETUAL", listed_ms=5
        ),
        Instrument(market="spot", symbol="SOLUSDC", base="SOL", quote="USDC", status="BREAK", tick_size=0.01),
    )
    quotes = {
        coins[0].id: Quote(volume_24h_quote=1e6, bid=1.0, ask=1.1),
        coins[1].id: Quote(volume_24h_quote=None, bid=None, ask=None),
    }
    return Snapshot(
        now_ms=now_ms, instruments=coins, quotes=quotes, quote_per_gbp={"USDT": 1.3, **rates}, gbp_source="somewhere"
    )


def test_what_was_kept_comes_back_as_it_was(tmp_path):
    archive = SnapshotArchive(tmp_path / "snapshots")
    archive.keep(snapshot())
    assert archive.as_of(NOW) == archive.as_of(NOW + DAY_MS) == snapshot()
    archive.keep(snapshot(EUR=2.0))  # a moment is seen once
    assert archive.as_of(NOW) == snapshot()
    assert [path.suffix for path in (tmp_path / "snapshots").iterdir()] == [".parquet"]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 20 * DAY_MS), max_size=8), st.integers(0, 22 * DAY_MS))
def test_the_newest_of_the_day_before_is_taken_and_never_a_later_one(tmp_path_factory, offsets, asked):
    archive = SnapshotArchive(tmp_path_factory.mktemp("snapshots"))
    for offset in offsets:
        archive.keep(snapshot(NOW + offset))
    found = archive.as_of(NOW + asked)
    known = [offset for offset in offsets if asked - DAY_MS <= offset <= asked]
    assert (None if found is None else found.now_ms - NOW) == max(known, default=None)


def test_a_damaged_file_is_told_and_other_files_are_none_of_ours(tmp_path):
    archive = SnapshotArchive(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert archive.as_of(NOW) is None
    archive.keep(snapshot())
    (file,) = tmp_path.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(SchemaError, match="damaged"):
        archive.as_of(NOW)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "snapshots").write_text("a file in the way")
    with pytest.raises(PublishError, match="could not be stored"):
        SnapshotArchive(tmp_path / "snapshots").keep(snapshot())


@pytest.fixture(scope="module")
def world():
    return simulate(WorldSpec(name="demo", coins=3, days=40, interval_minutes=15))


@pytest.fixture
async def market(world, tmp_path):
    with ReplayExchange(world, stress_file=tmp_path / "stress.json") as exchange:
        urls = {f"{name}_url": exchange.urls[key] for name, key in (("rest", "rest"), ("futures", "futures"))}
        client = BinanceMarketData(BinanceSettings(**urls, archive_url=exchange.urls["archive"]), 1.25, interval="15m")
        yield client
        await client.aclose()


async def test_a_past_day_lists_who_traded_then_and_how_much(market, world):
    now = await market.snapshot(world.now_ms)
    today = {one.symbol: one.status for one in now.instruments}
    assert (today["GONEUSDT"], today["FRESHUSDT"]) == ("SETTLING", "TRADING")
    then = START_MS + 15 * DAY_MS + 7 * HOUR_MS
    past = await market.snapshot_as_of(then, ("USDT",))
    status = {one.symbol: one.status for one in past.instruments if one.market == "um"}
    assert status["GONEUSDT"] == "TRADING"
    assert "FRESHUSDT" not in status
    assert {one.quote for one in past.instruments} == {"USDT"}
    assert past.source == "put together from the bars of the 24 h before 2026-01-16T07:00:00Z"
    assert all(quote.bid is quote.ask is None for quote in past.quotes.values())
    bars = world.klines("BTCUSDT-um", then - DAY_MS, then)
    assert past.quotes["BTCUSDT-um"].volume_24h_quote == pytest.approx(bars["quote_volume"].sum(), rel=1e-9)
    assert past.quote_per_gbp["USDT"] == pytest.approx(1.3, rel=0.2)


async def test_a_coin_that_was_dead_by_then_is_listed_as_dead(market, world):
    past = await market.snapshot_as_of(world.now_ms - 2 * DAY_MS, ("USDT",))
    dead = {one.symbol for one in past.instruments if one.status == "BREAK"}
    assert {"GONEUSDT", "HALTUSDT"} <= dead
    assert past.quotes["GONEUSDT-um"].volume_24h_quote is None
