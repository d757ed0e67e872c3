"""Publishing a set: versions, kept bundles, crashes at every step, rollback, rotation."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tuf.api.metadata import Metadata

from huracan.adapters.keys import init_keys, rotate_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import KEEP_VERSIONS, prune_unlisted, publish_summary, resign_set, rollback_set
from huracan.adapters.publishers.trees import signed_tree
from huracan.domain.bundle import DoNotTrade
from huracan.errors import BundleSignatureError, DiskFullError, LockedError, ModelLoadError, PublishError


class Failing:
    """A publisher whose k-th change raises, before or after it took effect."""

    def __init__(self, inner, at, *, after=False):
        self.inner, self.left, self.after = inner, at, after

    def read(self, path):
        return self.inner.read(path)

    def list(self, prefix):
        return self.inner.list(prefix)

    def _do(self, call, *arguments):
        self.left -= 1
        if self.left < 0 and not self.after:
            raise PublishError("crash")
        getattr(self.inner, call)(*arguments)
        if self.left < 0:
            raise PublishError("crash after the fact")

    def write_new(self, path, data):
        self._do("write_new", path, data)

    def replace(self, path, data):
        self._do("replace", path, data)

    def delete_tree(self, prefix):
        self._do("delete_tree", prefix)


class Memory:
    """A publisher and a source in memory."""

    identity = "memory"

    def __init__(self, files=()):
        self.files = dict(files)

    def read(self, path, limit=None):
        data = self.files.get(path)
        assert limit is None or data is None or len(data) <= limit
        return data

    def version(self):
        return self.files.get("metadata/timestamp.json")

    def list(self, prefix):
        return sorted(path for path in self.files if path.startswith(f"{prefix}/"))

    def write_new(self, path, data):
        if self.files.setdefault(path, data) != data:
            raise PublishError(f"{path} holds other bytes")

    def replace(self, path, data):
        self.files[path] = data

    def delete_tree(self, prefix):
        for path in self.list(prefix):
            del self.files[path]


def versions(world, store=None):
    tree = signed_tree(store or world.store, world.keys)
    return {key: member.version for key, member in tree.current.members.items()}


def test_the_first_set_is_version_one_and_every_file_stands_at_its_place(world, factory):
    published = world.publish(factory.bundle("BTC", "1h"), factory.bundle("ETH", "4h"))
    assert {key: (m.version, m.action) for key, m in published.members.items()} == {
        "BTC_1h": (1, "new"),
        "ETH_4h": (1, "new"),
    }
    names = {
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
    assert world.store.list("models/BTC/1h") == sorted(f"models/BTC/1h/v1/{name}" for name in names)
    manifest = json.loads(world.store.read("models/BTC/1h/v1/manifest.json"))
    assert (manifest["version"], manifest["status"]) == (1, "champion")
    assert "metadata/timestamp.json" in world.store.list("metadata")


def test_roles_expire_as_designed(world, factory):
    world.publish(factory.bundle())
    hours = {}
    for role in ("timestamp", "1.snapshot", "1.targets"):
        signed = Metadata.from_bytes(world.store.read(f"metadata/{role}.json")).signed
        hours[role] = (signed.expires.timestamp() - world.now / 1000) / 3600
    assert hours == {"timestamp": 48, "1.snapshot": 336, "1.targets": 336}


def test_equal_content_is_kept_and_signed_anew(world, factory):
    world.publish(factory.bundle(seed=1))
    world.now += factory.HOUR
    again = world.publish(factory.bundle(seed=1))
    assert (again.members["BTC_1h"].version, again.members["BTC_1h"].action) == (1, "kept")
    assert again.version == 2
    assert Metadata.from_bytes(world.store.read("metadata/timestamp.json")).signed.version == 2


def test_new_content_is_the_next_version_and_the_old_one_stays(world, factory):
    world.publish(factory.bundle(seed=1))
    before = world.store.read("models/BTC/1h/v1/model.safetensors")
    assert world.publish(factory.bundle(seed=2)).members["BTC_1h"].version == 2
    assert world.store.read("models/BTC/1h/v1/model.safetensors") == before


def test_a_kept_bundle_whose_files_rotted_is_published_anew(world, factory):
    world.publish(factory.bundle(seed=1))
    (world.root / "models/BTC/1h/v1/metrics.json").write_bytes(b"{}x")
    assert world.publish(factory.bundle(seed=1)).members["BTC_1h"].version == 2


def test_members_can_be_kept_without_their_bundle(world, factory):
    world.publish(factory.bundle("BTC"), factory.bundle("ETH"), factory.bundle("SOL"))
    (world.root / "models/SOL/1h/v1/golden.json").unlink()
    keep = [("BTC", "1h"), ("SOL", "1h"), ("XRP", "1h")]
    published = world.publish(factory.bundle("ETH", seed=5), keep=keep)
    assert {key: (m.version, m.action) for key, m in published.members.items()} == {
        "BTC_1h": (1, "kept"),
        "ETH_1h": (2, "new"),
    }
    assert set(published.dropped) == {"SOL_1h", "XRP_1h"}
    current = signed_tree(world.store, world.keys).current
    assert [(row.coin, row.horizon) for row in current.ranking] == [("ETH", "1h"), ("BTC", "1h")]


def test_two_bundles_of_one_key_are_refused(world, factory):
    with pytest.raises(PublishError, match="two bundles"):
        world.publish(factory.bundle(seed=1), factory.bundle(seed=2))


@pytest.mark.slow
@pytest.mark.guarantee("R1")
def test_a_crash_at_any_step_leaves_the_old_or_the_new_set(world, factory):
    """Also when the step took effect but its answer was lost; and the next run completes."""
    base = Memory()
    world.publish(factory.bundle("BTC", seed=1), publisher=base)
    tonight = factory.bundle("BTC", seed=2), factory.bundle("ETH")
    later = factory.bundle("BTC", seed=3), factory.bundle("ETH")
    counting = Failing(Memory(base.files), 10**9)
    world.publish(*tonight, publisher=counting)
    steps = 10**9 - counting.left
    assert steps > 20
    for after in (False, True):
        for at in range(steps):
            store = Memory(base.files)
            with pytest.raises(PublishError, match="crash"):
                world.publish(*tonight, publisher=Failing(store, at, after=after))
            done = after and at == steps - 1
            assert versions(world, store) == ({"BTC_1h": 2, "ETH_1h": 1} if done else {"BTC_1h": 1})
            world.publish(*later, publisher=store)
            wanted = 3 if done else 2
            assert versions(world, store) == {"BTC_1h": wanted, "ETH_1h": 1}
            reader = world.hamilton(source=store, state_dir=world.folder / f"state{after}{at}")
            assert reader.load_model("BTC", "1h")[1].version == wanted


def test_a_crash_of_the_very_first_publication_is_recovered(world, factory):
    for at in range(13):
        store = Memory()
        with pytest.raises(PublishError):
            world.publish(factory.bundle(seed=1), publisher=Failing(store, at))
        assert signed_tree(store, world.keys) is None
        world.publish(factory.bundle(seed=2), publisher=store)
        assert versions(world, store) == {"BTC_1h": 1}


def test_a_full_disk_leaves_the_old_set(world, factory, monkeypatch):
    world.publish(factory.bundle(seed=1))
    monkeypatch.setattr(
        "huracan.adapters.publishers.folder.shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})
    )
    with pytest.raises(DiskFullError):
        world.publish(factory.bundle(seed=2))
    assert versions(world) == {"BTC_1h": 1}
    assert world.store.list("models/BTC/1h/v2") == []


@pytest.mark.guarantee("R17")
def test_of_two_writers_one_is_locked_out_and_publishes_nothing(world, factory):
    world.publish(factory.bundle(seed=1))
    other = FolderStore(world.root)
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(world.publish, factory.bundle(seed=2), publisher=other)
        with pytest.raises(LockedError):
            attempt.result()
    assert versions(world) == {"BTC_1h": 1}


def test_the_last_fourteen_versions_stay_listed_and_older_ones_are_pruned(world, factory):
    for seed in range(KEEP_VERSIONS + 3):
        world.publish(factory.bundle("BTC", seed=seed, engines=1, trees=0))
    world.store.write_new("models/BTC/1h/v99/orphan", b"")
    tree = signed_tree(world.store, world.keys)
    listed = sorted(int(path.split("/v")[1].split("/")[0]) for path in tree.files if path.startswith("models"))
    assert listed == list(range(4, KEEP_VERSIONS + 4))
    gone = prune_unlisted(world.store, world.keys)
    assert {path for path in gone if path.startswith("models")} == {f"models/BTC/1h/v{n}" for n in (1, 2, 3)}
    assert {f"sets/{n}.json" for n in (1, 2, 3)} <= set(gone)
    assert world.store.list("models/BTC/1h/v99") == ["models/BTC/1h/v99/orphan"]
    assert prune_unlisted(world.store, world.keys) == []
    assert world.hamilton().load_model("BTC", "1h", 4)[1].version == 4


def test_a_champion_that_left_the_set_keeps_counting_when_it_returns(world, factory):
    world.publish(factory.bundle("BTC", seed=1))
    world.publish(factory.bundle("ETH", seed=1))
    assert world.publish(factory.bundle("BTC", seed=2)).members["BTC_1h"].version == 2


@pytest.mark.guarantee("R21", cases=4)
def test_rollback_signs_the_set_before_as_a_new_one(world, factory):
    world.publish(factory.bundle("BTC", seed=1))
    world.publish(factory.bundle("BTC", seed=2), do_not_trade=[DoNotTrade(coin="X", code="STALE", reason="old")])
    world.publish(factory.bundle("BTC", seed=3))
    reader = world.hamilton()
    assert reader.load_model("BTC", "1h")[1].version == 3
    assert rollback_set(world.store, world.keys, wall_clock_ms=world.now).version == 4
    assert versions(world) == {"BTC_1h": 2}
    assert reader.load_model("BTC", "1h")[1].version == 2
    assert reader.get_do_not_trade_list() == ["X"]
    rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    assert versions(world) == {"BTC_1h": 1}
    with pytest.raises(PublishError, match="no earlier set"):
        rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    rollback_set(world.store, world.keys, wall_clock_ms=world.now, to=3)
    assert versions(world) == {"BTC_1h": 3}
    with pytest.raises(PublishError, match="set 77"):
        rollback_set(world.store, world.keys, wall_clock_ms=world.now, to=77)
    assert world.publish(factory.bundle("BTC", seed=4)).members["BTC_1h"].version == 4


def test_an_empty_store_has_nothing_to_roll_back_or_prune(world):
    with pytest.raises(PublishError, match="ever published"):
        rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    assert prune_unlisted(world.store, world.keys) == []


@pytest.mark.parametrize("new_root", [False, True])
def test_after_a_rotation_old_readers_follow_and_the_old_key_is_worthless(world, factory, new_root):
    world.publish(factory.bundle(seed=1))
    reader = world.hamilton()
    reader.load_model("BTC", "1h")
    old = world.keys
    world.keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now, new_root=new_root)
    resign_set(world.store, world.keys, wall_clock_ms=world.now)
    assert reader.load_model("BTC", "1h")[1].version == 1
    assert reader.problem is None
    with pytest.raises(PublishError, match="not signed by the keys"):
        world.publish(factory.bundle(seed=2), publisher=FolderStoreView(world.store, hide="metadata/2.root.json"))
    stolen = factory.World.__new__(factory.World)
    stolen.__dict__ = {**world.__dict__, "keys": old}
    with pytest.raises(PublishError):
        stolen.publish(factory.bundle(seed=2))
    world.publish(factory.bundle(seed=3))
    assert world.hamilton(state_dir=world.folder / "fresh").load_model("BTC", "1h")[1].version == 2


class FolderStoreView:
    """A store in which one file was hidden by somebody."""

    def __init__(self, inner, hide):
        self.inner, self.hide = inner, hide

    def read(self, path):
        return None if path == self.hide else self.inner.read(path)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_a_publication_interrupted_right_after_a_rotation_is_completed(world, factory):
    world.publish(factory.bundle(seed=1))
    world.keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now)
    with pytest.raises(PublishError, match="crash"):
        resign_set(Failing(world.store, 4), world.keys, wall_clock_ms=world.now)
    resign_set(world.store, world.keys, wall_clock_ms=world.now)
    assert world.hamilton().load_model("BTC", "1h")[1].version == 1


def test_a_store_of_other_keys_is_never_signed(world, factory, tmp_path):
    world.publish(factory.bundle())
    world.keys = init_keys(tmp_path / "other", None, wall_clock_ms=world.now)
    with pytest.raises(PublishError, match="unknown root"):
        world.publish(factory.bundle(seed=2))


def test_planted_metadata_are_not_signed_along(world, factory):
    world.publish(factory.bundle())
    path = world.root / "metadata/1.targets.json"
    path.write_bytes(path.read_bytes().replace(b'"length":', b'"length": '))
    with pytest.raises(PublishError, match=r"1\.targets\.json"):
        world.publish(factory.bundle(seed=2))


def test_summaries_of_one_second_do_not_overwrite_each_other(world):
    first = publish_summary(world.store, {"n": 1}, wall_clock_ms=world.now)
    assert first == "summaries/20270115_080000_summary.json"
    assert publish_summary(world.store, {"n": 1}, wall_clock_ms=world.now) == first
    assert publish_summary(world.store, {"n": 2}, wall_clock_ms=world.now) != first
    assert json.loads(world.store.read(first)) == {"n": 1}


def test_a_set_signed_for_another_place_does_not_load(world, factory):
    """A bundle copied over another coin's is refused, whoever signed it."""
    world.publish(factory.bundle("BTC"), factory.bundle("ETH", seed=3))
    for file in (world.root / "models/ETH/1h/v1").iterdir():
        (world.root / "models/BTC/1h/v1" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BundleSignatureError):
        world.hamilton().load_model("BTC", "1h")
    assert world.hamilton().load_model("ETH", "1h")[1].coin == "ETH"
    with pytest.raises(ModelLoadError):
        world.hamilton().load_model("BTC", "4h")
