"""A symbol that the exchange refuses to speak of costs itself: not the universe of a past day, not the night."""

from dataclasses import replace

import polars as pl
import pytest
from changing import RENAMED, ChangingExchange, ChangingMarket, StrictRest
from nights import accounted, in_this_process, night_settings, run_pipeline

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.binance.client import GONE_DAYS
from huracan.domain.time import DAY_MS, HOUR_MS, iso
from huracan.errors import DelistedError, UpstreamError
from huracan.sections import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import START_MS, WorldSpec

THEN = START_MS + 45 * DAY_MS + 7 * HOUR_MS


@pytest.fixture(scope="module")
def world():
    return simulate(WorldSpec(name="demo", coins=2, days=90, interval_minutes=60))


@pytest.fixture
def exchange(world, tmp_path):
    market = ChangingMarket(world, "ALFAUSDT-um")
    with ChangingExchange(market, stress_file=tmp_path / "stress.json") as opened:
        yield opened


@pytest.fixture
async def client(exchange):
    urls = exchange.urls
    addresses = {"rest_url": urls["rest"], "futures_url": urls["futures"], "archive_url": urls["archive"]}
    opened = BinanceMarketData(BinanceSettings(**addresses), 1.25, interval="1h")
    yield opened
    await opened.aclose()


async def read(client, instrument, now, days=50):
    return [batch async for batch in client.fetch(instrument, now - days * DAY_MS, now, {})]


def named(found, symbol, market="um"):
    return next(one for one in found if (one.symbol, one.market) == (symbol, market))


async def test_a_future_that_answers_no_bars_any_more_is_delisted_in_a_past_universe_and_all_others_are_there(
    client, exchange, world
):
    exchange.happen(None)
    exchange.rest = type(exchange.rest).__mro__[1]()  # an exchange that still answers for the dead
    told = await client.snapshot_as_of(THEN, ("USDT",))
    exchange.rest = StrictRest()
    refused = await client.snapshot_as_of(THEN, ("USDT",))
    dead = {one.id for one in refused.instruments if one.status == "DELISTED"}
    assert dead == {one.id for one in await client.listed() if one.status == "SETTLING"} & {
        i.id for i in told.instruments
    }
    assert dead
    assert [one for one in told.instruments if one.id not in dead] == [
        one for one in refused.instruments if one.id not in dead
    ]
    assert all(refused.quotes[one].volume_24h_quote is None for one in dead)


@pytest.mark.slow
@pytest.mark.parametrize("event", ["delisting", "rename"])
async def test_bars_of_a_symbol_that_left_are_refused_by_name_whatever_was_asked_before(client, exchange, world, event):
    alfa, now = (
        named(await client.listed(), "ALFAUSDT"),
        world.now_ms - 5 * HOUR_MS,
    )  # the running day is not in the archive
    assert await read(client, alfa, now)
    exchange.happen(event)
    with pytest.raises(DelistedError, match="ALFAUSDT") as told:
        await read(client, alfa, now)
    assert told.value.code == "DELISTED"
    assert await read(client, named(await client.listed(), "BTCUSDT"), now)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["SETTLING", "DELISTED"])
async def test_of_a_pair_that_is_known_to_be_gone_the_archive_is_enough(client, exchange, world, status):
    alfa, now = named(await client.listed(), "ALFAUSDT"), world.now_ms - 5 * HOUR_MS
    exchange.happen("delisting")
    batches = await read(client, replace(alfa, status=status), now)
    bars = pl.concat([batch.rows for batch in batches if batch.kind == "bars"])
    assert bars["open_time"].max() == now // DAY_MS * DAY_MS - HOUR_MS  # the running day would be REST's to tell
    assert {batch.source for batch in batches if batch.kind == "bars"} == {"archive"}
    assert any(batch.kind == "funding" for batch in batches)


async def test_a_pair_that_is_gone_for_long_is_not_asked_for_at_all(client, exchange, world):
    gone = named(await client.listed(), "GONEUSDT")
    assert gone.status == "SETTLING"
    exchange.faults = lambda path: Fault(status=403) if "api/v" in path and "time" not in path else None
    gone_ms = world.now_ms - 20 * DAY_MS
    with pytest.raises(UpstreamError):
        await read(client, gone, gone_ms + 10 * DAY_MS)
    later = gone_ms + (31 + GONE_DAYS) * DAY_MS  # ahead of the exchange's clock: nobody stops a caller from that
    bars = [batch.rows for batch in await read(client, gone, later, days=120) if batch.kind == "bars"]
    assert pl.concat(bars)["open_time"].max() == gone_ms - HOUR_MS
    assert await read(client, gone, later, days=40) == []


async def test_any_other_refusal_is_still_the_exchanges_fault(client, exchange, world):
    alfa = named(await client.listed(), "ALFAUSDT")
    exchange.faults = lambda path: Fault(status=403) if "klines" in path else None
    with pytest.raises(UpstreamError) as told:
        await read(client, alfa, world.now_ms)
    assert told.value.code == "UPSTREAM"


async def test_what_is_listed_now_is_told_without_quotes(client, exchange):
    before = {one.id: one.status for one in await client.listed()}
    assert before["ALFAUSDT-um"] == before["ALFAUSDT-spot"] == "TRADING"
    exchange.happen("rename")
    after = {one.id for one in await client.listed()}
    assert after ^ set(before) == {"ALFAUSDT-um", f"{RENAMED}-um"}


@pytest.mark.slow
def test_a_past_night_over_a_delisted_future_skips_it_and_finishes(world, tmp_path):
    with ReplayExchange(world, stress_file=tmp_path / "stress.json") as exchange, in_this_process():
        exchange.rest = StrictRest()
        settings = night_settings(
            exchange.urls,
            training__base_interval="1h",
            training__lookback_days=34,
            training__min_history_days=38,
            costs__tier_spread_bps="2,3,4",
        )
        result, _ = run_pipeline(tmp_path, settings, as_of=iso(THEN))
    assert result["success"], result.get("error")
    accounted(result)
    delisted = {skip["coin"] for skip in result["skipped"] if skip["code"] == "DELISTED"}
    assert "GONE" in delisted
    assert {"BTC", "ALFA"} <= {row["coin"] for row in result["candidates"].values()}
    assert all(row["costs"]["spread_source"] == "declared" for row in result["candidates"].values())
