"""The replay exchange's whole path: listing, archive, REST, lake, validation; then the next night."""

import polars as pl
import pytest

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.ingest import IngestConfig, validate_bars
from huracan.sections import BinanceSettings
from huracan.universe import UniverseConfig, build_universe
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

DAYS = 40
START_DAYS = 36


@pytest.fixture(scope="module")
def world():
    source = simulate(WorldSpec(name="demo", coins=2, days=DAYS, planted=1))
    return source.at(source.now_ms - 5 * HOUR_MS - 30_000)


@pytest.fixture(scope="module")
def exchange(world):
    with ReplayExchange(world) as served:
        yield served


@pytest.fixture
async def client(exchange):
    urls = exchange.urls
    settings = BinanceSettings(rest_url=urls["rest"], futures_url=urls["futures"], archive_url=urls["archive"])
    data = BinanceMarketData(settings, 1.3)
    yield data
    await data.aclose()


async def night(client, lake, instrument, start, end):
    batches = [batch async for batch in client.fetch(instrument, start, end, lake.files(instrument))]
    return batches, lake.append(instrument, batches, "binance")


@pytest.mark.slow
async def test_the_lake_holds_exactly_the_worlds_closed_bars_and_a_second_night_adds_nothing(world, client, tmp_path):
    now = await client.server_time()
    assert now == world.now_ms
    snapshot = await client.snapshot(now)
    universe = build_universe(snapshot, UniverseConfig(), ["1h", "4h"])
    assert snapshot.gbp_source == "GBPUSDT mid on the exchange"
    assert "BTC" in {member.instrument.coin for member in universe.members}
    lake, start, rules = DeltaLake(str(tmp_path)), now - START_DAYS * DAY_MS, IngestConfig(interval_ms=MINUTE_MS)
    start -= start % MINUTE_MS
    for member in universe.members:
        instrument = member.instrument
        _, stored = await night(client, lake, instrument, start, now)
        assert stored > 0
        raw, settled = lake.bars(instrument, start, now), lake.funding(instrument, start, now)
        truth = world.klines(instrument.id, start, now).filter(pl.col("open_time") + MINUTE_MS <= now)
        assert raw.select(list(BAR_SCHEMA)).equals(truth.select(pl.col(c).cast(t) for c, t in BAR_SCHEMA.items()))
        bars, report = validate_bars(instrument, raw, settled, rules, start_ms=start, end_ms=now, vendor="binance")
        assert report.rows_in + report.repaired == report.rows_out
        assert bars.funding_known
        batches, again = await night(client, lake, instrument, start, now)
        assert again == 0
        assert {batch.source for batch in batches} <= {"rest"}
    skipped = {skip.coin for skip in universe.skips}
    listed = sum(i.quote in UniverseConfig().quote_assets for i in snapshot.instruments)
    assert len(universe.members) + len(skipped) == listed
