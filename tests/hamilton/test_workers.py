"""Workers answer as their parent does, or say at once what to do: forked and spawned, cold and warm."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from live_bars import NAMES, publish_live, random_bars

from huracan.hamilton import forks

SCRIPT = Path(__file__).parents[1] / "support" / "asking_worker.py"
WAIT_S = 300


@pytest.fixture
def told(world, factory, tmp_path):
    """Runs the script of a bot with one worker; what its parent and its worker answered."""
    publish_live(world, factory)
    random_bars(factory.CUTOFF).write_parquet(tmp_path / "bars.parquet")

    def run(**how):
        arguments = {
            "store": str(world.root), "root": str(world.trusted), "state": str(tmp_path / "state"),
            "bars": str(tmp_path / "bars.parquet"), "at": factory.CUTOFF, "now_ms": world.now, "wait_s": WAIT_S,
            "features": dict.fromkeys(NAMES, 0.5), "opened": False, **how,
        }  # fmt: skip
        command = [sys.executable, "-W", "ignore", str(SCRIPT), json.dumps(arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.slow
@pytest.mark.guarantee("H9")
def test_a_spawned_worker_of_a_warm_parent_answers_as_the_parent(told):
    answers = told(start="spawn", warm=True)
    assert answers["worker"] == answers["parent"]
    assert answers["worker"].keys() == {"features", "bars"}


@pytest.mark.slow
@pytest.mark.guarantee("H9")
@pytest.mark.parametrize("opened", [False, True])
def test_workers_of_a_cold_parent_answer_whether_forked_or_spawned(told, opened, counted):
    spawned = told(start="spawn", warm=False, opened=opened)
    forked = told(start="fork", warm=False, opened=opened)
    assert forked == spawned
    assert forked["worker"].keys() == {"features", "bars"}
    counted(2)


@pytest.mark.slow
@pytest.mark.guarantee("H9")
def test_a_forked_worker_of_a_warm_parent_says_at_once_what_to_do(told):
    answers = told(start="fork", warm=True)
    assert answers["worker"]["features"] == answers["parent"]["features"]
    assert answers["worker"]["code"] == "FORKED"
    assert "spawn" in answers["worker"]["error"]
    assert "--preload" in answers["worker"]["error"]


def test_the_pool_is_running_once_polars_has_worked(factory):
    random_bars(factory.CUTOFF).filter(True)
    random_bars(factory.CUTOFF).lazy().select("open_time", "close").collect()
    assert forks.pool_is_running()


def test_where_threads_cannot_be_listed_polars_counts_as_used(monkeypatch, tmp_path):
    monkeypatch.setattr(forks, "_TASKS", tmp_path / "absent")
    assert forks.pool_is_running()
    monkeypatch.delitem(sys.modules, "polars")
    assert not forks.pool_is_running()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_does_not_inherit_a_lock_that_another_thread_held(world, factory):
    world.publish(factory.bundle("BTC"), factory.bundle("ETH"))
    hamilton = world.hamilton()
    hamilton.predict("BTC", "1h", factory.features())
    held, done = threading.Event(), threading.Event()

    def hold():
        with hamilton._loader._lock, hamilton._clock._lock:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        ready = hamilton.load_model("ETH", "1h")[1].coin == "ETH"  # read for the first time: wants the lock
        os._exit(0 if ready else 1)
    done.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
