"""The example bot against the replay exchange, hour by hour: it does what Hamilton says, within the caps, and survives restarts."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from nights import small_world, trust_variables, variables

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from examples.bot import Bot, open_bot, run  # noqa: E402
from examples.paper_account import Account, Position  # noqa: E402

from huracan.domain.time import DAY_MS, HOUR_MS, iso  # noqa: E402
from huracan.errors import UpstreamError  # noqa: E402
from huracan.hamilton import HamiltonInterface  # noqa: E402
from huracan.worlds.exchange import ReplayExchange  # noqa: E402

HOURS = 8
WORLD = small_world()


@pytest.fixture
def exchange(tmp_path):
    with ReplayExchange(WORLD, stress_file=tmp_path / "stress.json") as running:
        yield running


@pytest.fixture
def trust(finished_night, tmp_path):
    with variables({**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "state")}) as _:
        yield


def opened(night, exchange, folder, *, candidates=True) -> Bot:
    return open_bot(str(night.store), exchange.urls["rest"], folder, 10_000.0, candidates=candidates)


def hours(bot, exchange, first, last, *, restart=None):
    """Step the exchange's clock through the hours; `restart` makes a new bot after each of them."""
    seen = []

    async def walk():
        current = bot
        for hour in range(first, last):
            exchange._source = WORLD.at(WORLD.now_ms + hour * HOUR_MS)
            try:
                at = await current.step()
            finally:
                if restart is not None or hour == last - 1:
                    await current.market.aclose()
            seen.append((at, {key: position.fraction for key, position in current.account.positions.items()}))
            current = restart() if restart is not None else current
        return current

    return asyncio.run(walk()), seen


def journal(folder):
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_a_working_day_is_traded_within_the_caps_and_the_books_add_up(finished_night, exchange, trust, tmp_path):
    folder = tmp_path / "paper"
    bot = opened(finished_night, exchange, folder)
    bot, seen = hours(bot, exchange, 0, HOURS)
    lines = journal(folder)
    assert [at for at, _ in seen] == [WORLD.now_ms + hour * HOUR_MS for hour in range(HOURS)]
    kinds = {line["action"] for line in lines}
    assert {"enter", "roll"} <= kinds
    assert kinds <= {"enter", "roll", "turn", "close", "silent", "halted", "hold", "pass"}
    cells = {f"{member.coin}_{member.horizon}" for member in bot.hamilton.get_members()}
    told = [(line["time"], line["cell"]) for line in lines]
    assert sorted(told) == sorted({(iso(at), key) for at, _ in seen for key in cells}), "one line a cell and decision"
    assert all(line["code"] and line["reason"] for line in lines)
    members = bot.hamilton.get_members()
    largest = sum(bot.hamilton.load_model(m.coin, m.horizon)[0].decision.largest_position for m in members)
    for _, positions in seen:
        assert sum(abs(value) for value in positions.values()) <= bot.inputs.gross_cap_share * largest * (1 + 1e-12)
        assert abs(sum(positions.values())) <= bot.inputs.net_cap_share * largest * (1 + 1e-12)
    assert bot.account.costs == pytest.approx(sum(line.get("cost", 0.0) for line in lines))
    assert bot.account.pnl == pytest.approx(recomputed(bot, lines, seen))
    assert bot.account.pnl != 0.0


def recomputed(bot, lines, seen):
    """The account's result from the journal and the bars alone."""
    unit = 10_000.0 / len(bot.hamilton.get_members())
    names = {f"{m.coin}_{m.horizon}": m.instrument for m in bot.hamilton.get_members()}
    closes = {
        name: dict(zip((frame["open_time"] + bot.feed.interval_ms).to_list(), frame["close"].to_list(), strict=True))
        for name, frame in bot.feed.bars.items()
    }
    entries = {(line["cell"], line["time"]): line["price"] for line in lines if line["action"] in {"enter", "turn"}}
    total = -sum(line.get("cost", 0.0) for line in lines)
    for key, name in names.items():
        entry = None
        for (at, held), (later, _) in pairwise(seen):
            entry = entries.get((key, iso(at)), entry)
            if key in held:
                rates = bot.feed.funding[name].filter(pl.col("funding_time").is_between(at + 1, later))["rate"]
                paid = float(rates.sum())
                total += unit * held[key] * ((closes[name][later] - closes[name][at]) / entry - paid)
    return total


