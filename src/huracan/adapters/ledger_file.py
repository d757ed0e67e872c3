"""The ledger's file: its tables, the triggers that keep evidence append-only, and who may open it."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from huracan.adapters.disk import is_disk_full, sqlite_disk_failed, sync_folder
from huracan.errors import DiskFullError, LedgerError

APPLICATION_ID: Final = 0x48555243
VERSION: Final = 1
BRING_LAST: Final = (
    "bring back a copy made after the last night (an older one is refused, LEDGER_BEHIND); where there is none, move the file away "
    "and `huracan ledger adopt --note TEXT` starts a new one beside this store"
)
"""What to do about a damaged ledger."""

_APPEND_ONLY: Final = ("lineages", "lineage_rows", "champions", "unfreezes", "nights", "trials")
_SCHEMA: Final = """
CREATE TABLE runs (run_id TEXT PRIMARY KEY, started_ms INTEGER NOT NULL, finished_ms INTEGER, status TEXT NOT NULL,
    facts TEXT NOT NULL, summary TEXT);
CREATE TABLE jobs (run_id TEXT NOT NULL, job_id TEXT NOT NULL, attempt INTEGER NOT NULL, coin TEXT NOT NULL,
    horizon TEXT NOT NULL, status TEXT NOT NULL, error_code TEXT, error TEXT, PRIMARY KEY (run_id, job_id, attempt));
CREATE TABLE trials (recipe_id TEXT NOT NULL, pool TEXT NOT NULL, horizon TEXT NOT NULL,
    PRIMARY KEY (recipe_id, pool, horizon));
CREATE TABLE lineages (lineage_id TEXT PRIMARY KEY, cohort INTEGER NOT NULL, slot TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (cohort, slot));
CREATE TABLE lineage_rows (lineage_id TEXT NOT NULL REFERENCES lineages, day INTEGER NOT NULL, body TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (lineage_id, day)) WITHOUT ROWID;
CREATE TABLE champions (pool TEXT NOT NULL, horizon TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (pool, horizon, number));
CREATE TABLE unfreezes (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE nights (number INTEGER PRIMARY KEY, day INTEGER NOT NULL, entries TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL);
"""

_ADDED: Final = {
    "artefacts": "CREATE TABLE artefacts (key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, run_id TEXT NOT NULL) WITHOUT ROWID",
    "records": "CREATE TABLE records (number INTEGER PRIMARY KEY, run_id TEXT NOT NULL, body TEXT NOT NULL)",
}
"""Tables that the ledger of an earlier release lacks. It gets them when it is opened, and its next night makes all
artefacts again."""


def statements() -> list[str]:
    """Statements that make an empty file a ledger."""
    return [*_SCHEMA.split(";\n"), *_ADDED.values(), *_triggers()]


def _triggers() -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in _APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    ]


def create_private(path: Path) -> None:
    """Make the file for this user alone; refuse a link, or a file that others can write."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(f"{path} cannot be opened ({error}); free some space, then run again") from error
        raise LedgerError(f"{path} cannot be opened as a ledger ({error}); wanted a file of this user") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & 0o022:
            raise LedgerError(
                f"{path} can be written by others (mode {stat.S_IMODE(mode):o}); chmod 600 it if it is yours"
            )
        if os.fstat(descriptor).st_size == 0:
            sync_folder(path.parent)  # a new name must outlive a power cut as surely as what is written into it
    finally:
        os.close(descriptor)


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, also where nothing may be written beside the file."""
    for mode in ("mode=ro", "immutable=1"):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=30.0, isolation_level=None)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            unread = path.with_name(f"{path.name}-wal")
            if unread.exists() and unread.stat().st_size:
                raise LedgerError(
                    f"{path} cannot be read here ({error}): its newest rows lie in {unread.name}, which needs a folder that"
                    " this user may write. Copy both files to one."
                ) from error
        else:
            return connection
    raise LedgerError(f"{path} cannot be opened for reading; let this user read it")


class LedgerFile:
    """The open file: made for this user alone where there is none, checked, read and written in transactions.

    With `read_only` nothing is made or changed, and a copy that nobody may write will do.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        if not read_only:
            create_private(path)
        try:
            if read_only:
                self._connection = _connect_for_reading(path)
            else:
                self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._prepare()
        except sqlite3.DatabaseError as error:
            if sqlite_disk_failed(error, path):
                raise DiskFullError(f"{path} cannot be opened ({error}); free some space, then run again") from error
            raise LedgerError(f"{path} cannot be read as a ledger ({error}); {BRING_LAST}") from error

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        run = self._connection.execute
        if not self._read_only:
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA recursive_triggers = ON")  # or a REPLACE would delete evidence without waking the triggers
        identity, version = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables == 0 and not self._read_only:
            with self._writing("the tables"):
                for statement in statements():
                    run(statement)
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                run(f"PRAGMA user_version = {VERSION}")
        elif (identity, version) != (APPLICATION_ID, VERSION):
            raise LedgerError(
                f"{self.path} is no ledger of version {VERSION} (application {identity:#x}, version {version})"
            )
        elif not self._read_only and (missing := [name for name in _ADDED if not self._has(name)]):
            with self._writing("the tables of artefacts"):
                for name in missing:
                    run(_ADDED[name])
        verdict = run("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise LedgerError(f"{self.path} is damaged ({verdict}); {BRING_LAST}")

    def _has(self, table: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        return found.fetchone() is not None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise LedgerError(f"{self.path} refuses {what}: {error}; recorded evidence stays as it is") from error
        except sqlite3.DatabaseError as error:
            if sqlite_disk_failed(error):
                message = f"no space left to write {what} to {self.path} ({error}); free some and run again"
                raise DiskFullError(message) from error
            raise LedgerError(f"{self.path} could not take {what}: {error}") from error
