"""A mirror of the signed store: copied whole, claimed by number, moved by comparison, taken over by fresh machines."""

import json
import os
import shutil
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remotes import CrashedError, MemoryRemote, failing, whole

from huracan.adapters.keys import init_keys, rotate_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import adopt, push, push_files, read_fence, remote_tree, reserved_names
from huracan.adapters.publishers.renumber import renumber_set
from huracan.adapters.publishers.sets import prune_unlisted, publish_summary, resign_set, rollback_set
from huracan.adapters.publishers.trees import signed_tree
from huracan.errors import FencedError, PublishError
from huracan.export.trust import TIMESTAMP_PATH

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HURACAN_TEST_KILLS", "25"))
WRITES = ("write", "swap")
EVERY_NAME = {
    "manifest.json",
    "metrics.json",
    "cost_report.json",
    "decision_logs.json",
    "regime_map.json",
    "data_integrity.json",
    "golden.json",
    "recipe.json",
    "model.safetensors",
}


def small(factory, coin="BTC", seed=0, **more):
    return factory.bundle(coin, seed=seed, engines=1, trees=0, **more)


def copy(remote, world, store=None):
    """One push of a whole run: the fence, then everything."""
    return push(store or world.store, remote, read_fence(remote), world.keys)


def held(remote):
    return {path: remote.read(path, 1 << 20)[0] for path in remote.files("")}


def members(remote, world):
    tree, _ = remote_tree(remote, read_fence(remote), world.keys)
    return {key: member.version for key, member in tree.current.members.items()}


@pytest.fixture
def elsewhere(world):
    """A fresh machine with the same keys."""
    store = FolderStore(world.folder / "elsewhere")
    yield store
    store.close()


def test_the_remote_holds_the_published_tree_byte_for_byte(world, factory, remote):
    world.publish(factory.bundle("BTC", "1h"), factory.bundle("ETH", "4h"))
    pushed = copy(remote, world)
    local = {path: world.store.read(path) for path in world.store.list("")}
    assert held(remote) == local
    assert pushed.sent == len(local)
    assert {path.rsplit("/", 1)[1] for path in local if path.startswith("models/BTC/1h/v1/")} == EVERY_NAME


def test_an_unchanged_store_sends_nothing_and_a_changed_one_only_what_is_new(world, factory, remote):
    world.publish(small(factory, "BTC"), small(factory, "ETH"))
    copy(remote, world)
    assert copy(remote, world).sent == 0
    world.publish(small(factory, "BTC", 1), small(factory, "ETH"))
    # One bundle of nine files, the set, its two lists and the pointer.
    assert copy(remote, world).sent == 9 + 1 + 2 + 1


def test_a_damaged_file_of_the_current_set_is_not_taken_for_unchanged(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory))
    copy(remote, world)
    del remote.data["models/BTC/1h/v1/golden.json"]
    world.publish(small(factory), small(factory, "ETH"))
    copy(remote, world)
    assert "models/BTC/1h/v1/golden.json" in remote.data


def test_only_what_is_listed_is_sent(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory))
    world.store.write_new("models/BTC/1h/v9/orphan.json", b"{}")
    world.store.write_new("notes.txt", b"mine")
    copy(remote, world)
    assert not {"models/BTC/1h/v9/orphan.json", "notes.txt"} & set(remote.data)


def test_old_files_are_pruned_from_the_remote_as_from_the_folder(world, factory, remote):
    for seed in range(16):
        world.publish(small(factory, seed=seed))
        if seed in {0, 1, 8, 15}:
            copy(remote, world)
    prune_unlisted(world.store, world.keys)
    there = {path for path in remote.files("") if path.startswith(("models", "sets"))}
    here = {path for path in world.store.list("") if path.startswith(("models", "sets"))}
    assert there == here
    assert not any(path.startswith("models/BTC/1h/v1/") for path in there)


