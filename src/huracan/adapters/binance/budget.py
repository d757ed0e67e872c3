"""One budget of request weight for all processes on this machine, pauses after a 429, and silence after a 418.

The exchange counts by address, so all workers and all runs share one file: what one of them spends, the others see, and
a ban outlives the process that earned it. Times are the wall clock's, which processes and restarts have in common.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from huracan.adapters.disk import is_disk_full, sqlite_disk_failed
from huracan.domain.time import iso
from huracan.errors import BannedError, ConfigError, DiskFullError, HuracanError

SPOT, UM, UM_FUNDING, ARCHIVE = "spot", "um", "um-funding", "archive"

LIMITS: Final[dict[str, tuple[int, float]]] = {
    SPOT: (6000, 60.0),
    UM: (2400, 60.0),
    UM_FUNDING: (500, 300.0),
}
"""Published limits: weight and the seconds it lasts. Hosts that are not listed have none."""

LONGEST_BAN_S: Final = 3 * 86_400.0
"""Published: bans last from two minutes to three days. A longer one is a mistake of a header, of a clock or of the
file.
"""
LONGEST_PAUSE_S: Final = 3_600.0
"""Of a 429; no published window lasts longer than five minutes."""

_BAN: Final = "ban"
_LOCK_PATIENCE_S: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spent (pool TEXT NOT NULL, at REAL NOT NULL, weight REAL NOT NULL);
CREATE INDEX IF NOT EXISTS spent_by_time ON spent (pool, at);
CREATE TABLE IF NOT EXISTS closed (pool TEXT PRIMARY KEY, until REAL NOT NULL);
"""


