"""Publishing to Dropbox on bad days: every fault at every call, lost answers, and two writers who race.

The promises R15, R16 and R17 of docs/guarantees.md. ``HURACAN_TEST_FAULT_PAIRS`` says how many pairs of faults are tried,
``HURACAN_TEST_RACES`` how many races of three and of four writers.
"""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import get_args

import pytest
from dropboxes import POINTER, Patience, publish, publishing, store_on
from sizes import size

from huracan.errors import FencedError, PublishError
from huracan.worlds.dropbox import Fault, FaultPlan
from huracan.worlds.dropbox.faults import FaultKind
from huracan.worlds.dropbox.tree import Write

pytestmark = pytest.mark.slow

PAIRS = int(os.environ.get("HURACAN_TEST_FAULT_PAIRS", size(40, 2000)))
RACES = int(os.environ.get("HURACAN_TEST_RACES", "15"))
BASE = "/HuracanEngine"
HURRIED = Patience(answer_s=0.25, total_s=30.0, first_wait_s=0.001, longest_wait_s=0.004)
STEADY = replace(HURRIED, answer_s=20.0)
OLD = {"models/BTC/1h/v1/manifest.json": b"old", POINTER: b"pointer to the old set"}
NEW_POINTER = b"pointer to the set of this night"
NEW = {
    **{f"models/{coin}/1h/v2/{name}.json": f"{coin} {name}".encode() for coin in ("BTC", "ETH") for name in "abc"},
    "metadata/2.snapshot.json": b"snapshot",
    "sets/2.json": b"",
    "models/BTC/1h/v1/manifest.json": b"old",
}
AFTER = {**OLD, **NEW, POINTER: NEW_POINTER}
KINDS = get_args(FaultKind)
SLOW = {"timeout": 0.4}


def seed(server):
    """The account as the night before left it."""
    server.account.clear()
    with server.account.commit("seed", None) as tree:
        for path, data in OLD.items():
            tree.write(f"{BASE}/{path}", data, Write())
    server.account.commits.clear()
    server.faults = FaultPlan()


def tree(server):
    return {path.removeprefix(f"{BASE}/"): data for path, data in server.files().items()}


def attempt(server, patience=STEADY):
    """A publication by a fresh client: None when it is through, else its error."""
    store = store_on(server, patience=patience)
    try:
        publish(store, NEW, NEW_POINTER)
    except (PublishError, FencedError) as error:
        return error
    finally:
        store.close()
    return None


def calls_without_fault(server):
    seed(server)
    assert attempt(server) is None
    assert tree(server) == AFTER
    return list(server.faults.calls)


@pytest.fixture(scope="module")
def calls(running_dropbox):
    return calls_without_fault(running_dropbox)


def check(server, *faults):
    """Publish among faults: the pointer never leads to a set that is not whole, and in the end all is as without faults."""
    seed(server)
    server.faults = FaultPlan(faults)
    error = attempt(server, HURRIED if any(fault.delay_s for fault in faults) else STEADY)
    if isinstance(error, FencedError):
        # A byte changed unnoticed, and so did the answer that told of it: a name of ours is taken by bytes that are not.
        # Nobody can tell whose they are, so nothing is published under it.
        assert {"corrupt"} < {fault.kind for fault in faults}
        assert tree(server)[POINTER] == OLD[POINTER]
        return error
    if error is not None:
        assert error.code == "PUBLISH_PENDING"
        assert tree(server)[POINTER] in {OLD[POINTER], NEW_POINTER}
        server.faults = FaultPlan()
        assert attempt(server) is None
    assert tree(server) == AFTER
    return error


def test_a_publication_takes_few_calls_and_two_commits(dropbox_server):
    calls = calls_without_fault(dropbox_server)
    assert calls == [
        "oauth2/token",
        "files/download",
        "files/list_folder",
        "files/upload_session/start_batch",
        "files/upload_session/append_batch",
        "files/upload_session/finish_batch_v2",
        "files/upload",
    ]
    assert sum(dropbox_server.commits.values()) == 2


@pytest.mark.guarantee("R15")
@pytest.mark.parametrize("kind", KINDS)
def test_any_single_fault_at_any_call_is_survived(running_dropbox, calls, kind, counted):
    counted(len(calls))
    given_up = [
        number
        for number in range(1, len(calls) + 1)
        if check(running_dropbox, Fault(kind=kind, call=number, delay_s=SLOW.get(kind, 0.0))) is not None
    ]
    # A full account is for its owner to settle; everything else is gone at the next try.
    full = [
        number
        for number, route in enumerate(calls, 1)
        if route in {"files/upload_session/finish_batch_v2", "files/upload"}
    ]
    assert given_up == (full if kind == "insufficient_space" else [])


