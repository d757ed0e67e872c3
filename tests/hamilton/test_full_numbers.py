"""Hostile input by the hundred thousand: in memory, by the same readers that Hamilton uses."""

import json
import random
import resource
import subprocess
import sys
import threading
import time

import pytest
import tree_mutants
from hostile import Tree, mutants, tree_of
from sizes import FULL, size

from huracan.adapters.publishers.sets import rollback_set
from huracan.adapters.publishers.trees import signed_tree
from huracan.domain.bundle import ChampionSet, Manifest
from huracan.errors import BundleFormatError, BundleSignatureError, FeatureError, ModelLoadError
from huracan.export.plan import numbered
from huracan.export.trust import Seen, verify_tree
from huracan.hamilton.verify import read_champion

pytestmark = pytest.mark.slow

BITS, EDITS = size(3_000, 10**9), size(1_000, 100_000)
VERSIONS = size(8, 50)
COINS = size(4, 30)
MANIFESTS = size(2_000, 100_000)
TREES = size(1_500, 100_000)
ROWS = size(2_000, 50_000)
RELOADS, CALLS, THREADS = size(20, 1_000), size(4_000, 1_000_000), size(4, 8)
SECONDS, MEMORY_MB = 1.0, 64
"""What a hostile file may cost; seconds are judged at the full size alone, which runs on a quiet machine."""


def served_from(files, root, of=None, coin="BTC", horizon="1h"):
    """What Hamilton would serve from these files; `of` is a tree that is verified already."""
    source = Tree(files)
    tree = of or verify_tree(source.read, root)
    member = tree.current.members[f"{coin}_{horizon}"]
    return read_champion(source, tree, coin, horizon, member.version)


def edited(data, rng):
    """Bytes changed in one of the ways that accidents and attackers change them; never the same bytes."""
    text = bytearray(data)
    at, length = rng.randrange(len(text)), rng.randint(1, 16)
    way = rng.randrange(6)
    if way == 0:
        text[at] = rng.randrange(256)
    elif way == 1:
        del text[at : at + length]
    elif way == 2:
        text[at:at] = rng.randbytes(length)
    elif way == 3:
        text[at : at + length] = bytes(len(text[at : at + length]))
    elif way == 4:
        other = rng.randrange(len(text))
        text[at], text[other] = text[other], text[at]
    else:
        del text[at:]
    return bytes(text) if text != data else data + b"\0"


@pytest.mark.guarantee("H1")
def test_no_flipped_bit_and_no_edit_is_accepted(world, factory, counted):
    world.publish(factory.bundle(engines=1, trees=1))
    tree, root = tree_of(world), world.keys.roots[0]
    known = verify_tree(tree.read, root)
    served_from(tree.files, root)
    # The chain's own files and the bundle's nine; the copy of the first root is for people, nobody reads it.
    paths = sorted(path for path in tree.files if path != "metadata/1.root.json")
    assert len(paths) == 13
    rng = random.Random(1)
    bits = [(path, bit) for path in paths for bit in range(8 * len(tree.files[path]))]
    chosen = bits if len(bits) <= BITS else rng.sample(bits, BITS)

    def refused(path, data):
        of = known if path.startswith("models/") else None
        with pytest.raises(ModelLoadError):
            served_from({**tree.files, path: data}, root, of)

    for path, bit in chosen:
        data = bytearray(tree.files[path])
        data[bit // 8] ^= 1 << bit % 8
        refused(path, bytes(data))
        counted()
    for _ in range(EDITS):
        path = rng.choice(paths)
        refused(path, edited(tree.files[path], rng))
        counted()


@pytest.mark.guarantee("H2")
def test_of_all_pairs_of_versions_no_older_one_is_taken_after_a_newer(world, factory, counted):
    trees = []
    for seed in range(VERSIONS):
        world.publish(factory.bundle("BTC", seed=seed, engines=1, trees=0))
        trees.append(tree_of(world))
    root = world.keys.roots[0]
    seen = [verify_tree(tree.read, root).seen for tree in trees]
    for newer in range(VERSIONS):
        for older in range(VERSIONS):
            if older < newer:
                with pytest.raises(BundleSignatureError, match="rolled back"):
                    verify_tree(trees[older].read, root, seen[newer])
            else:
                assert verify_tree(trees[older].read, root, seen[newer]).seen.targets == older + 1
            mixed = {**trees[newer].files, f"sets/{newer + 1}.json": trees[older].files[f"sets/{older + 1}.json"]}
            if older != newer:
                with pytest.raises(BundleSignatureError):
                    verify_tree(Tree(mixed).read, root, Seen())
            counted()


@pytest.mark.guarantee("H2")
def test_of_all_pairs_of_coins_and_horizons_none_is_served_as_another(world, factory, counted):
    keys = [(f"C{number}", horizon) for number in range(COINS) for horizon in ("1h", "4h", "1d")]
    world.publish(*(factory.bundle(*key, seed=number, engines=1, trees=0) for number, key in enumerate(keys)))
    tree, root = tree_of(world), world.keys.roots[0]
    known = verify_tree(tree.read, root)
    for coin, horizon in keys:
        mine = f"models/{coin}/{horizon}/v1/"
        assert served_from(tree.files, root, known, coin, horizon).coin == coin
        for other_coin, other_horizon in keys:
            if (coin, horizon) == (other_coin, other_horizon):
                continue
            other = f"models/{other_coin}/{other_horizon}/v1/"
            swapped = {
                mine + name.removeprefix(other): data for name, data in tree.files.items() if name.startswith(other)
            }
            with pytest.raises(BundleSignatureError):
                served_from({**tree.files, **swapped}, root, known, coin, horizon)
            counted()


@pytest.mark.guarantee("H3")
def test_fuzzed_manifests_cost_little_and_raise_only_the_declared_error(world, factory, counted):
    manifest = numbered(factory.bundle().manifest, 1).to_bytes()
    world.publish(factory.bundle())
    current = world.store.read("sets/1.json")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest, refused = 0.0, 0
    for reader, data in ((Manifest.from_bytes, manifest), (ChampionSet.from_bytes, current)):
        for mutant in mutants(data, MANIFESTS // 2, 11):
            started = time.thread_time()
            try:
                reader(mutant)
            except BundleFormatError:
                refused += 1
            slowest = max(slowest, time.thread_time() - started)
            counted()
    assert refused > MANIFESTS // 2
    assert slowest <= SECONDS or not FULL
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak <= MEMORY_MB * 1024


@pytest.mark.guarantee("H3")
@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"coin": ' + b"9" * 1_000_000 + b"}",
        b'{"coin": "' + b"\\u202e" * 100_000 + b'"}',
        b"\x80\x04\x95" + b"cposix\nsystem\n(S'touch /tmp/owned'\ntR." * 100,
        b"PK\x03\x04" + bytes(500_000),
        b"\x1f\x8b\x08" + bytes(500_000),
        b'{"files": {' + b",".join(b'"%d": {"sha256": "", "size": 0}' % n for n in range(20_000)) + b"}}",
    ],
    ids=["brackets", "depth", "digits", "right-to-left", "pickle", "zip", "gzip", "many files"],
)
def test_bombs_in_place_of_a_manifest_are_refused(bomb, counted):
    for reader in (Manifest.from_bytes, ChampionSet.from_bytes):
        started = time.thread_time()
        with pytest.raises(BundleFormatError):
            reader(bomb)
        assert time.thread_time() - started <= SECONDS or not FULL
        counted()


