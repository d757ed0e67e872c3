"""Where events of a run go: structured log lines, a progress display, or a list in a test."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from huracan.adapters.telemetry.names import EVENTS, Level
from huracan.adapters.telemetry.redact import redact, secrets_in
from huracan.domain.json import Json
from huracan.ports import EventFields, EventValue

if TYPE_CHECKING:
    from rich.progress import TaskID


class SilentTelemetry:
    """Drops everything."""

    def event(self, name: str, **fields: EventValue) -> None:
        """Nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


class RecordingTelemetry:
    """Keeps everything, for tests; raises ValueError for an event that EVENTS does not list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, EventFields]] = []
        self.stages: list[tuple[str, int, int]] = []

    def event(self, name: str, **fields: EventValue) -> None:
        """Append the event."""
        if name not in EVENTS:
            raise ValueError(
                f"event {name!r} is not listed in huracan.adapters.telemetry.names.EVENTS; add it with its level"
            )
        self.events.append((name, fields))

    def progress(self, stage: str, done: int, total: int) -> None:
        """Append the step."""
        self.stages.append((stage, done, total))

    def named(self, name: str) -> list[EventFields]:
        """The fields of every event of that name."""
        return [fields for seen, fields in self.events if seen == name]

    def at_level(self, *levels: Level) -> list[tuple[str, EventFields]]:
        """Events of these levels."""
        return [(name, fields) for name, fields in self.events if EVENTS[name] in levels]


class StructlogTelemetry:
    """Key-value events through structlog, and a rich progress display on a terminal.

    Lines go to `file` (appended, always JSON) or else to stderr: JSON, or a readable form where stderr is a terminal
    (`as_json` decides otherwise). `progress` None shows the display on a terminal only. Values of `secrets` (None: what
    the environment holds under names such as ``*_TOKEN``) never reach a line, raw or as base64, URL or hex text.
    """

    def __init__(
        self,
        *,
        file: Path | None = None,
        as_json: bool | None = None,
        progress: bool | None = None,
        secrets: Iterable[str] | None = None,
        level: Level = "info",
    ) -> None:
        terminal = sys.stderr.isatty()
        plain_lines = file is not None or (not terminal if as_json is None else as_json)
        known = secrets_in(os.environ) if secrets is None else tuple(secrets)
        self._display = _Display() if (terminal if progress is None else progress) else None
        self._sink = _Sink(file, known)
        render: Any = _json_line if plain_lines else structlog.dev.ConsoleRenderer(colors=terminal)
        self._logger: Any = structlog.wrap_logger(
            self._sink,
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )

    def bind(self, **fields: EventValue) -> "StructlogTelemetry":
        """The same telemetry with fields on every event (run_id, coin, horizon, engine, regime)."""
        bound = object.__new__(StructlogTelemetry)
        bound._display, bound._sink, bound._logger = self._display, self._sink, self._logger.bind(**fields)
        return bound

    def event(self, name: str, **fields: EventValue) -> None:
        """Write one line, at the level EVENTS gives the name (info for names of extensions)."""
        getattr(self._logger, EVENTS.get(name, "info"))(name, **fields)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        if self._display is not None:
            self._display.show(stage, done, total)

    def close(self) -> None:
        """Take the display down and close the file."""
        if self._display is not None:
            self._display.close()
        self._sink.close()


def _json_line(_logger: Any, _method: str, event: Mapping[str, object]) -> str:
    return json.dumps(_finite(event), default=str, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(item) for item in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Sink:
    """What structlog writes to: whole lines, redacted; stderr is looked up anew, since a display may stand before
    it.
    """

    def __init__(self, file: Path | None, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets
        self._file: TextIO | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = file.open("a", encoding="utf-8")

    def _write(self, line: str) -> None:
        stream = self._file or sys.stderr
        stream.write(redact(line, self._secrets) + "\n")
        stream.flush()

    debug = info = warning = error = _write

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Display:
    """One bar a stage, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def show(self, stage: str, done: int, total: int) -> None:
        """Move a bar, put it up at its first step; one with nothing to do (a total of 0) is taken down."""
        if total == 0:
            if stage in self._tasks:
                self._bars.remove_task(self._tasks.pop(stage))
            return
        if stage not in self._tasks:
            self._bars.start()
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def close(self) -> None:
        self._bars.stop()
