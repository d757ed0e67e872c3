"""The nine steps as stages: begun, finished or failed, how long they took, and how long jobs worked for them."""

import time
from asyncio import CancelledError
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from huracan.errors import HuracanError
from huracan.night.state import Night
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
    """Emits that a step has begun and how it ended; the error of one that failed goes on its way.

    Parts of steps 3 to 7 are done in jobs of an earlier step. So a step ends with the seconds that jobs took for it.
    """

    def __init__(self, telemetry: Telemetry, number: int) -> None:
        self._telemetry = telemetry
        self._number = number
        self._began = 0.0
        self._job_seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._telemetry.event("stage_started", step=STEPS[self._number - 1], number=self._number)
        return self

    def ending(self, night: Night) -> Night:
        """Take over what jobs took for this step, from the night it ends with."""
        self._job_seconds = round(night.job_seconds.get(self._number, 0.0), 3)
        return night

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        place = {"step": STEPS[self._number - 1], "number": self._number}
        spent = {"seconds": seconds, "job_seconds": self._job_seconds}
        if error is None:
            self._telemetry.event("stage_finished", **place, **spent)
        else:
            self._telemetry.event("stage_failed", **place, **spent, code=ending_code(error))
