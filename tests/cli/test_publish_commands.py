"""`publish`, `champions rollback`, `keys rotate`, and stores named by URL: exit codes, one JSON object, clear words."""

import importlib.util
import json
import time
from pathlib import Path

import pytest
from remotes import CrashedError, bucket, failing, make_bucket, s3, s3_process

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import adopt, push, read_fence
from huracan.adapters.publishers.objectstore import ObjectStore
from huracan.adapters.publishers.sets import resign_set

pytestmark = pytest.mark.slow

__all__ = ["bucket", "s3", "s3_process"]

_SPEC = importlib.util.spec_from_file_location("bundle_factory", Path(__file__).parents[1] / "hamilton" / "factory.py")
factory = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(factory)


@pytest.fixture
def world(own_trust, monkeypatch):
    """A store with two sets, signed by this user's keys, seen by nobody yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_trust / "user-cache"))
    made = factory.World(own_trust)
    made.now = time.time_ns() // 1_000_000
    made.publish(factory.bundle("BTC", seed=1), factory.bundle("ETH", seed=1))
    made.publish(factory.bundle("BTC", seed=2))
    made.store.close()
    return made


@pytest.fixture
def config(tmp_path, bucket):
    file = tmp_path / "publish.yaml"
    file.write_text(f"publish: {{urls: ['{bucket}'], operation_s: 0.5}}\n", encoding="utf-8")
    return file


@pytest.fixture
def remote(bucket):
    return ObjectStore(bucket, allow_http=True)


@pytest.fixture
def features(tmp_path):
    file = tmp_path / "features.json"
    file.write_text(json.dumps(factory.features()), encoding="utf-8")
    return file


def served(huracan, store, features, coin="BTC"):
    return huracan("predict", coin, "1h", "--features", features, "--store", store, "--json").json


def test_publish_copies_what_is_pending_and_is_safe_to_repeat(huracan, world, config, bucket, features):
    line = ("publish", "--store", world.root, "--config", config)
    answer = huracan(*line, "--json")
    assert (answer.status, answer.json["success"], answer.json["set"]) == (0, True, 2)
    assert answer.json["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    assert answer.json["members"] == {"BTC_1h": 2}
    again = huracan(*line)
    assert again.status == 0
    assert f"{bucket}: published" in again.out
    assert served(huracan, bucket, features)["version"] == 2


def test_publish_without_remotes_or_without_a_set_is_no_error(huracan, world, tmp_path, config):
    answer = huracan("publish", "--store", world.root)
    assert answer.status == 0
    assert "no remote store is configured" in answer.out
    empty = huracan("publish", "--store", tmp_path / "empty", "--config", config, "--json")
    assert (empty.status, empty.json["set"]) == (0, None)
    assert (
        "nothing was ever published here" in huracan("publish", "--store", tmp_path / "empty", "--config", config).out
    )


def test_publish_into_an_empty_folder_takes_over_the_remote_set(huracan, world, config, remote, tmp_path):
    push(world.store, remote, read_fence(remote), world.keys)
    world.store.close()
    fresh = ("--workdir", tmp_path / "fresh")
    answer = huracan("publish", *fresh, "--config", config, "--json")
    assert (answer.status, answer.json["code"]) == (3, "LEDGER_BEHIND")
    assert (tmp_path / "fresh" / "store" / "metadata" / "timestamp.json").exists()
    adopted = huracan("ledger", "adopt", "--note", "the other machine is gone", *fresh)
    assert "goes on from its entry 0 with set 2" in " ".join(adopted.out.split())
    answer = huracan("publish", *fresh, "--config", config, "--json")
    assert (answer.status, answer.json["members"]) == (0, {"BTC_1h": 2})
    again = huracan("ledger", "adopt", "--note", "once more", *fresh, "--json")
    assert (again.status, again.json) == (0, {"adopted": None})
    (shown,) = huracan("ledger", "show", *fresh, "--json").json["adoptions"]
    assert (shown["set_version"], shown["note"]) == (2, "the other machine is gone")


def test_a_folder_of_its_own_takes_over_the_remote_set_without_a_ledger(huracan, world, config, remote, tmp_path):
    push(world.store, remote, read_fence(remote), world.keys)
    world.store.close()
    answer = huracan("publish", "--store", tmp_path / "copy" / "store", "--config", config, "--json")
    assert (answer.status, answer.json["members"]) == (0, {"BTC_1h": 2})


def test_an_unreachable_store_is_pending_with_status_5(huracan, world, config, s3, bucket):
    s3.fault = lambda _method, _path: 503
    line = ("publish", "--store", world.root, "--config", config)
    answer = huracan(*line, "--json")
    assert (answer.status, answer.json["success"]) == (5, False)
    assert answer.json["publish_state"][bucket]["state"] == "PUBLISH_PENDING"
    spoken = huracan(*line)
    assert spoken.status == 5
    assert "`huracan publish` finishes it" in spoken.out
    assert "test-secret-of-the-bucket" not in answer.out + answer.err + spoken.out + spoken.err


def test_a_store_that_went_another_way_is_fenced_with_status_6(huracan, world, config, remote, bucket, tmp_path):
    other = FolderStore(tmp_path / "other")
    world.publish(factory.bundle("BTC", seed=7), publisher=other)
    push(other, remote, read_fence(remote), world.keys)
    other.close()
    answer = huracan("publish", "--store", world.root, "--config", config, "--json")
    assert answer.status == 6
    assert answer.json["publish_state"][bucket]["code"] == "FENCED"
    assert "move the local store folder away" in huracan("publish", "--store", world.root, "--config", config).out


def test_one_store_of_two_that_fails_leaves_the_other_published(huracan, world, s3, bucket, tmp_path):
    make_bucket(s3.url, "second-bucket")
    file = tmp_path / "two.yaml"
    file.write_text(f"publish: {{urls: ['{bucket}', 's3://second-bucket/x'], operation_s: 0.5}}\n", encoding="utf-8")
    s3.fault = lambda _method, path: 503 if path.startswith("/second-bucket") else None
    answer = huracan("publish", "--store", world.root, "--config", file, "--json")
    assert answer.status == 5
    states = {url: state["state"] for url, state in answer.json["publish_state"].items()}
    assert states == {bucket: "PUBLISHED", "s3://second-bucket/x": "PUBLISH_PENDING"}
    s3.fault = lambda _method, _path: None
    assert huracan("publish", "--store", world.root, "--config", file).status == 0


def test_the_rollback_drill(huracan, world, config, bucket, features, capsys):
    """R21: two sets, nothing broken, back to the earlier one, at every store; the time is told, not judged."""
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    assert served(huracan, bucket, features)["version"] == 2
    started = time.monotonic()
    answer = huracan("champions", "rollback", "--store", world.root, "--config", config, "--json")
    for store in (bucket, world.root):
        assert served(huracan, store, features)["version"] == 1
        assert served(huracan, store, features, "ETH")["version"] == 1
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\nrollback drill: {seconds:.2f} s from the command to Hamilton's answer from both stores")
    assert (answer.status, answer.json["set"], answer.json["origin"]) == (0, 3, 1)
    assert answer.json["members"] == {"BTC_1h": 1, "ETH_1h": 1}
    forward = huracan("champions", "rollback", "--to", 2, "--store", world.root, "--config", config)
    assert forward.status == 0
    assert "is set 2 signed anew" in forward.out
    assert served(huracan, bucket, features)["version"] == 2


def test_a_rollback_on_a_fresh_machine_brings_the_bundles_it_needs(huracan, world, config, bucket, features, tmp_path):
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    answer = huracan("champions", "rollback", "--store", tmp_path / "rented", "--config", config, "--json")
    assert (answer.status, answer.json["members"]) == (0, {"BTC_1h": 1, "ETH_1h": 1})
    assert served(huracan, bucket, features)["version"] == 1
    assert served(huracan, tmp_path / "rented", features, "ETH")["version"] == 1


def test_a_rollback_whose_bundles_are_gone_is_refused(huracan, world, tmp_path):
    (world.root / "models/ETH/1h/v1/golden.json").unlink()
    answer = huracan("champions", "rollback", "--store", world.root, "--json")
    assert (answer.status, answer.json["code"]) == (5, "PUBLISH_PENDING")
    assert "models/ETH/1h/v1" in answer.json["error"]


def test_a_rollback_to_nowhere_is_refused(huracan, world):
    answer = huracan("champions", "rollback", "--to", 77, "--store", world.root, "--json")
    assert answer.status == 5
    assert "set 77 is not listed" in answer.json["error"]


@pytest.mark.parametrize("new_root", [(), ("--new-root",)])
def test_rotated_keys_sign_every_store_and_readers_follow(huracan, world, config, bucket, features, new_root):
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    assert served(huracan, bucket, features)["version"] == 2
    answer = huracan("keys", "rotate", *new_root, "--store", world.root, "--config", config, "--json")
    assert (answer.status, answer.json["root_version"], answer.json["set"]) == (0, 2, 3)
    assert answer.json["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    for store in (bucket, world.root):
        assert served(huracan, store, features)["version"] == 2
    spoken = huracan("keys", "rotate", "--store", world.root, "--config", config)
    assert "root version 3 is in force" in spoken.out
    assert "unprotected" in spoken.out


def test_a_rotation_that_could_not_be_copied_is_finished_by_publish(huracan, world, config, s3, bucket, features):
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    s3.fault = lambda method, _path: 503 if method == "PUT" else None
    assert huracan("keys", "rotate", "--store", world.root, "--config", config).status == 5
    s3.fault = lambda _method, _path: None
    assert served(huracan, bucket, features)["version"] == 2
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    assert served(huracan, bucket, features)["version"] == 2


def test_a_rotation_interrupted_before_signing_is_finished_by_publish(huracan, world, config, bucket, features):
    from huracan.adapters.keys import rotate_keys

    rotate_keys(world.folder / "keys", None, wall_clock_ms=world.now)
    answer = huracan("publish", "--store", world.root, "--config", config, "--json")
    assert (answer.status, answer.json["set"]) == (0, 3)
    assert (world.root / "metadata" / "2.root.json").exists()
    assert served(huracan, bucket, features)["version"] == 2


def test_keys_rotate_before_anything_was_published(huracan, own_trust, tmp_path):
    assert huracan("keys", "init").status == 0
    answer = huracan("keys", "rotate", "--store", tmp_path / "none", "--json")
    assert (answer.status, answer.json["root_version"], answer.json["set"]) == (0, 2, None)


def test_a_wrong_passphrase_rotates_nothing(huracan, own_trust, monkeypatch, tmp_path):
    monkeypatch.setenv("HURACAN_ROOT_PASSPHRASE", "correct horse")
    assert huracan("keys", "init").status == 0
    monkeypatch.setenv("HURACAN_ROOT_PASSPHRASE", "battery staple")
    answer = huracan("keys", "rotate", "--store", tmp_path / "none", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert not list((own_trust / "keys").glob("2.root.json"))


@pytest.mark.parametrize("command", [("publish",), ("champions", "rollback")])
def test_without_keys_or_store_the_commands_say_what_is_missing(huracan, own_trust, tmp_path, command):
    answer = huracan(*command, "--store", tmp_path / "none", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert "keys init" in answer.json["error"]
    assert huracan("keys", "init").status == 0
    answer = huracan(*command, "--store", tmp_path / "none", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert "holds no metadata/ folder" in answer.json["error"]
    assert not (tmp_path / "none").exists()


def test_signing_needs_a_folder(huracan, own_trust):
    answer = huracan("publish", "--store", "s3://bucket/x", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert "folder store" in answer.json["error"]


def test_a_store_in_use_is_locked(huracan, world, config):
    with FolderStore(world.root):
        answer = huracan("publish", "--store", world.root, "--config", config, "--json")
    assert (answer.status, answer.json["code"]) == (6, "LOCKED")


def test_list_show_and_verify_read_a_store_by_url_also_without_it(huracan, world, config, bucket, s3):
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    listed = huracan("champions", "list", "--store", bucket, "--json")
    assert [(row["coin"], row["version"]) for row in listed.json["models"]] == [("BTC", 2)]
    assert huracan("champions", "show", "BTC", "1h", "--store", bucket, "--json").json["metadata"]["version"] == 2
    s3.fault = lambda _method, _path: 403
    assert huracan("champions", "verify", "--store", bucket, "--json").json == {"verified": ["BTC_1h"], "refused": []}


def test_a_url_that_cannot_be_reached_and_was_never_pulled_says_so(huracan, world, bucket, s3):
    s3.fault = lambda _method, _path: 403
    answer = huracan("champions", "list", "--store", bucket, "--json")
    assert (answer.status, answer.json["code"]) == (1, "MODEL_LOAD")
    assert "never pulled on this machine" in answer.json["error"]


def test_names_left_by_a_machine_that_died_are_given_way_to(huracan, world, config, remote, bucket, features, tmp_path):
    """Another machine followed the same set, numbered the next one, and was gone before it moved the pointer."""
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    dead = FolderStore(tmp_path / "dead")
    adopt(remote, read_fence(remote), dead, world.keys)
    world.publish(factory.bundle("BTC", seed=66), publisher=dead)
    with pytest.raises(CrashedError):
        push(dead, failing(remote, 13, kinds=("write", "swap")), read_fence(remote), world.keys)
    dead.close()
    with world.store:
        world.publish(factory.bundle("BTC", seed=3))
    answer = huracan("publish", "--store", world.root, "--config", config, "--json")
    assert (answer.status, answer.json["set"], answer.json["members"]) == (0, 4, {"BTC_1h": 4})
    assert '"store_renumbered"' in answer.err
    assert served(huracan, bucket, features)["version"] == served(huracan, world.root, features)["version"] == 4


def test_a_set_signed_again_moves_the_remote_on(huracan, world, config, bucket):
    assert huracan("publish", "--store", world.root, "--config", config).status == 0
    with world.store as store:
        resign_set(store, world.keys, wall_clock_ms=world.now)
    answer = huracan("publish", "--store", world.root, "--config", config, "--json")
    assert (answer.json["set"], answer.json["publish_state"][bucket]["state"]) == (3, "PUBLISHED")