def test_a_fresh_machine_goes_on_from_the_remote(world, factory, remote, elsewhere):
    world.publish(small(factory, "BTC", 1), small(factory, "ETH", 1))
    world.publish(small(factory, "BTC", 2), keep=[("ETH", "1h")])
    copy(remote, world)
    fence = read_fence(remote)
    assert adopt(remote, fence, elsewhere, world.keys) == "adopted"
    for path in elsewhere.list(""):
        assert elsewhere.read(path) == world.store.read(path)
    published = world.publish(small(factory, "BTC", 3), keep=[("ETH", "1h")], publisher=elsewhere)
    assert published.version == 3
    assert {key: member.version for key, member in published.members.items()} == {"BTC_1h": 3, "ETH_1h": 1}
    assert push(elsewhere, remote, fence, world.keys).sent == 9 + 1 + 2 + 1
    assert members(remote, world) == {"BTC_1h": 3, "ETH_1h": 1}


def test_a_machine_that_fell_behind_catches_up(world, factory, elsewhere):
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    adopt(remote, read_fence(remote), elsewhere, world.keys)
    last = read_fence(remote).digest
    for seed in range(2, 20):
        world.publish(small(factory, seed=seed))
        copy(remote, world)
    with pytest.raises(FencedError, match="published apart"):
        adopt(remote, read_fence(remote), elsewhere, world.keys)  # too far behind to be in the list
    assert adopt(remote, read_fence(remote), elsewhere, world.keys, last=last) == "adopted"
    assert signed_tree(elsewhere, world.keys).current.version == 19


def test_a_remote_that_was_away_for_weeks_is_brought_up_to_date(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    last = read_fence(remote).digest
    for seed in range(2, 20):
        world.publish(small(factory, seed=seed))
    fence = read_fence(remote)
    with pytest.raises(FencedError, match="published apart"):
        push(world.store, remote, fence, world.keys)
    push(world.store, remote, fence, world.keys, last=last)
    assert members(remote, world) == {"BTC_1h": 19}


def test_nothing_is_adopted_where_the_local_store_is_ahead_or_equal(world, factory, remote):
    assert adopt(remote, read_fence(remote), world.store, world.keys) == "empty"
    world.publish(small(factory, seed=1))
    copy(remote, world)
    assert adopt(remote, read_fence(remote), world.store, world.keys) == "same"
    world.publish(small(factory, seed=2))
    assert adopt(remote, read_fence(remote), world.store, world.keys) == "behind"


def test_two_stores_that_went_separate_ways_are_told_what_to_do(world, factory, elsewhere):
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    world.now += 1
    world.publish(small(factory, seed=2), publisher=elsewhere)
    before = dict(remote.data)
    with pytest.raises(FencedError, match="move the local store folder away"):
        adopt(remote, read_fence(remote), elsewhere, world.keys)
    with pytest.raises(FencedError, match="published apart"):
        push(elsewhere, remote, read_fence(remote), world.keys)
    assert remote.data == before


def test_a_pointer_that_moved_since_the_run_began_fences_the_run(world, factory, remote, elsewhere):
    world.publish(small(factory, seed=1))
    copy(remote, world)
    fence = read_fence(remote)
    adopt(remote, fence, elsewhere, world.keys)
    world.publish(small(factory, seed=2))
    copy(remote, world)
    world.publish(small(factory, seed=3), publisher=elsewhere)
    before = held(remote)
    with pytest.raises(FencedError, match="another run published"):
        push(elsewhere, remote, fence, world.keys)
    assert held(remote) == before


def test_another_key_neither_adopts_nor_pushes(world, factory, remote, elsewhere, tmp_path):
    world.publish(small(factory))
    copy(remote, world)
    mine = world.keys
    world.keys = init_keys(tmp_path / "thief", None, wall_clock_ms=world.now)
    with pytest.raises(PublishError, match="not signed by the keys"):
        adopt(remote, read_fence(remote), elsewhere, world.keys)
    assert elsewhere.list("") == []
    world.publish(small(factory, seed=5), publisher=elsewhere)
    before = held(remote)
    with pytest.raises(PublishError, match="not signed by the keys"):
        push(elsewhere, remote, read_fence(remote), world.keys)
    assert held(remote) == before
    with pytest.raises(PublishError, match="not signed by the keys"):
        push(elsewhere, MemoryRemote(), read_fence(MemoryRemote()), mine)


def test_a_pointer_that_is_no_metadata_is_refused(world):
    remote = MemoryRemote()
    remote.write_new([(TIMESTAMP_PATH, b"{}")])
    with pytest.raises(PublishError, match="not signed metadata"):
        read_fence(remote)


def test_a_tampered_bundle_is_not_adopted_and_the_local_set_stands(world, factory, elsewhere):
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    adopt(remote, read_fence(remote), elsewhere, world.keys)
    world.publish(small(factory, seed=2))
    copy(remote, world)
    data, revision = remote.data["models/BTC/1h/v2/model.safetensors"]
    remote.data["models/BTC/1h/v2/model.safetensors"] = (data[:-1] + bytes([data[-1] ^ 1]), revision)
    with pytest.raises(PublishError, match="is damaged"):
        adopt(remote, read_fence(remote), elsewhere, world.keys)
    assert signed_tree(elsewhere, world.keys).current.version == 1


def test_a_local_store_that_rotted_is_not_copied(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory))
    (world.root / "models/BTC/1h/v1/golden.json").write_bytes(b"{}")
    with pytest.raises(PublishError, match="local store is damaged"):
        copy(remote, world)
    assert read_fence(remote).pointer is None
    (world.root / "models/BTC/1h/v1/golden.json").unlink()
    with pytest.raises(PublishError, match="missing in the local store"):
        copy(remote, world)


