"""Hashes of what jobs have written, by key, and the list of a night's records that an entry of the chain names.

The list is entered before a set is signed. So the head in the signed set covers every record that the set was made
from, and each record names the sha256 of its files.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from huracan.adapters.ledger_chain import LedgerChain
from huracan.adapters.ledger_file import BRING_LAST
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.errors import LedgerError

LISTS_KEPT: Final = 7
"""Lists that stay, newest first; of older ones the chain keeps the sha256."""


class LedgerRecords(LedgerChain):
    """What was written in the open run is noted first, and on disk with the next write."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        self._run_id = ""
        self._artefacts: dict[str, str] = {}

    def note_artefact(self, key: str, sha256: str) -> None:
        """What a job of this run has written, or taken from the cache, under a key; on disk as `note_end` is."""
        self._artefacts[key] = sha256

    def artefact(self, key: str) -> str | None:
        """The sha256 of what a job of this or an earlier run has written under a key; None where none is known."""
        row = self._connection.execute("SELECT sha256 FROM artefacts WHERE key = ?", (key,)).fetchone()
        known: str | None = self._artefacts.get(key, row[0] if row else None)
        return known

    def keep_artefacts(self, runs: int) -> set[str]:
        """Forget what neither the open run nor the last finished ones (`runs` in all) have used; keys that are left."""
        newest = "SELECT run_id FROM runs WHERE status = 'finished' ORDER BY started_ms DESC, run_id DESC LIMIT ?"
        with self._writing_artefacts("artefacts"):
            self._connection.execute(
                f"DELETE FROM artefacts WHERE run_id != ? AND run_id NOT IN ({newest})",  # noqa: S608
                (self._run_id, runs - 1),
            )
        return {key for (key,) in self._connection.execute("SELECT key FROM artefacts")}

    def enter_records(self, day: int) -> None:
        """Enter the list of all that the open run has used into the chain, unless the newest list is the same."""
        with self._writing_artefacts("the list of records"):
            body = canonical_json(self._of_run(self._run_id)).decode()
            newest = self._connection.execute(
                "SELECT number, body FROM records ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if newest is not None and newest[1] == body:
                self._connection.execute("UPDATE records SET run_id = ? WHERE number = ?", (self._run_id, newest[0]))
                return
            number = self._append_entry(day, [], evaluated=False, more={"records": sha256_hex(body.encode())})
            self._connection.execute("INSERT INTO records VALUES (?, ?, ?)", (number, self._run_id, body))
            kept = "SELECT number FROM records ORDER BY number DESC LIMIT ?"
            self._connection.execute(f"DELETE FROM records WHERE number NOT IN ({kept})", (LISTS_KEPT,))  # noqa: S608

    @contextmanager
    def _writing_artefacts(self, what: str) -> Iterator[None]:
        """A transaction that begins with all that is noted."""
        with self._writing(what):
            written = [(key, sha256, self._run_id) for key, sha256 in self._artefacts.items()]
            self._connection.executemany("INSERT OR REPLACE INTO artefacts VALUES (?, ?, ?)", written)
            yield
        self._artefacts.clear()

    def _of_run(self, run_id: str) -> dict[str, str]:
        return dict(
            self._connection.execute("SELECT key, sha256 FROM artefacts WHERE run_id = ?", (run_id,)).fetchall()
        )

    def _check_records(self) -> None:
        """Check that lists are those their entries name, that the newest is here, and that its hashes are the run's."""
        query = "SELECT number, json_extract(entries, '$.records') FROM nights"
        named = {number: sha256 for number, sha256 in self._connection.execute(query) if sha256 is not None}
        rows = self._connection.execute("SELECT * FROM records") if self._has("records") else ()
        lists = {number: (run_id, body) for number, run_id, body in rows}
        wrong = [number for number, (_, body) in lists.items() if sha256_hex(body.encode()) != named.get(number)]
        if wrong or max(named, default=0) not in {0, *lists}:
            number = min(wrong, default=max(named, default=0))
            raise LedgerError(f"{self.path}: the list of records of entry {number} is gone or was edited. {BRING_LAST}")
        if lists:
            run_id, body = lists[max(lists)]
            entered, now = json.loads(body), self._of_run(run_id)
            edited = sorted(key for key in entered.keys() & now.keys() if entered[key] != now[key])
            if edited:
                raise LedgerError(f"{self.path}: the hash of {edited[0]} was edited after it was entered. {BRING_LAST}")
