"""Where facts about a run go: structured log lines, a progress display, or a list in a test."""

import base64
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO
from urllib.parse import quote

import structlog

Level = Literal["debug", "info", "warning", "error"]

EVENTS: Final[dict[str, Level]] = {
    "backend_lost": "error",
    "backend_started": "info",
    "bars_repaired": "info",
    "cache_counted": "info",
    "candidate_published": "info",
    "cell_scored": "info",
    "champion_demoted": "info",
    "champion_kept": "info",
    "champion_promoted": "info",
    "champion_refreshed": "info",
    "consensus_reached": "info",
    "context_written": "info",
    "decision_made": "debug",
    "export_failed": "error",
    "job_failed": "error",
    "job_retried": "info",
    "job_started": "debug",
    "keys_created": "info",
    "lake_table_set_aside": "warning",
    "lineage_admitted": "info",
    "lineage_expired": "info",
    "pair_failed": "error",
    "pair_ingested": "info",
    "pair_skipped": "info",
    "pair_trained": "info",
    "pool_frozen": "error",
    "pool_judged": "info",
    "prior_written": "info",
    "report_written": "info",
    "root_key_unprotected": "info",
    "run_finished": "info",
    "run_refused": "error",
    "run_started": "info",
    "set_published": "info",
    "stage_finished": "info",
    "stage_started": "info",
    "universe_built": "info",
    "worker_lost": "error",
}
"""Every event there is, with its level: past-tense facts in snake case. Repaired data is information, not a warning."""

REDACTED: Final = "[redacted]"
SECRET_WORDS: Final = ("TOKEN", "SECRET", "PASSPHRASE", "PASSWORD", "APP_KEY", "API_KEY", "PRIVATE_KEY", "CREDENTIAL")
SHORTEST_SECRET: Final = 4  # replacing shorter ones would garble ordinary words


class SilentTelemetry:
    """Drops everything."""

    def event(self, name: str, **fields: Any) -> None:
        """Nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


class RecordingTelemetry:
    """Keeps everything, for tests; raises ValueError for an event that EVENTS does not list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.stages: list[tuple[str, int, int]] = []

    def event(self, name: str, **fields: Any) -> None:
        """Append the fact."""
        if name not in EVENTS:
            raise ValueError(
                f"event {name!r} is not listed in huracan.adapters.telemetry.EVENTS; add it with its level"
            )
        self.events.append((name, fields))

    def progress(self, stage: str, done: int, total: int) -> None:
        """Append the step."""
        self.stages.append((stage, done, total))

    def named(self, name: str) -> list[dict[str, Any]]:
        """The fields of every event of that name."""
        return [fields for seen, fields in self.events if seen == name]

    def at_level(self, *levels: Level) -> list[tuple[str, dict[str, Any]]]:
        """Events of these levels."""
        return [(name, fields) for name, fields in self.events if EVENTS[name] in levels]


class StructlogTelemetry:
    """Key-value events through structlog, and a rich progress display on a terminal.

    Lines go to `file` (appended, always JSON) or else to stderr: JSON, or a readable form where stderr is a terminal
    (`as_json` decides otherwise). `progress` None shows the display on a terminal only. Values of `secrets` (None: what the
    environment holds under names such as ``*_TOKEN``) never reach a line, raw or as base64, URL or hex text.
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

    def bind(self, **fields: Any) -> "StructlogTelemetry":
        """The same telemetry with fields on every event (run_id, coin, horizon, engine, regime)."""
        bound = object.__new__(StructlogTelemetry)
        bound._display, bound._sink, bound._logger = self._display, self._sink, self._logger.bind(**fields)
        return bound

    def event(self, name: str, **fields: Any) -> None:
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


def secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of variables whose names say they are secret."""
    return tuple(value for name, value in environ.items() if any(word in name.upper() for word in SECRET_WORDS))


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, nor their base64, URL, hex or escaped forms.

    >>> redact("token=hunter2 hex=68756e74657232", ["hunter2"])
    'token=[redacted] hex=[redacted]'
    """
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            for form in _forms(secret):
                text = text.replace(form, REDACTED)
    return text


def _forms(secret: str) -> list[str]:
    data = secret.encode()
    shown = {secret, repr(secret)[1:-1]}
    escaped = {json.dumps(text, ensure_ascii=ascii_)[1:-1] for text in shown for ascii_ in (True, False)}
    coded = {quote(secret, safe=""), data.hex(), data.hex().upper(), *_base64_forms(data)}
    return sorted(shown | escaped | coded, key=len, reverse=True)


def _base64_forms(data: bytes) -> list[str]:
    """What base64 of any text that contains the data must contain, for each of the three alignments."""
    forms: list[str] = []
    for before, dropped in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")[dropped:]
        text = text if (before + len(data)) % 3 == 0 else text[:-1]
        forms += [text, text.replace("+", "-").replace("/", "_")]
    return [form for form in forms if len(form) >= SHORTEST_SECRET]


def _json_line(_logger: Any, _method: str, event: Mapping[str, Any]) -> str:
    return json.dumps(_finite(event), default=str, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(item) for item in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Sink:
    """What structlog writes to: whole lines, redacted; stderr is looked up anew, since a display may stand before it."""

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
        self._tasks: dict[str, Any] = {}

    def show(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._bars.start()
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def close(self) -> None:
        self._bars.stop()
