"""Telemetry for threads beside an event loop: listeners are told in the loop's thread, one fact at a time."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from huracan.ports import Telemetry


class OnLoop:
    """Tells `inner` at once in the thread of the running loop, and from any other thread as soon as the loop is free.

    Facts told after the loop has ended are lost: their night is over.
    """

    def __init__(self, inner: Telemetry) -> None:
        self._inner, self._loop = inner, asyncio.get_running_loop()

    def event(self, name: str, **fields: Any) -> None:
        """The fact, in the loop's thread."""
        self._tell(partial(self._inner.event, name, **fields))

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is, in the loop's thread."""
        self._tell(partial(self._inner.progress, stage, done, total))

    def _tell(self, say: Any) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            say()
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(say)