@pytest.mark.guarantee("R15", cases=PAIRS)
def test_any_two_faults_are_survived(running_dropbox, calls):
    rng = random.Random(17)
    quick = [kind for kind in KINDS if kind not in SLOW]
    moments = range(1, len(calls) + 4)
    every = [
        (Fault(kind=first, call=one), Fault(kind=second, call=two))
        for one, two in combinations(moments, 2)
        for first, second in product(quick, quick)
    ]
    for pair in rng.sample(every, min(PAIRS, len(every))):
        error = check(running_dropbox, *pair)
        excused = isinstance(error, FencedError) or any(fault.kind == "insufficient_space" for fault in pair)
        assert error is None or excused, (pair, error)


@pytest.mark.guarantee("R16")
@pytest.mark.parametrize("delay_s", [0.0, 0.4], ids=["dropped", "timed out"])
def test_a_lost_answer_makes_nothing_twice_and_no_conflicted_copy(running_dropbox, calls, delay_s, counted):
    counted(len(calls))
    for number in range(1, len(calls) + 1):
        assert check(running_dropbox, Fault(kind="lost_reply", call=number, delay_s=delay_s)) is None
        paths = list(running_dropbox.files())
        assert not [path for path in paths if "(" in path or "conflicted" in path]
        assert len({path.lower() for path in paths}) == len(paths) == len(AFTER)


def test_a_lost_answer_to_a_swap_is_settled_by_reading(running_dropbox):
    seed(running_dropbox)
    store = store_on(running_dropbox, patience=STEADY)
    before = store.read(POINTER, 100)[1].revision
    running_dropbox.faults = FaultPlan([Fault(kind="lost_reply", path="files/upload ")])
    assert store.swap(POINTER, NEW_POINTER, before) == store.read(POINTER, 100)[1].revision
    assert running_dropbox.faults.calls[:2] == ["files/upload", "files/get_metadata"]


def test_a_lost_answer_does_not_turn_anothers_pointer_into_ours(running_dropbox):
    seed(running_dropbox)
    store, other = (store_on(running_dropbox, patience=STEADY) for _ in range(2))
    before = store.read(POINTER, 100)[1].revision
    other.swap(POINTER, b"pointer to another set", before)
    running_dropbox.faults = FaultPlan([Fault(kind="lost_reply", path="files/upload ")])
    with pytest.raises(FencedError):
        store.swap(POINTER, NEW_POINTER, before)
    assert tree(running_dropbox)[POINTER] == b"pointer to another set"


def test_another_may_come_between_a_swap_that_did_not_arrive_and_its_next_try(running_dropbox):
    seed(running_dropbox)
    store, other = (store_on(running_dropbox, patience=STEADY) for _ in range(2))
    before = store.read(POINTER, 100)[1].revision
    asked = running_dropbox.faults = FaultPlan([Fault(kind="drop", path="files/upload ")])
    at = asked.at

    def at_and_let_the_other_in(route, argument):
        fault = at(route, argument)
        if route == "files/get_metadata":
            asked.at = at
            other.swap(POINTER, b"pointer to another set", before)
        return fault

    asked.at = at_and_let_the_other_in
    with pytest.raises(FencedError):
        store.swap(POINTER, NEW_POINTER, before)
    assert tree(running_dropbox)[POINTER] == b"pointer to another set"


def orders(writers):
    """An interleaving of writers who take three steps each, at random."""
    turns = list(writers * 3)
    random.shuffle(turns)
    return "".join(turns)


ALL_OF_TWO = ["".join("A" if at in chosen else "B" for at in range(6)) for chosen in combinations(range(6), 3)]


def files_of(writer, *, shared_names):
    own = {f"models/{coin}/1h/v2/manifest.json": f"{coin} by {writer}".encode() for coin in ("BTC", "ETH")}
    names = own if shared_names else {path.replace("v2", f"v2{writer}"): data for path, data in own.items()}
    return {**names, "models/BTC/1h/v1/manifest.json": b"old"}


def winners(order, *, shared_names):
    """Who has to win, by a model of it: whoever reads the pointer, finds its names free, and the pointer as it was."""
    pointer, owner, known, step, won = 0, None, {}, {}, []
    for writer in order:
        step[writer] = step.get(writer, 0) + 1
        if step[writer] == 1:
            known[writer] = pointer
        elif step[writer] == 2:
            owner = owner or writer
        elif known[writer] == pointer and (not shared_names or owner == writer):
            pointer += 1
            won.append(writer)
    return won


