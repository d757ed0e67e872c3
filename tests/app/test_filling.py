"""Filling the lake: everything the archive has, once, whatever happens to some symbols, and in commits that last."""

import asyncio
from dataclasses import replace

import pytest

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.lake import DeltaLake
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS
from huracan.errors import ConfigError, DiskFullError
from huracan.operations import fill as filling
from huracan.operations.fill import FillOrder, fill_lake
from huracan.settings import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

pytestmark = pytest.mark.slow

DAYS = 75


@pytest.fixture(scope="module")
def world():
    return simulate(WorldSpec(name="demo", coins=3, days=DAYS, planted=1, interval_minutes=15))


@pytest.fixture(scope="module")
def exchange(world):
    with ReplayExchange(world) as served:
        yield served


@pytest.fixture
def no_faults(exchange):
    yield exchange
    exchange.faults = None


@pytest.fixture
def order(world):
    end = world.now_ms // DAY_MS * DAY_MS
    return FillOrder(markets=("spot", "um"), quote_assets=("USDT",), start_ms=end - (DAYS - 2) * DAY_MS, end_ms=end)


def fill(exchange, lake, order, telemetry=None):
    urls = exchange.urls
    settings = BinanceSettings(rest_url=urls["rest"], futures_url=urls["futures"], archive_url=urls["archive"])

    async def run():
        market = BinanceMarketData(settings, 1.3, interval="15m")
        try:
            return await fill_lake(market, lake, order, telemetry or RecordingTelemetry())
        finally:
            await market.aclose()

    return asyncio.run(run())


def held(lake, id_, order):
    symbol, _, market = id_.rpartition("-")
    return lake.bars(Instrument(market=market, symbol=symbol, base="", quote=""), order.start_ms, order.end_ms)


def requests_of(exchange):
    """Paths asked for from now on."""
    seen = []
    exchange.faults = seen.append
    return seen


def test_the_lake_holds_every_symbol_the_archive_ever_had_and_a_second_fill_reads_nothing(
    world, no_faults, order, tmp_path
):
    lake, telemetry = DeltaLake(str(tmp_path)), RecordingTelemetry()
    filled = fill(no_faults, lake, order, telemetry)
    assert not filled.failed
    ids = set(lake.instruments())
    assert any(id_.startswith("GONEUSDT") for id_ in ids)
    assert filled.symbols == len(telemetry.named("symbol_filled"))
    for id_ in ids:
        truth = world.klines(id_, order.start_ms, order.end_ms)
        assert held(lake, id_, order)["open_time"].to_list() == truth["open_time"].to_list(), id_
        assert held(lake, id_, order)["close"].to_list() == truth["close"].to_list(), id_
    assert filled.bytes > 0
    assert filled.rows == sum(row.rows for id_ in ids for row in lake.coverage(_named(id_)))
    asked = requests_of(no_faults)
    again = fill(no_faults, lake, order)
    assert (again.files, again.rows, again.holes, again.restated) == (0, 0, 0, 0)
    assert all(path.startswith("/?prefix=") for path in asked)
    assert len(asked) <= 4 + 3 * filled.symbols


def _named(id_):
    symbol, _, market = id_.rpartition("-")
    return Instrument(market=market, symbol=symbol, base="", quote="")


def test_a_symbol_that_fails_is_counted_and_the_others_are_filled(no_faults, order, tmp_path):
    lake, telemetry = DeltaLake(str(tmp_path)), RecordingTelemetry()
    bad = "klines/BTCUSDT/15m/"
    no_faults.faults = lambda path: Fault(corrupt_checksum=True) if bad in path and "monthly" in path else None
    filled = fill(no_faults, lake, order, telemetry)
    refused = telemetry.named("symbol_refused")
    assert {row["code"] for row in refused} == {"CHECKSUM"}
    assert {row["instrument"] for row in refused} == {"BTCUSDT-spot", "BTCUSDT-um"}
    assert filled.failed == {"CHECKSUM": 2}
    assert len(telemetry.named("symbol_filled")) == filled.symbols - 2
    assert held(lake, "BTCUSDT-um", order).height > 0, "the days that are sound are there"
    no_faults.faults = None
    again = fill(no_faults, lake, order)
    assert not again.failed
    assert again.files > 0


