"""One telemetry for many listeners, none of which can hurt the night or the others."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from huracan.ports import Telemetry

RUN_IDS: Final = ("run_id",)
"""Fields of ``run_started`` that every later event of the run carries."""


class FanOut:
    """Tells every listener, in order, and binds what identifies the run to everything told after ``run_started``.

    `listeners` by name. One that raises is reported to the others as ``telemetry_failed``, the first time it does, and
    is told the next fact like everybody else.
    """

    def __init__(self, listeners: Mapping[str, Telemetry]) -> None:
        self._listeners = dict(listeners)
        self._failing: set[str] = set()
        self._bound: dict[str, Any] = {}

    def event(self, name: str, **fields: Any) -> None:
        """The fact, to every listener."""
        told = {**self._bound, **fields}
        if name == "run_started":
            self._bound = {key: fields[key] for key in RUN_IDS if key in fields}
        self._tell(lambda listener: listener.event(name, **told))

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is, to every listener."""
        self._tell(lambda listener: listener.progress(stage, done, total))

    def _tell(self, say: Any, but: Sequence[str] = ()) -> None:
        broken: dict[str, Exception] = {}
        for name, listener in self._listeners.items():
            if name in but:
                continue
            try:
                say(listener)
            except Exception as error:  # the boundary of a listener: a full disk or a bug there must not end the night
                broken[name] = error
        for name, problem in broken.items():
            if name not in self._failing:
                self._failing.add(name)
                facts = {**self._bound, "listener": name, "error": f"{type(problem).__name__}: {problem}"}
                self._tell(lambda other, facts=facts: other.event("telemetry_failed", **facts), but=(*but, name))