def test_a_bot_restarted_every_hour_ends_with_the_same_account(finished_night, exchange, trust, tmp_path):
    whole, _ = hours(opened(finished_night, exchange, tmp_path / "a"), exchange, 0, 4)

    def again():
        return opened(finished_night, exchange, tmp_path / "b")

    other = {**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "other-state")}
    with variables(other):  # these hours have not been seen there
        hours(again(), exchange, 0, 4, restart=again)
    assert Account.load(tmp_path / "b", 0.0) == whole.account
    assert [line for line in journal(tmp_path / "a") if line["action"] != "silent"] == [
        line for line in journal(tmp_path / "b") if line["action"] != "silent"
    ]


def test_the_same_decision_is_taken_once(finished_night, exchange, trust, tmp_path):
    bot = opened(finished_night, exchange, tmp_path / "paper")
    before = HOURS

    async def twice():
        exchange._source = WORLD.at(WORLD.now_ms + before * HOUR_MS)
        first = await bot.step()
        size = len(journal(tmp_path / "paper"))
        exchange._source = WORLD.at(WORLD.now_ms + before * HOUR_MS + HOUR_MS // 2)
        second = await bot.step()
        await bot.market.aclose()
        return first, second, size

    first, second, size = asyncio.run(twice())
    assert (first, second) == (WORLD.now_ms + before * HOUR_MS, None)
    assert len(journal(tmp_path / "paper")) == size


def test_what_the_bot_enters_is_what_hamilton_said(finished_night, exchange, trust, tmp_path):
    bot = opened(finished_night, exchange, tmp_path / "paper", candidates=False)
    said = {}
    original = bot.hamilton.predict_bars

    def heard(coin, horizon, *rest, **named):
        said[f"{coin}_{horizon}"] = original(coin, horizon, *rest, **named)
        return said[f"{coin}_{horizon}"]

    bot.hamilton.predict_bars = heard
    _, seen = hours(bot, exchange, 0, 1)
    champions = {f"{row['coin']}_{row['horizon']}" for row in finished_night.result["champions"].values()}
    positions = seen[0][1]
    assert positions
    assert set(positions) == {key for key, result in said.items() if result.position_fraction}
    assert set(positions) <= champions
    scales = {round(positions[key] / said[key].position_fraction, 9) for key in positions}
    assert len(scales) == 1
    assert 0.0 < scales.pop() <= 1.0


def test_a_blocked_coin_opens_nothing_and_what_is_held_closes_when_due(finished_night, exchange, trust, tmp_path):
    folder = tmp_path / "paper"
    _, seen = hours(opened(finished_night, exchange, folder), exchange, 0, 1)
    held = next(iter(seen[0][1]))
    coin = held.rpartition("_")[0]
    HamiltonInterface(finished_night.store).add_blocked_coin(coin, "the owner says so")
    _, seen = hours(opened(finished_night, exchange, folder), exchange, 1, 4)
    assert all(held not in positions for _, positions in seen)
    lines = [line for line in journal(folder) if line["cell"] == held]
    assert [line["action"] for line in lines if line["action"] not in {"hold", "pass"}] == ["enter", "close"]
    assert "the owner says so" in next(line["reason"] for line in lines if line["action"] == "pass")


@pytest.mark.parametrize("age_ms", [48 * HOUR_MS + 1, 5 * DAY_MS])
def test_a_stale_or_expired_set_opens_nothing(finished_night, exchange, trust, tmp_path, age_ms):
    bot = opened(finished_night, exchange, tmp_path / "paper")
    bot.times.ahead_ms = age_ms
    _, seen = hours(bot, exchange, 0, 2)
    assert [positions for _, positions in seen] == [{}, {}]


def test_a_coin_without_new_bars_is_halted_and_its_position_stays(finished_night, exchange, trust, tmp_path):
    folder = tmp_path / "paper"
    bot = opened(finished_night, exchange, folder)
    champion = next(iter(finished_night.result["champions"].values()))
    lost = next(m for m in bot.hamilton.get_members() if m.coin == champion["coin"] and m.coin != "BTC").instrument
    fetch = bot.market.fetch

    async def without(instrument, *rest):
        away = instrument.id == lost and exchange.view().now_ms > WORLD.now_ms
        async for batch in fetch(instrument, *rest):
            if not (away and batch.kind == "bars"):
                yield batch

    bot.market.fetch = without
    _, seen = hours(bot, exchange, 0, 3)
    key = f"{champion['coin']}_{champion['horizon']}"
    halted = [line for line in journal(folder) if line["action"] == "halted" and line["cell"] == key]
    assert len(halted) == 2
    assert halted[0]["reason"].startswith(f"HALTED: {lost} was not traded for 60 minutes")
    assert {positions.get(key) for _, positions in seen} == {seen[0][1].get(key)}, "nothing fills in a halted market"
    assert seen[-1][1]


def test_a_day_that_loses_too_much_is_over_until_the_next(finished_night, exchange, trust, tmp_path):
    bot, seen = hours(opened(finished_night, exchange, tmp_path / "paper"), exchange, 0, 1)
    key = next(iter(seen[0][1]))
    unit = bot.account.capital / len(bot.hamilton.get_members())
    said = {
        "entries_open": True, "blocked_codes": (), "stale": False, "position_fraction": 0.1, "edge_bps": 9.0,
        "net_edge_bps": 3.0, "score": 0.6, "direction": "long",
    }  # fmt: skip
    forecast = type("F", (), said)()
    bot.account.day_pnl[key] = -bot.inputs.daily_loss_stop * unit
    assert bot._wanted(key, forecast, unit, bot.account.last_decision_ms + HOUR_MS)[:2] == (0.0, "DAY_LOSS")
    bot.account.begin(bot.account.last_decision_ms + DAY_MS)
    assert bot._wanted(key, forecast, unit, bot.account.last_decision_ms).fraction == seen[0][1][key]


def test_a_cell_that_left_the_set_is_closed_when_due_at_a_cost(finished_night, exchange, trust, tmp_path):
    folder = tmp_path / "paper"
    account = Account(capital=10_000.0)
    gone = Position("BTCUSDT-um", 0.1, 100.0, 100.0, WORLD.now_ms, WORLD.now_ms)
    account.positions["GONE_1h"] = gone
    folder.mkdir()
    account.end(folder, WORLD.now_ms - HOUR_MS)
    bot, seen = hours(opened(finished_night, exchange, folder), exchange, 0, 1)
    assert "GONE_1h" not in seen[0][1]
    closed = next(line for line in journal(folder) if line["cell"] == "GONE_1h")
    assert closed["action"] == "close"
    assert closed["cost"] == pytest.approx(10_000.0 / len(bot.hamilton.get_members()) * 0.1 * 20e-4)


def command(*arguments, **changes):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HURACAN_")} | changes
    return subprocess.run(
        [sys.executable, "-m", "examples.bot", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_the_command_trades_on_paper_and_only_on_paper(finished_night, exchange, tmp_path):
    trust = {**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "state")}
    common = ["--store", finished_night.store, "--exchange", exchange.urls["rest"], "--folder", tmp_path / "paper"]
    refused = command(*common, "--steps", 1, **trust)
    assert refused.returncode == 2
    assert "--paper" in refused.stderr
    done = command(*common, "--paper", "--candidates", "--steps", 1, "--poll", 0.1, **trust)
    assert done.returncode == 0, done.stderr
    assert "positions, equity" in done.stdout
    assert json.loads((tmp_path / "paper" / "account.json").read_text())["last_decision_ms"] == WORLD.now_ms
    nowhere = command("--store", tmp_path / "none", "--paper", **trust)
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith(f"MODEL_LOAD: there is no store at {tmp_path / 'none'}")


def test_without_a_network_the_bot_says_so_once_a_minute_in_plain_words(finished_night, tmp_path):
    trust = {**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "state")}
    with socket.socket() as taken:  # bound and not listening: nothing answers there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with_signals = ["env", "--default-signal=INT"]  # a suite that runs in the background ignores it
        process = subprocess.Popen(
            [*with_signals, sys.executable, "-m", "examples.bot", "--store", str(finished_night.store),
             "--exchange", url, "--paper", "--candidates", "--folder", str(tmp_path / "paper"), "--poll", "0.1"],
            cwd=ROOT, env={**os.environ, **trust}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        first = [process.stderr.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert first[0].startswith("UPSTREAM: no decision was possible: ")
    assert "goes on trying" in first[1]
    assert "Check the network" in first[2]
    assert "retry_scheduled" not in "".join(first) + out
    assert process.returncode == 0
    assert (tmp_path / "paper" / "journal.jsonl").read_text() == ""


def test_an_exchange_that_stays_away_is_named_once_a_minute(capsys):
    tries = []

    class Away:
        market = type("M", (), {"aclose": staticmethod(lambda: asyncio.sleep(0))})()

        async def step(self):
            tries.append(1)
            if len(tries) > 5:
                return 0
            raise UpstreamError("nobody answers")

    asyncio.run(run(Away(), 1, 0.0))
    assert len(tries) == 6
    assert capsys.readouterr().err.count("UPSTREAM") == 1
