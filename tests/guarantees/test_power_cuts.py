"""The power goes at any moment of a publication: what was acknowledged before is there, whole, whatever the disk reordered."""

import base64
import json
import random
import subprocess
import sys

import pytest
import syscall_gate
from faults import needs_gate
from invariants import Case, check_agreement, check_same_end, served
from power_cut import Disk, moments
from sizes import size

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.keys import load_keys
from huracan.adapters.ledger import SqliteLedger
from huracan.errors import BundleFormatError

pytestmark = needs_gate

IMAGES = size(300, 10_000)
LEDGER_IMAGES = size(60, 2_000)
PUBLICATIONS = [{"BTC": 1}, {"BTC": 2, "ETH": 1}, {"BTC": 2}]


class Image:
    """A store on a disk after a power cut, as Hamilton reads it."""

    def __init__(self, files):
        self.files = files

    def read(self, path, limit):
        data = self.files.get(f"store/{path}")
        if data is not None and len(data) > limit:
            raise BundleFormatError(f"{path} is too long")
        return data

    def version(self):
        return self.files.get("store/metadata/timestamp.json")


def recorded(server, folder, work, **given):
    """What the disk was asked to do, and how often the caller was told that it was done, by number of operations."""
    outcome = server.run(work, folder, {"kind": "record"}, folder=str(folder), **given)
    assert outcome.status == 0, outcome.told()
    assert outcome.operations
    return [{**op, "data": base64.b64decode(op["data"])} for op in outcome.operations]


def spread(operations, images, rng):
    """Which moments are looked at how often: every one at least once, where there are enough images."""
    count = len(operations) + 1
    chosen = list(range(count)) if images >= count else rng.sample(range(count), images)
    chosen += [rng.randrange(count) for _ in range(images - len(chosen))]
    return {moment: chosen.count(moment) for moment in set(chosen)}


def replaced(operation, name):
    return operation["kind"] == "rename" and operation["paths"][1].endswith(name)


@pytest.mark.guarantee("R6")
def test_the_last_set_that_was_acknowledged_survives_a_power_cut(server, room, counted):
    folder = room / "power"
    acknowledged = str(room / "power.note")
    operations = recorded(server, folder, "publish", publications=PUBLICATIONS, acknowledged=acknowledged)
    root = (folder / "trust" / "root.json").read_bytes()
    sets = known_sets(folder, root)
    # A publication is acknowledged when the folder of its pointer is synced: nothing durable happens after that.
    pointers = [n for n, op in enumerate(operations, 1) if replaced(op, "metadata/timestamp.json")]
    synced = [
        next(
            n
            for n, op in enumerate(operations, 1)
            if n > at and op["kind"] == "sync" and op["paths"][0].endswith("metadata")
        )
        for at in pointers
    ]
    assert len(synced) == len(PUBLICATIONS)
    rng = random.Random(6)
    wanted = spread(operations, IMAGES, rng)
    disk = Disk(syscall_gate.real(folder), {}, set())
    for moment in moments(operations, disk):
        done = sum(at <= moment for at in synced)
        begun = sum(at <= moment for at in pointers)
        allowed = [sets[number] for number in range(done, begun + 1)]
        for _ in range(wanted.get(moment, 0)):
            files = disk.image(rng)
            # Before the first pointer the keys themselves may be unfinished: nothing is promised to anybody yet.
            assert served(Image(files), root, deeply=False) in allowed, (
                f"after operation {moment}: {operations[moment - 1]}"
            )
            if done:
                keys_are_whole(files, room / "keys-after-a-cut")
            counted()


def known_sets(folder, root):
    """Members by number of publications done; what three publications leave is read from the versions themselves."""
    from invariants import members_of

    from huracan.domain.bundle import MAX_SET, ChampionSet
    from huracan.export.trust import read_signed, verify_tree
    from huracan.hamilton.source import FolderSource

    source = FolderSource(folder / "store")
    tree = verify_tree(source.read, root)
    found = [None]
    for number in range(1, len(PUBLICATIONS) + 1):
        current = ChampionSet.from_bytes(read_signed(source.read, tree.files, f"sets/{number}.json", MAX_SET))
        found.append(members_of(current, tree))
    assert [None if members is None else len(members) for members in found] == [None, 1, 2, 1]
    return found


def keys_are_whole(files, folder):
    """Once a set is out, the keys that signed it and the root that vouches for it must have survived as well."""
    mine = {path.removeprefix("keys/"): data for path, data in files.items() if path.startswith("keys/")}
    assert files["trust/root.json"] == mine["1.root.json"]
    if not folder.exists():
        folder.mkdir(mode=0o700)
    for name, data in mine.items():
        target = folder / name
        if not target.exists() or target.read_bytes() != data:
            target.touch(mode=0o600)
            target.write_bytes(data)
    for left in folder.iterdir():
        if left.name not in mine:
            left.unlink()
    load_keys(folder)


@pytest.mark.guarantee("R6")
def test_evidence_that_was_acknowledged_survives_a_power_cut(server, room, counted, tmp_path):
    folder = room / "ledger-power"
    acknowledged = room / "ledger.note"
    operations = recorded(server, folder, "ledger", nights=6, acknowledged=str(acknowledged))
    rng = random.Random(7)
    wanted = spread(operations, LEDGER_IMAGES, rng)
    disk = Disk(syscall_gate.real(folder), {}, set())
    # With synchronous=FULL a commit of WAL mode is done when the log is synced; all before the last sync is promised.
    synced = [n for n, op in enumerate(operations, 1) if op["kind"] == "sync" and op["paths"][0].endswith("-wal")]
    floor = 0
    for moment in moments(operations, disk):
        if moment in synced:
            floor = noted(disk, tmp_path / "at", floor)
        for number in range(wanted.get(moment, 0)):
            place = tmp_path / f"{moment}-{number}"
            assert reopened(disk.image(rng), place) >= floor, f"after operation {moment}: {operations[moment - 1]}"
            counted()
    assert floor == 6


