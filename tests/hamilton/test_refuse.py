"""Whatever is not exactly what was signed is refused: flipped bits, old sets, mixed sets, links, swapped coins."""

import dataclasses
import json
import os
import random
import shutil

import pytest
from hostile import Tree, mutants, tree_of
from sizes import size

from huracan.adapters.keys import init_keys
from huracan.domain.bundle import ChampionSet, Manifest
from huracan.domain.ids import sha256_hex
from huracan.errors import BundleFormatError, BundleSignatureError, FeatureSkewError, ModelLoadError
from huracan.export import golden_rows
from huracan.export.plan import numbered
from huracan.export.trust import Seen, verify_tree
from huracan.hamilton import HamiltonInterface

ROUNDS = size(2_000, 100_000)


def load(world, tree, coin="BTC", horizon="1h", state="state"):
    return world.hamilton(source=tree, state_dir=world.folder / state).load_model(coin, horizon)


@pytest.mark.slow
@pytest.mark.guarantee("H1", cases=500)
def test_a_flipped_bit_anywhere_in_what_is_read_is_refused(world, factory):
    world.publish(factory.bundle(engines=1, trees=1))
    tree = tree_of(world)
    load(world, tree)
    bits = [(path, bit) for path in sorted(tree.asked) for bit in range(8 * len(tree.files[path]))]
    assert len(tree.asked) == 13
    pointer = [bit for bit in bits if bit[0] == "metadata/timestamp.json"]
    chosen = random.Random(3).sample(bits, 350) + random.Random(4).sample(pointer, 150)
    for path, bit in chosen:
        data = bytearray(tree.files[path])
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModelLoadError):
            load(world, Tree({**tree.files, path: bytes(data)}))


def test_cut_lengthened_and_missing_files_are_refused(world, factory):
    world.publish(factory.bundle())
    tree = tree_of(world)
    load(world, tree)
    for path in sorted(tree.asked):
        data = tree.files[path]
        for wrong in (data[:-1], b"", data + b" ", data + b"\0" * (1 << 20)):
            with pytest.raises(ModelLoadError):
                load(world, Tree({**tree.files, path: wrong}))
        rest = {name: content for name, content in tree.files.items() if name != path}
        with pytest.raises(ModelLoadError):
            load(world, Tree(rest))


def history(world, factory, count):
    trees = []
    for seed in range(count):
        world.publish(factory.bundle("BTC", seed=seed, engines=1, trees=0))
        trees.append(tree_of(world))
        trees[-1].files.pop("metadata/1.root.json")
    return trees


@pytest.mark.slow
@pytest.mark.guarantee("H2", cases=49)
def test_no_older_set_is_accepted_after_a_newer_one_also_after_a_restart(world, factory):
    trees = history(world, factory, 7)
    for seen, newer in enumerate(trees):
        for offered, older in enumerate(trees):
            state = f"state-{seen}-{offered}"
            assert load(world, newer, state=state)[1].version == seen + 1
            if offered < seen:
                with pytest.raises(BundleSignatureError, match="rolled back"):
                    load(world, older, state=state)
            else:
                assert load(world, older, state=state)[1].version == offered + 1


@pytest.mark.guarantee("H2", cases=36)
def test_parts_of_different_sets_do_not_combine(world, factory):
    """Every file of one set, under its name in another."""
    trees = history(world, factory, 4)
    pairs = 0
    for mine in trees:
        load(world, Tree(mine.files), state="mix")
        for other in trees:
            number_mine, number_other = (json.loads(tree.version())["signed"]["version"] for tree in (mine, other))
            if number_mine == number_other:
                continue
            for kind in ("metadata/{}.snapshot.json", "metadata/{}.targets.json", "sets/{}.json"):
                mixed = {**mine.files, kind.format(number_mine): other.files[kind.format(number_other)]}
                with pytest.raises(BundleSignatureError):
                    load(world, Tree(mixed), state=f"{kind[:4]}{number_mine}{number_other}")
                pairs += 1
    assert pairs == 36


