"""`huracan lake fill` from a replay exchange: totals as one object, refusals by name, and nothing else needed."""

import json

import pytest

from huracan.cli.main import main
from huracan.domain.time import DAY_MS, day_iso
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exchange():
    world = simulate(WorldSpec(name="demo", coins=1, days=8, planted=0, interval_minutes=60))
    with ReplayExchange(world) as served:
        yield served


@pytest.fixture
def run(exchange, tmp_path, capsys):
    def command(*more):
        urls = exchange.urls
        keys = {"rest_url": urls["rest"], "futures_url": urls["futures"], "archive_url": urls["archive"]}
        places = [part for key, url in keys.items() for part in ("--set", f"binance.{key}={url}")]
        last = day_iso(exchange.view().now_ms // DAY_MS - 1)
        with pytest.raises(SystemExit) as ended:
            main(["lake", "fill", "--workdir", str(tmp_path), "--interval", "1h", "--to", last, *places, *more])
        return ended.value.code, capsys.readouterr().out

    yield command
    exchange.faults = None


def test_the_totals_are_one_object_and_a_second_fill_has_nothing_to_do(run):
    status, out = run("--json")
    body = json.loads(out)
    assert (status, body["success"], body["failed"]) == (0, True, {})
    assert body["files"] > 0
    assert body["rows"] > 0
    assert body["bytes"] > 0
    assert body["peak_memory_bytes"] > 0
    again = json.loads(run("--json")[1])
    assert (again["files"], again["rows"], again["symbols"]) == (0, 0, body["symbols"])


def test_a_symbol_that_failed_is_counted_by_code_and_shows_in_the_status(run, exchange):
    exchange.faults = lambda path: Fault(corrupt_checksum=True) if "/daily/klines/BTCUSDT/" in path else None
    status, out = run("--market", "um", "--symbols", "btcusdt,goneusdt")
    assert status == 3
    assert "2 symbols" in out
    assert "failed: CHECKSUM 1" in out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--market", "cm"], "um, spot or all"),
        (["--from", "2030-01-01"], "nothing lies between"),
        (["--symbols", "NOPEUSDT"], "NOPEUSDT"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(run, more, word):
    status, out = run("--json", *more)
    assert status == 2
    assert word in json.loads(out)["error"]
