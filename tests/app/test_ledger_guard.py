"""A ledger beside its store: an older, empty, missing or foreign one is refused, and `adopt` is the recorded way out."""

import os
import shutil
import sqlite3
from functools import partial

import pytest
from ledgers import FIRST_DAY, NOW, judged, nights_in_a_row, pair, signed
from remotes import MemoryRemote

from huracan.adapters.keys import init_keys
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import push, read_fence
from huracan.adapters.publishers.sets import resign_set, rollback_set
from huracan.adapters.publishers.trees import existing_tree
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.ledger_guard import adopt_store, open_ledger
from huracan.app.mirrors import Mirrors
from huracan.errors import BundleFormatError, LedgerBehindError, LedgerError
from huracan.operations.publish import publish_store, rollback_store, rotate_store_keys
from huracan.settings import Settings


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    return nights_in_a_row(tmp_path_factory.mktemp("row"), 3)


def opened(row, folder, telemetry=None):
    """What a night does first."""
    with FolderStore(folder / "store") as store:
        open_ledger(folder / "ledger.sqlite", store, row.keys, telemetry or RecordingTelemetry()).close()


def current(row, folder):
    with FolderStore(folder / "store") as store:
        return existing_tree(store, row.keys).current


def environ(row):
    return {"HURACAN_KEYS_DIR": str(row.keys.folder)}


def test_a_set_names_number_and_hash_of_the_ledgers_head(row, tmp_path):
    folder = pair(row, row.ledgers[3], row.stores[3], tmp_path / "w")
    with SqliteLedger(folder / "ledger.sqlite") as ledger:
        assert current(row, folder).ledger == ledger.head()
        assert ledger.head().number == 3


def test_a_ledger_ahead_of_its_store_goes_on(row, tmp_path):
    opened(row, pair(row, row.ledgers[3], row.stores[1], tmp_path / "w"))
    opened(row, pair(row, row.ledgers[3], row.stores[0], tmp_path / "v"))


def test_an_older_copy_is_refused_in_words(row, tmp_path):
    folder = pair(row, row.ledgers[2], row.stores[3], tmp_path / "w")
    with pytest.raises(LedgerBehindError, match=r"ends with entry 2, but set 3 of .* was signed on entry 3") as refused:
        opened(row, folder)
    assert (refused.value.code, refused.value.exit_status) == ("LEDGER_BEHIND", 3)
    assert "huracan ledger adopt --note" in str(refused.value)


@pytest.mark.parametrize("left", ["nothing", "no bytes", "no entries"])
def test_a_missing_or_empty_ledger_is_refused_and_not_made(row, tmp_path, left):
    folder = pair(row, row.ledgers[0] if left == "no entries" else None, row.stores[3], tmp_path / "w")
    if left == "no bytes":
        (folder / "ledger.sqlite").touch(mode=0o600)
    with pytest.raises(LedgerBehindError, match="does not exist" if left == "nothing" else "is empty"):
        opened(row, folder)
    assert (folder / "ledger.sqlite").exists() == (left != "nothing")
    if left == "no bytes":
        assert (folder / "ledger.sqlite").stat().st_size == 0


def test_another_workdirs_ledger_is_refused_however_long_it_is(row, tmp_path):
    with SqliteLedger(tmp_path / "other.sqlite") as other:
        for night in range(9):
            judged(other, FIRST_DAY + 100 + night)
    folder = pair(row, tmp_path / "other.sqlite", row.stores[3], tmp_path / "w")
    with pytest.raises(LedgerBehindError, match="has another entry 3: it belongs to another store"):
        opened(row, folder)


def test_an_adopted_ledger_goes_on_and_the_next_set_names_its_head(row, tmp_path):
    folder = pair(row, row.ledgers[1], row.stores[3], tmp_path / "w")
    entry = adopt_store(folder, "the disk is lost", environ(row))
    assert (entry.set_version, entry.number, entry.entries, entry.note) == (3, 3, 1, "the disk is lost")
    assert entry.signature.startswith(row.keys.online.public_key.keyid)
    opened(row, folder)
    with SqliteLedger(folder / "ledger.sqlite") as ledger, FolderStore(folder / "store") as store:
        assert ledger.adoptions() == [entry]
        assert ledger.head().number == 2  # an entry of the chain
        judged(ledger, FIRST_DAY + 9)
        signed(ledger, store, row.keys, 9)
        ledger.load_state()
    opened(row, folder)
    assert current(row, folder).ledger.number == 3
    shutil.copy(row.ledgers[1], folder / "ledger.sqlite")
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(LedgerBehindError):  # the adoption is in the ledger, not in the store
        opened(row, folder)


