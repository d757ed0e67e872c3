"""The disk gives out at any durable call: the old set stands, the fault has its name, and with space the night completes."""

import errno
import os
import subprocess

import pytest
from faults import NOTHING, needs_gate
from invariants import Case, check_agreement, check_named, check_private, check_same_end, check_visible, served
from sizes import FULL, size

from huracan.adapters.publishers import folder as folder_store
from huracan.errors import DiskFullError
from huracan.hamilton.source import FolderSource

pytestmark = [pytest.mark.slow, needs_gate]

FAULTS = {"ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EIO": errno.EIO}
POINTS = size(4, 10**9)
YESTERDAY = ("--as-of", "2026-02-11T00:00:00Z")


@pytest.fixture(scope="module")
def two_nights(nights):
    """A case after one night, and one after the next night too; durable calls of the second."""
    first = nights.run("yesterday", NOTHING, *YESTERDAY)
    assert first.status == 0, first.told()
    nights.copy("yesterday", "today")
    second = nights.run("today")
    assert second.status == 0, second.told()
    yesterday, today = Case(nights.folder / "yesterday"), Case(nights.folder / "today")
    old, new = (served(FolderSource(case.store), case.root) for case in (yesterday, today))
    assert old != new
    return today, old, new, second.names


def points(count):
    """Every number from 1 to count, or as many as this size affords, spread evenly."""
    step = max(1, count // POINTS)
    return range(1 + (step // 2 if step > 1 else 0), count + 1, step)


@pytest.mark.guarantee("R5")
def test_a_disk_that_is_full_from_any_call_on_leaves_the_old_set_or_the_whole_new_one(nights, two_nights, counted):
    whole, old, new, names = two_nights
    writing = [name for name in names if name not in {"unlink", "unlinkat", "rmdir", "ftruncate", "truncate"}]
    # The last three calls before the ledger closes write the progress file; that and the closing may fail without harm,
    # since the ledger's rows are in its log.
    # How often that file is written depends on the clock, so the number of calls is not the same in every run.
    calls = len(writing) - writing[::-1].index("rename") - 12
    published = 0
    for at in points(calls):
        nights.copy("yesterday", "full")
        case = Case(nights.folder / "full")
        outcome = nights.run("full", {"kind": "fail", "at": at, "code": errno.ENOSPC})
        assert outcome.status != 0, f"exit 0 with a full disk from call {at} on"
        check_named(outcome.status, outcome.result(), {"DISK_FULL"})
        published += check_visible(case, [old, new]) == new
        check_private(case.folder)
        again = nights.run("full")
        assert again.status == 0, again.told()[-2000:]
        check_same_end(case, whole)
        check_agreement(case)
        nights.forget("full")
        counted()
    assert published < calls // 4


@pytest.mark.guarantee("R5")
def test_a_write_that_is_cut_short_is_finished(nights, two_nights, counted):
    whole, _, _, names = two_nights
    writes = sum(name in {"write", "pwrite64"} for name in names)
    for at in points(writes):
        nights.copy("yesterday", "cut")
        outcome = nights.run("cut", {"kind": "cut", "at": at})
        if outcome.status != 0:
            check_named(outcome.status, outcome.result(), {"DISK_FULL"})
            outcome = nights.run("cut")
        assert outcome.status == 0, outcome.told()[-2000:]
        check_same_end(Case(nights.folder / "cut"), whole)
        nights.forget("cut")
        counted()


@pytest.mark.guarantee("R5")
@pytest.mark.parametrize("once", [False, True], ids=["from then on", "once"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_publication_whose_disk_fails_at_any_call_leaves_the_old_set_and_can_be_repeated(
    server, room, counted, name, once
):
    base = room / f"base-{name}-{once}"
    note = str(room / "note")
    assert (
        server.run("publish", base, NOTHING, folder=str(base), publications=[{"BTC": 1}], acknowledged=note).status == 0
    )
    root = (base / "trust" / "root.json").read_bytes()
    old = served(FolderSource(base / "store"), root)
    second = {"publications": [{"BTC": 2, "ETH": 1}], "acknowledged": note}
    step = 1 if FULL else 17
    ends = set()
    for at in range(1, 10**6, step):
        case = room / f"case-{name}-{once}"
        subprocess.run(["cp", "-a", base, case], check=True)
        outcome = server.run(
            "publish", case, {"kind": "fail", "at": at, "code": FAULTS[name], "once": once}, folder=str(case), **second
        )
        seen = served(FolderSource(case / "store"), root)
        if outcome.status == 0:
            assert (case.with_name("note")).read_text() == "1"
            assert len(seen) == 2
        else:
            assert outcome.status == 5, outcome.told()
            assert outcome.told().startswith("DISK_FULL"), outcome.told()
            assert seen == old or len(seen) == 2
            assert server.run("publish", case, NOTHING, folder=str(case), **second).status == 0
            assert len(served(FolderSource(case / "store"), root)) == 2
        check_private(case)
        ends.add(outcome.status)
        nothing_left = at > outcome.calls
        subprocess.run(["rm", "-rf", case], check=True)
        counted()
        if nothing_left:
            break
    assert ends == {0, 5}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def factory():
    import fault_work

    return fault_work.factory


@pytest.mark.guarantee("R5")
def test_a_disk_of_one_megabyte_is_refused_beforehand_and_when_it_is_really_full(
    small_disk, factory, monkeypatch, counted
):
    world = factory.World(small_disk)
    with pytest.raises(DiskFullError, match="bytes free"):
        world.publish(factory.bundle(seed=0))
    monkeypatch.setattr(folder_store, "RESERVE_BYTES", -(1 << 30))
    source = FolderSource(world.root)
    root = world.trusted.read_bytes()
    for seed in range(1, 200):
        before = served(source, root)
        try:
            world.publish(factory.bundle(seed=seed, engines=3, trees=2))
        except DiskFullError:
            break
        counted()
    else:
        raise AssertionError("a megabyte held everything")
    assert before is not None
    assert served(source, root) == before
    assert list((world.root / ".tmp").iterdir()) == []
    counted()
    world.store.close()