def test_an_empty_store_has_nothing_to_push(world):
    with pytest.raises(PublishError, match="ever published"):
        copy(MemoryRemote(), world)


def test_the_deadline_ends_a_push_which_a_later_one_finishes(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory, "BTC"), small(factory, "ETH"))
    clock = iter(range(100))
    with pytest.raises(PublishError, match="deadline"):
        push(world.store, remote, read_fence(remote), world.keys, until=8, monotonic=lambda: next(clock))
    assert 0 < len(remote.data) < 20
    assert TIMESTAMP_PATH not in remote.data
    copy(remote, world)
    assert members(remote, world) == {"BTC_1h": 1, "ETH_1h": 1}


@pytest.mark.parametrize("lost", [False, True], ids=["before", "answer lost"])
def test_a_push_killed_at_any_call_is_finished_by_the_next_with_the_same_tree(world, factory, lost):
    base = MemoryRemote()
    world.publish(small(factory, "BTC", 1))
    copy(base, world)
    world.publish(small(factory, "BTC", 2), small(factory, "ETH"))
    clean = MemoryRemote()
    clean.data = dict(base.data)
    copy(clean, world)
    steps = 0
    while True:
        remote = MemoryRemote()
        remote.data = dict(base.data)
        try:
            push(world.store, failing(remote, steps, lost=lost), read_fence(remote), world.keys)
        except CrashedError:
            pass
        else:
            break
        assert members(remote, world) in ({"BTC_1h": 1}, {"BTC_1h": 2, "ETH_1h": 1})
        copy(remote, world)
        assert remote.tree == clean.tree
        steps += 1
    assert steps > 25


def test_an_adoption_killed_at_any_call_leaves_the_old_set_and_is_repeated(world, factory, elsewhere):
    remote = MemoryRemote()
    world.publish(small(factory, "BTC", 1))
    copy(remote, world)
    adopt(remote, read_fence(remote), elsewhere, world.keys)
    world.publish(small(factory, "BTC", 2))
    copy(remote, world)
    fence, steps = read_fence(remote), 0
    while True:
        try:
            adopt(failing(remote, steps), fence, elsewhere, world.keys)
        except CrashedError:
            assert signed_tree(elsewhere, world.keys).current.version == 1
            steps += 1
        else:
            break
    assert steps >= 8
    assert signed_tree(elsewhere, world.keys).current.version == 2


