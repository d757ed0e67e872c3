"""One budget of bytes for all downloads: memory is bounded by what is in flight, not by how many ask."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """At most `total` bytes held at once, given out in the order they were asked for. For one event loop.

    >>> budget = ByteBudget(10)
    >>> async def held():
    ...     async with budget.hold(4):
    ...         return budget.held
    >>> asyncio.run(held()), budget.held
    (4, 0)
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.held = 0

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until so many bytes are free, and hold them meanwhile; more than the total counts as all of it."""
        size = min(size, self._total)
        await self._take(size)
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._waiting and self.held + size <= self._total:
            self.held += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._wake()
            else:
                self._give(size)
            raise

    def _give(self, size: int) -> None:
        self.held -= size
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if self.held + size > self._total:
                    return
                self.held += size
                turn.set_result(None)
            self._waiting.popleft()
