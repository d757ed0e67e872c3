"""Hamilton on a remote store: whole verified sets in a cache, offline service, no way back, no half of anything."""

import os
import stat
import threading
import time

import pytest
from remotes import CrashedError, MemoryRemote, Stepped, failing

from huracan.adapters.keys import init_keys, install_trusted_root, rotate_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import push, read_fence
from huracan.adapters.publishers.sets import resign_set, rollback_set
from huracan.errors import BundleSignatureError, ConfigError, ModelLoadError, PublishError
from huracan.hamilton import FolderSource
from huracan.operations.pull import PullingSource, open_source

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("HURACAN_TEST_PULLS", "8"))


def small(factory, coin="BTC", seed=0, **more):
    return factory.bundle(coin, seed=seed, engines=1, trees=0, **more)


class Away(MemoryRemote):
    """A store that can be unreachable."""

    away = False

    def read(self, path, limit):
        if self.away:
            raise PublishError(f"{self.identity}: no answer to work with")
        return super().read(path, limit)


@pytest.fixture
def away():
    return Away()


@pytest.fixture
def publish(world, away):
    """Publishes a set and copies it."""

    def now(*bundles, **more):
        world.publish(*bundles, **more)
        push(world.store, away, read_fence(away), world.keys)

    return now


@pytest.fixture
def source_of(world):
    """A source on a cache; nothing looks at the remote unless told to."""
    made = []

    def make(remote, cache="cache", **more):
        options = {"every_s": None, **more}
        made.append(PullingSource(remote, world.folder / cache, world.trusted.read_bytes, **options))
        return made[-1]

    yield make
    for source in made:
        source.close()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_first_call_pulls_the_set_and_predictions_equal_the_local_store_s(world, factory, publish, away, source_of):
    publish(factory.bundle("BTC"), factory.bundle("ETH", "4h"))
    hamilton = world.hamilton(source=source_of(away))
    local = world.hamilton(state_dir=world.folder / "other")
    given = factory.features()
    for coin, horizon in (("BTC", "1h"), ("ETH", "4h")):
        assert hamilton.predict(coin, horizon, given) == local.predict(coin, horizon, given)
    assert stat.S_IMODE((world.folder / "cache").stat().st_mode) == 0o700
    assert set(files(world.folder / "cache")) - {".lock"} == set(world.store.list("")) - {"metadata/1.root.json"}


def test_hamilton_reads_a_real_bucket_by_url(world, factory, bucket, monkeypatch):
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(world.trusted))
    monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "user"))
    from huracan.adapters.publishers.remotes import open_remote
    from huracan.settings import Settings

    world.publish(factory.bundle("BTC"))
    remote = open_remote(bucket, Settings(), os.environ)
    push(world.store, remote, read_fence(remote), world.keys)
    with open_source(bucket) as source:
        hamilton = world.hamilton(source=source)
        assert hamilton.predict("BTC", "1h", factory.features()).version == 1
        world.publish(factory.bundle("BTC", seed=5))
        push(world.store, remote, read_fence(remote), world.keys)
        assert source.refresh()
        assert hamilton.predict("BTC", "1h", factory.features()).version == 2
        assert hamilton.problem is None
    assert list((world.folder / "user" / "huracan" / "stores").iterdir())


def test_a_new_set_brings_only_what_is_new(world, factory, publish, away, source_of):
    publish(small(factory, "BTC", 1), small(factory, "ETH", 1))
    asked = []
    source = source_of(Stepped(away, lambda name, path: asked.append(path)))
    assert source.refresh()
    asked.clear()
    assert not source.refresh()
    assert asked == ["metadata/timestamp.json"]
    publish(small(factory, "BTC", 2), keep=[("ETH", "1h")])
    asked.clear()
    assert source.refresh()
    assert [path for path in asked if path.startswith("models")] == [
        path for path in asked if path.startswith("models/BTC/1h/v2/")
    ]


