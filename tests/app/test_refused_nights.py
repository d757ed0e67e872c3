"""Nights that must not happen, and jobs that die: yesterday's champions stay, and the code says why."""

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from invariants import Case
from live_bars import silenced
from nights import (
    accounted,
    in_this_process,
    later,
    ledger_rows,
    night_settings,
    read_night,
    run_pipeline,
    small_world,
    tree_hashes,
)

import huracan.app.wiring
import huracan.app.worker
from huracan.adapters.dashboard.reading import newest_report
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.export.trust import verify_tree
from huracan.hamilton.source import FolderSource
from huracan.promotion.hypothesis import RowKind
from huracan.reports.story import read_morning
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault
from huracan.worlds.simulated import SimulatedWorld

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Silenced:
    """A market in which some instruments have printed no bar since a moment, while their quotes go on."""

    world: SimulatedWorld
    since_ms: int
    coins: tuple[str, ...]

    def __getattr__(self, name):
        return getattr(self.world, name)

    def klines(self, id, start_ms, end_ms):  # noqa: A002
        silent = any(id.startswith(f"{coin}USDT") for coin in self.coins)
        return self.world.klines(id, start_ms, min(end_ms, self.since_ms) if silent else end_ms)


@dataclass(frozen=True)
class Halted(Silenced):
    """A market in which nobody has traded some instruments since a moment: the exchange goes on sending flat bars."""

    def klines(self, id, start_ms, end_ms):  # noqa: A002
        bars = self.world.klines(id, start_ms, end_ms)
        if not any(id.startswith(f"{coin}USDT") for coin in self.coins):
            return bars
        before = self.world.klines(id, self.since_ms - HOUR_MS, self.since_ms)
        return silenced(bars, self.since_ms, before["close"][-1])


@pytest.fixture(scope="module")
def world():
    return small_world()


@pytest.fixture
def yesterday(finished_night, tmp_path):
    """A copy of the shared night to go on from, the next day."""
    folder = tmp_path / "night"
    shutil.copytree(finished_night.folder, folder)
    for link in folder.rglob("*.lock"):
        link.unlink()
    return folder


@pytest.fixture
def next_night(yesterday, world):
    """Runs the night after the shared one on a market that may misbehave."""

    def run(source=None, **changes):
        tomorrow = later(world, 1)
        with ReplayExchange(
            source or tomorrow, stress_file=yesterday / "stress.json", faults=changes.pop("faults", None)
        ) as exchange:
            return run_pipeline(yesterday, night_settings(exchange.urls, **changes))

    return run


def models(folder):
    return tree_hashes(folder / "workdir" / "store" / "models")


def metadata(folder):
    return tree_hashes(folder / "workdir" / "store" / "metadata")


def evidence(folder):
    return ledger_rows(folder / "workdir" / "ledger.sqlite")


def refused(yesterday, finished_night, result, code):
    """Nothing promoted, nothing written, and the code in the result and its summary."""
    assert result["success"] is False
    assert result["code"] == code
    assert result["error"].startswith(f"{code}: ")
    assert result["champions"] == result["export_results"] == {}
    assert [error["code"] for error in result["summary"]["errors"]] == [code]
    assert models(yesterday) == models(finished_night.folder)
    assert metadata(yesterday) == metadata(finished_night.folder)
    assert evidence(yesterday) == evidence(finished_night.folder)


# Stale data


@pytest.mark.guarantee("R8")
def test_a_coin_whose_bars_stop_is_stale_and_keeps_yesterdays_champion(next_night, yesterday, finished_night, world):
    tomorrow = later(world, 1)
    with in_this_process():
        result, telemetry = next_night(Silenced(tomorrow, tomorrow.now_ms - 5 * HOUR_MS, ("ALFA",)))
    assert result["success"], result.get("error")
    accounted(result)
    kept = result["champions"]["ALFA_1h"]
    assert (kept["status"], kept["version"]) == ("kept", 1)
    assert kept["reason"] == "newest bar is too old (minutes)"
    assert result["champions"]["BRAVO_1h"]["version"] == 2
    spot = next(skip for skip in result["skipped"] if skip["coin"] == "ALFAUSDT-spot")
    assert (spot["code"], spot["wanted"]) == ("STALE", 180.0)
    assert spot["measured"] == pytest.approx(300.0, abs=30.0)
    assert telemetry.at_level("error") == []
    story = read_morning(result["summary"])
    assert any("their newest bars are too old" in text for text in story.missing)
    assert story.changes != ("There is no earlier night to compare with.",)
    assert any(text.endswith("came from the cache.") for text in story.cost)


