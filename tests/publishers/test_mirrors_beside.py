"""Mirrors of a run at work: asked beside the work, taken over before it signs, given up in time, each failing for itself."""

import threading

import pytest
from dropboxes import store_on
from remotes import MemoryRemote, Stepped

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import push, read_fence
from huracan.adapters.publishers.trees import signed_tree
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.mirrors import Mirrors, publish_exit
from huracan.app.wiring import SystemClock
from huracan.errors import ConfigError, FencedError, PublishError

pytestmark = pytest.mark.slow

NEAR, FAR = "memory://near", "memory://far"


def small(factory, coin="BTC", **more):
    return factory.bundle(coin, engines=1, trees=0, **more)


@pytest.fixture
def elsewhere(world):
    """A fresh machine with the same keys."""
    store = FolderStore(world.folder / "elsewhere")
    yield store
    store.close()


class Silent:
    """A store that does not answer: every call waits until `answer`, then does what the store behind it does."""

    def __init__(self, inner):
        self.inner, self.answer, self.asked = inner, threading.Event(), threading.Event()
        self.identity = inner.identity

    def __getattr__(self, name):
        def call(*args):
            self.asked.set()
            assert self.answer.wait(60)
            return getattr(self.inner, name)(*args)

        return call

    def close(self):
        self.answer.set()


def mirrors(store, remotes, **changes):
    opened = {remote.identity: remote for remote in remotes}
    given = {"deadline_s": 30.0, "patience_s": 20.0, "line_every_s": 0.05} | changes
    return Mirrors(
        store=store,
        targets=list(opened),
        open=lambda url: opened[url],
        clock=SystemClock(),
        telemetry=RecordingTelemetry(),
        **given,
    )


def published(world, factory, remote, *coins):
    for coin in coins:
        world.publish(small(factory, coin))
        push(world.store, remote, read_fence(remote), world.keys)


def number(store, keys):
    tree = signed_tree(store, keys)
    return tree.current.version if tree else None


def test_beginning_returns_at_once_while_a_store_does_not_answer(world, elsewhere):
    away = Silent(MemoryRemote(FAR))
    run = mirrors(elsewhere, [away])
    run.begin_beside(world.keys)
    assert away.asked.wait(20)
    assert number(elsewhere, world.keys) is None  # it has neither answered nor been waited for
    run.close()


def test_what_is_newer_there_is_taken_over_before_the_run_may_sign(world, factory, elsewhere):
    remote = MemoryRemote(NEAR)
    published(world, factory, remote, "BTC", "ETH")
    run = mirrors(elsewhere, [remote])
    run.begin_beside(world.keys)
    run.settle()
    assert number(elsewhere, world.keys) == number(world.store, world.keys)
    assert run.telemetry.named("store_adopted")[0]["store"] == NEAR
    run.close()


def test_a_store_that_stays_away_is_given_up_told_and_pending_and_the_others_are_served(world, factory):
    near, away = MemoryRemote(NEAR), Silent(MemoryRemote(FAR))
    world.publish(small(factory))
    run = mirrors(world.store, [near, away], patience_s=0.3)
    run.begin_beside(world.keys)
    run.settle()
    lines = run.telemetry.named("mirror_awaited")
    assert {line["store"] for line in lines} == {FAR}
    assert "no answer yet" in lines[0]["error"]
    away.answer.set()
    away.inner = failing_always(MemoryRemote(FAR))
    states = run.push(world.keys)
    assert (states[NEAR]["state"], states[FAR]["state"]) == ("PUBLISHED", "PUBLISH_PENDING")
    assert publish_exit(states) == 5
    run.close()


def failing_always(remote):
    def strike(name, path):
        raise PublishError(f"{name} {path}: still away")

    return Stepped(remote, strike)


def test_nothing_is_written_here_for_a_store_that_answers_after_it_was_given_up(world, factory, elsewhere):
    remote = MemoryRemote(FAR)
    published(world, factory, remote, "BTC", "ETH")
    away = Silent(remote)
    run = mirrors(elsewhere, [away], patience_s=0.2)
    run.begin_beside(world.keys)
    run.settle()
    before = elsewhere.list("")
    away.answer.set()
    for thread in threading.enumerate():
        if thread.name in {"huracan-fence", "huracan-adopt"}:
            thread.join(20)
    assert elsewhere.list("") == before
    run.close()


def test_a_store_that_stops_answering_while_it_is_taken_over_is_given_up_in_time(world, factory, elsewhere):
    remote, stuck = MemoryRemote(FAR), threading.Event()
    published(world, factory, remote, "BTC")

    def before(name, path):
        if path.startswith("models/"):
            assert stuck.wait(60)

    run = mirrors(elsewhere, [Stepped(remote, before)], patience_s=0.2, deadline_s=0.2)
    run.begin_beside(world.keys)
    timer = threading.Timer(1.0, stuck.set)  # one operation ends by its own deadline
    timer.start()
    run.settle()
    assert number(elsewhere, world.keys) is None  # the pointer comes last
    timer.join()
    run.close()