def test_a_rollback_reaches_the_remote(world, factory, remote):
    world.publish(small(factory, seed=1))
    copy(remote, world)
    world.publish(small(factory, seed=2))
    copy(remote, world)
    rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    assert copy(remote, world).sent == 1 + 2 + 1
    assert members(remote, world) == {"BTC_1h": 1}


@pytest.mark.parametrize("new_root", [False, True])
def test_a_rotation_reaches_the_remote_and_the_old_keys_are_worthless_there(
    world, factory, remote, new_root, elsewhere
):
    world.publish(small(factory, seed=1))
    copy(remote, world)
    fence, old = read_fence(remote), world.keys
    adopt(remote, fence, elsewhere, old)
    world.keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now, new_root=new_root)
    resign_set(world.store, world.keys, wall_clock_ms=world.now)
    push(world.store, remote, fence, world.keys)
    assert members(remote, world) == {"BTC_1h": 1}
    assert "metadata/2.root.json" in remote.files("metadata")
    with pytest.raises(PublishError, match="not signed by the keys"):
        remote_tree(remote, read_fence(remote), old)


def test_a_rotation_interrupted_between_root_and_pointer_is_finished(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    world.keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now)
    resign_set(world.store, world.keys, wall_clock_ms=world.now)
    remote.write_new([("metadata/2.root.json", world.keys.roots[1])])
    copy(remote, world)
    assert members(remote, world) == {"BTC_1h": 1}


def test_a_fenced_rotation_does_not_show_its_root(world, factory, elsewhere):
    """The root is sent after everything else and only while the pointer stands, because readers follow it at once."""
    remote = MemoryRemote()
    world.publish(small(factory, seed=1))
    copy(remote, world)
    fence = read_fence(remote)
    adopt(remote, fence, elsewhere, world.keys)
    world.publish(small(factory, seed=2))
    keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now)
    resign_set(elsewhere, keys, wall_clock_ms=world.now + 5)
    copy(remote, world)
    with pytest.raises(FencedError):
        push(elsewhere, remote, fence, keys)
    assert "metadata/2.root.json" not in remote.data
    assert members(remote, world) == {"BTC_1h": 2}


# Names that a run which never finished left behind


def crashed(world, factory, remote, elsewhere, at):
    """Another machine that follows the same set, numbers the next one and dies in the middle of its push."""
    adopt(remote, read_fence(remote), elsewhere, world.keys)
    world.now += 1
    world.publish(small(factory, "BTC", 77), small(factory, "ETH", 77), publisher=elsewhere)
    world.now += 1
    with pytest.raises(CrashedError):
        push(elsewhere, failing(remote, at, kinds=WRITES), read_fence(remote), world.keys)


@pytest.mark.parametrize("at", [1, 4, 13, 21])
def test_names_of_a_run_that_died_are_never_reused(world, factory, elsewhere, at):
    remote = MemoryRemote()
    world.publish(small(factory, "BTC", 1))
    copy(remote, world)
    crashed(world, factory, remote, elsewhere, at)
    orphans = {path: data for path, data in remote.tree.items() if path not in world.store.list("")}
    assert "sets/2.json" in orphans
    fence = read_fence(remote)
    theirs, _ = remote_tree(remote, fence, world.keys)
    reserved = reserved_names(remote, theirs, world.store, remote.files(""))
    assert reserved["sets"] == 2
    published = world.publish(small(factory, "BTC", 2), small(factory, "ETH", 2), reserved=reserved)
    assert published.version == 3
    push(world.store, remote, fence, world.keys)
    assert members(remote, world) == {
        "BTC_1h": reserved.get("models/BTC/1h", 1) + 1,
        "ETH_1h": reserved.get("models/ETH/1h", 0) + 1,
    }
    assert all(remote.tree.get(path, data) == data for path, data in orphans.items())


