"""Answers have the fields, types and order of the recorded ones (2024 and 2026)."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client

pytestmark = pytest.mark.market


@pytest.fixture
def payloads(recorded: Path) -> Path:
    return recorded / "fixtures" / "rest-2026-07"


def load(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def kinds(row: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in row.items()}


def same_shape(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert kinds(ours) == kinds(theirs)
    assert list(ours) == list(theirs)


def test_book_tickers(client: Client, payloads: Path) -> None:
    same_shape(
        client.json("/api/v3/ticker/bookTicker", symbol="BTCUSDT"),
        load(payloads / "api-v3-ticker-bookTicker-BTCUSDT.json"),
    )
    recorded = load(payloads / "fapi-v1-ticker-bookTicker-full.json")[0]
    same_shape(client.json("/fapi/v1/ticker/bookTicker")[0], recorded)


def test_spot_exchange_info(client: Client, payloads: Path) -> None:
    ours, theirs = client.json("/api/v3/exchangeInfo"), load(payloads / "api-v3-exchangeInfo-curated-BTCETHXVG.json")
    same_shape(ours, theirs)
    same_shape(ours["symbols"][0], theirs["symbols"][0])
    for mine, recorded in zip(ours["symbols"][0]["filters"], theirs["symbols"][0]["filters"], strict=True):
        same_shape(mine, recorded)


def test_futures_exchange_info(client: Client, payloads: Path) -> None:
    ours, theirs = client.json("/fapi/v1/exchangeInfo"), load(payloads / "fapi-v1-exchangeInfo.json")
    same_shape(ours, theirs)
    same_shape(ours["symbols"][0], theirs["symbols"][0])
    for mine, recorded in zip(ours["symbols"][0]["filters"], theirs["symbols"][0]["filters"], strict=True):
        assert kinds(mine) == kinds(recorded)  # the order of a filter's keys varies between recorded answers


def test_funding(client: Client, payloads: Path) -> None:
    recorded = load(payloads / "small/fapi-v1-fundingRate-BTCUSDT-limit3.json")
    same_shape(client.json("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=1)[0], recorded[0])
    same_shape(client.json("/fapi/v1/fundingInfo")[0], load(payloads / "fapi-v1-fundingInfo.json")[0])
    same_shape(client.json("/fapi/v1/premiumIndex")[0], load(payloads / "fapi-v1-premiumIndex.json")[0])


def test_day_tickers(client: Client, recorded: Path) -> None:
    spot = load(recorded / "fixtures/rest-2024/api-v3-ticker-24hr-full-20240310.json.gz")
    ours = {row["symbol"]: row for row in client.json("/api/v3/ticker/24hr")}
    same_shape(ours["BTCUSDT"], spot[0])
    dead = next(row for row in spot if row["count"] == 0)
    same_shape(ours["HALTUSDT"], dead)
    assert ours["HALTUSDT"]["firstId"] == dead["firstId"]
    documented = load(recorded / "fixtures/doc-examples/http_futures_market_ticker_24hr.json")
    same_shape(client.json("/fapi/v1/ticker/24hr", symbol="BTCUSDT"), documented)


def test_klines(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "fixtures/nautilus/http_spot_market_klines.json")[0]
    ours = client.json("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=1)[0]
    assert [type(value) for value in ours] == [type(value) for value in theirs]
    assert len(ours[1].partition(".")[2]) == len(theirs[1].partition(".")[2]) == 8


def test_weight_header_and_checksum_line(client: Client, recorded: Path, payloads: Path) -> None:
    _, headers, _ = client.get("/api/v3/time")
    for line in (payloads / "api-v3-ticker-bookTicker-full.headers").read_text().splitlines():
        if line.startswith("x-mbx-used-weight"):
            assert line.partition(":")[0] in headers
    folder = recorded / "fixtures/archive/data/spot/daily/klines/BTCUSDT/1m"
    theirs = next(folder.glob("*.CHECKSUM")).read_bytes()
    ours = client.get("/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-01-03.zip.CHECKSUM")[2]
    assert len(ours) == len(theirs)
    assert ours[64:66] == theirs[64:66] == b"  "
