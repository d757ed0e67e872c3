"""One telemetry for many listeners, none of which can hurt the night or the others."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from huracan.ports import EventFields, EventValue, Telemetry

RUN_IDS: Final = ("run_id",)
"""Fields of ``run_started`` that every later event of the run carries."""


class FanOut:
    """Emits to every listener, in order, and binds what identifies the run to everything emitted after ``run_started``.

    `listeners` by name. One that raises is reported to the others as ``telemetry_failed``, the first time it does, and
    gets the next event like all others.
    """

    def __init__(self, listeners: Mapping[str, Telemetry]) -> None:
        self._listeners = dict(listeners)
        self._failing: set[str] = set()
        self._bound: dict[str, EventValue] = {}

    def event(self, name: str, **fields: EventValue) -> None:
        """The event, to every listener."""
        bound = {**self._bound, **fields}
        if name == "run_started":
            self._bound = {key: fields[key] for key in RUN_IDS if key in fields}
        self._emit(lambda listener: listener.event(name, **bound))

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is, to every listener."""
        self._emit(lambda listener: listener.progress(stage, done, total))

    def _emit(self, send: Callable[[Telemetry], None], but: Sequence[str] = ()) -> None:
        broken: dict[str, Exception] = {}
        for name, listener in self._listeners.items():
            if name in but:
                continue
            try:
                send(listener)
            except Exception as error:  # the boundary of a listener: a full disk or a bug there must not end the night
                broken[name] = error
        for name, problem in broken.items():
            if name not in self._failing:
                self._failing.add(name)
                failure = {**self._bound, "listener": name, "error": f"{type(problem).__name__}: {problem}"}
                self._emit(partial(_send, "telemetry_failed", failure), but=(*but, name))


def _send(name: str, fields: EventFields, listener: Telemetry) -> None:
    listener.event(name, **fields)