def test_a_fill_that_was_stopped_goes_on_without_reading_a_committed_file_again(
    world, no_faults, order, tmp_path, monkeypatch
):
    monkeypatch.setattr(filling, "CHUNK_ROWS", 1)
    lake = DeltaLake(str(tmp_path))
    append, commits = lake.append, []

    def stop_at_the_fifth(instrument, batches, vendor):
        if batches:
            commits.append([(instrument, batch.file.name) for batch in batches])
        if len(commits) == 5:
            raise DiskFullError("no space")
        return append(instrument, batches, vendor) if len(commits) < 5 else 0

    monkeypatch.setattr(lake, "append", stop_at_the_fifth)
    with pytest.raises(DiskFullError):
        fill(no_faults, lake, order)
    committed = [(instrument, name) for names in commits[:4] for instrument, name in names]
    assert committed
    asked = requests_of(no_faults)
    resumed = DeltaLake(str(tmp_path))
    fill(no_faults, resumed, order)
    for instrument, name in committed:
        assert name in resumed.files(instrument)
        assert not [path for path in asked if path.endswith(f"/{name}") and f"/{instrument.market}/" in path]
    assert len(asked) == len(set(asked))
    for id_ in resumed.instruments():
        truth = world.klines(id_, order.start_ms, order.end_ms)
        assert held(resumed, id_, order)["close"].to_list() == truth["close"].to_list(), id_


def test_symbols_may_be_named_and_one_that_never_was_is_refused(exchange, order, tmp_path):
    lake = DeltaLake(str(tmp_path))
    filled = fill(exchange, lake, replace(order, symbols=("GONEUSDT",), markets=("um",)))
    assert (filled.symbols, lake.instruments()) == (1, ["GONEUSDT-um"])
    with pytest.raises(ConfigError, match="NOPEUSDT"):
        fill(exchange, lake, replace(order, symbols=("NOPEUSDT",)))


def test_a_replaced_file_comes_out_as_restated_rows(world, order, tmp_path):
    lake = DeltaLake(str(tmp_path))
    one = replace(order, symbols=("BTCUSDT",), markets=("um",))
    with ReplayExchange(world) as first:
        assert fill(first, lake, one).restated == 0
    other = simulate(replace(world.spec, seed=9))
    with ReplayExchange(other) as second:
        filled = fill(second, lake, one)
    assert filled.restated > 0
    truth = other.klines("BTCUSDT-um", order.start_ms, order.end_ms)
    assert held(lake, "BTCUSDT-um", order)["close"].to_list() == truth["close"].to_list()
    restated = {row.kind: row.restated for row in lake.coverage(_named("BTCUSDT-um"))}
    assert restated["bars"] > 0


def test_a_fill_that_verifies_fetches_again_what_has_changed_and_nothing_else(world, no_faults, order, tmp_path):
    lake, telemetry = DeltaLake(str(tmp_path)), RecordingTelemetry()
    order = replace(order, symbols=("BTCUSDT",))
    fill(no_faults, lake, order)
    btc = {id_: held(lake, id_, order) for id_ in lake.instruments()}
    victim = min((tmp_path / "bars" / "BTCUSDT-um").glob("*.parquet"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    assert fill(no_faults, lake, order).quarantined == 0
    again = fill(no_faults, lake, replace(order, verify=True), telemetry)
    assert (again.quarantined, len(telemetry.named("lake_table_quarantined"))) == (1, 1)
    assert again.files > 0
    assert all(held(lake, id_, order).equals(before) for id_, before in btc.items())
    assert lake.quarantined() == [f"bars-BTCUSDT-um-{victim.name}-1"]
    assert fill(no_faults, lake, replace(order, verify=True)).files == 0


@pytest.mark.parametrize("name", ["a#b", "a?b"])
def test_a_second_fill_reads_nothing_again_whatever_sign_the_folder_s_name_holds(no_faults, order, tmp_path, name):
    lake, order = DeltaLake(str(tmp_path / name / "lake")), replace(order, symbols=("BTCUSDT",))
    assert fill(no_faults, lake, order).files > 0
    assert fill(no_faults, lake, order).files == 0
