"""Artefacts: whole or absent, first writer wins, keys stay inside the folder."""

import os
import threading

import pytest
from buckets import SECRET
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huracan.adapters import artefacts, cloud
from huracan.adapters.artefacts import LocalArtefacts, open_artefacts
from huracan.adapters.disk import is_disk_full
from huracan.errors import ConfigError, DiskFullError, PublishError


@pytest.fixture
def store(tmp_path):
    return LocalArtefacts(tmp_path / "new" / "artefacts")


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request):
    """The same store in both kinds of place."""
    if request.param == "folder":
        return request.getfixturevalue("store")
    return open_artefacts(request.getfixturevalue("lake_bucket"), allow_http=True)


def stray(store):
    return list((store._folder / ".staging").glob("*")) if (store._folder / ".staging").exists() else []


@pytest.mark.slow
def test_bytes_come_back_and_unknown_keys_are_none(anywhere):
    anywhere.put("features/ab/cd.parquet", b"\0data")
    assert anywhere.get("features/ab/cd.parquet") == b"\0data"
    assert anywhere.get("features/ab/ce.parquet") is None
    assert anywhere.get("features/ab") is None


def test_a_folder_holds_plain_files(store):
    store.put("features/ab/cd.parquet", b"\0data")
    assert (store._folder / "features" / "ab" / "cd.parquet").read_bytes() == b"\0data"


def test_a_key_that_exists_keeps_its_bytes(anywhere):
    anywhere.put("k", b"first")
    anywhere.put("k", b"second")
    anywhere.sweep()
    assert anywhere.get("k") == b"first"
    assert anywhere.list("") == ["k"]


def test_a_key_that_is_replaced_has_the_new_bytes(anywhere):
    anywhere.put("a/k", b"first")
    anywhere.replace("a/k", b"second")
    anywhere.replace("a/new", b"third")
    assert [anywhere.get(key) for key in anywhere.list("")] == [b"second", b"third"]


def test_a_key_that_is_a_folder_or_below_a_file_is_refused_in_words(store):
    store.put("a/b", b"x")
    for key in ("a", "a/b/c"):
        assert store.get(key) is None
        store.delete([key])
        for write in (store.put, store.replace):
            with pytest.raises(PublishError, match=key):
                write(key, b"y")
    assert store.list("") == ["a/b"]
    assert stray(store) == []


@pytest.mark.slow
def test_a_bucket_that_does_not_answer_says_so_without_its_secret(lake_bucket, monkeypatch):
    monkeypatch.setattr(cloud, "PATIENCE_S", 1)
    monkeypatch.setattr(cloud, "RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    gone = open_artefacts(lake_bucket, allow_http=True)
    for call in (lambda: gone.get("k"), lambda: gone.put("k", b""), lambda: gone.list(""), lambda: gone.delete(["k"])):
        with pytest.raises(PublishError, match="no answer") as raised:
            call()
        assert lake_bucket in str(raised.value)
        assert SECRET not in repr(raised.value)


def test_a_write_that_meets_a_conflict_in_the_bucket_is_made_again(lake_bucket, conflict_at):
    store = open_artefacts(lake_bucket, allow_http=True)
    conflict_at("a/1")
    store.put("a/1", b"kept")
    assert store.get("a/1") == b"kept"


def test_keys_are_listed_below_a_prefix(anywhere):
    for key in ("a/1", "a/2", "ab/3", "b"):
        anywhere.put(key, b"")
    assert anywhere.list("a/") == ["a/1", "a/2"]
    assert anywhere.list("a") == ["a/1", "a/2", "ab/3"]
    assert anywhere.list("a/2") == ["a/2"]
    assert anywhere.list("") == ["a/1", "a/2", "ab/3", "b"]
    assert anywhere.list("c/d/") == []


def test_deleted_keys_are_gone_and_can_be_written_again(anywhere):
    anywhere.put("a/1", b"x")
    anywhere.delete(["a/1", "never/was"])
    assert anywhere.get("a/1") is None
    anywhere.put("a/1", b"y")
    assert anywhere.get("a/1") == b"y"


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a#1", "x\0y", ".staging/x"]
)
def test_keys_that_leave_the_folder_are_refused(anywhere, key):
    for call in (anywhere.get, lambda k: anywhere.put(k, b""), lambda k: anywhere.delete([k])):
        with pytest.raises(ConfigError, match="key"):
            call(key)


