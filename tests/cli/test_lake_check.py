"""`huracan lake check`: the lake against REST and, through ccxt, against a second venue, all on loopback."""

import asyncio
import importlib
import json
import shutil

import polars as pl
import pytest
from nights import night_overrides, night_settings

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.checks import CHECK_FILE, last_check
from huracan.adapters.lake import DeltaLake
from huracan.adapters.vendors.second_venue import SecondVenue
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, day_iso
from huracan.errors import ConfigError, UpstreamError
from huracan.operations.cross_check import sampled_day
from huracan.ports import FetchedFile, FetchedRows
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

pytestmark = pytest.mark.slow

QUARTER = 15 * MINUTE_MS
SYMBOLS = (("um", "BTCUSDT", "BTC"), ("spot", "BTCUSDT", "BTC"), ("um", "GAPPYUSDT", "GAPPY"))


@pytest.fixture(scope="module")
def exchange():
    with ReplayExchange(simulate(WorldSpec(name="demo", coins=2, days=20, planted=1, interval_minutes=15))) as served:
        yield served


def instrument(market, symbol, base):
    return Instrument(market=market, symbol=symbol, base=base, quote="USDT")


async def fetched(exchange, one, days):
    """The batches of a first night."""
    settings = night_settings(exchange.urls).binance
    client = BinanceMarketData(settings, 1.3, interval="15m")
    try:
        now = await client.server_time()
        return [batch async for batch in client.fetch(one, (now // DAY_MS - days) * DAY_MS, now, {})]
    finally:
        await client.aclose()


@pytest.fixture(scope="module")
def honest(exchange):
    """What the exchange gives of three instruments, by id."""
    return {one.id: (one, asyncio.run(fetched(exchange, one, 9))) for one in (instrument(*names) for names in SYMBOLS)}


@pytest.fixture
def lake_of(tmp_path):
    """Stores batches, each changed by a function, in the lake of a workdir."""

    def build(honest, change=lambda _, rows: rows):
        lake = DeltaLake(str(tmp_path / "work" / "lake" / "15m"))
        for one, batches in honest.values():
            bars = [batch for batch in batches if batch.kind == "bars"]
            lake.append(
                one,
                [FetchedRows(kind="bars", rows=change(one, b.rows), source=b.source, file=b.file) for b in bars],
                "binance",
            )
        return tmp_path / "work", lake

    return build


def check(huracan, exchange, workdir, *more):
    sets = [word for text in night_overrides(exchange.urls) if text.startswith("binance.") for word in ("--set", text)]
    answer = huracan("lake", "check", "--workdir", workdir, *sets, "--json", *more)
    assert answer.status == 0, answer.err
    return answer.json


@pytest.fixture
def stand_in(exchange, tmp_path):
    """Options that make ccxt's class for Binance talk to the replay exchange."""
    file = tmp_path / "options.json"
    api = {"public": exchange.urls["rest"] + "/api/v3", "fapiPublic": exchange.urls["futures"] + "/fapi/v1"}
    file.write_text(json.dumps({"urls": {"api": api}, "options": {"fetchMarkets": {"types": ["spot", "linear"]}}}))
    return file


def test_an_honest_lake_agrees_with_rest_on_a_day_that_the_hash_has_drawn(huracan, exchange, honest, lake_of):
    workdir, lake = lake_of(honest)
    body = check(huracan, exchange, workdir)
    assert (body["compared"], body["mismatches"], body["failed"], body["venue"]) == (3, [], [], None)
    days = {row["instrument"]: row["day"] for row in body["comparisons"]}
    assert days == {one.id: day_iso(sampled_day(lake, one, QUARTER)) for one, _ in honest.values()}
    assert {row["bars"] for row in body["comparisons"]} == {96}
    assert last_check(workdir) == body
    assert check(huracan, exchange, workdir) == body


def test_a_bar_that_the_archive_gave_otherwise_is_a_mismatch_of_that_instrument(huracan, exchange, honest, lake_of):
    _, lake = lake_of(honest)
    victim = honest["BTCUSDT-um"][0]
    at = sampled_day(lake, victim, QUARTER) * DAY_MS + 5 * QUARTER

    def wrong(one, rows):
        hit = (pl.col("open_time") == at) & (one.id == victim.id)
        return rows.with_columns(pl.when(hit).then(pl.col("volume") * 2).otherwise(pl.col("volume")).alias("volume"))

    shutil.rmtree(lake._place.root)
    workdir, _ = lake_of(honest, wrong)
    body = check(huracan, exchange, workdir)
    (row,) = body["mismatches"]
    assert (row["instrument"], row["against"], row["differing"], row["restated"]) == (victim.id, "rest", 1, 0)
    assert row["times"][0].endswith("01:15:00Z")
    text = huracan(
        "lake",
        "check",
        "--workdir",
        workdir,
        *[w for t in night_overrides(exchange.urls) if t.startswith("binance.") for w in ("--set", t)],
    ).out
    assert "1 mismatches" in text


def test_a_bar_that_the_lake_knows_to_be_restated_is_no_mismatch(huracan, exchange, honest, lake_of):
    workdir, lake = lake_of(honest)
    one = honest["BTCUSDT-um"][0]
    day = sampled_day(lake, one, QUARTER)
    rows = lake.bars(one, day * DAY_MS, day * DAY_MS + QUARTER)
    for sha256, volume in (("a" * 64, rows["volume"]), ("b" * 64, pl.Series([1.5]))):  # a file, and what replaced it
        file = FetchedFile(name="one-day.zip", sha256=sha256, rows=rows.height)
        changed = rows.with_columns(volume=volume)
        lake.append(one, [FetchedRows(kind="bars", rows=changed, source="archive", file=file)], "binance")
    body = check(huracan, exchange, workdir, "--instrument", one.id)
    (told,) = body["comparisons"]
    assert (told["differing"], told["restated"], told["mismatch"]) == (0, 1, False)


def test_a_second_venue_is_asked_through_ccxt_and_told_apart(huracan, exchange, honest, lake_of, stand_in):
    def shifted(one, rows):
        return rows.with_columns(pl.col("volume") * 3) if one.market == "spot" else rows

    workdir, _ = lake_of(honest, shifted)
    body = check(huracan, exchange, workdir, "--venue", "binance", "--venue-options", stand_in)
    assert body["failed"] == []
    told = {row["instrument"]: row for row in body["comparisons"] if row["against"] == "binance"}
    assert {name: row["venue"] for name, row in told.items()} == {
        "BTCUSDT-um": "same", "BTCUSDT-spot": "other", "GAPPYUSDT-um": "same",
    }  # fmt: skip
    assert told["BTCUSDT-spot"]["volume_ratio"] == pytest.approx(3.0)
    assert not any(row["mismatch"] for row in told.values())


def test_moves_that_differ_are_a_mismatch_with_the_second_venue(huracan, exchange, honest, lake_of, stand_in):
    def wild(_, rows):
        odd = pl.int_range(pl.len()) % 2 == 1
        prices = (
            pl.when(odd).then(pl.col(c) * 1.02).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close")
        )
        return rows.with_columns(*prices)

    workdir, _ = lake_of(honest, wild)
    body = check(huracan, exchange, workdir, "--venue", "binance", "--venue-options", stand_in)
    found = {(row["instrument"], row["against"]) for row in body["mismatches"]}
    assert found == {(name, source) for name in honest for source in ("rest", "binance")}
    calm = check(huracan, exchange, workdir, "--venue", "binance", "--venue-options", stand_in, "--tolerance-bps", 500)
    assert {row["against"] for row in calm["mismatches"]} == {"rest"}


def test_an_instrument_whose_source_fails_is_told_and_the_others_go_on(huracan, exchange, honest, lake_of):
    gone = instrument("um", "NEVERUSDT", "NEVER")
    workdir, lake = lake_of({**honest, gone.id: (gone, honest["BTCUSDT-um"][1])})
    body = check(huracan, exchange, workdir)
    assert [(row["instrument"], row["code"]) for row in body["failed"]] == [(gone.id, "DELISTED")]
    assert body["compared"] == 3
    assert sampled_day(lake, instrument("um", "NOBODYUSDT", "NOBODY"), QUARTER) is None


def test_what_ccxt_does_not_know_or_cannot_reach_is_an_error_of_ours(exchange, stand_in):
    with pytest.raises(ConfigError, match="no exchange 'binnance'"):
        SecondVenue("binnance")
    venue = SecondVenue("binance", json.loads(stand_in.read_text()))
    assert venue.bars(instrument("um", "NEVERUSDT", "NEVER"), "15m", 0, DAY_MS) is None
    venue.close()
    away = SecondVenue(
        "binance",
        {"urls": {"api": {"public": "http://127.0.0.1:9/api/v3"}}, "options": {"fetchMarkets": {"types": ["spot"]}}},
    )
    with pytest.raises(UpstreamError, match="binance, BTCUSDT-spot"):
        away.bars(instrument("spot", "BTCUSDT", "BTC"), "15m", 0, DAY_MS)
    away.close()


def test_without_the_extra_its_name_is_in_the_error(monkeypatch):
    real = importlib.import_module

    def absent(name, *rest):
        if name == "ccxt":
            raise ModuleNotFoundError("No module named 'ccxt'", name="ccxt")
        return real(name, *rest)

    monkeypatch.setattr("huracan.adapters.vendors.second_venue.import_module", absent)
    with pytest.raises(ConfigError, match=r"needs ccxt.*huracan-engine\[vendors\]"):
        SecondVenue("bybit")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--venue-options", "x.json"), "without --venue"),
        (("--venue", "bybit", "--venue-options", "x.json"), "cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(huracan, tmp_path, honest, lake_of, more, words):
    workdir, _ = lake_of(honest)
    answer = huracan("lake", "check", "--workdir", workdir, *more, "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert words in answer.json["error"]
    assert not (workdir / CHECK_FILE).exists()


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", None, "{}", '{"checked": "x"}', '{"checked": "2026-01-01", "venue": null, "comparisons": [1]}'],
)
def test_a_damaged_record_of_a_check_is_no_check(tmp_path, text):
    if text is not None:
        (tmp_path / CHECK_FILE).write_text(text)
    assert last_check(tmp_path) is None
