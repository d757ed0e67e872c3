"""Two to four runs on one folder store: one holds it, the others say so and publish nothing; a stopped one keeps its lock."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from invariants import served
from sizes import FULL, size

from huracan.adapters.publishers.sets import rollback_set
from huracan.errors import LockedError
from huracan.hamilton.source import FolderSource

pytestmark = pytest.mark.slow

WRITER = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import fault_work
from pathlib import Path
world = fault_work.world_at(Path(sys.argv[3]))
sys.stdin.readline()
try:
    fault_work.publish_one(world, {"BTC": int(sys.argv[4])})
    print("published", flush=True)
except fault_work.HURACAN_ERRORS as error:
    print(error.code, flush=True)
sys.stdin.readline()
"""
ROUNDS = size(1, 40)


def writer(folder, seed):
    here = Path(__file__).parents[1]
    command = [sys.executable, "-c", WRITER, str(here / "support"), str(here / "hamilton"), str(folder), str(seed)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def end(processes):
    for process in processes:
        process.communicate("\n", timeout=60)


@pytest.fixture
def world(tmp_path):
    import fault_work

    made = fault_work.factory.World(tmp_path / "case")
    made.publish(fault_work.factory.bundle(seed=0, engines=1, trees=0))
    made.store.close()
    return made


@pytest.mark.guarantee("R17")
@pytest.mark.parametrize("count", [2, 3, 4])
def test_of_writers_at_once_one_publishes_and_the_others_are_locked_out(world, count, counted):
    root = world.trusted.read_bytes()
    for round_ in range(ROUNDS):
        writers = [writer(world.folder, 100 * round_ + number + 1) for number in range(count)]
        for process in writers:
            go(process)
        answers = sorted(process.stdout.readline().strip() for process in writers)
        end(writers)
        assert answers == ["LOCKED"] * (count - 1) + ["published"]
        assert served(FolderSource(world.root), root)["BTC", "1h"][0] == round_ + 2
        counted()


@pytest.mark.guarantee("R17")
def test_a_stopped_run_keeps_the_lock_and_no_time_steals_it(world, counted):
    root, before = world.trusted.read_bytes(), served(FolderSource(world.root), world.trusted.read_bytes())
    zombie = writer(world.folder, 7)
    go(zombie)
    assert zombie.stdout.readline() == "published\n"
    after = served(FolderSource(world.root), root)
    assert after != before
    os.kill(zombie.pid, signal.SIGSTOP)
    os.utime(world.root / ".lock", (0, 0))  # as old as a lock can look
    other = writer(world.folder, 8)
    go(other)
    assert other.stdout.readline() == "LOCKED\n"
    assert served(FolderSource(world.root), root) == after
    os.kill(zombie.pid, signal.SIGCONT)
    end([zombie, other])
    third = writer(world.folder, 9)
    go(third)
    assert third.stdout.readline() == "published\n"
    end([third])
    counted(3)


@pytest.mark.guarantee("R21")
def test_a_bad_promotion_is_rolled_back_within_a_minute_while_a_reader_serves(world, counted):
    """The drill: a reader that runs sees the bad set, then the one before, and never anything else."""
    import fault_work

    factory = fault_work.factory
    hamilton, given = world.hamilton(), factory.features()
    good = hamilton.predict("BTC", "1h", given)
    world.publish(factory.bundle(seed=5, engines=1, trees=0), factory.bundle("ETH", seed=5))
    bad = hamilton.predict("BTC", "1h", given)
    assert bad.version == 2
    started = time.monotonic()
    rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    again = hamilton.predict("BTC", "1h", given)
    assert time.monotonic() - started < 60 or not FULL
    assert (again.version, again.score) == (good.version, good.score)
    assert [member.coin for member in hamilton.get_members()] == ["BTC"]
    with pytest.raises(LockedError):
        type(world.store)(world.root).acquire()
    world.store.close()
    counted()