@pytest.mark.parametrize("kept", [None, 0, 2])
def test_a_lost_ledger_can_be_replaced_by_a_new_one(row, tmp_path, kept):
    folder = pair(row, None if kept is None else row.ledgers[kept], row.stores[3], tmp_path / "w")
    assert adopt_store(folder, "lost", environ(row)).entries == (kept or 0)
    opened(row, folder)


def test_an_adoption_needs_a_note_and_a_reason(row, tmp_path):
    folder = pair(row, row.ledgers[1], row.stores[3], tmp_path / "w")
    with pytest.raises(LedgerError, match="only with a note"):
        adopt_store(folder, "  ", environ(row))
    whole = pair(row, row.ledgers[3], row.stores[3], tmp_path / "v")
    assert adopt_store(whole, "to be safe", environ(row)) is None
    with SqliteLedger(whole / "ledger.sqlite") as ledger:
        assert ledger.adoptions() == []


def test_an_adoption_cannot_be_edited(row, tmp_path):
    folder = pair(row, row.ledgers[1], row.stores[3], tmp_path / "w")
    adopt_store(folder, "lost", environ(row))
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        connection.execute("DROP TRIGGER nights_no_update")
        connection.execute("UPDATE nights SET entries = replace(entries, 'lost', 'fine')")
    connection.close()
    with SqliteLedger(folder / "ledger.sqlite") as ledger, pytest.raises(LedgerError, match="edited"):
        ledger.load_state()


def test_a_set_of_an_earlier_version_is_accepted_once_and_the_next_one_names_a_head(tmp_path):
    row = nights_in_a_row(tmp_path / "row", 2, named=False)
    folder, told = pair(row, row.ledgers[2], row.stores[2], tmp_path / "w"), RecordingTelemetry()
    opened(row, folder, told)
    assert told.named("ledger_unnamed") == [{"set": 2, "signed_run": "run-2"}]
    with SqliteLedger(folder / "ledger.sqlite") as ledger, FolderStore(folder / "store") as store:
        judged(ledger, FIRST_DAY + 3)
        signed(ledger, store, row.keys, 3)
    later = RecordingTelemetry()
    opened(row, folder, later)
    assert later.named("ledger_unnamed") == []


@pytest.mark.parametrize("nights", [0, 1])
def test_a_set_of_an_earlier_version_is_refused_where_the_ledger_does_not_know_its_run(tmp_path, nights):
    row = nights_in_a_row(tmp_path / "row", 2, named=False)
    folder = pair(row, row.ledgers[nights], row.stores[2], tmp_path / "w")
    with pytest.raises(LedgerBehindError, match="was signed in run run-2"):
        opened(row, folder)
    adopt_store(folder, "lost", environ(row))
    opened(row, folder)


def test_readers_of_earlier_versions_still_read_a_set_that_names_a_head(row, tmp_path):
    """They refuse fields they do not know; the head stands where any JSON may."""
    folder = pair(row, row.ledgers[3], row.stores[3], tmp_path / "w")
    body = current(row, folder).model_dump()
    fields = {"format", "version", "origin", "run_id", "data_cutoff_ms", "signed_ms", "members"}
    assert set(body) == fields | {"ranking", "do_not_trade", "extras"}


def test_a_head_that_is_not_well_formed_is_refused(row, tmp_path):
    folder = pair(row, row.ledgers[3], row.stores[3], tmp_path / "w")
    spoiled = current(row, folder).model_copy(update={"extras": {"ledger": {"number": 0, "hash": "x"}}})
    with pytest.raises(BundleFormatError, match="head is not well formed"):
        _ = spoiled.ledger


def test_a_rolled_back_or_renewed_set_names_the_newest_head(row, tmp_path):
    folder = pair(row, row.ledgers[3], row.stores[3], tmp_path / "w")
    with FolderStore(folder / "store") as store:
        rollback_set(store, row.keys, wall_clock_ms=NOW + 50, to=1)
        back = existing_tree(store, row.keys).current
        resign_set(store, row.keys, wall_clock_ms=NOW + 60)
        renewed = existing_tree(store, row.keys).current
    assert (back.origin, back.ledger.number) == (1, 3)
    assert renewed.ledger == back.ledger
    opened(row, folder)


