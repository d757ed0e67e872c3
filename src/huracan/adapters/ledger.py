"""The ledger in one SQLite file: runs and jobs, and the append-only, hash-chained evidence of promotion.

Evidence tables refuse UPDATE and DELETE by trigger. The chain is checked whenever the state is loaded: rows of a
lineage are chained to what it declared at admission, and each night is chained to the night before with the hashes of
everything it appended. So nothing can be changed, left out or slipped in between. One writer; readers may look on
(WAL).
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby

from huracan.adapters.ledger_chain import EVALUATED, entry_hash
from huracan.adapters.ledger_file import BRING_LAST
from huracan.adapters.ledger_runs import LedgerRuns
from huracan.domain.ids import canonical_json, content_hash
from huracan.errors import LedgerError
from huracan.promotion.decide import Verdict
from huracan.promotion.hypothesis import (
    Lineage,
    LineageRecord,
    LineageRow,
    lineage_body,
    lineage_from_dict,
    link,
    row_body,
    row_from_dict,
    verify_chain,
)
from huracan.promotion.keys import Trial
from huracan.promotion.ledger_state import ChampionEvent, LedgerState, Unfreeze


class SqliteLedger(LedgerRuns):
    """Opens the file, creating it for this user alone (0600); raises LedgerError when it is not a sound ledger."""

    def load_state(self) -> LedgerState:
        """Everything promotion remembers, with every chain checked; raises LedgerError where one does not hold."""
        try:
            with self._reading():
                return self._load()
        except (sqlite3.DatabaseError, TypeError, ValueError, KeyError) as error:
            raise LedgerError(f"{self.path} was edited or damaged ({error}); {BRING_LAST}") from error

    def append_verdict(self, verdict: Verdict) -> None:
        """Append all that a night decided, or nothing; a verdict without news writes nothing.

        Raises LedgerError when something in it is recorded already: a day, a slot, a change of champion, another run's
        night.
        """
        if verdict.is_empty:
            return
        with self._writing(f"the night of day {verdict.day}"):
            for lineage in verdict.lineages:
                self._insert_lineage(lineage)
            for lineage_id, rows in groupby(verdict.rows, key=lambda row: row.lineage_id):
                self._insert_rows(lineage_id, list(rows))
            for event in verdict.events:
                body = canonical_json(event).decode()
                key = (event.pool, event.horizon, event.number)
                self._connection.execute("INSERT INTO champions VALUES (?, ?, ?, ?)", (*key, body))
            for trial in sorted(verdict.trials):
                self._connection.execute("INSERT INTO trials VALUES (?, ?, ?)", trial)
            entries = [
                *(lineage.hash for lineage in verdict.lineages),
                *(row.hash for row in verdict.rows),
                *(event.hash for event in verdict.events),
                *(content_hash("trial", trial) for trial in sorted(verdict.trials)),
            ]
            self._append_entry(verdict.day, entries)

    def unfreeze(self, pool: str, *, day: int, note: str, signature: str = "") -> Unfreeze:
        """Record why the freeze of a pool's promotions ended, and who signed it; raises LedgerError without a note."""
        if not note.strip():
            raise LedgerError(f"the freeze of {pool} ends only with a note that says why")
        entry = Unfreeze(pool=pool, day=day, note=note, signature=signature)
        with self._writing("a note"):
            self._connection.execute("INSERT INTO unfreezes (body) VALUES (?)", (canonical_json(entry).decode(),))
            self._append_entry(day, [entry.hash], evaluated=False)
        return entry

    def record_trials(self, trials: Iterable[Trial]) -> int:
        """Enter what was scored on history by other means (a search, a notebook); returns how many were new."""
        with self._writing("trials"):
            known = set(self._trials())
            new = sorted(set(trials) - known)
            for trial in new:
                self._connection.execute("INSERT INTO trials VALUES (?, ?, ?)", trial)
            if new:
                self._append_entry(
                    self._evaluated_day() or 0, [content_hash("trial", trial) for trial in new], evaluated=False
                )
        return len(new)

    def champions(self) -> list[ChampionEvent]:
        """Every change of champion, in the order they were decided."""
        return list(self.load_state().champions)

    def _insert_lineage(self, lineage: Lineage) -> None:
        body = lineage_body(lineage).decode()
        self._connection.execute(
            "INSERT INTO lineages VALUES (?, ?, ?, ?)", (lineage.id, lineage.cohort, lineage.slot, body)
        )

    def _insert_rows(self, lineage_id: str, rows: Sequence[LineageRow]) -> None:
        head = self._connection.execute(
            "SELECT day, hash FROM lineage_rows WHERE lineage_id = ? ORDER BY day DESC LIMIT 1", (lineage_id,)
        ).fetchone()
        stored = []
        for row in rows:
            body = row_body(row)
            if link(row.previous_hash, body) != row.hash:
                raise LedgerError(
                    f"the row of day {row.day} of lineage {lineage_id} is not sealed; it was changed afterwards"
                )
            if head is not None and (row.day <= head[0] or row.previous_hash != head[1]):
                raise LedgerError(
                    f"lineage {lineage_id} has a row of day {head[0]}; the row of day {row.day} does not follow it: "
                    "days are appended in order, once"
                )
            head = row.day, row.hash
            stored.append((lineage_id, row.day, body.decode(), row.previous_hash, row.hash))
        self._connection.executemany("INSERT INTO lineage_rows VALUES (?, ?, ?, ?, ?)", stored)

    def _load(self) -> LedgerState:
        lineages = {
            lineage_id: lineage_from_dict(json.loads(body))
            for lineage_id, body in self._connection.execute("SELECT lineage_id, body FROM lineages ORDER BY rowid")
        }
        rows: dict[str, list[tuple[LineageRow, bytes]]] = {lineage_id: [] for lineage_id in lineages}
        query = "SELECT lineage_id, body, previous_hash, hash FROM lineage_rows ORDER BY lineage_id, day"
        for lineage_id, body, previous_hash, own_hash in self._connection.execute(query):
            rows[lineage_id].append((row_from_dict(json.loads(body), previous_hash, own_hash), body.encode()))
        for lineage_id, lineage in lineages.items():
            if lineage.id != lineage_id:
                raise LedgerError(f"lineage {lineage_id} now reads as {lineage.id}; the ledger was edited")
            verify_chain(lineage, rows[lineage_id])
        champions = tuple(
            ChampionEvent(**json.loads(body))
            for (body,) in self._connection.execute("SELECT body FROM champions ORDER BY rowid")
        )
        unfreezes = tuple(
            Unfreeze(**json.loads(body))
            for (body,) in self._connection.execute("SELECT body FROM unfreezes ORDER BY number")
        )
        trials = frozenset(self._trials())
        hashes = [
            *(lineage.hash for lineage in lineages.values()),
            *(row.hash for chain in rows.values() for row, _ in chain),
            *(event.hash for event in champions),
            *(note.hash for note in unfreezes),
            *(content_hash("trial", trial) for trial in trials),
        ]
        self._check_nights(hashes)
        self._check_records()
        return LedgerState(
            records={
                lineage_id: LineageRecord(lineage=lineage, rows=tuple(row for row, _ in rows[lineage_id]))
                for lineage_id, lineage in lineages.items()
            },
            champions=champions,
            unfreezes=unfreezes,
            trials=trials,
            evaluated_day=self._evaluated_day(),
        )

    def _check_nights(self, hashes: Sequence[str]) -> None:
        """Every night follows the one before, and together they entered exactly what the tables hold."""
        before, entered = "", []
        query = "SELECT day, entries, previous_hash, hash FROM nights ORDER BY number"
        for day, text, previous_hash, own_hash in self._connection.execute(query):
            if previous_hash != before or entry_hash(before, day, text) != own_hash:
                raise LedgerError(
                    f"{self.path}: the night of day {day} does not follow the one before; the ledger was edited. {BRING_LAST}"
                )
            before = own_hash
            entered += json.loads(text)["entries"]
        if sorted(entered) != sorted(hashes):
            missing, extra = len(set(entered) - set(hashes)), len(set(hashes) - set(entered))
            raise LedgerError(
                f"{self.path}: {missing} entries are missing or edited, {extra} were never entered by a night. {BRING_LAST}"
            )

    def _evaluated_day(self) -> int | None:
        nights = self._connection.execute("SELECT day, entries FROM nights ORDER BY number DESC")
        return next((int(day) for day, text in nights if json.loads(text)[EVALUATED]), None)

    def _trials(self) -> list[Trial]:
        return [Trial(*row) for row in self._connection.execute("SELECT recipe_id, pool, horizon FROM trials")]
