"""A store keeps its floor under every name that leads to it, and blocks outlive a link that is moved."""

import shutil

import pytest

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import rollback_set
from huracan.errors import BundleSignatureError
from huracan.hamilton import HamiltonInterface


@pytest.fixture
def opened(world):
    def at(root):
        return HamiltonInterface(
            root, trusted_root=world.trusted, state_dir=world.folder / "state", now_ms=lambda: world.now
        )

    return at


@pytest.mark.guarantee("H2", cases=2)
@pytest.mark.parametrize("way", ["link", "detour"])
def test_another_name_for_a_store_does_not_lose_its_floor(world, factory, opened, way):
    world.publish(factory.bundle(seed=1))
    shutil.copytree(world.root, world.folder / "old")
    world.publish(factory.bundle(seed=2))
    assert opened(world.root).load_model("BTC", "1h")[1].version == 2
    (world.folder / "link").symlink_to(world.root)
    name = world.folder / "link" if way == "link" else world.folder / "old" / ".." / world.root.name
    assert opened(name).load_model("BTC", "1h")[1].version == 2
    shutil.rmtree(world.root / "metadata")
    shutil.copytree(world.folder / "old" / "metadata", world.root / "metadata")
    for place in (name, world.root):
        with pytest.raises(BundleSignatureError, match="rolled back"):
            opened(place).load_model("BTC", "1h")


@pytest.mark.guarantee("H2", cases=3)
@pytest.mark.parametrize("way", ["copied", "moved", "rolled back and moved"])
def test_a_store_at_another_place_goes_on_from_its_newest_set(world, factory, opened, way):
    world.publish(factory.bundle(seed=1))
    shutil.copytree(world.root, world.folder / "old")
    world.publish(factory.bundle(seed=2))
    assert opened(world.root).load_model("BTC", "1h")[1].version == 2
    if way == "copied":
        with pytest.raises(BundleSignatureError, match="rolled back"):
            opened(world.folder / "old").load_model("BTC", "1h")
        return
    if way == "rolled back and moved":
        rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    new = world.root.rename(world.folder / "new")
    there = opened(new)
    assert there.load_model("BTC", "1h")[1].version == (1 if way == "rolled back and moved" else 2)
    shutil.rmtree(new)
    shutil.copytree(world.folder / "old", new)
    with pytest.raises(BundleSignatureError, match="rolled back"):
        opened(new).load_model("BTC", "1h")


def test_two_stores_of_the_same_keys_have_a_floor_each(world, factory, opened):
    for seed in (1, 2, 3):
        world.publish(factory.bundle(seed=seed))
    assert opened(world.root).load_model("BTC", "1h")[1].version == 3
    other = FolderStore(world.folder / "other")
    world.publish(factory.bundle(seed=4), publisher=other)
    other.close()
    assert opened(other.root).load_model("BTC", "1h")[1].version == 1


def test_sets_that_name_no_store_are_served_as_before(world, factory, opened, monkeypatch):
    """What earlier versions signed."""
    monkeypatch.setattr("huracan.adapters.publishers.sets.secrets.token_hex", lambda _n: "")
    world.publish(factory.bundle(seed=1))
    assert opened(world.root).load_model("BTC", "1h")[1].version == 1
    monkeypatch.undo()
    world.publish(factory.bundle(seed=2))
    assert opened(world.root).load_model("BTC", "1h")[1].version == 2


def test_a_link_that_is_moved_to_another_store_keeps_the_blocks_and_no_floor(world, factory, opened, tmp_path):
    other = FolderStore(world.folder / "other")
    world.publish(factory.bundle(seed=1), publisher=other)
    other.close()
    world.publish(factory.bundle(seed=1))
    world.publish(factory.bundle(seed=2))
    link = world.folder / "models"
    link.symlink_to(world.root)
    opened(link).add_blocked_coin("BTC", "fat finger")
    assert opened(link).load_model("BTC", "1h")[1].version == 2
    assert opened(world.root).blocked_reason("BTC") == "OWNER: fat finger"
    link.unlink()
    link.symlink_to(world.folder / "other")
    moved = opened(link)
    assert moved.load_model("BTC", "1h")[1].version == 1
    assert moved.blocked_reason("BTC") == "OWNER: fat finger"
    moved.remove_blocked_coin("BTC")
    assert opened(link).blocked_reason("BTC") is None
    assert opened(world.root).blocked_reason("BTC") == "OWNER: fat finger"