@pytest.mark.parametrize("command", ["publish", "rollback", "rotate"])
@pytest.mark.parametrize("beside", ["older", "missing"])
def test_what_signs_compares_too_and_changes_nothing(row, tmp_path, command, beside):
    folder = pair(row, row.ledgers[2] if beside == "older" else None, row.stores[3], tmp_path / "w")
    shutil.copytree(row.keys.folder, tmp_path / "keys")
    variables = {"HURACAN_KEYS_DIR": str(tmp_path / "keys")}
    before = {path: path.read_bytes() for path in sorted((tmp_path / "keys").iterdir())}
    signing = {"publish": publish_store, "rollback": partial(rollback_store, to=1)}
    act = signing.get(command, partial(rotate_store_keys, new_root=False))
    with pytest.raises(LedgerBehindError):
        act(folder / "store", Settings(), RecordingTelemetry(), environ=variables, ledger=folder / "ledger.sqlite")
    assert current(row, folder).version == 3
    assert before == {path: path.read_bytes() for path in sorted((tmp_path / "keys").iterdir())}


def test_a_store_without_a_ledger_beside_it_can_still_be_rolled_back(row, tmp_path):
    folder = pair(row, None, row.stores[3], tmp_path / "copy")
    account = rollback_store(folder / "store", Settings(), RecordingTelemetry(), 1, environ(row))
    assert account["origin"] == 1
    assert not (folder / "ledger.sqlite").exists()


def test_whatever_moment_a_machine_dies_the_ledger_is_never_behind_the_pointer(row, tmp_path, monkeypatch):
    """At each write of a publication, the ledger as it stands on disk holds the head that the pointer of the moment names."""
    folder = pair(row, row.ledgers[3], row.stores[3], tmp_path / "w")
    moments = []

    def dying(self, path, data, _replace=FolderStore.replace):
        _replace(self, path, data)
        copy = tmp_path / f"moment-{len(moments)}"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm", ".lock"))
        moments.append((path, copy))

    monkeypatch.setattr(FolderStore, "replace", dying)
    with SqliteLedger(folder / "ledger.sqlite") as ledger, FolderStore(folder / "store") as store:
        judged(ledger, FIRST_DAY + 4)
        signed(ledger, store, row.keys, 4)
    monkeypatch.undo()
    assert moments[-1][0] == "metadata/timestamp.json"
    heads = set()
    for _, copy in moments:
        opened(row, copy)
        heads.add(current(row, copy).ledger.number)
    assert heads == {3, 4}


def test_a_new_ledgers_name_is_synced_before_anything_is_built_on_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("huracan.adapters.ledger_file.sync_folder", synced.append)
    SqliteLedger(tmp_path / "ledger.sqlite").close()
    SqliteLedger(tmp_path / "ledger.sqlite").close()
    assert synced == [tmp_path]


def test_without_keys_or_sets_there_is_nothing_to_compare(tmp_path):
    with FolderStore(tmp_path / "store") as store:
        open_ledger(tmp_path / "ledger.sqlite", store, None, RecordingTelemetry()).close()
        keys = init_keys(tmp_path / "keys", None, wall_clock_ms=NOW)
        open_ledger(tmp_path / "ledger.sqlite", store, keys, RecordingTelemetry()).close()
    assert os.path.getsize(tmp_path / "ledger.sqlite") > 0  # noqa: PTH202


def test_a_second_machine_that_takes_over_a_mirror_needs_its_ledger_too(row, tmp_path, monkeypatch):
    first = pair(row, row.ledgers[3], row.stores[3], tmp_path / "first")
    remote, told = MemoryRemote(), RecordingTelemetry()
    with FolderStore(first / "store") as store:
        push(store, remote, read_fence(remote), row.keys)

    def mirrors(settings, store, clock, telemetry, _environ):
        more = {"store": store, "clock": clock, "telemetry": telemetry, "deadline_s": 60.0}
        return Mirrors(targets=[remote.identity], open=lambda _url: remote, **more)

    monkeypatch.setattr("huracan.operations.publish.Mirrors.of", mirrors)
    second = tmp_path / "second"
    second.mkdir()

    def publish():
        ledger = second / "ledger.sqlite"
        return publish_store(second / "store", Settings(), told, environ(row), ledger=ledger)

    with pytest.raises(LedgerBehindError, match="does not exist, but set 3"):
        publish()
    shutil.copy(row.ledgers[1], second / "ledger.sqlite")
    with pytest.raises(LedgerBehindError, match="ends with entry 1"):
        publish()
    adopt_store(second, "the first machine burnt", environ(row))
    assert publish()["publish_state"][remote.identity]["state"] == "PUBLISHED"