def race(server, order, *, shared_names):
    """Let writers take turns; who won, and who was fenced."""
    seed(server)
    stores = {writer: store_on(server, patience=STEADY) for writer in sorted(set(order))}
    files = {writer: files_of(writer, shared_names=shared_names) for writer in stores}
    steps = {writer: publishing(stores[writer], files[writer], writer.encode()) for writer in stores}
    won, fenced = [], []
    for writer in order:
        if writer in fenced:
            continue
        try:
            if next(steps[writer], None) is None:
                won.append(writer)
        except FencedError:
            fenced.append(writer)
    for store in stores.values():
        store.close()
    after = tree(server)
    assert after[POINTER] == won[-1].encode()
    # What the visible pointer stands for is there, by its own writer, and so is what stood before.
    assert {path: after[path] for path in files[won[-1]]} == files[won[-1]]
    assert after["models/BTC/1h/v1/manifest.json"] == b"old"
    return won, fenced


@pytest.mark.guarantee("R17")
@pytest.mark.parametrize("shared_names", [True, False], ids=["same names", "own names"])
@pytest.mark.parametrize("order", ALL_OF_TWO)
def test_of_two_writers_the_loser_is_fenced_and_changes_nothing_visible(running_dropbox, order, shared_names):
    won, fenced = race(running_dropbox, order, shared_names=shared_names)
    assert won == winners(order, shared_names=shared_names)
    assert sorted(won + fenced) == ["A", "B"]


@pytest.mark.guarantee("R17")
@pytest.mark.parametrize("writers", ["ABC", "ABCD"])
def test_of_more_writers_those_who_come_late_are_fenced(running_dropbox, writers):
    random.seed(5)
    for _ in range(RACES):
        order, shared_names = orders(writers), random.random() < 0.5
        won, fenced = race(running_dropbox, order, shared_names=shared_names)
        assert won == winners(order, shared_names=shared_names), order
        assert sorted(won + fenced) == list(writers)


ZOMBIE = """
import sys
sys.path.insert(0, sys.argv[3])
from types import SimpleNamespace
from pathlib import Path
from dropboxes import publishing, store_on
from huracan.errors import FencedError
from huracan.worlds.dropbox import App
server = SimpleNamespace(host=sys.argv[1], ca_file=Path(sys.argv[2]), tokens=SimpleNamespace(app=App()))
steps = publishing(store_on(server), {"sets/zombie.json": b"late"}, b"pointer of a zombie")
print(next(steps), flush=True)
sys.stdin.readline()
try:
    list(steps)
except FencedError as error:
    print(error.code, flush=True)
"""


@pytest.mark.guarantee("R17")
def test_a_process_that_slept_through_anothers_publication_is_fenced(running_dropbox):
    seed(running_dropbox)
    support = str(Path(__file__).parents[1] / "support")
    command = [sys.executable, "-c", ZOMBIE, running_dropbox.host, str(running_dropbox.ca_file), support]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zombie:
        assert zombie.stdout.readline() == "read\n"
        zombie.send_signal(signal.SIGSTOP)
        assert attempt(running_dropbox) is None
        zombie.stdin.write("\n")
        zombie.send_signal(signal.SIGCONT)
        told, _ = zombie.communicate(timeout=60)
    assert told == "FENCED\n"
    assert {path: data for path, data in tree(running_dropbox).items() if path != "sets/zombie.json"} == AFTER


def test_of_four_writers_at_once_one_wins_and_three_are_fenced(running_dropbox, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    seed(running_dropbox)
    monkeypatch.setattr(running_dropbox.account, "commit_s", 0.01)
    patience = Patience(answer_s=5, total_s=30, first_wait_s=0.02, longest_wait_s=0.2)
    stores = [store_on(running_dropbox, patience=patience) for _ in range(4)]
    turns = [publishing(store, files_of(str(n), shared_names=False), b"%d" % n) for n, store in enumerate(stores)]
    for turn in turns:
        next(turn)

    def rest(number):
        try:
            list(turns[number])
        except FencedError:
            return None
        return number

    with ThreadPoolExecutor(4) as pool:
        won = [number for number in pool.map(rest, range(4)) if number is not None]
    assert tree(running_dropbox)[POINTER] == b"%d" % won[0]
    assert len(won) == 1
