"""The folder store: one writer, durable and atomic writes, no stray files, faults named."""

import errno
import os
import subprocess
import sys

import pytest

from huracan.adapters.publishers import folder as module
from huracan.adapters.publishers.folder import FolderStore, refuse_shared_folder
from huracan.errors import ConfigError, DiskFullError, LockedError, PublishError


def test_files_are_written_read_listed_and_removed(tmp_path):
    with FolderStore(tmp_path / "s") as store:
        assert store.list("") == []
        store.write_new("models/BTC/1h/v1/a.json", b"1")
        store.replace("metadata/timestamp.json", b"2")
        store.replace("metadata/timestamp.json", b"3")
        assert store.read("metadata/timestamp.json") == b"3"
        assert store.read("models/none") is None
        assert store.read("models/BTC/1h/v1/a.json/x") is None
        assert store.list("") == ["metadata/timestamp.json", "models/BTC/1h/v1/a.json"]
        assert store.list("models/BTC") == ["models/BTC/1h/v1/a.json"]
        store.delete_tree("models/BTC")
        store.delete_tree("metadata/timestamp.json")
        store.delete_tree("never/was")
        assert store.list("") == []


def test_an_immutable_file_accepts_the_same_bytes_and_no_others(tmp_path):
    with FolderStore(tmp_path) as store:
        store.write_new("a/b", b"1")
        store.write_new("a/b", b"1")
        with pytest.raises(PublishError, match="immutable"):
            store.write_new("a/b", b"2")
        assert store.read("a/b") == b"1"


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/\0b", "./a", ".tmp/x", ".lock"])
def test_paths_outside_the_store_are_refused(tmp_path, path):
    with FolderStore(tmp_path) as store, pytest.raises(PublishError, match="not a path"):
        store.write_new(path, b"x")


@pytest.mark.guarantee("R17")
def test_a_second_run_is_locked_out_until_the_first_ends(tmp_path):
    first, second = FolderStore(tmp_path), FolderStore(tmp_path)
    first.write_new("a", b"1")
    with pytest.raises(LockedError, match="another run"):
        second.write_new("b", b"2")
    assert second.read("a") == b"1"
    assert second.list("") == ["a"]
    first.close()
    second.write_new("b", b"2")
    second.close()


@pytest.mark.guarantee("R17")
def test_the_lock_ends_with_the_process_that_holds_it(tmp_path):
    code = (
        "import sys\nfrom huracan.adapters.publishers.folder import FolderStore\n"
        f"FolderStore({str(tmp_path)!r}).acquire()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError):
            FolderStore(tmp_path).acquire()
        holder.kill()
        holder.wait()
    FolderStore(tmp_path).acquire()


def test_temporary_files_are_private_and_cleared_by_the_next_run(tmp_path):
    with FolderStore(tmp_path) as store:
        store.write_new("a", b"1")
        assert (tmp_path / ".tmp").stat().st_mode & 0o777 == 0o700
        assert list((tmp_path / ".tmp").iterdir()) == []
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    (tmp_path / ".tmp" / "left").write_bytes(b"x")
    with FolderStore(tmp_path) as store:
        assert list((tmp_path / ".tmp").iterdir()) == []
        assert store.list("") == ["a"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "link", "open"])
@pytest.mark.parametrize("method", ["write_new", "replace"])
def test_a_full_disk_is_named_and_leaves_the_old_bytes(tmp_path, monkeypatch, code, call, method):
    store = FolderStore(tmp_path)
    store.replace("a", b"old")
    real = getattr(os, call)

    def fails(*arguments, **options):
        if call == "open" and not arguments[1] & os.O_CREAT:
            return real(*arguments, **options)
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, call, fails)
        if call == "link" and method == "replace":
            store.replace("a", b"new")
        else:
            with pytest.raises(DiskFullError, match="untouched"):
                getattr(store, method)("b" if method == "write_new" else "a", b"new")
            assert store.read("a") == b"old"
            assert store.read("b") is None
    assert list((tmp_path / ".tmp").iterdir()) == []
    store.close()


def test_other_io_errors_are_publish_errors(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with FolderStore(tmp_path) as store, pytest.raises(PublishError):
        store.write_new("file/below", b"x")


def test_the_preflight_refuses_what_would_not_fit(tmp_path):
    with FolderStore(tmp_path) as store:
        store.preflight(1000)
        with pytest.raises(DiskFullError, match="Free some space"):
            store.preflight(1 << 60)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        ("ext4", True),
        ("tmpfs", True),
        ("fuse.fuse-overlayfs", True),
        ("nfs4", False),
        ("cifs", False),
        ("fuse.sshfs", False),
    ],
)
def test_network_file_systems_are_refused(tmp_path, kind, allowed):
    mounts = tmp_path / "mountinfo"
    store = tmp_path / "my store"
    store.mkdir()
    point = str(store).replace(" ", "\\040")
    mounts.write_text(
        "22 1 0:1 / / rw - ext4 /dev/x rw\nbroken line\n"
        f"23 22 0:2 / {point} rw,shared:1 - {kind} host:/x rw\n24 22 0:3 / {point}2 rw - nfs4 h rw\n"
    )
    if allowed:
        refuse_shared_folder(store / "inner", mounts)
    else:
        with pytest.raises(ConfigError, match=kind.split(".")[0]):
            refuse_shared_folder(store / "inner", mounts)
    refuse_shared_folder(tmp_path, tmp_path / "no mountinfo")


def test_a_folder_that_is_synchronised_is_refused(tmp_path):
    (tmp_path / ".dropbox.cache").mkdir()
    with pytest.raises(ConfigError, match="synchronised"):
        FolderStore(tmp_path / "store").acquire()