def test_the_thread_follows_the_pointer(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    hamilton = world.hamilton(source=source_of(away, every_s=0.01))
    assert hamilton.load_model("BTC", "1h")[1].version == 1
    publish(small(factory, seed=2))
    for _ in range(1000):
        if hamilton.load_model("BTC", "1h")[1].version == 2:
            break
        time.sleep(0.01)
    assert hamilton.load_model("BTC", "1h")[1].version == 2


def test_without_the_remote_the_last_good_set_goes_on_also_after_a_restart(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    given = factory.features()
    first = source_of(away)
    served = world.hamilton(source=first).predict("BTC", "1h", given)
    away.away = True
    with pytest.raises(PublishError, match="no answer"):
        first.refresh()
    first.close()
    again = source_of(away)
    assert world.hamilton(source=again).predict("BTC", "1h", given) == served
    assert isinstance(again.problem, PublishError)
    away.away = False
    publish(small(factory, seed=2))
    assert again.refresh()
    assert again.problem is None


def test_a_cache_is_served_before_the_remote_has_answered(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    source_of(away).refresh()
    gate = threading.Event()
    slow = source_of(Stepped(away, lambda *_: gate.wait()), every_s=60)
    assert world.hamilton(source=slow).load_model("BTC", "1h")[1].version == 1
    gate.set()


def test_a_remote_that_was_never_reached_says_why(world, away, source_of):
    away.away = True
    with pytest.raises(ModelLoadError, match=r"never pulled on this machine.*no answer"):
        world.hamilton(source=source_of(away)).load_model("BTC", "1h")


def test_an_empty_remote_holds_no_champions(world, away, source_of):
    with pytest.raises(ModelLoadError, match="no published champions"):
        world.hamilton(source=source_of(away)).load_model("BTC", "1h")
    assert world.hamilton(source=source_of(away)).get_do_not_trade_list() == []


def test_a_missing_trusted_root_is_named(world, factory, publish, away):
    publish(small(factory))
    from huracan.hamilton.verify import read_trusted_root

    absent = world.folder / "nowhere.json"
    source = PullingSource(away, world.folder / "c", lambda: read_trusted_root(absent, None), every_s=None)
    with pytest.raises(ModelLoadError, match=r"nowhere\.json"):
        world.hamilton(source=source, trusted_root=absent).load_model("BTC", "1h")


def test_a_pull_that_dies_at_any_call_never_shows_half_a_set(world, factory, publish, away, source_of):
    publish(small(factory, "BTC", 1))
    source_of(away).refresh()
    publish(small(factory, "BTC", 2), small(factory, "ETH", 2))
    for at in range(100):
        source = source_of(failing(away, at))
        try:
            source.refresh()
        except CrashedError:
            reader = world.hamilton(source=source_of(away), state_dir=world.folder / f"state{at}")
            reader._loader._source._started = True  # look at the cache alone
            assert reader.load_model("BTC", "1h")[1].version == 1
            assert len(reader.get_members()) == 1
        else:
            break
    assert at > 5
    assert world.hamilton(source=source_of(away)).load_model("ETH", "1h")[1].version == 1


@pytest.mark.parametrize("victim", ["metadata/2.targets.json", "sets/2.json", "models/BTC/1h/v2/model.safetensors"])
def test_a_tampered_set_never_enters_the_cache(world, factory, publish, away, source_of, victim):
    publish(small(factory, seed=1))
    source = source_of(away)
    source.refresh()
    publish(small(factory, seed=2))
    data, revision = away.data[victim]
    away.data[victim] = (data[:-1] + bytes([data[-1] ^ 1]), revision)
    with pytest.raises(BundleSignatureError):
        source.refresh()
    hamilton = world.hamilton(source=source)
    assert hamilton.load_model("BTC", "1h")[1].version == 1
    assert hamilton.problem is None


def test_a_remote_turned_back_is_refused_also_after_a_restart_and_by_a_new_reader(
    world, factory, publish, away, source_of
):
    publish(small(factory, seed=1))
    before = dict(away.data)
    publish(small(factory, seed=2))
    source_of(away).refresh()
    away.data = before
    for fresh_state in ("state", "another"):
        source = source_of(away)
        with pytest.raises(BundleSignatureError, match="rolled back"):
            source.refresh()
        reader = world.hamilton(source=source, state_dir=world.folder / fresh_state)
        assert reader.load_model("BTC", "1h")[1].version == 2


def test_a_new_machine_that_saw_newer_versions_of_this_store_refuses_older_ones(
    world, factory, publish, away, source_of
):
    """The cache was lost, Hamilton's own memory was not."""
    publish(small(factory, seed=1))
    before = dict(away.data)
    publish(small(factory, seed=2))
    world.hamilton(source=source_of(away)).load_model("BTC", "1h")
    away.data = before
    with pytest.raises(BundleSignatureError, match="rolled back"):
        world.hamilton(source=source_of(away, "empty")).load_model("BTC", "1h")


def test_a_set_of_other_keys_is_refused(world, factory, publish, away, source_of, tmp_path):
    publish(small(factory, seed=1))
    source = source_of(away)
    source.refresh()
    thief = factory.World(tmp_path / "thief")
    thief.now += 1
    thief.keys = init_keys(tmp_path / "more", None, wall_clock_ms=thief.now)
    install_trusted_root(thief.keys, tmp_path / "more.json")
    thief.publish(small(factory, seed=9))
    away.data = {}
    push(thief.store, away, read_fence(away), thief.keys)
    thief.store.close()
    with pytest.raises(BundleSignatureError):
        source.refresh()
    assert world.hamilton(source=source).load_model("BTC", "1h")[1].version == 1


def test_earlier_versions_come_from_the_remote_and_need_it(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    publish(small(factory, seed=2))
    hamilton = world.hamilton(source=source_of(away))
    assert hamilton.load_model("BTC", "1h")[1].version == 2
    assert not (world.folder / "cache" / "models/BTC/1h/v1").exists()
    away.away = True
    with pytest.raises(ModelLoadError, match="is not cached"):
        hamilton.load_model("BTC", "1h", 1)
    away.away = False
    assert hamilton.load_model("BTC", "1h", 1)[1].version == 1


def test_a_rotation_and_a_rollback_are_followed(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    source = source_of(away)
    hamilton = world.hamilton(source=source)
    hamilton.load_model("BTC", "1h")
    publish(small(factory, seed=2))
    fence = read_fence(away)
    world.keys = rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now, new_root=True)
    resign_set(world.store, world.keys, wall_clock_ms=world.now)
    push(world.store, away, fence, world.keys)
    source.refresh()
    assert hamilton.load_model("BTC", "1h")[1].version == 2
    rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    push(world.store, away, read_fence(away), world.keys)
    source.refresh()
    assert hamilton.load_model("BTC", "1h")[1].version == 1
    assert hamilton.problem is None


def test_two_processes_share_a_cache_one_pulls_both_read(world, factory, publish, away, source_of):
    publish(small(factory, seed=1))
    puller, reader = source_of(away), source_of(away)
    puller.refresh()
    publish(small(factory, seed=2))
    other = FolderStore(world.folder / "cache")
    other.acquire()
    assert not reader.refresh()
    assert world.hamilton(source=reader).load_model("BTC", "1h")[1].version == 1
    other.close()
    puller.refresh()
    assert world.hamilton(source=reader).load_model("BTC", "1h")[1].version == 2


def test_old_files_leave_the_cache(world, factory, publish, away, source_of):
    source = source_of(away)
    for seed in range(17):
        publish(small(factory, seed=seed))
        source.refresh()
    kept = {path.split("/")[3] for path in files(world.folder / "cache") if path.startswith("models")}
    assert kept == {f"v{number}" for number in range(4, 18)}


def test_pulling_while_sets_are_published_shows_whole_sets_only(world, factory, publish, away, source_of):
    """Scores belong to versions, and both coins change together: a mixture would show."""
    given, known, wrong, stop = factory.features(3), {}, [], threading.Event()
    bundles = {seed: [small(factory, coin, seed) for coin in ("BTC", "ETH")] for seed in range(ROUNDS)}
    publish(*bundles[0])
    source = source_of(away, every_s=0.001)
    hamilton = world.hamilton(source=source)
    seen = set()

    def trade():
        while not stop.is_set():
            for coin in ("BTC", "ETH"):
                result = hamilton.predict(coin, "1h", given)
                seen.add(result.version)
                if known.setdefault((coin, result.version), result.score) != result.score:
                    wrong.append(result)

    threads = [threading.Thread(target=trade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for seed in range(1, ROUNDS):
        publish(*bundles[seed])
    stop.set()
    for thread in threads:
        thread.join()
    source.refresh()
    assert hamilton.predict("BTC", "1h", given).version == ROUNDS
    assert wrong == []
    assert len(seen) > 1
    assert hamilton.problem is None


def test_a_path_opens_the_folder_itself(world, factory):
    world.publish(small(factory))
    source = open_source(str(world.root))
    assert isinstance(source, FolderSource)
    assert world.hamilton(source=source).load_model("BTC", "1h")[1].version == 1


@pytest.mark.parametrize("url", ["ftp://host/x", "file:///models", "dropbox:relative"])
def test_other_urls_are_refused(url):
    with pytest.raises(ConfigError):
        open_source(url)