@pytest.mark.guarantee("R8")
def test_a_coin_that_is_halted_at_the_cut_off_gets_no_champion_and_yesterdays_is_retired(
    next_night, yesterday, finished_night, world
):
    assert "ALFA_1h" in finished_night.result["champions"]
    tomorrow = later(world, 1)
    with in_this_process():
        result, telemetry = next_night(Halted(tomorrow, tomorrow.now_ms - 20 * HOUR_MS, ("ALFA",)))
    assert result["success"], result.get("error")
    accounted(result)
    assert not {"ALFA_1h", "ALFA_4h"} & {*result["champions"], *result["candidates"]}
    skips = [skip for skip in result["skipped"] if skip["coin"] == "ALFA"]
    assert {skip["code"] for skip in skips} == {"HALTED"}
    assert {(skip["measured"], skip["wanted"]) for skip in skips} == {(1200.0, 180.0)}
    (age,) = [row["age_minutes"] for row in telemetry.named("pair_ingested") if row["coin"] == "ALFA"]
    assert age == 1200.0
    case = Case(yesterday)
    current = verify_tree(FolderSource(case.store).read, case.root).current
    assert not [member for member in current.members.values() if member.coin == "ALFA"]
    assert {row.coin: row.code for row in current.do_not_trade}["ALFA"] == "HALTED"
    assert result["champions"]["BRAVO_1h"]["version"] == 2


@pytest.mark.guarantee("R8")
def test_too_many_stale_coins_refuse_the_night(next_night, yesterday, finished_night, world):
    tomorrow = later(world, 1)
    with in_this_process():
        silent = Silenced(tomorrow, tomorrow.now_ms - 5 * HOUR_MS, ("ALFA", "BRAVO", "CHARLIE", "DELTA"))
        result, telemetry = next_night(silent)
    refused(yesterday, finished_night, result, "STALE")
    assert telemetry.named("run_refused")
    with SqliteLedger(yesterday / "workdir" / "ledger.sqlite") as ledger:
        run = ledger.runs()[-1]
    assert run.status == "refused"
    page = Path(result["report"])
    assert page == newest_report(yesterday / "workdir")
    assert page.parent.name == run.run_id
    assert result["summary"]["verdict"].startswith("The night was refused (STALE): ")
    assert "Nothing was promoted and nothing was signed" in page.read_text()
    found = json.loads((yesterday / "workdir" / "reports" / run.run_id / "integrity.json").read_text())
    assert {row["coin"] for row in found["refused"] if row["code"] == "STALE"} >= {"ALFA", "BRAVO", "CHARLIE", "DELTA"}


# No exchange


def test_an_unreachable_exchange_refuses_the_night(yesterday, finished_night, world):
    with ReplayExchange(world, stress_file=yesterday / "stress.json") as exchange:
        urls = dict(exchange.urls)
    with in_this_process():
        result, _ = run_pipeline(yesterday, night_settings(urls, binance__total_timeout_s=2))
    refused(yesterday, finished_night, result, "UPSTREAM")


def test_an_exchange_that_loses_one_coins_files_costs_that_coin_alone(next_night, yesterday):
    def faults(path):
        return Fault(status=500) if "BRAVOUSDT" in path and ("klines" in path or "data/" in path) else None

    with in_this_process():
        result, _ = next_night(faults=faults, binance__total_timeout_s=1)
    assert result["success"], result.get("error")
    accounted(result)
    assert (result["champions"]["BRAVO_1h"]["status"], result["champions"]["BRAVO_1h"]["version"]) == ("kept", 1)
    assert result["champions"]["ALFA_1h"]["version"] == 2


@pytest.mark.parametrize(("away", "void"), [(("BRAVO",), False), (("BRAVO", "CHARLIE", "DELTA"), True)])
def test_a_day_on_which_the_exchange_lost_more_than_a_fifth_of_a_pool_is_void(next_night, yesterday, world, away, void):
    def faults(path):
        lost = any(f"{coin}USDT" in path for coin in away)
        return Fault(status=500) if lost and ("klines" in path or "data/" in path) else None

    with in_this_process():
        result, _ = next_night(later(world, 2), faults=faults, binance__total_timeout_s=1)
    assert result["success"], result.get("error")
    accounted(result)
    (pool,) = [pool for pool in result["summary"]["pools"] if pool["pool"] == "um-A"]
    assert set(away).isdisjoint(pool["members"])
    assert is_champion(yesterday) == (True, void)


def test_a_day_on_which_more_than_a_fifth_of_a_pool_is_stale_is_void(next_night, yesterday, world):
    after = later(world, 2)
    with in_this_process():
        result, _ = next_night(Silenced(after, after.now_ms - 5 * HOUR_MS, ("CHARLIE", "DELTA")))
    assert result["success"], result.get("error")
    assert {skip["coin"] for skip in result["skipped"] if skip["code"] == "STALE"} <= {"CHARLIE", "DELTA"}
    assert result["champions"]["CHARLIE_1h"]["status"] == "kept"
    assert is_champion(yesterday) == (True, True)