SEGMENTS = st.text(st.characters(codec="utf-8", exclude_characters="/#\0"), min_size=1, max_size=20).filter(
    lambda text: text not in {".", ".."}
)


DRIVES = ("K|", "K:", "a/K|", "a/K:", "c|/a", "C:/a", "file:/a", "a/b|", "a\\b")
"""Names that native stores read as drive letters or addresses; some of them made a write that never returned."""


@pytest.mark.parametrize("key", DRIVES)
def test_a_name_that_looks_like_a_drive_letter_is_a_name(anywhere, key):
    anywhere.put(key, b"x")
    assert anywhere.get(key) == b"x"
    assert anywhere.list("") == [key]
    anywhere.replace(key, b"y")
    assert anywhere.get(key) == b"y"
    anywhere.delete([key])
    assert anywhere.get(key) is None


@settings(max_examples=60, deadline=None)
@example(["K|"])
@example(["a", "K|"])
@example(["K:"])
@example(["c|", "a"])
@given(st.lists(SEGMENTS, min_size=1, max_size=3))
def test_any_plain_key_round_trips_or_is_refused_cleanly(tmp_path_factory, segments):
    store = LocalArtefacts(tmp_path_factory.mktemp("artefacts"))
    key = "/".join(segments)
    try:
        store.put(key, b"x")
    except ConfigError:
        return
    assert store.get(key) == b"x"
    assert store.list("") == [key]


def test_of_many_writers_one_wins_and_nothing_is_left_over(store):
    def write(name):
        store.put("shared/key", name * 100_000)

    threads = [threading.Thread(target=write, args=(bytes([65 + n]),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = store.get("shared/key")
    assert len(set(data)) == 1
    assert len(data) == 100_000
    assert stray(store) == []


@pytest.mark.parametrize(("write", "name"), [("put", "link"), ("replace", "replace")])
def test_a_writer_killed_before_the_name_leaves_no_artefact(store, monkeypatch, write, name):
    class KilledError(BaseException):
        pass

    def die(*args, **kwargs):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(os, name, die)
        with pytest.raises(KilledError):
            getattr(store, write)("a/1", b"x")
    assert store.get("a/1") is None
    assert store.list("") == []
    getattr(store, write)("a/1", b"y")
    assert store.get("a/1") == b"y"


@pytest.mark.parametrize(("write", "name"), [("put", "link"), ("replace", "replace")])
def test_bytes_are_on_the_disk_before_the_name_is_and_the_name_is_synced(store, monkeypatch, write, name):
    store.put("other", b"x")
    order = []
    sync, naming, folder = os.fsync, getattr(os, name), artefacts.sync_folder
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("sync"), sync(handle)))
    monkeypatch.setattr(os, name, lambda *a, **k: (order.append("name"), naming(*a, **k)))
    monkeypatch.setattr(artefacts, "sync_folder", lambda path: (order.append(path), folder(path)))
    getattr(store, write)("a", b"x")
    assert order == ["sync", "name", store._folder, "sync"]


@pytest.mark.parametrize("write", ["put", "replace"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(28, DiskFullError), (122, DiskFullError), (5, DiskFullError), (13, PublishError)],
)
def test_a_full_disk_is_disk_full_and_other_failures_are_not(store, monkeypatch, write, number, kind):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PublishError, match="'a'") as caught:
        getattr(store, write)("a", b"x")
    assert type(caught.value) is kind
    assert stray(store) == []
    assert store.get("a") is None


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "x"), True),
        (OSError(122, "x"), True),
        (OSError(5, "x"), True),
        (OSError(13, "x"), False),
        (ValueError("Disk quota exceeded"), True),
        (ValueError("os error 280"), False),
    ],
)
def test_a_disk_that_is_full_or_fails_is_known_by_number_or_words(error, full):
    assert is_disk_full(error) is full
