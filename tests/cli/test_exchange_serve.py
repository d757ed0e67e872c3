"""`huracan exchange serve` as a process: one line of JSON, answers on loopback, an end on SIGTERM."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from huracan.cli import demo
from huracan.errors import UpstreamError

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000


@contextmanager
def served(*arguments):
    command = [sys.executable, "-m", "huracan.cli.main", "exchange", "serve", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def asked(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def test_a_world_is_announced_in_one_line_and_ends_on_sigterm():
    with served("--world", "null", "--coins", 2, "--days", 3, "--json") as (process, urls):
        assert set(urls) == {"rest", "futures", "archive", "now", "stress"}
        assert urls["now"] == "2026-01-04T00:00:00Z"
        assert json.loads(Path(urls["stress"]).read_bytes())["kind"]
        assert asked(f"{urls['rest']}/api/v3/time")["serverTime"] % DAY_MS == 0
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


def test_an_attached_exchange_ends_with_the_process_that_started_it():
    line = [
        sys.executable,
        "-m",
        "huracan.cli.main",
        "exchange",
        "serve",
        "--world",
        "null",
        "--coins",
        "1",
        "--days",
        "2",
    ]
    script = (
        "import os, signal, subprocess, sys\n"
        f"subprocess.Popen({[*line, '--attached']!r}, stdin=subprocess.PIPE)\n"
        "sys.stdin.readline()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    urls = json.loads(starter.stdout.readline())
    assert asked(f"{urls['rest']}/api/v3/time")
    rest, _ = starter.communicate("go\n", timeout=60)  # ends only when the exchange has closed its stdout, too
    assert (starter.returncode, rest) == (-signal.SIGKILL, "")
    with pytest.raises(urllib.error.URLError):
        asked(f"{urls['rest']}/api/v3/time")


def test_recorded_candles_are_served_at_the_moment_asked_for(tmp_path):
    start = 1_767_225_600_000
    times = np.arange(start, start + 31 * DAY_MS, 3_600_000)
    folder = tmp_path / "um" / "BTCUSDT"
    folder.mkdir(parents=True)
    prices = {name: np.full(times.size, 100.0) for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"open_time": times, **prices}).write_parquet(folder / "1h.parquet")
    with served("--candles", tmp_path, "--now", "2026-01-20T00:00:00Z") as (_, urls):
        assert (urls["now"], urls["stress"]) == ("2026-01-20T00:00:00Z", None)
        rows = asked(f"{urls['futures']}/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=2")
        assert rows[-1][0] < start + 19 * DAY_MS


def test_the_demo_says_why_its_exchange_did_not_start():
    with pytest.raises(UpstreamError, match="coins is 2000"), demo.exchange("null", 2, 0, coins=2000):
        pass


def test_coins_alone_are_the_symbols_of_a_wide_world_with_the_real_limits_if_asked(tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text('[{"path": "/fapi/v1/time", "kind": "ban", "retry_after_s": 900}]')
    with served("--coins", 600, "--days", 2, "--limits", "--faults", faults) as (_, urls):
        assert urls["stress"] is None
        spot, um = (asked(f"{urls['rest']}/{root}/exchangeInfo")["symbols"] for root in ("api/v3", "fapi/v1"))
        assert len(spot) + len(um) == 600
        with pytest.raises(urllib.error.HTTPError) as caught:
            asked(f"{urls['rest']}/fapi/v1/time")
        assert (caught.value.code, caught.value.headers["Retry-After"]) == (418, "900")
        caught.value.close()
