"""Every fault a rule can ask for, as a client that reads raw bytes meets it."""

import hashlib
import http.client
import io
import json
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest

from huracan.errors import ConfigError
from huracan.worlds import faults as faults_module
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import ANSWER_FAULTS, CHANGES, ContentFault, Fault, load_faults
from huracan.worlds.misbehaviour import BOMB_BYTES
from huracan.worlds.simulated import SimulatedWorld

from .conftest import Client

pytestmark = pytest.mark.slow

Connect = Callable[[ReplayExchange], Client]
ZIP = "/data/futures/um/daily/klines/ALFAUSDT/1m/ALFAUSDT-1m-2026-01-03.zip"
SPOT_ZIP = "/data/spot/daily/klines/ALFAUSDT/1m/ALFAUSDT-1m-2026-01-03.zip"


@pytest.fixture
def spoiled(demo: SimulatedWorld, tmp_path: Path) -> Iterator[Callable[..., ReplayExchange]]:
    """Exchanges with rules from a file, closed at the end."""
    running = []

    def make(*rules: dict[str, Any], **more: Any) -> ReplayExchange:
        file = tmp_path / "faults.json"
        file.write_text(json.dumps(rules))
        plan = load_faults(file)
        running.append(ReplayExchange(demo, faults=plan, unlisted=plan.unlisted, **more))
        return running[-1]

    yield make
    for exchange in running:
        exchange.close()


