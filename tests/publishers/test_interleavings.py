"""Several runs publish to one remote at once, step by step: one set is visible, whole and signed; the losers are fenced."""

import os
import signal
import subprocess
import sys
import threading
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remotes import MemoryRemote, Stepped, whole

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import adopt, push, read_fence, remote_tree
from huracan.adapters.publishers.objectstore import ObjectStore
from huracan.errors import FencedError
from huracan.export.trust import TIMESTAMP_PATH

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("HURACAN_TEST_INTERLEAVINGS", "60"))


class Writer:
    """A run on its own machine: follows the remote's set, signs its own, and pushes it one remote call at a time."""

    def __init__(self, world, factory, folder, number, remote):
        self.world = world
        self.store = FolderStore(folder)
        self.found = remote_tree(remote, read_fence(remote), world.keys)
        adopt(remote, read_fence(remote), self.store, world.keys)
        world.now += 1
        made = factory.bundle("BTC", seed=100 + number, engines=1, trees=0)
        world.publish(made, publisher=self.store)
        self.pointer = self.store.read(TIMESTAMP_PATH)

    def start(self, remote):
        self.outcome, self.calls = None, 0
        self._go, self._waiting = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(remote,), daemon=True)
        self._thread.start()
        self._waiting.acquire()

    def step(self):
        """One remote call; False when the run is over."""
        if self.outcome is not None:
            return False
        self._go.release()
        self.calls += 1
        self._waiting.acquire()
        return True

    def _run(self, remote):
        def before(_name, _path):
            self._waiting.release()
            self._go.acquire()

        fence = read_fence(remote)
        try:
            push(self.store, Stepped(remote, before), fence, self.world.keys, found=self.found)
            self.outcome = "PUBLISHED"
        except FencedError:
            self.outcome = "FENCED"
        self._waiting.release()

    def close(self):
        self.store.close()


@pytest.fixture
def race(world, factory, tmp_path):
    """Lays any schedule of writers over a remote that holds one set, and judges what is visible after every step."""
    base = MemoryRemote()
    world.publish(factory.bundle("BTC", seed=1, engines=1, trees=0))
    push(world.store, base, read_fence(base), world.keys)
    old = base.tree[TIMESTAMP_PATH]
    writers = [Writer(world, factory, tmp_path / f"writer{number}", number, base) for number in range(4)]

    def visible(remote):
        whole(remote, world.keys)
        return remote.tree[TIMESTAMP_PATH]

    def run(schedule, count):
        remote = MemoryRemote()
        remote.data = dict(base.data)
        taking = writers[:count]
        for writer in taking:
            writer.start(remote)
        shown = [old]
        for turn in schedule:
            taking[turn].step()
            if remote.tree[TIMESTAMP_PATH] != shown[-1]:
                shown.append(visible(remote))
        for writer in taking:
            while writer.step():
                pass
        if remote.tree[TIMESTAMP_PATH] != shown[-1]:
            shown.append(visible(remote))
        outcomes = [writer.outcome for writer in taking]
        assert outcomes.count("PUBLISHED") == 1
        assert outcomes.count("FENCED") == count - 1
        assert shown == [old, taking[outcomes.index("PUBLISHED")].pointer]
        return [writer.calls for writer in taking]

    yield run
    for writer in writers:
        writer.close()


BEFORE_THE_CLAIM = 3
"""Calls up to and with the claim: look at the pointer, list, create the set's name. Who loses that makes no other call."""
WHOLE_RUN = 16


@pytest.mark.guarantee("R17", cases=969)
@pytest.mark.parametrize("first", [0, 1])
def test_all_interleavings_of_two_runs(race, first):
    """A loser makes three calls at most, so their places among the other's calls are all the orders there are."""
    for places in combinations(range(WHOLE_RUN + BEFORE_THE_CLAIM), BEFORE_THE_CLAIM):
        race([1 - first if turn in places else first for turn in range(WHOLE_RUN + BEFORE_THE_CLAIM)], 2)


def test_the_counts_above_are_those_of_a_real_push(race):
    assert race([], 1) == [WHOLE_RUN]
    assert race([0] * BEFORE_THE_CLAIM + [1] * BEFORE_THE_CLAIM, 2) == [WHOLE_RUN, BEFORE_THE_CLAIM]


def test_a_second_run_anywhere_in_the_first(race):
    """The whole push of one run lies between any two calls of the other, down to the swap."""
    for pause in range(WHOLE_RUN + 1):
        race([0] * pause + [1] * 60, 2)


@pytest.mark.guarantee("R17", cases=EXAMPLES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_two_to_four_runs_in_any_order(race, data):
    count = data.draw(st.integers(2, 4))
    race(data.draw(st.lists(st.integers(0, count - 1), max_size=110)), count)


ZOMBIE = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from remotes import Stepped
from huracan.adapters.keys import load_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import push, read_fence
from huracan.adapters.publishers.objectstore import ObjectStore
from huracan.errors import FencedError

url, store, keys = sys.argv[1:4]
remote = ObjectStore(url, allow_http=True)
fence = read_fence(remote)

def before(name, path):
    if name == "swap":
        print("stopping", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

try:
    push(FolderStore(store), Stepped(remote, before), fence, load_keys(Path(keys)))
except FencedError as error:
    print(error.code, flush=True)
    raise SystemExit(error.exit_status)
"""


@pytest.mark.guarantee("R17")
def test_a_run_that_slept_just_before_its_swap_wakes_up_fenced(world, factory, bucket, tmp_path):
    """A real process, stopped by the kernel; meanwhile another run publishes, and readers never see the zombie's set."""
    remote = ObjectStore(bucket, allow_http=True)
    world.publish(factory.bundle("BTC", seed=1))
    push(world.store, remote, read_fence(remote), world.keys)
    asleep = Writer(world, factory, tmp_path / "asleep", 1, remote)
    asleep.close()
    support = str(Path(__file__).parents[1] / "support")
    process = subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, bucket, str(tmp_path / "asleep"), str(world.keys.folder), support],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "stopping\n"
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        fence = read_fence(remote)
        awake = FolderStore(tmp_path / "awake")
        adopt(remote, fence, awake, world.keys)
        world.now += 1
        reserved = {"sets": 2, "models/BTC/1h": 2}  # what the sleeper has sent already
        world.publish(factory.bundle("BTC", seed=9), publisher=awake, reserved=reserved)
        push(awake, remote, fence, world.keys)
        awake.close()
        before = {path: remote.read(path, 1 << 20)[0] for path in remote.files("")}
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (6, "FENCED\n"), err
    assert {path: remote.read(path, 1 << 20)[0] for path in remote.files("")} == before
    tree, _ = remote_tree(remote, read_fence(remote), world.keys)
    assert tree.current.version == 3
