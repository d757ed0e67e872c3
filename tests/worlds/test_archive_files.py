"""The archive side: which files exist, what is in them, their checksums, and how they are listed."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable

import polars as pl

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, parse_iso
from huracan.worlds.archive import UM_HEADER, _csv
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import SimulatedWorld, simulate

from .conftest import Client

SPOT, UM = "/data/spot", "/data/futures/um"


def unzip(body: bytes) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (name,) = archive.namelist()
        return name, archive.read(name)


def klines_path(root: str, period: str, symbol: str, name: str, interval: str = "1m") -> str:
    return f"{root}/{period}/klines/{symbol}/{interval}/{symbol}-{interval}-{name}.zip"


def test_a_monthly_futures_file_holds_the_month_with_a_header_in_milliseconds(
    client: Client, demo: SimulatedWorld
) -> None:
    status, _, body = client.get(klines_path(UM, "monthly", "ALFAUSDT", "2026-01"))
    assert status == 200
    name, text = unzip(body)
    assert name == "ALFAUSDT-1m-2026-01.csv"
    table = pl.read_csv(text)
    assert table.columns == UM_HEADER
    bars = demo.klines("ALFAUSDT-um", parse_iso("2026-01-01"), parse_iso("2026-02-01"))
    assert table["open_time"].to_list() == bars["open_time"].to_list()
    assert ((table["close_time"] - table["open_time"]) == 59_999).all()
    for column, source in (("open", "open"), ("volume", "volume"), ("quote_volume", "quote_volume")):
        assert table[column].cast(pl.Float64).to_list() == bars[source].to_list()
    assert table["count"].to_list() == bars["trades"].to_list()
    assert table["taker_buy_quote_volume"].cast(pl.Float64).to_list() == bars["taker_quote"].to_list()


def test_a_spot_file_of_2026_has_no_header_and_microseconds(client: Client, demo: SimulatedWorld) -> None:
    _, _, body = client.get(klines_path(SPOT, "daily", "BTCUSDT", "2026-02-03"))
    rows = unzip(body)[1].decode().splitlines()
    assert len(rows) == 1440
    first = rows[0].split(",")
    start = parse_iso("2026-02-03")
    assert len(first) == 12
    assert int(first[0]) == start * 1000
    assert int(first[6]) == (start + MINUTE_MS) * 1000 - 1
    assert float(first[1]) == demo.klines("BTCUSDT-spot", start, start + 1)["open"][0]


def test_the_checksum_is_of_the_zip_and_has_no_trailing_newline(client: Client) -> None:
    path = klines_path(UM, "daily", "BTCUSDT", "2026-02-01")
    body, line = client.get(path)[2], client.get(path + ".CHECKSUM")[2].decode()
    assert line == f"{hashlib.sha256(body).hexdigest()}  BTCUSDT-1m-2026-02-01.zip"
    assert len(line) == 91


def test_files_are_byte_equal_on_another_server(
    demo: SimulatedWorld, connect: Callable[[ReplayExchange], Client]
) -> None:
    path = klines_path(UM, "daily", "ALFAUSDT", "2026-01-05")
    bodies = []
    for _ in range(2):
        with ReplayExchange(simulate(demo.spec)) as running:
            bodies.append(connect(running).get(path)[2])
    assert bodies[0] == bodies[1]


def test_there_is_nothing_for_running_periods_dead_times_and_unknown_names(client: Client) -> None:
    # now is 2026-02-10
    missing = [
        klines_path(UM, "monthly", "BTCUSDT", "2026-02"),
        klines_path(UM, "daily", "BTCUSDT", "2026-02-10"),
        klines_path(UM, "daily", "BTCUSDT", "2025-12-31"),
        klines_path(UM, "daily", "GONEUSDT", "2026-02-01"),
        klines_path(UM, "daily", "FRESHUSDT", "2026-01-05"),
        klines_path(UM, "daily", "NOPEUSDT", "2026-02-01"),
        klines_path(SPOT, "daily", "ALFAUSDT", "2026-2-1"),
        klines_path(UM, "daily", "BTCUSDT", "2026-02-01", interval="7m"),
        f"{UM}/daily/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-02-01.zip",
        f"{SPOT}/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-01.zip",
        "/data/../etc/passwd",
        "/elsewhere",
    ]
    for path in missing:
        status, _, body = client.get(path)
        assert status == 404, path
        assert b"NoSuchKey" in body
        assert client.get(path + ".CHECKSUM")[0] == 404


def test_a_hole_is_missing_rows_and_a_dead_symbol_s_month_ends_early(client: Client, demo: SimulatedWorld) -> None:
    gappy = pl.read_csv(unzip(client.get(klines_path(UM, "monthly", "GAPPYUSDT", "2026-01"))[2])[1])
    assert gappy.height == demo.klines("GAPPYUSDT-um", 0, parse_iso("2026-02-01")).height < 31 * 1440
    gone = pl.read_csv(unzip(client.get(klines_path(UM, "monthly", "GONEUSDT", "2026-01"))[2])[1])
    assert gone["open_time"][-1] == demo.now_ms - 20 * DAY_MS - MINUTE_MS


def test_longer_intervals_have_files_too(client: Client) -> None:
    table = pl.read_csv(unzip(client.get(klines_path(UM, "monthly", "BTCUSDT", "2026-01", interval="4h"))[2])[1])
    assert table.height == 31 * 6
    assert (table["open_time"] % (4 * HOUR_MS) == 0).all()


def test_a_funding_file_holds_a_month_of_settlements(client: Client, demo: SimulatedWorld) -> None:
    _, _, body = client.get(f"{UM}/monthly/fundingRate/CHARLIEUSDT/CHARLIEUSDT-fundingRate-2026-01.zip")
    _, text = unzip(body)
    table = pl.read_csv(text)
    assert table.columns == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    settled = demo.funding("CHARLIEUSDT-um").filter(pl.col("funding_time") < parse_iso("2026-02-01"))
    assert (table["calc_time"] // MINUTE_MS * MINUTE_MS).to_list() == settled["funding_time"].to_list()
    assert table["last_funding_rate"].to_list() == settled["rate"].to_list()
    assert set(table["funding_interval_hours"]) == {8}
    assert b"e-" not in text


def keys(body: bytes) -> list[str]:
    return re.findall(r"<Key>([^<]*)</Key>", body.decode())


def folders(body: bytes) -> list[str]:
    return re.findall(r"<CommonPrefixes><Prefix>([^<]*)</Prefix>", body.decode())


def test_the_listing_walks_from_markets_to_files(client: Client) -> None:
    assert folders(client.get("/", prefix="data/", delimiter="/")[2]) == ["data/futures/", "data/spot/"]
    symbols = folders(client.get("/", prefix="data/futures/um/monthly/klines/", delimiter="/")[2])
    assert "data/futures/um/monthly/klines/GONEUSDT/" in symbols
    assert "data/futures/um/monthly/klines/测试币USDT/" in symbols
    kinds = folders(client.get("/", prefix="data/futures/um/monthly/", delimiter="/")[2])
    assert kinds == ["data/futures/um/monthly/fundingRate/", "data/futures/um/monthly/klines/"]
    folder = "data/futures/um/monthly/klines/BTCUSDT/1h/"
    _, headers, body = client.get("/", prefix=folder)
    assert keys(body) == [f"{folder}BTCUSDT-1h-2026-01.zip", f"{folder}BTCUSDT-1h-2026-01.zip.CHECKSUM"]
    assert headers["content-type"] == "application/xml"
    data = client.get(f"/{folder}BTCUSDT-1h-2026-01.zip")[2]
    assert f"<Size>{len(data)}</Size>".encode() in body
    assert b"<LastModified>2026-02-01T00:00:00.000Z</LastModified>" in body
    funding = client.get("/", prefix="data/futures/um/monthly/fundingRate/BTCUSDT/")[2]
    assert len(keys(funding)) == 2


def test_listing_pages_join_without_gap_or_double(client: Client) -> None:
    prefix = "data/spot/daily/klines/BTCUSDT/1d/"
    whole = keys(client.get("/", prefix=prefix)[2])
    assert len(whole) == 80
    for second in (False, True):
        seen: list[str] = []
        token = ""
        while True:
            params: dict[str, object] = {"prefix": prefix, "max-keys": 30}
            if second:
                params |= {"list-type": 2} | ({"continuation-token": token} if token else {})
            else:
                params["marker"] = token
            body = client.get("/", **params)[2]
            seen += keys(body)
            found = re.search(rb"<(?:NextMarker|NextContinuationToken)>([^<]*)<", body)
            if found is None:
                assert b"<IsTruncated>false</IsTruncated>" in body
                break
            assert b"<IsTruncated>true</IsTruncated>" in body
            token = found[1].decode()
        assert seen == whole


def test_a_prefix_within_a_name_lists_only_what_begins_with_it(client: Client) -> None:
    prefix = "data/spot/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2026-01-0"
    assert len(keys(client.get("/", prefix=prefix)[2])) == 18
    assert folders(client.get("/", prefix="data/spot/daily/klines/B", delimiter="/")[2]) == [
        *("data/spot/daily/klines/BRAVOUSDT/", "data/spot/daily/klines/BTCUSDT/")
    ]
    assert keys(client.get("/", prefix="nowhere/")[2]) == []


def test_extreme_values_are_written_without_exponents() -> None:
    text = _csv(pl.DataFrame({"price": [1e-7, 12.5, 3e15]}), header=False)
    assert text.split() == [b"0.0000001", b"12.5", b"3000000000000000"]
