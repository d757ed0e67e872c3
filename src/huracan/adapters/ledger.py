"""The ledger in one SQLite file: runs and jobs, and the append-only, hash-chained evidence of promotion.

Evidence tables refuse UPDATE and DELETE by trigger. The chain is checked whenever the state is loaded: rows of a lineage are chained
to what it declared at admission, and each night is chained to the night before with the hashes of everything it appended, so
nothing can be changed, left out or slipped in between. One writer; readers may look on (WAL).
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from huracan.adapters.ledger_chain import entry_hash
from huracan.adapters.ledger_file import BRING_LAST
from huracan.adapters.ledger_records import LedgerRecords
from huracan.domain.ids import canonical_json, content_hash
from huracan.errors import LedgerError
from huracan.promotion.decide import Verdict
from huracan.promotion.hypothesis import (
    Lineage,
    LineageRecord,
    LineageRow,
    lineage_from_dict,
    link,
    row_body,
    row_from_dict,
    verify_chain,
)
from huracan.promotion.ledger_state import ChampionEvent, LedgerState, Trial, Unfreeze
from huracan.training.jobs import TrainingJob


class SqliteLedger(LedgerRecords):
    """Opens the file, creating it for this user alone (0600); raises LedgerError when it is not a sound ledger."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        self._ends: list[tuple[Any, ...]] = []

    def load_state(self) -> LedgerState:
        """Everything promotion remembers, with every chain checked; raises LedgerError where one does not hold."""
        try:
            with self._reading():
                return self._load()
        except (sqlite3.DatabaseError, TypeError, ValueError, KeyError) as error:
            raise LedgerError(f"{self.path} was edited or damaged ({error}); {BRING_LAST}") from error

    def append_verdict(self, verdict: Verdict) -> None:
        """Append all that a night decided, or nothing; a verdict without news writes nothing.

        Raises LedgerError when something in it is recorded already: a day, a slot, a change of champion, another run's night.
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
            self._append_entry(day, [entry.hash], judged=False)
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
                    self._judged_day() or 0, [content_hash("trial", trial) for trial in new], judged=False
                )
        return len(new)

    def record_run(self, run_id: str, *, started_ms: int, facts: Mapping[str, Any]) -> None:
        """A run begins; jobs recorded from now on belong to it. A run id that exists starts over."""
        with self._writing("a run"):
            self._connection.execute(
                "INSERT OR REPLACE INTO runs (run_id, started_ms, status, facts) VALUES (?, ?, 'running', ?)",
                (run_id, started_ms, canonical_json(dict(facts)).decode()),
            )
        self._run_id = run_id

    def note_reading(self, run_id: str, reading: Mapping[str, Any]) -> None:
        """What the judged night of a run read the past from; raises LedgerError for a run that never began."""
        with self._writing("what a night read"):
            changed = self._connection.execute(
                "UPDATE runs SET facts = json_set(facts, '$.reading', json(?)) WHERE run_id = ?",
                (canonical_json(dict(reading)).decode(), run_id),
            )
            if changed.rowcount != 1:
                raise LedgerError(f"run {run_id} was never recorded; record_run comes before note_reading")

    def readings(self) -> list[dict[str, Any]]:
        """What each judged night read the past from, oldest first; nights that noted nothing are left out."""
        query = "SELECT json_extract(facts, '$.reading') FROM runs ORDER BY started_ms, run_id"
        return [json.loads(text) for (text,) in self._connection.execute(query) if text is not None]

    def finish_run(self, run_id: str, *, finished_ms: int, status: str, summary: Mapping[str, Any]) -> None:
        """A run ends, with a status and its summary; raises LedgerError for a run that never began."""
        with self._writing("the end of a run"):
            changed = self._connection.execute(
                "UPDATE runs SET finished_ms = ?, status = ?, summary = ? WHERE run_id = ?",
                (finished_ms, status, canonical_json(dict(summary)).decode(), run_id),
            )
            if changed.rowcount != 1:
                raise LedgerError(f"run {run_id} was never recorded; record_run comes before finish_run")
        self._run_id = ""

    def abandon_run(self, *, finished_ms: int, status: str, reason: str) -> None:
        """The run that is open ends without a result, refused or interrupted; nothing where none is open."""
        if self._run_id:
            self.finish_run(self._run_id, finished_ms=finished_ms, status=status, summary={"reason": reason})

    def record_attempt(self, job: TrainingJob, attempt: int) -> None:
        """A job starts, for the attempt-th time in this run; on disk when this returns, with all ends noted before."""
        self._ends.append(self._job_row(job, attempt, job.error_code, job.error))
        self.settle_jobs()

    def note_end(self, job: TrainingJob, code: str | None, error: str | None) -> None:
        """How the newest attempt of a job ended; on disk with the next start or `settle_jobs`, which saves a sync a job."""
        self._ends.append(self._job_row(job, job.attempts, code, error))

    def settle_jobs(self) -> None:
        """Write every end and artefact that is noted."""
        if self._ends or self._artefacts:
            with self._writing_artefacts("jobs"):
                self._connection.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._ends)
            self._ends.clear()

    def past_starts(self, since_ms: int) -> dict[str, tuple[int, int]]:
        """By job: how many starts, in runs begun since then, cost a worker, and of how many nobody ever heard the end."""
        rows = self._connection.execute(
            "SELECT job_id, total(error_code = 'WORKER_LOST'), total(jobs.status = 'pending' AND error_code IS NULL)"
            " FROM jobs JOIN runs USING (run_id) WHERE started_ms >= ? GROUP BY job_id",
            (since_ms,),
        )
        return {job_id: (int(lost), int(unheard)) for job_id, lost, unheard in rows}

    def _job_row(self, job: TrainingJob, attempt: int, code: str | None, error: str | None) -> tuple[Any, ...]:
        return self._run_id, job.job_id, attempt, job.coin, job.horizon, job.status, code, error

    def record_cell(self, run_id: str, coin: str, horizon: str, recipe_id: str, facts: Mapping[str, Any]) -> None:
        """Numbers of one (coin, horizon, recipe) of a run; the newest word stands."""
        with self._writing("a cell"):
            self._connection.execute(
                "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?)",
                (run_id, coin, horizon, recipe_id, canonical_json(dict(facts)).decode()),
            )

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first; `facts` and `summary` as dicts, the latter None while running."""
        rows = self._connection.execute(
            "SELECT run_id, started_ms, finished_ms, status, facts, summary FROM runs ORDER BY started_ms, run_id"
        )
        return [
            {
                "run_id": run_id,
                "started_ms": started,
                "finished_ms": finished,
                "status": status,
                "facts": json.loads(facts),
                "summary": json.loads(summary) if summary is not None else None,
            }
            for run_id, started, finished, status, facts, summary in rows
        ]

    def last_success_ms(self) -> int | None:
        """When the newest finished night that was no dry run ended; None before the first."""
        ended = [
            run["finished_ms"]
            for run in self.runs()
            if run["status"] == "finished" and not run["summary"].get("dry_run")
        ]
        return max(ended, default=None)

    def attempts(self, run_id: str) -> list[dict[str, Any]]:
        """Every attempt of every job of a run, by job and attempt."""
        names = ("job_id", "attempt", "coin", "horizon", "status", "error_code", "error")
        rows = self._connection.execute(
            f"SELECT {', '.join(names)} FROM jobs WHERE run_id = ? ORDER BY job_id, attempt",  # noqa: S608
            (run_id,),
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def champions(self) -> list[ChampionEvent]:
        """Every change of champion, in the order they were decided."""
        return list(self.load_state().champions)

    def _insert_lineage(self, lineage: Lineage) -> None:
        body = canonical_json(lineage).decode()
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
            judged_day=self._judged_day(),
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

    def _judged_day(self) -> int | None:
        nights = self._connection.execute("SELECT day, entries FROM nights ORDER BY number DESC")
        return next((int(day) for day, text in nights if json.loads(text)["judged"]), None)

    def _trials(self) -> list[Trial]:
        return [(r, p, h) for r, p, h in self._connection.execute("SELECT recipe_id, pool, horizon FROM trials")]
