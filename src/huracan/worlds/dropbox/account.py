"""One account as the routes see it: the tree, its sessions, one commit at a time."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from huracan.domain.json import JsonObject
from huracan.worlds.dropbox.faults import Fault
from huracan.worlds.dropbox.refusals import limited, route_error
from huracan.worlds.dropbox.sessions import Sessions
from huracan.worlds.dropbox.tree import Tree


@dataclass(slots=True)
class _Cursor:
    """Where a listing stands: entries not sent yet, then what changes after a position."""

    path: str
    recursive: bool
    pending: list[JsonObject]
    position: int


@dataclass(slots=True)
class _Job:
    """A batch that works in the background: its result, and how often it is still asked for before that."""

    result: JsonObject
    asks_left: int


@dataclass
class Account:
    """State behind the routes. `commit_s` is how long a commit holds the namespace, `page` how many entries a listing
    gives at once, `job_asks` how often a batch is still in progress.
    """

    quota: int = 2 << 30
    commit_s: float = 0.0
    page: int = 500
    job_asks: int = 1
    commits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.guard = threading.RLock()
        self._writing = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """An empty account; commits are counted anew."""
        with self.guard:
            self.tree, self.sessions = Tree(self.quota), Sessions()
            self._cursors: dict[str, _Cursor] = {}
            self._jobs: dict[str, _Job] = {}
            self.commits.clear()

    @contextmanager
    def commit(self, route: str, fault: Fault | None) -> Iterator[Tree]:
        """The tree to change; a second commit at the same time gets too_many_write_operations."""
        if not self._writing.acquire(blocking=False):
            raise limited("too_many_write_operations", 1)
        try:
            if self.commit_s:
                time.sleep(self.commit_s)
            with self.guard:
                quota = self.tree.quota
                if fault is not None and fault.kind == "insufficient_space":
                    self.tree.quota = self.tree.used
                self.tree.mark()
                self.commits[route] += 1
                try:
                    yield self.tree
                finally:
                    self.tree.quota = quota
        finally:
            self._writing.release()

    def open_listing(self, path: str, *, recursive: bool, limit: int | None, commits_ago: int) -> JsonObject:
        """The first page of a folder."""
        entries = self.tree.listing(path, recursive=recursive, commits_ago=commits_ago)
        return self._next_page(_Cursor(path, recursive, entries, self.tree.position), limit)

    def next_listing(self, name: str) -> JsonObject:
        """The page after a cursor; what changed since, once all pages were sent."""
        cursor = self._cursors.get(name)
        if cursor is None:
            raise route_error({".tag": "reset"})
        if cursor.pending:
            return self._next_page(cursor, None)
        changes = self.tree.changes(cursor.position, cursor.path, recursive=cursor.recursive)
        return self._next_page(_Cursor(cursor.path, cursor.recursive, changes, self.tree.position), None)

    def start_job(self, result: JsonObject) -> JsonObject:
        """A launch: the id of a job, or its result at once where `job_asks` is 0."""
        if self.job_asks == 0:
            return {".tag": "complete", **result}
        name = f"dbjid:{secrets.token_urlsafe(24)}"
        self._jobs[name] = _Job(result, self.job_asks - 1)
        return {".tag": "async_job_id", "async_job_id": name}

    def job(self, name: str) -> JsonObject:
        """How far a job is."""
        job = self._jobs.get(name)
        if job is None:
            raise route_error({".tag": "invalid_async_job_id"})
        if job.asks_left > 0:
            job.asks_left -= 1
            return {".tag": "in_progress"}
        return {".tag": "complete", **job.result}

    def _next_page(self, cursor: _Cursor, limit: int | None) -> JsonObject:
        size = min(limit or self.page, self.page)
        page, rest = cursor.pending[:size], cursor.pending[size:]
        name = secrets.token_urlsafe(24)
        self._cursors[name] = _Cursor(cursor.path, cursor.recursive, rest, cursor.position)
        return {"entries": page, "cursor": name, "has_more": bool(rest)}