def test_no_bundle_is_served_as_another_coin_or_horizon(world, factory):
    keys = [(coin, horizon) for coin in ("BTC", "ETH", "SOL") for horizon in ("1h", "4h")]
    world.publish(*(factory.bundle(*key, seed=number, engines=1, trees=0) for number, key in enumerate(keys)))
    tree = tree_of(world)
    for coin, horizon in keys:
        for other_coin, other_horizon in keys:
            if (coin, horizon) == (other_coin, other_horizon):
                continue
            mine, other = f"models/{coin}/{horizon}/v1/", f"models/{other_coin}/{other_horizon}/v1/"
            swapped = {mine + p.removeprefix(other): d for p, d in tree.files.items() if p.startswith(other)}
            with pytest.raises(BundleSignatureError):
                load(world, Tree({**tree.files, **swapped}), coin, horizon)


def test_a_signed_bundle_that_contradicts_its_place_is_refused(world, factory):
    wrong = factory.bundle("BTC", "1h", of=factory.model(horizon="4h"))
    world.publish(wrong)
    with pytest.raises(BundleFormatError, match="240 minutes"):
        load(world, tree_of(world))


@pytest.mark.guarantee("H6")
def test_golden_rows_of_other_code_are_skew_and_nothing_is_served(world, factory):
    bundle, other = factory.bundle(seed=1), factory.model(seed=2)
    files = {**bundle.files, "golden.json": golden_rows(other, factory.rows())}
    entry = bundle.manifest.files["golden.json"].of(files["golden.json"])
    manifest = bundle.manifest.model_copy(update={"files": {**bundle.manifest.files, "golden.json": entry}})
    world.publish(dataclasses.replace(bundle, files=files, manifest=manifest))
    with pytest.raises(FeatureSkewError, match="BTC 1h v1"):
        world.hamilton().predict("BTC", "1h", factory.features())


@pytest.mark.guarantee("H2", cases=7)
def test_the_root_must_exist_and_must_not_come_from_the_store(world, factory, monkeypatch):
    world.publish(factory.bundle())
    inside = world.root / "metadata" / "1.root.json"
    with pytest.raises(ModelLoadError, match="inside the store"):
        world.hamilton(trusted_root=inside).load_model("BTC", "1h")
    link = world.folder / "link.json"
    link.symlink_to(inside)
    with pytest.raises(ModelLoadError, match="inside the store"):
        world.hamilton(trusted_root=link).load_model("BTC", "1h")
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(inside))
    with pytest.raises(ModelLoadError, match="inside the store"):
        world.hamilton(trusted_root=None).load_model("BTC", "1h")
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(world.folder / "absent.json"))
    with pytest.raises(ModelLoadError, match="Copy"):
        world.hamilton(trusted_root=None).load_model("BTC", "1h")
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(world.trusted))
    assert world.hamilton(trusted_root=None).load_model("BTC", "1h")
    monkeypatch.delenv("HURACAN_TRUSTED_ROOT")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(world.folder / "config"))
    with pytest.raises(ModelLoadError, match="huracan/trust"):
        world.hamilton(trusted_root=None).load_model("BTC", "1h")
    world.trusted.chmod(0o666)
    with pytest.raises(ModelLoadError, match="writable by everybody"):
        world.hamilton().load_model("BTC", "1h")


def test_a_set_signed_by_other_keys_is_refused(world, factory, tmp_path):
    world.publish(factory.bundle())
    thief = factory.World(tmp_path / "thief")
    thief.publish(factory.bundle(seed=9))
    with pytest.raises(
        BundleSignatureError, match=r"is signed by key [0-9a-f]{16}, and root version 1 trusts key"
    ) as seen:
        world.hamilton(source=tree_of(thief)).load_model("BTC", "1h")
    assert seen.value.code == "BUNDLE_SIGNATURE"
    assert "To trust that host on purpose" in str(seen.value)
    planted = tree_of(thief)
    planted.files["metadata/2.root.json"] = init_keys(tmp_path / "k", None, wall_clock_ms=world.now).roots[0]
    with pytest.raises(BundleSignatureError, match="calls itself version 1"):
        world.hamilton(source=planted).load_model("BTC", "1h")


