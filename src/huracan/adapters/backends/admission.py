"""When the next job may start: back-pressure, lost machines and memory in one rule, the same for every backend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from huracan.adapters.backends.memory import room
from huracan.ports import Backend

LOOK_AGAIN_S = 0.5


@dataclass(slots=True, kw_only=True)
class Admission:
    """At most `most` jobs at once, and no more than the backend's machines have slots and memory for; first come,
    first.

    The limit is read before every start. With nothing running one job is always let in: memory that other programs hold
    may slow a night down, never stop it.
    """

    backend: Backend
    most: int
    reserve: int
    bounded: bool = True
    running: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn, then hold one slot; raises BackendError when the backend has no machine any more."""
        async with self._turn:
            while self.running >= await self._limit():
                self._left.clear()
                try:
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await self._left.wait()
                except TimeoutError:
                    continue
            self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._left.set()

    async def _limit(self) -> int:
        if not self.bounded:
            return self.most
        rooms = sum(room(machine, self.reserve) for machine in await self.backend.machines())
        return max(1, min(self.most, rooms))