def test_a_store_that_comes_back_while_the_run_works_is_asked_again(world, factory, elsewhere):
    remote, broken = MemoryRemote(NEAR), [True]
    published(world, factory, remote, "BTC")

    def before(name, path):
        if broken[0]:
            raise PublishError("out of reach")

    run = mirrors(elsewhere, [Stepped(remote, before)])
    run.begin_beside(world.keys)
    for thread in threading.enumerate():
        if thread.name == "huracan-fence":
            thread.join(0.5)  # it pauses for a minute, or until the run is about to sign
    broken[0] = False
    run.settle()
    assert number(elsewhere, world.keys) == number(world.store, world.keys)
    assert len(run.telemetry.named("push_failed")) == 1
    run.close()


def test_a_run_that_never_saw_the_pointer_is_fenced_by_what_others_published_meanwhile(world, factory, elsewhere):
    remote = MemoryRemote(FAR)
    published(world, factory, remote, "BTC")
    run = mirrors(elsewhere, [remote])
    run.begin_beside(world.keys)
    run.settle()
    run.close()  # the machine has the first set

    away = Silent(remote)
    sleeper = mirrors(elsewhere, [away], patience_s=0.2)
    sleeper.begin_beside(world.keys)
    sleeper.settle()
    world.publish(small(factory, "BTC", seed=3), publisher=elsewhere)  # signed without an answer
    published(world, factory, remote, "ETH")  # another machine's night, meanwhile
    there = remote.tree
    away.answer.set()
    states = sleeper.push(world.keys)
    assert states[FAR]["state"] == "FENCED"
    assert remote.tree == there
    sleeper.close()


def test_the_newest_of_several_stores_is_taken_over_first(world, factory, elsewhere):
    old, new = MemoryRemote(NEAR), MemoryRemote(FAR)
    published(world, factory, old, "BTC")
    push(world.store, new, read_fence(new), world.keys)
    published(world, factory, new, "ETH")
    run = mirrors(elsewhere, [old, new])
    run.begin_beside(world.keys)
    run.settle()
    assert [event["store"] for event in run.telemetry.named("store_adopted")] == [FAR]
    run.close()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("error", [ValueError("zip() argument 2 is shorter"), RecursionError("deep"), KeyError("x")])
def test_a_failure_that_nothing_foresaw_is_of_that_store_alone(world, factory, error, beside):
    def strike(name, path):
        raise error

    near, broken = MemoryRemote(NEAR), Stepped(MemoryRemote(FAR), strike)
    world.publish(small(factory))
    run = mirrors(world.store, [broken, near])
    (run.begin_beside if beside else run.begin)(world.keys)
    run.settle()
    states = run.push(world.keys)
    assert states[NEAR]["state"] == "PUBLISHED"
    assert (states[FAR]["state"], states[FAR]["code"]) == ("PUBLISH_PENDING", "MIRROR_FAULT")
    assert type(error).__name__ in states[FAR]["error"]
    told = [event for event in run.telemetry.named("push_failed") if event["store"] == FAR]
    assert "strike" in told[0]["traceback"]
    run.close()


def test_a_client_that_cannot_be_made_is_told_as_configuration(world):
    run = mirrors(world.store, [MemoryRemote(NEAR)])

    def unmade(url):
        raise ImportError("no such client")

    run.open = unmade
    with pytest.raises(ConfigError, match=r"memory://near cannot be opened: ImportError"):
        run.begin_beside(world.keys)
    run.close()


def test_a_run_that_was_overtaken_while_it_worked_is_fenced(world, factory, elsewhere):
    remote = MemoryRemote(NEAR)
    published(world, factory, remote, "BTC")
    zombie = mirrors(elsewhere, [remote])
    zombie.begin_beside(world.keys)
    zombie.settle()
    world.publish(small(factory, "BTC", seed=3), publisher=elsewhere)
    published(world, factory, remote, "ETH")
    states = zombie.push(world.keys)
    assert states[NEAR]["state"] == "FENCED"
    zombie.close()


def test_a_folder_whose_name_has_a_capital_i_with_a_dot_is_published_to(world, factory, dropbox_server):
    store = store_on(dropbox_server, "/İstanbul")
    world.publish(small(factory))
    for _ in range(2):
        run = mirrors(world.store, [store])
        run.begin(world.keys)
        assert [state["state"] for state in run.push(world.keys).values()] == ["PUBLISHED"]
        run.close()
    assert set(store_on(dropbox_server, "/İstanbul").files("")) == set(world.store.list(""))


def test_dropbox_names_made_by_hand_in_another_case_are_told_with_what_to_do(dropbox_server):
    from dropboxes import sdk_on

    sdk_on(dropbox_server).files_create_folder_v2("/HuracanEngine/Models/btc")
    files = {"models/BTC/1h/v1/manifest.json": b"{}"}
    store_on(dropbox_server).write_new(files.items())
    with pytest.raises(
        PublishError, match=r"Where Models was made by hand, rename it to models.*huracan publish"
    ) as told:
        store_on(dropbox_server).write_new(files.items())
    assert not isinstance(told.value, FencedError)
