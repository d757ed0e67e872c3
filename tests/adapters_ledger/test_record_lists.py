"""The list of a night's records in the ledger's chain: entered once, kept for some nights, and refused where it was edited."""

import json
import sqlite3

import pytest

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.ledger_records import LISTS_KEPT
from huracan.domain.ids import sha256_hex
from huracan.errors import LedgerError

DAY = 20454
KEYS = ("train/a/result.json", "train/b/result.json", "prior/of-all")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def night(path, number, hashes):
    """A run that used artefacts of these hashes, by key, and entered them; the head then."""
    with SqliteLedger(path) as ledger:
        ledger.record_run(f"r{number}", started_ms=number, facts={})
        for key, sha256 in hashes.items():
            ledger.note_artefact(key, sha256)
        ledger.enter_records(DAY + number)
        ledger.finish_run(f"r{number}", finished_ms=number + 1, status="finished", summary={})
        return ledger.head()


def hashes_of(number):
    return {key: sha256_hex(f"{key}{number}".encode()) for key in KEYS}


def edit(path, statement, *values):
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def load(path):
    with SqliteLedger(path) as ledger:
        return ledger.load_state()


def test_the_head_names_the_list_that_names_every_record(path):
    head = night(path, 1, hashes_of(1))
    with sqlite3.connect(path) as connection:
        ((number, _, body),) = connection.execute("SELECT * FROM records").fetchall()
        ((text, own),) = connection.execute("SELECT entries, hash FROM nights WHERE number = ?", (number,)).fetchall()
    connection.close()
    assert (head.number, head.hash) == (number, own)
    assert json.loads(body) == hashes_of(1)
    assert json.loads(text)["records"] == sha256_hex(body.encode())
    assert load(path).evaluated_day is None  # a list is no verdict


def test_the_same_list_is_entered_once_and_another_one_again(path):
    first = night(path, 1, hashes_of(1))
    assert night(path, 2, hashes_of(1)) == first
    assert night(path, 3, hashes_of(3)).number == first.number + 1
    load(path)


def test_a_run_that_used_nothing_enters_an_empty_list_once(path):
    assert night(path, 1, {}) == night(path, 2, {})
    load(path)


def test_older_lists_go_and_their_hashes_stay_in_the_chain(path):
    for number in range(LISTS_KEPT + 3):
        night(path, number, hashes_of(number))
    load(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*), min(number) FROM records").fetchone() == (LISTS_KEPT, 4)
        assert connection.execute("SELECT count(*) FROM nights").fetchone() == (LISTS_KEPT + 3,)
    connection.close()


EDITS = {
    "a hash in the list": ("UPDATE records SET body = replace(body, ?, ?)", hashes_of(1)[KEYS[0]], "0" * 64),
    "a list that is gone": ("DELETE FROM records WHERE number = ?", 1),
    "a list of another entry": ("UPDATE records SET number = ?", 7),
    "a hash that jobs are believed by": ("UPDATE artefacts SET sha256 = ? WHERE key = ?", "0" * 64, KEYS[1]),
}


@pytest.mark.parametrize("what", EDITS)
def test_what_was_edited_after_it_was_entered_is_refused(path, what):
    night(path, 1, hashes_of(1))
    edit(path, *EDITS[what])
    with pytest.raises(LedgerError, match=r"edited.*bring back a copy made after the last night"):
        load(path)


def test_a_copy_that_is_only_read_is_refused_without_its_lists(path):
    night(path, 1, hashes_of(1))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE records")
    connection.close()
    with SqliteLedger(path, read_only=True) as ledger, pytest.raises(LedgerError, match="is gone or was edited"):
        ledger.load_state()


def test_a_run_that_never_signed_does_not_stand_in_the_way(path):
    """A night that was killed may have made a file again with other bytes, on another type of processor."""
    night(path, 1, hashes_of(1))
    with SqliteLedger(path) as ledger:
        ledger.record_run("r2", started_ms=2, facts={})
        ledger.note_artefact(KEYS[0], "3" * 64)
        ledger.flush_jobs()
    load(path)
    night(path, 3, {**hashes_of(1), KEYS[0]: "3" * 64})
    load(path)


def test_a_ledger_of_an_earlier_release_gets_its_tables(path):
    with SqliteLedger(path) as ledger:
        for table in ("artefacts", "records"):
            ledger._connection.execute(f"DROP TABLE {table}")
    with SqliteLedger(path, read_only=True) as ledger:
        ledger.load_state()
    assert night(path, 1, hashes_of(1)).number == 1
    load(path)


def test_a_full_disk_loses_no_note(path, monkeypatch):
    with SqliteLedger(path) as ledger:
        ledger.record_run("r1", started_ms=1, facts={})
        ledger.note_artefact(KEYS[0], "1" * 64)
        with monkeypatch.context() as patch:
            patch.setattr(
                ledger, "_append_entry", lambda *_, **__: (_ for _ in ()).throw(sqlite3.DatabaseError("full"))
            )
            with pytest.raises(LedgerError, match="could not take the list of records"):
                ledger.enter_records(DAY)
        ledger.enter_records(DAY)
        assert ledger.artefact(KEYS[0]) == "1" * 64
    load(path)
