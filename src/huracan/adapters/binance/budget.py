"""One budget of request weight per host, pauses after a 429, and silence after a 418.

In-process; several processes on one address share the exchange's limit, so each takes `share` of it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from huracan.domain.time import iso
from huracan.errors import BannedError

SPOT, UM, UM_FUNDING, ARCHIVE = "spot", "um", "um-funding", "archive"

LIMITS: Final[dict[str, tuple[int, float]]] = {
    SPOT: (6000, 60.0),
    UM: (2400, 60.0),
    UM_FUNDING: (500, 300.0),
}
"""Published limits: weight and the seconds it lasts. Hosts that are not listed have none."""


class WeightBudget:
    """Delays requests so that no sliding window exceeds its limit times `share`; refuses all of them while banned."""

    def __init__(
        self,
        limits: Mapping[str, tuple[int, float]] = LIMITS,
        *,
        share: float = 0.8,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = {pool: (limit * share, seconds) for pool, (limit, seconds) in limits.items()}
        self._spent: dict[str, deque[tuple[float, float]]] = {pool: deque() for pool in limits}
        self._paused_until: dict[str, float] = {}
        self._banned_until_ms = 0
        self._clock, self._sleep = clock, sleep

    async def spend(self, pool: str, weight: int) -> None:
        """Return when a request of this weight may be sent, and book it. Raises BannedError while banned."""
        while True:
            self.check_ban()
            wait = self._wait(pool, weight)
            if wait <= 0:
                break
            await self._sleep(wait)
        if pool in self._limits:
            self._spent[pool].append((self._clock(), weight))

    def observe(self, pool: str, used: int) -> None:
        """Take the exchange's own count of the last minute where it exceeds ours (others share our address)."""
        if pool in self._limits:
            missing = used - sum(weight for _, weight in self._recent(pool))
            if missing > 0:
                self._spent[pool].append((self._clock(), missing))

    def pause(self, pool: str, seconds: float) -> None:
        """Send nothing to the pool for so long (429)."""
        until = self._clock() + seconds
        self._paused_until[pool] = max(until, self._paused_until.get(pool, until))

    def ban(self, seconds: float) -> BannedError:
        """Send nothing anywhere for so long (418); returns the error to raise."""
        self._banned_until_ms = max(self._banned_until_ms, round((time.time() + seconds) * 1000))
        return self._banned()

    def check_ban(self) -> None:
        """Raise BannedError while the ban lasts."""
        if time.time() * 1000 < self._banned_until_ms:
            raise self._banned()

    def _banned(self) -> BannedError:
        until = self._banned_until_ms
        message = f"the exchange answered 418: no request from this address until {iso(until)}; wait, do not retry"
        return BannedError(message, until_ms=until)

    def _recent(self, pool: str) -> deque[tuple[float, float]]:
        spent, oldest = self._spent[pool], self._clock() - self._limits[pool][1]
        while spent and spent[0][0] <= oldest:
            spent.popleft()
        return spent

    def _wait(self, pool: str, weight: int) -> float:
        paused = self._paused_until.get(pool, 0.0) - self._clock()
        if paused > 0 or pool not in self._limits:
            return paused
        limit, seconds = self._limits[pool]
        recent = self._recent(pool)
        excess = sum(booked for _, booked in recent) + weight - limit
        if excess <= 0 or not recent:
            return 0.0
        freed = 0.0
        expiring = (when for when, booked in recent if (freed := freed + booked) >= excess)
        return max(next(expiring, recent[-1][0]) + seconds - self._clock(), 0.001)