@pytest.mark.parametrize("at", [1, 13, 21])
def test_a_set_whose_names_were_taken_meanwhile_is_numbered_anew(world, factory, elsewhere, at):
    remote = MemoryRemote()
    world.publish(small(factory, "BTC", 1))
    copy(remote, world)
    fence = read_fence(remote)
    crashed(world, factory, remote, elsewhere, at)
    world.publish(small(factory, "BTC", 2), small(factory, "ETH", 2))
    with pytest.raises(FencedError):
        push(world.store, remote, fence, world.keys)
    theirs, _ = remote_tree(remote, fence, world.keys)
    reserved = reserved_names(remote, theirs, world.store, remote.files(""))
    assert renumber_set(world.store, world.keys, reserved, theirs.files, wall_clock_ms=world.now) == 3
    assert reserved_names(remote, theirs, world.store, remote.files("")) == reserved
    assert renumber_set(world.store, world.keys, reserved, theirs.files, wall_clock_ms=world.now) is None
    push(world.store, remote, fence, world.keys)
    assert set(members(remote, world)) == {"BTC_1h", "ETH_1h"}
    hamilton = world.hamilton()
    assert hamilton.load_model("BTC", "1h")[1].version == members(remote, world)["BTC_1h"]


def test_our_own_interrupted_push_is_no_foreign_name(world, factory):
    remote = MemoryRemote()
    world.publish(small(factory, "BTC", 1))
    copy(remote, world)
    world.publish(small(factory, "BTC", 2), small(factory, "ETH", 2))
    fence = read_fence(remote)
    for at in (3, 13, 21):
        with pytest.raises(CrashedError):
            push(world.store, failing(remote, at, kinds=WRITES), fence, world.keys)
        theirs, _ = remote_tree(remote, fence, world.keys)
        assert reserved_names(remote, theirs, world.store, remote.files("")) == {}


def test_summaries_go_along_and_never_overwrite(world, remote):
    path = publish_summary(world.store, {"n": 1}, wall_clock_ms=world.now)
    other = publish_summary(world.store, {"n": 2}, wall_clock_ms=world.now + 1000)
    remote.write_new([(other, b"{}")])
    assert push_files(world.store, remote, "summaries") == 1
    assert json.loads(remote.read(path, 100)[0]) == {"n": 1}
    assert remote.read(other, 100)[0] == b"{}"
    assert push_files(world.store, remote, "summaries") == 0


@settings(max_examples=KILLS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.booleans()), min_size=3, max_size=8))
def test_kills_during_recovery_again_and_again_end_in_the_same_tree(night_after_night, deaths):
    """R2: each death is (a new set first?, the call that dies, was it the answer that was lost?)."""
    nights = night_after_night
    sets, keys = nights.sets, nights.keys
    remote, at = MemoryRemote(), 0
    remote.data = dict(nights.start)
    for new, call, lost in deaths:
        at = min(at + new, len(sets) - 1)
        store = FolderStore(sets[at])
        with suppress(CrashedError):
            push(store, failing(remote, call, lost=lost), read_fence(remote), keys)
        whole(remote, keys)
    push(FolderStore(sets[at]), remote, read_fence(remote), keys)
    assert whole(remote, keys).current.version == at + 2
    assert remote.tree.items() <= nights.clean[at].items()


class Nights:
    """Four nights of one store, each as it lay on disk, what the remote held before them, and its tree after each."""

    def __init__(self, world, factory, folder):
        self.keys, self.sets, self.clean = world.keys, [], []
        remote = MemoryRemote()
        world.publish(small(factory, "BTC", 0))
        copy(remote, world)
        self.start = dict(remote.data)
        for seed in range(1, 5):
            world.publish(small(factory, "BTC", seed), small(factory, "ETH", seed))
            world.store.close()
            self.sets.append(folder / f"night{seed}")
            shutil.copytree(world.root, self.sets[-1])
            copy(remote, world)
            self.clean.append(remote.tree)


@pytest.fixture
def night_after_night(world, factory, tmp_path):
    return Nights(world, factory, tmp_path)
