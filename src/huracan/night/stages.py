"""The nine steps as stages that are told: begun, finished or failed, and how long they took."""

import time
from asyncio import CancelledError
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from huracan.errors import HuracanError
from huracan.ports import Telemetry

STEPS: Final = ("universe", "ingest", "features", "labels", "train", "score", "consensus", "promote", "export")
"""What a step is called in events, metrics and traces; its number is its place, from 1."""


INTERRUPTED: Final = "INTERRUPTED"
"""Code of a run that a person ended, as by Ctrl-C; the next run goes on from what is stored."""


def is_interruption(error: BaseException) -> bool:
    """True for what Ctrl-C becomes inside a run."""
    return isinstance(error, CancelledError | KeyboardInterrupt)


def ending_code(error: BaseException) -> str:
    """The stable code of what ended a step or a run; the type's name for an error that is not ours."""
    if is_interruption(error):
        return INTERRUPTED
    return error.code if isinstance(error, HuracanError) else type(error).__name__


class Stage(AbstractContextManager["Stage"]):
    """Tells that a step has begun and how it ended; the error of one that failed goes on its way."""

    def __init__(self, telemetry: Telemetry, number: int) -> None:
        self._telemetry = telemetry
        self._facts = {"step": STEPS[number - 1], "number": number}
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._telemetry.event("stage_started", **self._facts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        if error is None:
            self._telemetry.event("stage_finished", **self._facts, seconds=seconds)
        else:
            self._telemetry.event("stage_failed", **self._facts, seconds=seconds, code=ending_code(error))