class WeightBudget:
    """Delays requests so that no sliding window exceeds its limit times `share`; refuses all of them while banned.

    `file` is shared with every process that names it; None keeps the count in this object alone. `scope` says which
    exchange is meant: two of them in one file do not know of each other. Raises ConfigError for a file that is no
    budget.
    """

    def __init__(
        self,
        limits: Mapping[str, tuple[int, float]] = LIMITS,
        *,
        share: float = 0.8,
        file: Path | None = None,
        scope: str = "",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = {pool: (limit * share, seconds) for pool, (limit, seconds) in limits.items()}
        self._scope, self._file = scope, file
        self._clock, self._sleep = clock, sleep
        self._table = _open(file)

    async def spend(self, pool: str, weight: int) -> None:
        """Return when a request of this weight may be sent, and book it. Raises BannedError while banned."""
        while True:
            with self._changing() as now:
                self._refuse_while_banned(now)  # inside the lock, so no other request can earn a ban in between
                wait = self._wait(pool, weight, now)
                if wait <= 0:
                    self._book(pool, now, weight)
                    return
            await self._sleep(wait)

    def observe(self, pool: str, used: int) -> None:
        """Take the exchange's own count of the last minute where it exceeds ours (others share our address)."""
        if pool in self._limits:
            with self._changing() as now:
                missing = used - sum(weight for _, weight in self._recent(pool, now))
                if missing > 0:
                    self._book(pool, now, missing)

    def pause(self, pool: str, seconds: float) -> float:
        """Send nothing to the pool for so long (429), an hour at most; returns how long."""
        with self._changing() as now:
            self._close(pool, now + min(seconds, LONGEST_PAUSE_S))
            return self._closed_until(pool, now) - now

    def ban(self, seconds: float) -> BannedError:
        """Send nothing anywhere for so long (418), three days at most; returns the error to raise."""
        with self._changing() as now:
            self._close(_BAN, now + min(seconds, LONGEST_BAN_S))
            return _banned(self._closed_until(_BAN, now))

    def check_ban(self) -> None:
        """Raise BannedError while the ban lasts."""
        with self._changing() as now:
            self._refuse_while_banned(now)

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()

    def _refuse_while_banned(self, now: float) -> None:
        until = self._closed_until(_BAN, now)
        if now < until:
            raise _banned(until)

    def _wait(self, pool: str, weight: int, now: float) -> float:
        paused = self._closed_until(pool, now) - now
        if paused > 0 or pool not in self._limits:
            return paused
        limit, seconds = self._limits[pool]
        recent = self._recent(pool, now)
        excess = sum(booked for _, booked in recent) + weight - limit
        if excess <= 0 or not recent:
            return 0.0
        freed = 0.0
        expiring = (when for when, booked in recent if (freed := freed + booked) >= excess)
        return max(next(expiring, recent[-1][0]) + seconds - now, 0.001)

    def _recent(self, pool: str, now: float) -> list[tuple[float, float]]:
        """What was spent in the window, oldest first; a clock that was set back makes later rows happen now."""
        name, since = self._name(pool), now - self._limits[pool][1]
        self._table.execute("DELETE FROM spent WHERE pool = ? AND at <= ?", (name, since))
        self._table.execute("UPDATE spent SET at = ? WHERE pool = ? AND at > ?", (now, name, now))
        return self._table.execute("SELECT at, weight FROM spent WHERE pool = ? ORDER BY at", (name,)).fetchall()

    def _book(self, pool: str, now: float, weight: float) -> None:
        if pool in self._limits:
            self._table.execute("INSERT INTO spent VALUES (?, ?, ?)", (self._name(pool), now, weight))

    def _closed_until(self, pool: str, now: float) -> float:
        """When the pool opens, 0 where nothing closed it. A stored moment beyond the longest wait becomes that,
        once.
        """
        name = self._name(pool)
        row = self._table.execute("SELECT until FROM closed WHERE pool = ?", (name,)).fetchone()
        latest = now + (LONGEST_BAN_S if pool == _BAN else LONGEST_PAUSE_S)
        if row is None or row[0] <= latest:
            return float(row[0]) if row else 0.0
        self._table.execute("UPDATE closed SET until = ? WHERE pool = ?", (latest, name))
        return latest

    def _close(self, pool: str, until: float) -> None:
        later = "INSERT INTO closed VALUES (?, ?) ON CONFLICT (pool) DO UPDATE SET until = max(until, excluded.until)"
        self._table.execute(later, (self._name(pool), until))

    def _name(self, pool: str) -> str:
        return f"{self._scope}/{pool}"

    @contextmanager
    def _changing(self) -> Iterator[float]:
        """The moment, alone with the table; what was changed stays changed even when an error is raised."""
        try:
            self._table.execute("BEGIN IMMEDIATE")
            try:
                yield self._clock()
            finally:
                if self._table.in_transaction:  # a full disk has rolled back already
                    self._table.execute("COMMIT")
        except sqlite3.Error as error:
            raise _unusable(self._file, error) from error


def _open(file: Path | None) -> sqlite3.Connection:
    try:
        if file is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        table = sqlite3.connect(file or ":memory:", timeout=_LOCK_PATIENCE_S, isolation_level=None)
        # A count of the last minutes need not survive a power cut, and a lost ban is answered by another 418.
        table.execute("PRAGMA synchronous = OFF")
        table.execute("PRAGMA journal_mode = PERSIST")  # or every request would create a file and remove it
        table.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(file, error) from error
    return table


def _unusable(file: Path | None, error: Exception) -> HuracanError:
    if is_disk_full(error) or (isinstance(error, sqlite3.Error) and sqlite_disk_failed(error, file)):
        return DiskFullError(
            f"the request budget {file} could not be written ({error}); free some space, then run again"
        )
    if isinstance(error, OSError):
        return ConfigError(
            f"the request budget {file} cannot be opened ({error.strerror}); let this user write there, or set"
            " HURACAN_STATE_DIR to a folder that it may write"
        )
    return ConfigError(
        f"the request budget {file} cannot be used ({error}); it is shared by all runs on this machine: remove it while"
        " none runs"
    )


def _banned(until: float) -> BannedError:
    until_ms = round(until * 1000)
    message = f"the exchange answered 418: no request from this address until {iso(until_ms)}; wait, do not retry"
    return BannedError(message, until_ms=until_ms)
