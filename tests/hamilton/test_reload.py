"""Following the pointer: new sets are picked up, broken ones are not, and every call sees exactly one set."""

import threading
import time

import pytest

from huracan.adapters.publishers.sets import rollback_set
from huracan.domain.bundle import DoNotTrade
from huracan.errors import BundleSignatureError, ModelLoadError
from huracan.hamilton.loader import HamiltonModelLoader
from huracan.hamilton.state import StoreState

RELOADS = 40


def test_a_new_version_is_picked_up_by_the_next_call(world, factory):
    world.publish(factory.bundle(seed=1))
    hamilton = world.hamilton()
    given = factory.features()
    assert hamilton.predict("BTC", "1h", given).version == 1
    world.publish(factory.bundle(seed=2), factory.bundle("ETH"))
    assert hamilton.predict("BTC", "1h", given).version == 2
    assert hamilton.predict("ETH", "1h", given).version == 1


def test_an_unchanged_bundle_is_not_read_again(world, factory):
    world.publish(factory.bundle(seed=1))
    hamilton = world.hamilton()
    before = hamilton.load_model("BTC", "1h")[0]
    world.publish(factory.bundle(seed=1))
    assert hamilton.load_model("BTC", "1h")[0] is before


def test_a_demoted_coin_is_no_longer_served(world, factory):
    world.publish(factory.bundle("BTC"), factory.bundle("ETH"))
    hamilton = world.hamilton()
    hamilton.load_model("BTC", "1h")
    world.publish(factory.bundle("ETH"), do_not_trade=[DoNotTrade(coin="BTC", code="NOT_PROVEN", reason="lost money")])
    with pytest.raises(ModelLoadError, match="NOT_PROVEN: lost money"):
        hamilton.predict("BTC", "1h", factory.features())


@pytest.mark.guarantee("H1")
@pytest.mark.parametrize("victim", ["metadata/2.targets.json", "sets/2.json", "models/BTC/1h/v2/model.safetensors"])
def test_a_set_that_does_not_verify_leaves_the_last_good_one_serving(world, factory, victim, caplog):
    world.publish(factory.bundle(seed=1))
    hamilton, given = world.hamilton(), factory.features()
    good = hamilton.predict("BTC", "1h", given)
    world.publish(factory.bundle(seed=2))
    path = world.root / victim
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for _ in range(3):
        assert hamilton.predict("BTC", "1h", given) == good
    assert isinstance(hamilton.problem, BundleSignatureError)
    assert caplog.text.count("champion_set_refused") == 1
    path.write_bytes(data)
    world.publish(factory.bundle(seed=2))
    assert hamilton.predict("BTC", "1h", given).version == 2
    assert hamilton.problem is None


def test_a_damaged_bundle_costs_that_coin_and_no_other(world, factory):
    world.publish(factory.bundle("BTC"), factory.bundle("ETH"))
    (world.root / "models/BTC/1h/v1/model.safetensors").write_bytes(b"")
    hamilton = world.hamilton()
    with pytest.raises(BundleSignatureError, match="BTC"):
        hamilton.predict("BTC", "1h", factory.features())
    assert hamilton.predict("ETH", "1h", factory.features())


def test_a_refused_set_is_tried_again_after_a_while(world, factory):
    now = [0.0]
    world.publish(factory.bundle(seed=1))
    hamilton = world.hamilton()
    loader = HamiltonModelLoader(
        hamilton._loader._source,
        StoreState(world.folder / "s", "x"),
        trusted_root=world.trusted,
        store=world.root,
        monotonic=lambda: now[0],
    )
    first = loader.current()
    world.publish(factory.bundle(seed=2))
    hidden = world.root / "sets/2.json"
    hidden.rename(world.folder / "hidden")
    assert loader.current() is first
    (world.folder / "hidden").rename(hidden)
    assert loader.current() is first
    now[0] = 6.0
    assert loader.current().tree.current.version == 2


def test_a_store_that_vanishes_goes_on_being_served(world, factory):
    world.publish(factory.bundle())
    hamilton = world.hamilton()
    before = hamilton.predict("BTC", "1h", factory.features())
    world.root.rename(world.folder / "gone")
    assert hamilton.predict("BTC", "1h", factory.features()) == before


def test_a_version_signed_twice_with_different_content_is_refused(world, factory):
    """The signing host was turned back: what was served as version 1 must not become another version 1."""
    world.publish(factory.bundle(seed=1))
    hamilton = world.hamilton()
    model = hamilton.load_model("BTC", "1h")[0]
    other = factory.World.__new__(factory.World)
    other.__dict__ = {
        **world.__dict__,
        "root": world.folder / "second",
        "store": type(world.store)(world.folder / "second"),
    }
    other.publish(factory.bundle(seed=5))
    other.publish(factory.bundle(seed=5))
    other.store.close()
    world.root.rename(world.folder / "first")
    other.root.rename(world.root)
    assert hamilton.load_model("BTC", "1h")[0] is model
    assert "other content" in str(hamilton.problem)


@pytest.mark.slow
def test_every_call_sees_exactly_one_set_while_sets_are_swapped(world, factory):
    """Scores belong to versions; a mixture of two sets would show as a pair that does not exist."""
    hamilton, given = world.hamilton(), factory.features(3)
    world.publish(*(factory.bundle(coin, seed=1, engines=1, trees=0) for coin in ("BTC", "ETH")))
    known = {1: hamilton.predict("BTC", "1h", given).score}
    world.publish(*(factory.bundle(coin, seed=2, engines=1, trees=0) for coin in ("BTC", "ETH")))
    known[2] = hamilton.predict("BTC", "1h", given).score
    assert known[1] != known[2]
    wrong, calls, stop = [], [0], threading.Event()

    def trade():
        while not stop.is_set():
            for coin in ("BTC", "ETH"):
                result = hamilton.predict(coin, "1h", given)
                if known[result.version] != result.score or result.metadata.version != result.version:
                    wrong.append(result)
                calls[0] += 1
            time.sleep(0)

    threads = [threading.Thread(target=trade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(RELOADS):
        rollback_set(world.store, world.keys, wall_clock_ms=world.now, to=_other_set(world))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert calls[0] > RELOADS
    assert hamilton.problem is None


def _other_set(world):
    from huracan.adapters.publishers.trees import signed_tree

    current = signed_tree(world.store, world.keys).current
    return current.version - 1
