"""Recorded candles as a market: one clock, nothing after it, nothing invented."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from huracan.domain.frames import BAR_SCHEMA, check_schema
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError
from huracan.worlds.candles import CandleDirectory, split_symbol
from huracan.worlds.exchange import ReplayExchange

from .conftest import Client

START = 1_750_000_020_000 // MINUTE_MS * MINUTE_MS


def write(root: Path, name: str, *, start: int, bars: int, step: int = MINUTE_MS, extra: bool = False) -> pl.DataFrame:
    times = pl.Series("open_time", range(start, start + bars * step, step), dtype=pl.Int64)
    price = pl.Series([round(2.5 + 0.0005 * (k * 7919 % 400), 4) for k in range(bars)])
    frame = pl.DataFrame(
        {"open_time": times, "open": price, "high": price + 0.001, "low": price - 0.001, "close": price}
    )
    frame = frame.with_columns(pl.col("high").round(4), pl.col("low").round(4), volume=pl.lit(100.0))
    if extra:
        frame = frame.with_columns(quote_volume=pl.lit(250.0), trades=pl.lit(7), taker_buy_base=pl.lit(40.0))
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(root / name)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("candles")
    month = 31 * 1440
    write(root, "spot/AAAUSDT/1m.parquet", start=START, bars=month)
    write(root, "um/AAAUSDT/1m.parquet", start=START, bars=month + 90)
    write(root, "spot/BBBUSDC/1m.parquet", start=START + 25 * DAY_MS, bars=3 * 1440)  # ends first, but is short
    write(root, "um/CCCUSDT/1h.parquet", start=START // HOUR_MS * HOUR_MS, bars=40 * 24, step=HOUR_MS, extra=True)
    write(root, "um/AAAUSDT/15m.parquet", start=START, bars=10, step=15 * MINUTE_MS)  # the finer file is used
    return root


def test_now_is_a_minute_after_the_earliest_last_bar_of_long_symbols(folder: Path) -> None:
    market = CandleDirectory.open(folder)
    assert market.now_ms == START + 31 * DAY_MS


def test_rows_after_now_stay_hidden(folder: Path) -> None:
    market = CandleDirectory.open(folder)
    bars = market.klines("AAAUSDT-um", 0, 2**62)
    check_schema(bars, BAR_SCHEMA, "candles")
    assert bars["open_time"][-1] == market.now_ms - MINUTE_MS
    assert bars.height == 31 * 1440
    hourly = market.klines("CCCUSDT-um", 0, 2**62)
    last = hourly.row(-1, named=True)
    assert last["open_time"] < market.now_ms < last["open_time"] + HOUR_MS
    assert last["high"] == last["low"] == last["close"] == last["open"]
    later = market.at(market.now_ms + HOUR_MS)
    assert later.klines("AAAUSDT-um", 0, 2**62).height == 31 * 1440 + 60


def test_absent_columns_are_null_and_present_ones_are_kept(folder: Path) -> None:
    market = CandleDirectory.open(folder)
    spot = market.klines("AAAUSDT-spot", START, START + HOUR_MS)
    assert spot.select("quote_volume", "trades", "taker_base", "taker_quote").null_count().row(0) == (60,) * 4
    rich = market.klines("CCCUSDT-um", START, START + DAY_MS)
    assert rich["trades"].to_list()[:2] == [7.0, 7.0]
    assert rich["taker_base"][0] == 40.0
    assert rich["taker_quote"].null_count() == rich.height


def test_symbols_are_split_listed_and_declared_dead_from_their_bars(folder: Path) -> None:
    market = CandleDirectory.open(folder)
    listed = {item.id: item for item in market.instruments()}
    assert listed["BBBUSDC-spot"].instrument.status == "BREAK"
    assert listed["BBBUSDC-spot"].instrument.quote == "USDC"
    future = listed["AAAUSDT-um"]
    assert (future.instrument.contract_type, future.instrument.status) == ("PERPETUAL", "TRADING")
    assert future.onboard_ms == START
    assert future.instrument.tick_size == pytest.approx(0.0005)
    assert future.step_size == 0.0
    assert market.funding("AAAUSDT-um").height == 0
    assert market.stress_table() is None
    assert market.book("AAAUSDT-um") is None
    with pytest.raises(KeyError):
        market.funding("NOPE-um")


def test_a_recorded_book_is_served_for_its_own_market(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"symbol": "AAAUSDT", "bidPrice": "2.4999", "bidQty": "3", "askPrice": "2.5001", "askQty": "4"},
        {"symbol": "CCCUSDT", "bidPrice": "0.0", "bidQty": "0", "askPrice": "1", "askQty": "4", "time": 1},
    ]
    file = tmp_path / "book.json"
    file.write_text(json.dumps(rows))
    market = CandleDirectory.open(folder, file)
    assert market.book("AAAUSDT-spot") == (2.4999, 2.5001, 3.0, 4.0)
    assert market.book("AAAUSDT-um") is None
    assert market.book("CCCUSDT-um") is None


def test_unknown_values_travel_as_null_and_empty_fields(
    folder: Path, connect: Callable[[ReplayExchange], Client]
) -> None:
    import io
    import zipfile

    with ReplayExchange(CandleDirectory.open(folder)) as running:
        client = connect(running)
        row = client.json("/api/v3/klines", symbol="AAAUSDT", interval="1m", limit=1)[0]
        assert (row[7], row[8], row[9], row[10]) == (None, None, None, None)
        ticker = client.json("/api/v3/ticker/24hr", symbol="AAAUSDT")
        bars = CandleDirectory.open(folder).klines("AAAUSDT-spot", START + 30 * DAY_MS, 2**62)
        assert float(ticker["quoteVolume"]) == pytest.approx((bars["volume"] * bars["close"]).sum())
        assert ticker["count"] is None
        assert client.json("/fapi/v1/ticker/bookTicker", symbol="AAAUSDT")["bidPrice"] == "0.00000000"
        assert client.json("/fapi/v1/fundingRate", symbol="AAAUSDT") == []
        premium = client.json("/fapi/v1/premiumIndex", symbol="AAAUSDT")
        assert (premium["lastFundingRate"], premium["nextFundingTime"]) == ("", 0)
        assert running.urls["stress"] is None
        hours = client.json("/fapi/v1/klines", symbol="AAAUSDT", interval="1h", limit=2)
        assert hours[0][7] is None
        assert client.get("/fapi/v1/klines", symbol="CCCUSDT", interval="1m")[0] == 400
        day = "2025-06-20"
        body = client.get(f"/data/spot/daily/klines/AAAUSDT/1m/AAAUSDT-1m-{day}.zip")[2]
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            first = archive.read(archive.namelist()[0]).decode().splitlines()[0].split(",")
        assert first[7:] == ["", "", "", "", "0"]
        assert client.get("/data/futures/um/monthly/fundingRate/AAAUSDT/AAAUSDT-fundingRate-2025-06.zip")[0] == 404


def test_spot_files_before_2025_count_milliseconds(tmp_path: Path, connect: Callable[[ReplayExchange], Client]) -> None:
    import io
    import zipfile

    write(tmp_path, "spot/OLDUSDT/1h.parquet", start=1_735_689_600_000 - 3 * DAY_MS, bars=24 * 6, step=HOUR_MS)
    with ReplayExchange(CandleDirectory.open(tmp_path)) as running:
        client = connect(running)
        digits = []
        for day in ("2024-12-31", "2025-01-01"):
            body = client.get(f"/data/spot/daily/klines/OLDUSDT/1h/OLDUSDT-1h-{day}.zip")[2]
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                fields = archive.read(archive.namelist()[0]).decode().splitlines()[0].split(",")
            digits.append((len(fields[0]), fields[6][-3:]))
        assert digits == [(13, "999"), (16, "999")]


def test_useless_folders_files_and_books_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no candles"):
        CandleDirectory.open(tmp_path)
    write(tmp_path / "a", "spot/AAAUSDT/1m.parquet", start=START, bars=30)
    bad = tmp_path / "book.json"
    for text in ("{", '[{"symbol": "X"}]', '["x"]'):
        bad.write_text(text)
        with pytest.raises(ConfigError, match=r"book\.json"):
            CandleDirectory.open(tmp_path / "a", bad)
    pl.DataFrame({"open_time": [1], "open": [1.0]}).write_parquet(tmp_path / "a/spot/AAAUSDT/1m.parquet")
    with pytest.raises(ConfigError, match="lacks high"):
        CandleDirectory.open(tmp_path / "a")
    write(tmp_path / "b", "spot/AAAUSDT/1m.parquet", start=START, bars=0)
    with pytest.raises(ConfigError, match="no rows"):
        CandleDirectory.open(tmp_path / "b")
    write(tmp_path / "c", "spot/AAAXYZ/1m.parquet", start=START, bars=3)
    with pytest.raises(ConfigError, match="quote assets"):
        CandleDirectory.open(tmp_path / "c")
    few = tmp_path / "d"
    write(few, "spot/AAAUSDT/1m.parquet", start=START, bars=3)
    market = CandleDirectory.open(few)
    assert market.now_ms == START + 3 * MINUTE_MS
    assert market.instruments()[0].instrument.tick_size == 0.0
    for moment in (START, market.now_ms + 1):
        with pytest.raises(ConfigError, match="outside"):
            market.at(moment)


def test_symbols_split_at_the_quote_asset() -> None:
    assert split_symbol("币安人生USDT") == ("币安人生", "USDT")
    assert split_symbol("BTCFDUSD") == ("BTC", "FDUSD")
    with pytest.raises(ConfigError):
        split_symbol("USDT")


@pytest.mark.slow
@pytest.mark.market
def test_the_recorded_klines_open_as_one_market(recorded: Path) -> None:
    market = CandleDirectory.open(
        recorded / "klines", recorded / "fixtures/rest-2026-07/api-v3-ticker-bookTicker-full.json"
    )
    listed = {item.id: item for item in market.instruments()}
    assert {"ADAUSDT-spot", "SOLUSDC-um", "MELANIAUSDT-um"} <= listed.keys()
    lasts = []
    for id_ in listed:
        bars = market.klines(id_, 0, 2**62)
        assert bars["open_time"].max() < market.now_ms  # type: ignore[operator]
        lasts.append(bars["open_time"][-1])
    assert market.now_ms - MINUTE_MS in lasts
    assert market.book("ADAUSDT-spot") is not None
    assert market.book("SOLUSDC-um") is None
    assert listed["ADAUSDT-spot"].instrument.tick_size == pytest.approx(0.0001)


@pytest.mark.market
def test_recorded_hours_open_with_their_extra_columns(recorded: Path, tmp_path: Path) -> None:
    source = recorded / "history/spot-full/ETHUSDT/1h.parquet"
    target = tmp_path / "spot/ETHUSDT"
    target.mkdir(parents=True)
    (target / "1h.parquet").symlink_to(source)
    market = CandleDirectory.open(tmp_path)
    bars = market.klines("ETHUSDT-spot", market.now_ms - 30 * DAY_MS, market.now_ms)
    assert bars.select("quote_volume", "trades", "taker_base", "taker_quote").head(-1).null_count().row(0) == (0,) * 4