def test_a_chain_of_roots_cut_short_is_a_rollback(world, factory):
    world.publish(factory.bundle())
    tree = tree_of(world)
    with pytest.raises(BundleSignatureError, match="root is version 1, version 2"):
        verify_tree(tree.read, world.keys.roots[0], Seen(root=2))


@pytest.mark.guarantee("H3")
@pytest.mark.parametrize(
    "where", ["metadata", "metadata/timestamp.json", "models/BTC", "models/BTC/1h/v1/model.safetensors"]
)
def test_links_below_the_root_are_not_followed(world, factory, where):
    world.publish(factory.bundle())
    path = world.root / where
    outside = world.folder / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(ModelLoadError, match="not a plain file"):
        world.hamilton().load_model("BTC", "1h")


@pytest.mark.guarantee("H3", cases=3)
def test_pipes_folders_and_huge_files_in_place_of_a_file_are_refused(world, factory):
    world.publish(factory.bundle())
    path = world.root / "models/BTC/1h/v1/golden.json"
    good = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelLoadError):
        world.hamilton().load_model("BTC", "1h")
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelLoadError):
        world.hamilton().load_model("BTC", "1h")
    path.rmdir()
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(BundleSignatureError, match="signed: "):
        world.hamilton().load_model("BTC", "1h")
    path.write_bytes(good)
    assert world.hamilton().load_model("BTC", "1h")


@pytest.mark.guarantee("H3")
@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/\0", "a\\b", ".", "x" * 5000])
def test_paths_that_leave_the_root_are_refused(world, path):
    from huracan.hamilton import FolderSource

    world.root.mkdir()
    with pytest.raises(BundleFormatError):
        FolderSource(world.root).read(path, 10)


@pytest.mark.guarantee("H3")
@pytest.mark.parametrize("coin", ["../../etc", "币安人生", "a/b", "..", "\u202egpj", "x\0y", "p" * 150])
def test_hostile_coin_names_are_only_names(world, factory, coin):
    world.publish(factory.bundle(coin, seed=2))
    assert world.hamilton().predict(coin, "1h", factory.features()).coin == coin
    outside = {path.name for path in world.folder.iterdir()}
    assert outside == {"keys", "store", "trust", "state"}
    with pytest.raises(ModelLoadError):
        world.hamilton().load_model(coin + "/../x", "1h")


def test_a_missing_store_is_no_error_before_the_first_load(world, factory):
    shutil.rmtree(world.root, ignore_errors=True)
    hamilton = world.hamilton()
    assert hamilton.get_do_not_trade_list() == []
    hamilton.add_blocked_coin("BTC/USDT", "not yet")
    assert hamilton.is_coin_blocked("BTC")
    with pytest.raises(ModelLoadError, match="holds no published champions"):
        hamilton.load_model("BTC", "1h")
    world.publish(factory.bundle())
    assert hamilton.predict("BTC", "1h", factory.features()).blocked_reason == "OWNER: not yet"


