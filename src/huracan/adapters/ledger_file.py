"""The ledger's file: its tables, the triggers that keep evidence append-only, and who may open it."""

import os
import stat
from pathlib import Path
from typing import Final

from huracan.adapters.disk import is_disk_full
from huracan.errors import DiskFullError, LedgerError

APPLICATION_ID: Final = 0x48555243
VERSION: Final = 1

_APPEND_ONLY: Final = ("lineages", "lineage_rows", "champions", "unfreezes", "nights", "trials")
_SCHEMA: Final = """
CREATE TABLE runs (run_id TEXT PRIMARY KEY, started_ms INTEGER NOT NULL, finished_ms INTEGER, status TEXT NOT NULL,
    facts TEXT NOT NULL, summary TEXT);
CREATE TABLE jobs (run_id TEXT NOT NULL, job_id TEXT NOT NULL, attempt INTEGER NOT NULL, coin TEXT NOT NULL,
    horizon TEXT NOT NULL, status TEXT NOT NULL, error_code TEXT, error TEXT, PRIMARY KEY (run_id, job_id, attempt));
CREATE TABLE cells (run_id TEXT NOT NULL, coin TEXT NOT NULL, horizon TEXT NOT NULL, recipe_id TEXT NOT NULL,
    facts TEXT NOT NULL, PRIMARY KEY (run_id, coin, horizon, recipe_id));
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

ARTEFACTS: Final = (
    "CREATE TABLE IF NOT EXISTS artefacts "
    "(key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, run_id TEXT NOT NULL) WITHOUT ROWID"
)
"""Also made in the ledger of an earlier release, which knows no artefact yet: its next night makes all of them again."""


def statements() -> list[str]:
    """Statements that make an empty file a ledger."""
    return [*_SCHEMA.split(";\n"), ARTEFACTS, *_triggers()]


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
    finally:
        os.close(descriptor)
