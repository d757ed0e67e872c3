"""Runs and jobs of the ledger: when a night began and ended, and how each attempt of each job went."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from huracan.adapters.ledger_records import LedgerRecords
from huracan.domain.ids import canonical_json
from huracan.domain.json import JsonObject
from huracan.errors import LedgerError
from huracan.training.jobs import TrainingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: `facts` as they were at its start, `summary` and `finished_ms` None while it runs."""

    run_id: str
    started_ms: int
    finished_ms: int | None
    status: str
    facts: JsonObject
    summary: JsonObject | None


class Attempt(NamedTuple):
    """One attempt of a job, a row of the table `jobs` without its run; code and text are None unless it failed."""

    job_id: str
    attempt: int
    coin: str
    horizon: str
    status: str
    error_code: str | None
    error: str | None


class PastStarts(NamedTuple):
    """Starts of a job that cost a worker, and starts whose end was never recorded."""

    lost: int
    unended: int


class LedgerRuns(LedgerRecords):
    """What may change as long as a run is open; no evidence."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        self._ends: list[tuple[str, Attempt]] = []

    def record_run(self, run_id: str, *, started_ms: int, facts: JsonObject) -> None:
        """A run begins; jobs recorded from now on belong to it. A run id that exists starts over."""
        with self._writing("a run"):
            self._connection.execute(
                "INSERT OR REPLACE INTO runs (run_id, started_ms, status, facts) VALUES (?, ?, 'running', ?)",
                (run_id, started_ms, canonical_json(dict(facts)).decode()),
            )
        self._run_id = run_id

    def note_reading(self, run_id: str, reading: JsonObject) -> None:
        """What the night of a run read the past from; raises LedgerError for a run that never began."""
        with self._writing("what a night read"):
            changed = self._connection.execute(
                "UPDATE runs SET facts = json_set(facts, '$.reading', json(?)) WHERE run_id = ?",
                (canonical_json(dict(reading)).decode(), run_id),
            )
            if changed.rowcount != 1:
                raise LedgerError(f"run {run_id} was never recorded; record_run comes before note_reading")

    def readings(self) -> list[JsonObject]:
        """What each night read the past from, oldest first; nights that noted nothing are left out."""
        query = "SELECT json_extract(facts, '$.reading') FROM runs ORDER BY started_ms, run_id"
        return [json.loads(text) for (text,) in self._connection.execute(query) if text is not None]

    def finish_run(self, run_id: str, *, finished_ms: int, status: str, summary: JsonObject) -> None:
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
        self._note(job, attempt, job.error_code, job.error)
        self.flush_jobs()

    def note_end(self, job: TrainingJob, code: str | None, error: str | None) -> None:
        """How the newest attempt of a job ended; on disk with the next start or `flush_jobs`: that saves syncs."""
        self._note(job, job.attempts, code, error)

    def flush_jobs(self) -> None:
        """Write every end and artefact that is noted."""
        if self._ends or self._artefacts:
            with self._writing_artefacts("jobs"):
                rows = [(run_id, *attempt) for run_id, attempt in self._ends]
                self._connection.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._ends.clear()

    def past_starts(self, since_ms: int) -> dict[str, PastStarts]:
        """By job: its starts in runs that began since then, as far as they did not end well."""
        rows = self._connection.execute(
            "SELECT job_id, total(error_code = 'WORKER_LOST'), total(jobs.status = 'pending' AND error_code IS NULL)"
            " FROM jobs JOIN runs USING (run_id) WHERE started_ms >= ? GROUP BY job_id",
            (since_ms,),
        )
        return {job_id: PastStarts(int(lost), int(unended)) for job_id, lost, unended in rows}

    def _note(self, job: TrainingJob, attempt: int, code: str | None, error: str | None) -> None:
        row = Attempt(job.job_id, attempt, job.coin, job.horizon, job.status, code, error)
        self._ends.append((self._run_id, row))

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        rows = self._connection.execute(
            "SELECT run_id, started_ms, finished_ms, status, facts, summary FROM runs ORDER BY started_ms, run_id"
        )
        return [
            RunRecord(
                run_id=run_id,
                started_ms=started,
                finished_ms=finished,
                status=status,
                facts=json.loads(facts),
                summary=json.loads(summary) if summary is not None else None,
            )
            for run_id, started, finished, status, facts, summary in rows
        ]

    def last_success_ms(self) -> int | None:
        """When the newest finished night that was no dry run ended; None before the first."""
        finished = (run for run in self.runs() if run.status == "finished")
        ended = [run.finished_ms for run in finished if not (run.summary or {}).get("dry_run")]
        return max((at for at in ended if at is not None), default=None)

    def attempts(self, run_id: str) -> list[Attempt]:
        """Every attempt of every job of a run, by job and attempt."""
        rows = self._connection.execute(
            f"SELECT {', '.join(Attempt._fields)} FROM jobs WHERE run_id = ? ORDER BY job_id, attempt",  # noqa: S608
            (run_id,),
        )
        return [Attempt(*row) for row in rows]