def raw(exchange: ReplayExchange, path: str = "/api/v3/time", timeout_s: float = 20.0) -> bytes:
    """Everything the exchange sends to one request until it ends the connection."""
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=timeout_s) as connection:
        connection.sendall(f"GET {quote(path, safe='/?=&')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while part := connection.recv(1 << 16):
            received += part
        return received


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def rows(data: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [line.split(",") for line in archive.read(archive.namelist()[0]).decode().splitlines()]


def test_every_kind_is_explained_in_the_table() -> None:
    assert len(ANSWER_FAULTS) == 14
    for kind in (*ANSWER_FAULTS, *CHANGES, *get_args(ContentFault)):
        assert f"| {kind} |" in (faults_module.__doc__ or ""), kind


@pytest.mark.parametrize(
    ("kind", "status", "starts"),
    [("server_error", 503, b"<!DOCTYPE"), ("waf", 403, b"<!DOCTYPE"), ("html", 200, b"<!DOCTYPE")],
)
def test_pages_come_instead_of_answers(spoiled: Any, kind: str, status: int, starts: bytes) -> None:
    seen, headers, body = split(raw(spoiled({"path": "/time", "kind": kind})))
    assert (seen, headers["content-type"]) == (status, "text/html")
    assert body.startswith(starts)


def test_a_server_error_has_the_status_asked_for(spoiled: Any) -> None:
    assert split(raw(spoiled({"path": "/time", "kind": "server_error", "status": 502})))[0] == 502


def test_silence_comes_before_in_and_after_the_headers(spoiled: Any) -> None:
    parts = {
        kind: raw(spoiled({"path": "/time", "kind": kind, "delay_s": 0.05}))
        for kind in ("timeout", "timeout_in_headers", "timeout_in_body")
    }
    assert parts["timeout"] == b""
    assert parts["timeout_in_headers"].startswith(b"HTTP/1.1 200")
    assert b"\r\n\r\n" not in parts["timeout_in_headers"]
    _, headers, body = split(parts["timeout_in_body"])
    assert 0 < len(body) < int(headers["content-length"])


def test_silence_ends_with_the_exchange(spoiled: Any) -> None:
    exchange = spoiled({"path": "/time", "kind": "timeout", "delay_s": 600})
    connection = http.client.HTTPConnection("127.0.0.1", exchange.port, timeout=20)
    connection.request("GET", "/api/v3/time")
    exchange.stopping.set()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize("kind", ["reset", "reset_in_body"])
def test_a_reset_is_a_reset(spoiled: Any, kind: str) -> None:
    with pytest.raises(ConnectionResetError):
        raw(spoiled({"path": "/exchangeInfo", "kind": kind}), "/api/v3/exchangeInfo")


def test_slow_answers_arrive_byte_by_byte_and_are_right(spoiled: Any) -> None:
    for kind in ("slow_headers", "slow_body"):
        exchange = spoiled({"path": "/time", "kind": kind, "pace_s": 0.001})
        assert json.loads(split(raw(exchange))[2]) == {"serverTime": exchange.view().now_ms}


def test_lengths_lie_both_ways(spoiled: Any) -> None:
    right = len(split(raw(spoiled()))[2])
    _, headers, body = split(raw(spoiled({"path": "/time", "kind": "long_length"})))
    assert (int(headers["content-length"]), len(body)) == (right + 10, right)
    _, headers, body = split(raw(spoiled({"path": "/time", "kind": "short_length"})))
    assert (int(headers["content-length"]), len(body)) == (right // 2, right)


def test_a_bomb_is_small_until_it_is_unpacked(spoiled: Any) -> None:
    _, headers, body = split(raw(spoiled({"path": "/time", "kind": "gzip_bomb"})))
    assert headers["content-encoding"] == "gzip"
    assert len(body) * 100 < BOMB_BYTES


def test_garbage_follows_the_right_bytes(spoiled: Any) -> None:
    right = split(raw(spoiled()))[2]
    body = split(raw(spoiled({"path": "/time", "kind": "garbage"})))[2]
    assert body.startswith(right)
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(body)


def test_a_truncated_file_has_an_honest_length_and_a_wrong_checksum_no_such_file(
    spoiled: Any, connect: Connect
) -> None:
    client = connect(
        spoiled(
            {"path": ".zip.CHECKSUM", "kind": "wrong_checksum", "times": 1},
            {"path": ".zip", "kind": "truncated_file", "after": 1},
        )
    )
    lie, file = client.get(ZIP + ".CHECKSUM")[2], client.get(ZIP)[2]
    half = client.get(ZIP)[2]
    assert hashlib.sha256(file).hexdigest() not in lie.decode()
    assert half == file[: len(file) // 2]


def test_a_skewed_clock_is_off_in_every_answer_that_tells_the_time(
    spoiled: Any, demo: SimulatedWorld, connect: Connect
) -> None:
    client = connect(spoiled({"path": "/v", "kind": "skew", "skew_ms": -7000}))
    for path in ("/api/v3/time", "/fapi/v1/time", "/api/v3/exchangeInfo"):
        assert client.json(path)["serverTime"] == demo.now_ms - 7000
    assert client.json("/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=1)[0][0] < demo.now_ms


def test_rules_leave_the_first_requests_alone_and_end(spoiled: Any) -> None:
    exchange = spoiled({"path": "/time", "status": 500, "after": 2, "times": 2})
    assert [split(raw(exchange))[0] for _ in range(6)] == [200, 200, 500, 500, 200, 200]


def test_a_ban_lasts_by_the_exchange_s_clock_and_leaves_the_archive_open(spoiled: Any, connect: Connect) -> None:
    now = [0.0]
    client = connect(spoiled({"path": "/klines", "kind": "ban", "after": 1, "retry_after_s": 90}, clock=lambda: now[0]))
    ask = {"symbol": "BTCUSDT", "interval": "1h"}
    assert client.get("/api/v3/klines", **ask)[0] == 200
    status, headers, _ = client.get("/api/v3/klines", **ask)
    assert (status, headers["retry-after"]) == (418, "90")
    now[0] = 89.0
    assert client.get("/fapi/v1/time")[0] == 418
    assert client.get(ZIP)[0] == 200
    now[0] = 90.0
    assert client.get("/fapi/v1/time")[0] == 200


def test_a_replaced_file_has_other_rows_and_their_checksum_everywhere(spoiled: Any, connect: Connect) -> None:
    client = connect(spoiled({"path": "ALFAUSDT-1m-2026-01-03", "kind": "replaced", "after": 2}))
    before, line = client.get(ZIP)[2], client.get(ZIP + ".CHECKSUM")[2]
    after, new_line = client.get(ZIP)[2], client.get(ZIP + ".CHECKSUM")[2]
    assert [hashlib.sha256(data).hexdigest().encode() for data in (before, after)] == [line[:64], new_line[:64]]
    old, new = rows(before), rows(after)
    assert old[:-1] == new[:-1]
    assert float(new[-1][5]) == pytest.approx(2 * float(old[-1][5]))
    other = ZIP.replace("01-03", "01-04")
    assert hashlib.sha256(client.get(other)[2]).hexdigest() in client.get(other + ".CHECKSUM")[2].decode()
    prefix = ZIP.rpartition("/")[0].removeprefix("/") + "/"
    assert hashlib.md5(after, usedforsecurity=False).hexdigest() in client.get("/", prefix=prefix)[2].decode()


def test_units_mix_within_a_file(spoiled: Any, connect: Connect) -> None:
    client = connect(spoiled({"path": "ALFAUSDT-1m-2026-01-03", "kind": "unit_mix"}))
    um, spot = rows(client.get(ZIP)[2])[1:], rows(client.get(SPOT_ZIP)[2])
    assert [len(row[0]) for row in um] == [13] * 720 + [16] * 720
    assert [len(row[0]) for row in spot] == [16] * 720 + [13] * 720
    for table in (um, spot):
        assert len({int(row[0].ljust(16, "0")) for row in table}) == 1440
        assert {int(row[6].ljust(16, "9")) - int(row[0].ljust(16, "0")) for row in table} == {59_999_999}


def test_headers_switch(spoiled: Any, connect: Connect) -> None:
    client = connect(spoiled({"path": "ALFAUSDT-1m-2026-01-03", "kind": "header_switch"}))
    assert rows(client.get(ZIP)[2])[0][0].isdigit()
    assert rows(client.get(SPOT_ZIP)[2])[0][0] == "open_time"


def test_a_symbol_is_renamed_in_mid_run(spoiled: Any, connect: Connect) -> None:
    exchange = spoiled({"path": "/fapi/v1/time", "kind": "rename", "symbol": "ALFAUSDT-um", "to": "OMEGAUSDT"})
    client, ask = connect(exchange), {"interval": "1h", "limit": 5}
    before = client.json("/fapi/v1/klines", symbol="ALFAUSDT", **ask)
    assert client.get("/fapi/v1/klines", symbol="OMEGAUSDT", **ask)[0] == 400
    client.get("/fapi/v1/time")
    assert json.loads(client.get("/fapi/v1/klines", symbol="ALFAUSDT", **ask)[2])["code"] == -1121
    assert client.json("/fapi/v1/klines", symbol="OMEGAUSDT", **ask) == before
    assert client.get(ZIP)[0] == 404
    assert client.get(ZIP.replace("ALFA", "OMEGA"))[0] == 200
    assert client.get("/api/v3/klines", symbol="ALFAUSDT", **ask)[0] == 200  # the spot pair keeps its name
    assert float(client.json("/fapi/v1/ticker/bookTicker", symbol="OMEGAUSDT")["bidPrice"]) > 0


def test_a_symbol_is_delisted_in_mid_run(spoiled: Any, connect: Connect, demo: SimulatedWorld) -> None:
    clock = [0.0]
    rule = {"path": "/fapi/v1/time", "kind": "delist", "symbol": "ALFAUSDT-um"}
    client = connect(spoiled(rule, tick=True, clock=lambda: clock[0]))
    clock[0] = 3600.0
    client.get("/fapi/v1/time")
    clock[0] = 7200.0
    listed = {row["symbol"]: row for row in client.json("/fapi/v1/exchangeInfo")["symbols"]}
    assert listed["ALFAUSDT"]["status"] == "SETTLING"
    assert listed["ALFAUSDT"]["deliveryDate"] == demo.now_ms + 3_600_000
    bars = client.json("/fapi/v1/klines", symbol="ALFAUSDT", interval="1m", limit=2)
    assert bars[-1][0] == demo.now_ms + 3_600_000 - 60_000
    assert json.loads(client.get("/fapi/v1/ticker/bookTicker", symbol="ALFAUSDT")[2])["code"] == -1122
    assert "ALFAUSDT" not in {row["symbol"] for row in client.json("/fapi/v1/ticker/24hr")}


def test_a_symbol_is_listed_in_mid_run(spoiled: Any, connect: Connect, demo: SimulatedWorld) -> None:
    clock = [0.0]
    rule = {"path": "/fapi/v1/time", "kind": "list", "symbol": "ALFAUSDT-um"}
    client = connect(spoiled(rule, tick=True, clock=lambda: clock[0]))
    ask = {"symbol": "ALFAUSDT", "interval": "1m", "limit": 500}
    assert client.get("/fapi/v1/klines", **ask)[0] == 400
    assert "ALFAUSDT" not in {row["symbol"] for row in client.json("/fapi/v1/exchangeInfo")["symbols"]}
    clock[0] = 3600.0
    client.get("/fapi/v1/time")
    assert client.json("/fapi/v1/klines", **ask) == []
    clock[0] = 3900.0
    assert [row[0] for row in client.json("/fapi/v1/klines", **ask)] == [
        demo.now_ms + 3_600_000 + k * 60_000 for k in range(5)
    ]
    listed = {row["symbol"]: row for row in client.json("/fapi/v1/exchangeInfo")["symbols"]}
    assert listed["ALFAUSDT"]["onboardDate"] == demo.now_ms + 3_600_000


@pytest.mark.parametrize(
    "rule",
    [
        {"path": "/x", "kind": "explode"},
        {"path": "/x", "kind": "delist"},
        {"path": "/x", "kind": "rename", "symbol": "A-um"},
        {"path": "/x", "kind": "html", "symbol": "A-um"},
        {"path": "/x", "kind": "delist", "symbol": "A-um", "to": "B"},
        {"path": "", "kind": "html"},
    ],
)
def test_a_rule_that_makes_no_sense_is_a_configuration_error(tmp_path: Path, rule: dict[str, Any]) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps([rule]))
    with pytest.raises(ConfigError, match=r"faults\.json"):
        load_faults(file)


def test_changes_come_along_with_the_first_fault_that_matches(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"path": "/k", "kind": "ban"}, {"path": "/k", "kind": "html", "times": 1}]')
    plan = load_faults(file)
    first, second = plan("/k"), plan("/k")
    assert first is not None
    assert (first.kind, [change.kind for change in first.changes]) == ("html", ["ban"])
    assert second is None
    assert plan("/x") is None
    assert Fault() == Fault(changes=())
