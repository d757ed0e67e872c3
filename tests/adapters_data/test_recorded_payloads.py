"""Recorded answers and files of the real exchange go through the same readers."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from huracan.adapters.binance.listing import instruments, quotes, rates_per_gbp
from huracan.adapters.binance.strict_json import parse_json
from huracan.adapters.binance.strict_zip import unzip_single
from huracan.adapters.binance.tables import funding_json, klines_csv, klines_json
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, empty
from huracan.domain.ids import Instrument, sha256_hex
from huracan.domain.records import SkipCode, Snapshot
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, parse_iso
from huracan.ingest import IngestConfig, clean_settlements, edge_spread_bps, validate_bars
from huracan.universe import UniverseConfig, build_universe

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
FIXTURES = MARKET / "fixtures"
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"recorded payloads are not at {FIXTURES}"),
]
CONFIG = IngestConfig(interval_ms=MINUTE_MS)


def load(name):
    data = (FIXTURES / name).read_bytes()
    return parse_json(gzip.decompress(data) if name.endswith(".gz") else data, name)


@pytest.fixture(scope="module")
def futures():
    listed = instruments(load("rest-2026-07/fapi-v1-exchangeInfo.json"), "um")
    known = quotes(listed, [], load("rest-2026-07/fapi-v1-ticker-bookTicker-full.json"), "um")
    return listed, known


def test_the_whole_futures_listing_is_read(futures):
    listed, known = futures
    assert len(listed) == len(known) == 820
    perpetual = [i for i in listed if i.contract_type == "PERPETUAL" and i.status == "TRADING"]
    assert len(perpetual) == 573
    bitcoin = next(i for i in listed if i.symbol == "BTCUSDT")
    assert (bitcoin.tick_size, bitcoin.listed_ms) == (0.1, 1567965300000)
    assert "币安人生USDT" in {i.symbol for i in listed}
    assert known["BTCUSDT-um"].spread_bps < 0.1


def test_the_spot_tickers_give_volumes_and_no_book_where_the_coin_is_dead():
    listed = instruments(load("rest-2024/api-v3-exchangeInfo-trading-20240908.json.gz"), "spot")
    tickers = load("rest-2024/api-v3-ticker-24hr-full-20240310.json.gz")
    known = quotes(listed, tickers, tickers, "spot")
    assert len(listed) == 1248
    assert known["BTCUSDT-spot"].volume_24h_quote > 1e9
    rates, source = rates_per_gbp(known, 1.3)
    assert source == "configured: 1.3"  # GBPUSDT had left by then
    assert rates["USDT"] == 1.3
    assert rates["EUR"] == pytest.approx(1.19, abs=0.02)


def test_the_universe_of_a_recorded_day_has_a_skip_for_everybody_else(futures):
    listed, known = futures
    volumes = {"BTCUSDT": 2e10, "ETHUSDT": 1e10, "1000PEPEUSDT": 5e8, "TSLAUSDT": 1e9}
    tickers = [{"symbol": symbol, "quoteVolume": volume} for symbol, volume in volumes.items()]
    known = quotes(listed, tickers, load("rest-2026-07/fapi-v1-ticker-bookTicker-full.json"), "um")
    snapshot = Snapshot(
        now_ms=0, instruments=tuple(listed), quotes=known, quote_per_gbp={"USDT": 1.3, "USDC": 1.3}, gbp_source="test"
    )
    universe = build_universe(snapshot, UniverseConfig(), ["1h", "4h"])
    assert [m.instrument.coin for m in universe.members] == ["BTC", "ETH", "1000PEPE"]
    pairs = sum(i.quote in {"USDT", "USDC"} for i in listed)
    assert len(universe.skips) == 2 * (pairs - 3)
    equities = [s for s in universe.skips if s.code is SkipCode.CONTRACT_TYPE]
    assert len(equities) == 2 * (118 + 4)


@pytest.mark.parametrize("day", ["2020-01-01", "2020-01-02"])
def test_a_real_archive_file_is_verified_unzipped_and_clean(day):
    stem = f"BTCUSDT-1m-{day}"
    folder = FIXTURES / "archive/data/spot/daily/klines/BTCUSDT/1m"
    data = (folder / f"{stem}.zip").read_bytes()
    assert (folder / f"{stem}.zip.CHECKSUM").read_text().split() == [sha256_hex(data), f"{stem}.zip"]
    start = parse_iso(day)
    rows = klines_csv(unzip_single(data, f"{stem}.csv"), f"{stem}.zip", (start, start + DAY_MS))
    assert rows.height == 1440
    assert rows.null_count().sum_horizontal().item() == 0
    coin = Instrument(market="spot", symbol="BTCUSDT", base="BTC", quote="USDT", tick_size=0.01)
    bars, report = validate_bars(
        coin, rows, empty(FUNDING_SCHEMA), CONFIG, start_ms=start, end_ms=start + DAY_MS, vendor="binance"
    )
    assert (report.cut, report.repaired, report.quality) == (0, 0, 1.0)
    assert bars.frame["open_time"][0] == start


def test_the_microsecond_lines_of_2025_are_read_to_the_second():
    data = (FIXTURES / "archive/literal/DOGEUSDT-1s-2025-01-01.head3.csv").read_bytes()
    start = parse_iso("2025-01-01")
    rows = klines_csv(data, "DOGEUSDT-1s-2025-01-01.zip", (start, start + DAY_MS))
    assert rows["open_time"].to_list() == [start, start + 1000, start + 2000]
    assert rows["trades"].to_list() == [1.0, 5.0, 0.0]


def test_recorded_klines_are_a_page():
    rows, closes = klines_json(load("nautilus/http_spot_market_klines.json"), "klines")
    assert rows.schema == BAR_SCHEMA
    assert rows.height == len(closes) > 0


def test_recorded_settlements_land_on_the_hour():
    name = "rest-2026-07/fapi-v1-fundingRate-BTCUSDT-limit20.json"
    raw = load(name)
    assert any(row["fundingTime"] % HOUR_MS for row in raw)
    settlements = clean_settlements(funding_json(raw, name), CONFIG).frame
    assert (settlements["funding_time"] % HOUR_MS).sum() == 0
    assert set(settlements["interval_hours"].drop_nulls()) == {8.0}


def test_a_coin_that_changed_its_interval_shows_it():
    raw = pl.read_parquet(next((MARKET / "funding").glob("XTZUSDT-um-*.parquet")))
    time = next(name for name in raw.columns if "time" in name.lower())
    rate = next(name for name in raw.columns if "rate" in name.lower())
    frame = raw.select(
        pl.col(time).cast(pl.Int64).alias("funding_time"),
        pl.col(rate).cast(pl.Float64).alias("rate"),
        pl.lit(None, dtype=pl.Float64).alias("interval_hours"),
    )
    assert {1.0, 4.0, 8.0} <= set(clean_settlements(frame, CONFIG).frame["interval_hours"].drop_nulls())


def recorded_bars(path):
    frame = pl.read_parquet(path)
    absent = [pl.lit(None, dtype=pl.Float64).alias(name) for name in BAR_SCHEMA if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def test_the_futures_halt_of_august_2025_is_marked_and_nothing_is_repaired():
    raw = recorded_bars(MARKET / "klines/um/SOLUSDC/1m.parquet")
    start, end = int(raw["open_time"].min()), int(raw["open_time"].max()) + MINUTE_MS
    coin = Instrument(market="um", symbol="SOLUSDC", base="SOL", quote="USDC", contract_type="PERPETUAL")
    bars, report = validate_bars(coin, raw, empty(FUNDING_SCHEMA), CONFIG, start_ms=start, end_ms=end, vendor="binance")
    (halt,) = [issue for issue in report.issues if issue.kind == "halt"]
    assert (halt.start_ms, halt.bars) == (parse_iso("2025-08-29T06:18:00Z"), 19)
    assert report.counts["halt"] == 10  # marked from the tenth on: before, nobody knew
    assert (report.repaired, report.cut, report.quality, bars.funding_known) == (0, 0, 1.0, False)
    crash = bars.frame.filter((pl.col("flags") & 4) != 0)["open_time"]
    assert crash.is_between(parse_iso("2025-10-10T20:00:00Z"), parse_iso("2025-10-11T00:00:00Z")).any()


def test_the_estimated_spread_of_a_liquid_coin_is_a_few_basis_points():
    raw = recorded_bars(MARKET / "klines/spot/AVAXUSDT/1m.parquet")
    start, end = int(raw["open_time"].min()), int(raw["open_time"].max()) + MINUTE_MS
    coin = Instrument(market="spot", symbol="AVAXUSDT", base="AVAX", quote="USDT", tick_size=0.01)
    bars, _ = validate_bars(coin, raw, empty(FUNDING_SCHEMA), CONFIG, start_ms=start, end_ms=end, vendor="binance")
    assert 0.5 < edge_spread_bps(bars) < 15.0


def test_the_recorded_headers_count_their_weight():
    text = (FIXTURES / "rest-2026-07/api-v3-ticker-bookTicker-full.headers").read_text()
    assert "x-mbx-used-weight-1m: 38" in text
    assert json.loads((FIXTURES / "rest-2026-07/api-v3-ticker-bookTicker-BTCUSDT.json").read_text())