@pytest.mark.guarantee("H4")
def test_mutated_tree_arrays_never_end_the_process(counted):
    """In processes of their own, so that a crash would be seen and counted."""
    batch = min(TREES, 5_000)
    for start in range(0, TREES, batch):
        done = subprocess.run(
            [sys.executable, tree_mutants.__file__, str(start), str(batch)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"batch {start}: status {done.returncode}: {done.stderr[-2000:]}"
        outcome = json.loads(done.stdout)
        assert outcome["refused"] + outcome["evaluated"] == batch
        assert min(outcome.values()) > 0
        counted(batch)


@pytest.mark.guarantee("H5")
def test_poisoned_rows_are_refused_and_permuted_ones_give_the_same_bits(world, factory, counted):
    world.publish(factory.bundle())
    hamilton = world.hamilton()
    rng = random.Random(5)
    poison = [float("nan"), float("inf"), -float("inf"), None, "0", b"0", [], {}, 1j, 10**400, "", "nan", object()]
    for number in range(ROWS):
        good = factory.features(number % 97)
        expected = hamilton.predict("BTC", "1h", good)
        names = list(good)
        rng.shuffle(names)
        assert hamilton.predict("BTC", "1h", {name: good[name] for name in names}) == expected
        bad = dict(good)
        way = rng.randrange(4)
        for name in rng.sample(names, rng.randint(1, 3)):
            if way == 0:
                del bad[name]
            elif way == 1:
                bad[f"{name}{rng.randrange(10)}"] = bad.pop(name)
            elif way == 2:
                bad[f"extra{rng.randrange(10)}"] = 0.0
            else:
                bad[name] = rng.choice(poison)
        with pytest.raises(FeatureError):
            hamilton.predict("BTC", "1h", bad)
        counted()


@pytest.mark.guarantee("H7")
def test_calls_from_many_threads_see_one_set_each_while_sets_are_swapped(world, factory, counted):
    """Both coins change together; a mixture would show as a score that belongs to no version."""
    hamilton, given = world.hamilton(), factory.features(3)
    for seed in (1, 2):
        world.publish(*(factory.bundle(coin, seed=seed, engines=1, trees=0) for coin in ("BTC", "ETH")))
    known = {version: hamilton.predict("BTC", "1h", given, version=version).score for version in (1, 2)}
    assert known[1] != known[2]
    wrong, done, share = [], [0] * THREADS, CALLS // THREADS
    stop = threading.Event()

    def trade(mine):
        while done[mine] < share or not stop.is_set():
            result = hamilton.predict("BTC" if done[mine] % 2 else "ETH", "1h", given)
            if known[result.version] != result.score or result.metadata.version != result.version:
                wrong.append(result)
            done[mine] += 1
            if not done[mine] % 64:
                time.sleep(0)

    threads = [threading.Thread(target=trade, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(RELOADS):
        # Signing the other set anew swaps both members between versions 1 and 2.
        current = signed_tree(world.store, world.keys).current.version
        rollback_set(world.store, world.keys, wall_clock_ms=world.now, to=current - 1)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(done) >= CALLS
    assert hamilton.problem is None
    counted(sum(done))