def is_champion(folder):
    """Whether the champion of um-A has a row of tonight, and whether its day is void."""
    with SqliteLedger(folder / "workdir" / "ledger.sqlite") as ledger:
        records = ledger.load_state().records.values()
    (row,) = [record.rows[-1] for record in records if record.lineage.pool == "um-A"]
    return row.kind is RowKind.CHAMPION, row.net_bps is None


# Jobs and workers that die


def dying_job(job):
    """`run_pair_job`, but whatever works on CHARLIE's features is killed as the kernel kills for memory."""
    if job.coin == "CHARLIE" and job.payload["task"]["wave"] == "prepare":
        os.kill(os.getpid(), signal.SIGKILL)
    return huracan.app.worker.run_pair_job(job)


@pytest.mark.guarantee("R3")
def test_a_killed_worker_costs_its_own_pair_and_keeps_its_champion(next_night, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(huracan.app.wiring, "run_pair_job", sent_to_workers(dying_job, monkeypatch))
    result, _ = next_night(training__num_workers=2)
    assert result["success"], result.get("error")
    accounted(result)
    kept = result["champions"]["CHARLIE_1h"]
    assert (kept["status"], kept["version"]) == ("kept", 1)
    assert {row["version"] for key, row in result["champions"].items() if key != "CHARLIE_1h"} == {2}
    assert [(error["coin"], error["code"]) for error in result["summary"]["errors"]] == [("CHARLIE", "WORKER_LOST")]


def sent_to_workers(function, monkeypatch):
    """The function under a name that worker processes can import."""
    import importlib
    import sys

    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    return getattr(importlib.import_module(Path(__file__).stem), function.__name__)


def test_a_job_that_raises_costs_its_own_pair(next_night, monkeypatch):
    def failing(job):
        if job.coin == "DELTA" and job.payload["task"]["wave"] == "train":
            message = "no such thing"
            raise ZeroDivisionError(message)
        return huracan.app.worker.run_pair_job(job)

    monkeypatch.setattr(huracan.app.wiring, "run_pair_job", failing)
    result, _ = next_night()
    assert result["success"], result.get("error")
    accounted(result)
    assert (result["champions"]["DELTA_1h"]["status"], result["champions"]["DELTA_1h"]["version"]) == ("kept", 1)
    error = next(error for error in result["summary"]["errors"] if error["coin"] == "DELTA")
    assert error["code"] == "JOB_FAILED"
    assert "no such thing" in error["error"]


def test_a_deadline_before_training_keeps_every_champion_and_judges_nothing(next_night, yesterday, monkeypatch):
    run = huracan.app.wiring.OrchestratedWaves.run

    async def late(self, plan, work):
        if work[0].task.wave == "train":
            self.deadline_ms = 1
        return await run(self, plan, work)

    before = evidence(yesterday)["lineage_rows"]
    monkeypatch.setattr(huracan.app.wiring.OrchestratedWaves, "run", late)
    result, _ = next_night(training__num_workers=2)
    assert result["success"], result.get("error")
    accounted(result)
    assert {(row["status"], row["version"]) for row in result["champions"].values()} == {("kept", 1)}
    assert len(result["champions"]) > 1
    trained = {skip["code"] for skip in result["skipped"] if skip["step"] >= 5}
    assert trained == {"DEADLINE"}
    assert evidence(yesterday)["lineage_rows"] == before


@pytest.mark.guarantee("R9")
def test_a_damaged_file_quarantines_its_own_pair_and_the_summary_counts_it(next_night):
    def damaged(path):
        return Fault(corrupt_checksum=True) if "/daily/klines/DELTAUSDT/" in path else None

    result, telemetry = next_night(faults=damaged)
    assert result["success"], result.get("error")
    accounted(result)
    assert {error["coin"] for error in result["summary"]["errors"]} == {"DELTA"}
    assert {error["code"] for error in result["summary"]["errors"]} == {"CHECKSUM"}
    assert (result["champions"]["DELTA_1h"]["status"], result["champions"]["DELTA_1h"]["version"]) == ("kept", 1)
    assert [row["coin"] for row in telemetry.named("job_failed")] == ["DELTA"]
    assert not telemetry.named("job_retried"), "three fetches are enough"


# Two at once


@pytest.mark.guarantee("R17")
def test_a_second_run_at_once_is_locked_out_and_changes_nothing(next_night, yesterday, finished_night):
    with FolderStore(yesterday / "workdir" / "store"), in_this_process():
        result, _ = next_night()
    refused(yesterday, finished_night, result, "LOCKED")


def test_the_shared_night_is_as_it_was(finished_night):
    again = read_night(finished_night.folder)
    assert again.result == finished_night.result
    assert evidence(finished_night.folder)["lineages"]