def test_fuzzed_manifests_and_sets_raise_only_the_declared_error(world, factory):
    manifest = numbered(factory.bundle().manifest, 1).to_bytes()
    world.publish(factory.bundle())
    current = world.store.read("sets/1.json")
    refused = 0
    for reader, data in ((Manifest.from_bytes, manifest), (ChampionSet.from_bytes, current)):
        for mutant in mutants(data, ROUNDS // 2, 5):
            try:
                reader(mutant)
            except BundleFormatError:
                refused += 1
    assert refused > ROUNDS // 2


@pytest.mark.slow
@pytest.mark.guarantee("H1", cases=ROUNDS // 3)
def test_fuzzed_metadata_are_never_accepted(world, factory):
    world.publish(factory.bundle())
    tree = tree_of(world)
    roles = ("metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json")
    for role in roles:
        for mutant in mutants(tree.files[role], ROUNDS // 12, 6):
            if mutant == tree.files[role]:
                continue
            with pytest.raises(ModelLoadError):
                verify_tree(Tree({**tree.files, role: mutant}).read, world.keys.roots[0])
    for mutant in mutants(world.keys.roots[0], ROUNDS // 12, 7):
        if mutant != world.keys.roots[0]:
            with pytest.raises(ModelLoadError):
                verify_tree(tree.read, mutant)


def test_signed_metadata_that_break_the_rules_are_refused(world, factory):
    """The online key signs it, and still it is not served."""
    from tuf.api.metadata import Metadata
    from tuf.api.serialization.json import JSONSerializer

    world.publish(factory.bundle())
    tree = tree_of(world)

    def resigned(change, role="metadata/timestamp.json"):
        metadata = Metadata.from_bytes(tree.files[role])
        change(metadata.signed)
        metadata.signatures.clear()
        metadata.sign(world.keys.online)
        return Tree({**tree.files, role: metadata.to_bytes(JSONSerializer(compact=True))})

    def no_hashes(signed):
        signed.snapshot_meta.hashes = None

    def other_version(signed):
        signed.snapshot_meta.version = 7

    for change in (no_hashes, other_version):
        with pytest.raises(BundleSignatureError):
            verify_tree(resigned(change).read, world.keys.roots[0])
    loose = json.dumps(json.loads(tree.files["metadata/timestamp.json"]), indent=1).encode()
    with pytest.raises(BundleSignatureError, match="canonical"):
        verify_tree(Tree({**tree.files, "metadata/timestamp.json": loose}).read, world.keys.roots[0])
    upper = json.loads(tree.files["metadata/timestamp.json"])
    upper["signatures"][0]["sig"] = upper["signatures"][0]["sig"].upper()
    data = json.dumps(upper, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(BundleSignatureError, match="malformed"):
        verify_tree(Tree({**tree.files, "metadata/timestamp.json": data}).read, world.keys.roots[0])
    snapshot = tree.files["metadata/1.snapshot.json"]
    with pytest.raises(BundleSignatureError, match="of type snapshot"):
        verify_tree(Tree({**tree.files, "metadata/timestamp.json": snapshot}).read, world.keys.roots[0])


def chain(world, tree, *, files=None, current=None, versions=None, meta=None):
    """The tree with lists signed anew by the online key, whatever they say."""
    from tuf.api.metadata import Metadata
    from tuf.api.serialization.json import JSONSerializer

    from huracan.adapters.publishers.metadata import Versions, signed_metadata

    data = current or tree.files["sets/1.json"]
    listed = {"sets/1.json": (sha256_hex(data), len(data)), **(files or {})}
    signed = signed_metadata(
        listed, versions or Versions(targets=1, snapshot=1, timestamp=1), world.keys.online, wall_clock_ms=world.now
    )
    if meta is not None:
        snapshot = Metadata.from_bytes(signed["metadata/1.snapshot.json"])
        snapshot.signed.meta = meta
        snapshot.sign(world.keys.online)
        content = snapshot.to_bytes(JSONSerializer(compact=True))
        timestamp = Metadata.from_bytes(signed["metadata/timestamp.json"])
        timestamp.signed.snapshot_meta.length = len(content)
        timestamp.signed.snapshot_meta.hashes = {"sha256": sha256_hex(content)}
        timestamp.sign(world.keys.online)
        signed |= {
            "metadata/1.snapshot.json": content,
            "metadata/timestamp.json": timestamp.to_bytes(JSONSerializer(compact=True)),
        }
    return Tree({**tree.files, **signed, "sets/1.json": data})


def test_lists_that_make_no_sense_are_refused_even_when_signed(world, factory):
    from tuf.api.metadata import MetaFile

    world.publish(factory.bundle())
    tree, root = tree_of(world), world.keys.roots[0]
    assert verify_tree(chain(world, tree).read, root).current.version == 1
    other = ChampionSet.from_bytes(tree.files["sets/1.json"]).model_copy(update={"version": 2}).to_bytes()
    with pytest.raises(BundleSignatureError, match="calls itself 2"):
        verify_tree(chain(world, tree, current=other).read, root)
    with pytest.raises(BundleSignatureError, match=r"sets/1\.json.*at most"):
        verify_tree(chain(world, tree, files={"sets/1.json": ("0" * 64, 1 << 40)}).read, root)
    with pytest.raises(BundleSignatureError, match=r"does not list targets\.json"):
        verify_tree(chain(world, tree, meta={}).read, root)
    with pytest.raises(BundleSignatureError, match="without length"):
        verify_tree(chain(world, tree, meta={"targets.json": MetaFile(1)}).read, root)
    targets = chain(world, tree).files["metadata/1.targets.json"]
    renamed = MetaFile(2, len(targets), {"sha256": sha256_hex(targets)})
    planted = chain(world, tree, meta={"targets.json": renamed})
    planted.files["metadata/2.targets.json"] = targets
    with pytest.raises(BundleSignatureError, match="calls itself version 1"):
        verify_tree(planted.read, root)


def test_a_set_without_its_bundle_list_serves_nothing(world, factory):
    world.publish(factory.bundle())
    with pytest.raises(ModelLoadError, match="not among the signed"):
        load(world, chain(world, tree_of(world)))


def test_roots_of_other_algorithms_are_refused(world, factory):
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root
    from tuf.api.serialization.json import JSONSerializer

    signer = CryptoSigner.generate_ecdsa()
    root = Root(version=1)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    metadata = Metadata(root)
    metadata.sign(signer)
    with pytest.raises(BundleSignatureError, match="not Ed25519"):
        verify_tree({}.get, metadata.to_bytes(JSONSerializer(compact=True)))


def unsigned(data, **more):
    return json.dumps({**json.loads(data), **more}, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize("role", ["metadata/timestamp.json", "root"])
@pytest.mark.parametrize("more", [{"note": "x"}, {"_": "x" * 200_000}, {"Signed": {}}, {"signatures2": []}])
def test_keys_that_nobody_signs_are_refused(world, factory, role, more):
    world.publish(factory.bundle())
    tree = tree_of(world)
    root = world.keys.roots[0]
    if role == "root":
        root = unsigned(root, **more)
    else:
        tree.files[role] = unsigned(tree.files[role], **more)
    with pytest.raises(ModelLoadError, match=r"keys that nobody signs or knows|is too long"):
        verify_tree(tree.read, root)


def test_signed_keys_that_nobody_knows_are_refused(world, factory):
    from tuf.api.metadata import Metadata
    from tuf.api.serialization.json import JSONSerializer

    world.publish(factory.bundle())
    tree = tree_of(world)
    metadata = Metadata.from_bytes(tree.files["metadata/timestamp.json"])
    metadata.signed.unrecognized_fields["more"] = 1
    metadata.signatures.clear()
    metadata.sign(world.keys.online)
    tree.files["metadata/timestamp.json"] = metadata.to_bytes(JSONSerializer(compact=True))
    with pytest.raises(BundleSignatureError, match=r"nobody signs or knows.*more"):
        verify_tree(tree.read, world.keys.roots[0])


def test_where_there_is_no_store_that_is_said_before_the_missing_root(tmp_path):
    hamilton = HamiltonInterface(
        str(tmp_path / "none"), trusted_root=tmp_path / "root.json", state_dir=tmp_path / "state"
    )
    with pytest.raises(ModelLoadError) as refused:
        hamilton.predict("BTC", "1h", {})
    told = str(refused.value)
    assert told.startswith(f"there is no store at {tmp_path / 'none'}: wanted a folder with models/ and metadata/")
    assert "no trusted root" in told
