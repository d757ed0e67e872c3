"""Telemetry for threads beside an event loop: listeners are called in the loop's thread, one event at a time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from huracan.ports import EventValue, Telemetry


class OnLoop:
    """Emits to `inner` at once in the thread of the running loop, and from any other thread as soon as the loop is
    free.

    Events emitted after the loop has ended are lost: their night is over.
    """

    def __init__(self, inner: Telemetry) -> None:
        self._inner, self._loop = inner, asyncio.get_running_loop()

    def event(self, name: str, **fields: EventValue) -> None:
        """The event, in the loop's thread."""
        self._emit(partial(self._inner.event, name, **fields))

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is, in the loop's thread."""
        self._emit(partial(self._inner.progress, stage, done, total))

    def _emit(self, send: Callable[[], None]) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            send()
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(send)