def noted(disk, place, before):
    """Notes that a disk holds which lost nothing of what is synced and nothing else."""

    class Nothing(random.Random):
        def choice(self, _options):
            return 0.0

        def random(self):
            return 0.999

    return max(before, reopened(disk.image(Nothing()), place))


def reopened(files, place):
    """How many notes the ledger holds that a machine finds after the cut; it must open, and its chain must hold."""
    place.mkdir(exist_ok=True)
    for left in place.iterdir():
        left.unlink()
    for name, data in files.items():
        if not name.endswith("-shm"):  # memory of the machine that lost its power
            (place / name).touch(mode=0o600)
            (place / name).write_bytes(data)
    with SqliteLedger(place / "ledger.sqlite") as ledger:
        count = len(ledger.load_state().unfreezes)
    for left in place.iterdir():
        left.unlink()
    place.rmdir()
    return count


@pytest.mark.guarantee("R6")
def test_no_artefact_is_ever_seen_torn_after_a_power_cut(server, room, counted, tmp_path):
    folder = room / "artefact-power"
    operations = recorded(server, folder, "artefacts", count=4)
    final = {
        key: LocalArtefacts(folder / "artefacts").get(key) for key in LocalArtefacts(folder / "artefacts").list("")
    }
    assert len(final) == 4
    rng = random.Random(8)
    wanted = spread(operations, LEDGER_IMAGES, rng)
    disk = Disk(syscall_gate.real(folder), {}, set())
    for moment in moments(operations, disk):
        for _ in range(wanted.get(moment, 0)):
            for path, data in disk.image(rng).items():
                if not path.startswith("artefacts/.staging/"):
                    assert data == final[path.removeprefix("artefacts/")]
            counted()


@pytest.mark.slow
@pytest.mark.guarantee("R6")
def test_tables_of_the_lake_that_a_power_cut_tore_are_set_aside_and_fetched_again(nights, counted):
    """Commits of the lake are not synced: what was written last may be empty or torn; the archive still has it all."""
    assert nights.run("before-cut").status == 0
    unbroken = Case(nights.folder / "before-cut")
    rng = random.Random(9)
    for kind in ("json", "parquet", "both"):
        case = Case(nights.copy("before-cut", f"torn-{kind}"))
        torn = [
            path
            for path in sorted((case.workdir / "lake").rglob("*"))
            if path.is_file() and (kind == "both" or path.suffix == f".{kind}")
        ]
        assert torn
        for path in torn:
            data = path.read_bytes()
            path.write_bytes(data[: rng.choice((0, len(data) // 2))])
        outcome = nights.run(f"torn-{kind}")
        assert outcome.status == 0, outcome.told()[-2000:]
        assert "lake_table_quarantined" in outcome.told()
        assert outcome.result()["summary"]["coins_processed"] > 0
        assert list((case.workdir / "lake").glob("*/damaged/*"))
        check_same_end(case, unbroken)
        check_agreement(case)
        nights.forget(f"torn-{kind}")
        counted()


def test_the_model_of_a_disk_loses_what_is_not_synced_and_keeps_what_is():
    """Otherwise nothing above could ever fail."""

    def op(kind, *paths, data=b"", offset=0):
        return {"kind": kind, "paths": [f"/d/{p}" if p else "/d" for p in paths], "data": data, "offset": offset}

    unsynced = [op("open", "a"), op("write", "a", data=b"0123456789"), op("rename", "a", "b")]
    safe = [
        op("open", "a"),
        op("write", "a", data=b"0123456789"),
        op("sync", "a"),
        op("rename", "a", "b"),
        op("sync", ""),
    ]

    def images(operations):
        disk, rng = Disk("/d", {}, set()), random.Random(1)
        for operation in operations:
            disk.apply(operation)
        return {json.dumps({k: v.decode("latin1") for k, v in sorted(disk.image(rng).items())}) for _ in range(500)}

    assert images(safe) == {'{"b": "0123456789"}'}
    seen = images(unsynced)
    assert {"{}", '{"b": ""}', '{"b": "0123456789"}', '{"b": "01234"}'} <= seen
    assert len(seen) > 8


def test_the_gate_is_exact(tmp_path):
    """Killed before call k, exactly k - 1 calls have happened; a cut write writes half and says so."""
    code = f"""
import os, sys
sys.path.insert(0, {syscall_gate.__file__.rpartition("/")[0]!r})
import syscall_gate as gate
folder = sys.argv[1]
def work():
    for name in "abc":
        with open(folder + "/" + name, "wb", buffering=0) as stream:
            stream.write(b"0123456789")
for at, left in ((1, []), (2, ["a"]), (4, ["a", "b"]), (6, ["a", "b", "c"])):
    done = gate.watch(work, gate.kill_before(at), folder)
    assert done.status == -9, done
    names = sorted(os.listdir(folder))
    assert names == left, (at, names)
    assert [os.path.getsize(folder + "/" + name) for name in names] == [10] * (at // 2 - 1) + [0] * (at > 1), at
    [os.unlink(folder + "/" + name) for name in names]
def short():
    with open(folder + "/a", "wb", buffering=0) as stream:
        return stream.write(b"0123456789")
assert gate.watch(short, gate.cut_at(1), folder).status == 5
assert os.path.getsize(folder + "/a") == 5
assert gate.watch(short, gate.fail_at(2, 28), folder).status == 28
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
