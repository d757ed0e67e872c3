"""The exchange as a server: addresses, faults, clocks, connections, and the process of `exchange serve`."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.errors import ConfigError
from huracan.worlds.candles import CandleDirectory
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault, load_faults
from huracan.worlds.serve import open_source, serve
from huracan.worlds.simulated import SimulatedWorld, simulate
from huracan.worlds.spec import SPARE_DAYS, WorldSpec

from .conftest import Client

Connect = Callable[[ReplayExchange], Client]


def test_urls_name_the_parts_the_clock_and_the_stress_file(exchange: ReplayExchange, demo: SimulatedWorld) -> None:
    urls = exchange.urls
    assert set(urls) == {"rest", "futures", "archive", "now", "stress"}
    assert urls["rest"].startswith("http://127.0.0.1:")
    assert urls["now"] == "2026-02-10T00:00:00Z"
    assert json.loads(Path(urls["stress"] or "").read_text()) == demo.stress_table()


def test_closing_removes_the_server_s_folder_and_leaves_a_named_stress_file(
    demo: SimulatedWorld, tmp_path: Path
) -> None:
    with ReplayExchange(demo) as running:
        folder = Path(running.urls["stress"] or "").parent
        assert folder.is_dir()
    assert not folder.exists()
    with ReplayExchange(demo, stress_file=tmp_path / "stress.json"):
        pass
    assert (tmp_path / "stress.json").exists()


def test_a_taken_port_is_a_configuration_error(exchange: ReplayExchange, demo: SimulatedWorld) -> None:
    port = int(exchange.urls["rest"].rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port}"):
        ReplayExchange(demo, port=port)


def test_one_connection_serves_many_requests_and_head(client: Client) -> None:
    client.get("/api/v3/time")
    before = client.connection.sock
    status, headers, body = client.get("/api/v3/time", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    assert client.get("/fapi/v1/time")[0] == 200
    assert client.connection.sock is before


def test_closing_ends_an_idle_connection(demo: SimulatedWorld, connect: Connect) -> None:
    with ReplayExchange(demo) as running:
        client = connect(running)
        client.get("/api/v3/time")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.get("/api/v3/time")


def test_faults_replace_delay_truncate_and_falsify(demo: SimulatedWorld, connect: Connect) -> None:
    path = "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-01-03.zip"
    todo: dict[str, Fault] = {}
    with ReplayExchange(demo, faults=todo.get) as running:
        client = connect(running)
        whole, line = client.get(path)[2], client.get(path + ".CHECKSUM")[2]
        todo["/api/v3/time"] = Fault(status=418, retry_after_s=120)
        status, headers, body = client.get("/api/v3/time")
        assert (status, headers["retry-after"]) == (418, "120")
        assert json.loads(body)["code"] == -1003
        todo["/api/v3/time"] = Fault(status=503)
        status, headers, _ = client.get("/api/v3/time")
        assert status == 503
        assert "retry-after" not in headers
        todo["/api/v3/time"] = Fault(delay_s=0.01)
        assert client.get("/api/v3/time")[0] == 200
        todo[path + ".CHECKSUM"] = Fault(corrupt_checksum=True)
        false = client.get(path + ".CHECKSUM")[2]
        assert false[:64] != line[:64]
        assert false[64:] == line[64:]
        todo[path] = Fault(truncate=1000)
        client.connection.request("GET", path)
        answer = client.connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert cut.value.partial == whole[:1000]


def test_a_fault_file_applies_its_first_matching_rule_as_often_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(
        '[{"path": "/klines", "status": 429, "retry_after_s": 1, "times": 2}, {"path": "/k", "truncate": 3}]'
    )
    hook = load_faults(file)
    assert [hook("/api/v3/klines?x=1") for _ in range(3)] == [
        *(Fault(status=429, retry_after_s=1), Fault(status=429, retry_after_s=1), Fault(truncate=3))
    ]
    assert hook("/api/v3/time") is None
    for text in ("{", '[{"path": "x", "colour": 1}]', '{"path": "x"}'):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"faults\.json"):
            load_faults(file)
    with pytest.raises(ConfigError):
        load_faults(tmp_path / "none.json")


def test_a_ticking_clock_runs_and_stops_where_the_future_ends(demo: SimulatedWorld, connect: Connect) -> None:
    seconds = [1000.0]
    with ReplayExchange(demo, tick=True, clock=lambda: seconds[0]) as running:
        client = connect(running)
        assert client.json("/api/v3/time")["serverTime"] == demo.now_ms
        seconds[0] += 90
        assert client.json("/api/v3/time")["serverTime"] == demo.now_ms + 90_000
        rows = client.json("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=3)
        assert [row[0] - demo.now_ms for row in rows] == [-MINUTE_MS, 0, MINUTE_MS]
        assert rows[2][1] == rows[2][4]
        seconds[0] += SPARE_DAYS * DAY_MS
        frozen = client.json("/api/v3/time")["serverTime"]
        assert frozen == client.json("/fapi/v1/time")["serverTime"] == demo.now_ms + SPARE_DAYS * DAY_MS


def test_a_mid_bar_exchange_includes_the_unclosed_bar(demo: SimulatedWorld, connect: Connect) -> None:
    with ReplayExchange(demo.at(demo.now_ms - 15 * MINUTE_MS - 1)) as running:
        client = connect(running)
        now = client.json("/api/v3/time")["serverTime"]
        for interval in ("1m", "1h"):
            last = client.json("/fapi/v1/klines", symbol="ALFAUSDT", interval=interval, limit=2)[-1]
            assert last[0] < now <= last[6]


def test_many_clients_at_once_get_what_one_gets(exchange: ReplayExchange, connect: Connect) -> None:
    paths = [
        f"/data/futures/um/daily/klines/{base}USDT/1m/{base}USDT-1m-2026-01-07.zip" for base in ("BTC", "ALFA", "DELTA")
    ]
    clients = [connect(exchange) for _ in range(6)]
    got: list[list[bytes]] = [[] for _ in clients]

    def work(number: int) -> None:
        got[number] = [clients[number].get(path)[2] for path in paths]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == got[0] for answer in got)
    assert all(len(body) > 1000 for body in got[0])


def test_a_source_is_one_market_at_one_moment(tmp_path: Path) -> None:
    market = open_source(world="null", coins=2, days=5, seed=3, now="2026-01-04T12:00:00Z")
    assert isinstance(market, SimulatedWorld)
    assert market.spec == WorldSpec(name="null", coins=2, days=5, seed=3)
    assert market.now_ms == market.spec.now_ms - 36 * 3_600_000
    for wrong in ({}, {"world": "null", "candles": tmp_path}, {"world": "null", "book": tmp_path}):
        with pytest.raises(ConfigError, match="--candles"):
            open_source(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="outside"):
        open_source(world="null", days=5, now="2027-01-01")


def test_a_source_can_be_recorded_candles(tmp_path: Path) -> None:
    spec = simulate(WorldSpec(name="null", coins=1, days=2))
    target = tmp_path / "um/BTCUSDT/1m.parquet"
    target.parent.mkdir(parents=True)
    spec.klines("BTCUSDT-um", 0, 2**62).write_parquet(target)
    market = open_source(candles=tmp_path)
    assert isinstance(market, CandleDirectory)
    assert market.klines("BTCUSDT-um", 0, 2**62).equals(spec.klines("BTCUSDT-um", 0, 2**62))


@pytest.mark.slow
def test_serve_announces_itself_in_one_json_line_and_ends_on_sigterm(tmp_path: Path) -> None:
    code = (
        "from huracan.worlds.serve import open_source, serve\n"
        "from pathlib import Path\n"
        "serve(open_source(world='null', coins=2, days=2), port=0, tick=False, stress_file=Path('stress.json'))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path, text=True) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        connection = http.client.HTTPConnection(urls["futures"].removeprefix("http://"), timeout=30)
        connection.request("GET", "/fapi/v1/time")
        assert json.loads(connection.getresponse().read())["serverTime"] == 1_767_225_600_000 + 2 * DAY_MS
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == ""
    assert json.loads((tmp_path / "stress.json").read_text())["kind"] == "world"


def test_serve_restores_signal_handlers_and_stops_on_sigint(
    demo: SimulatedWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text("[]")
    before = signal.getsignal(signal.SIGINT)

    class Interrupting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            os.kill(os.getpid(), signal.SIGINT)
            return super().wait(timeout)

    from huracan.worlds import serve as module

    class Threading:
        Event = Interrupting

    monkeypatch.setattr(module, "threading", Threading)
    serve(demo, port=0, tick=False, stress_file=None, faults_file=faults)
    assert json.loads(capsys.readouterr().out)["now"] == "2026-02-10T00:00:00Z"
    assert signal.getsignal(signal.SIGINT) is before
