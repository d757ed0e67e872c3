"""Seconds that pass only when somebody sleeps: an exchange and its clients can share them."""

import asyncio


class SimulatedClock:
    """Call it for the time. Whoever sleeps moves it to their wake-up, at once; requests take no time at all."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.start = self.now = start

    def __call__(self) -> float:
        return self.now

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.now - self.start

    async def sleep(self, seconds: float) -> None:
        """Wake up after so long."""
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)
