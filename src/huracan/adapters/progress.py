"""How far tonight is, in one small file that may be read while the night runs: ``{workdir}/progress.json``.

It is a display and no evidence: written whole or not at all, but never synced, and a night goes on without it.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from huracan.domain.json import JsonObject
from huracan.ports import EventFields, EventValue, Telemetry

PROGRESS_FILE: Final = "progress.json"
PROGRESS_FORMAT: Final = "huracan-progress/1"
EVERY_S: Final = 0.5
"""Two writes lie at least this far apart, however many jobs a night has."""
RECENT: Final = 12

STAGES: Final = ("universe", "ingest", "prepare", "train", "judge", "publish")
_ENTERED_BY: Final = {
    "universe_built": "ingest",
    "recipe_scored": "judge",
    "pool_evaluated": "judge",
    "set_published": "publish",
    "run_finished": "publish",
}
"""Events that show a stage has begun; the waves say so themselves by their progress."""
_SHOWN: Final = frozenset(
    {"universe_built", "job_retried", "job_failed", "worker_lost", "pool_frozen", "export_failed", "set_published"}
    | {"keys_created", "root_key_unprotected", "champion_demoted", "backend_lost"}
)
"""Events worth a line on the page."""


@dataclass(slots=True, kw_only=True)
class StageProgress:
    """A stage that was entered: its times, and how many of its jobs are done."""

    name: str
    started_ms: int
    ended_ms: int | None = None
    done: int | None = None
    total: int | None = None

    def to_json(self) -> JsonObject:
        """Without what is not known yet."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job at work now."""

    coin: str
    wave: str
    attempt: EventValue
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event that the page shows, with its plain fields."""

    event: str
    at_ms: int
    fields: EventFields

    def to_json(self) -> JsonObject:
        """The event's fields beside its name and time."""
        return {"event": self.event, "at_ms": self.at_ms, **self.fields}


@dataclass(slots=True, kw_only=True)
class NightProgress:
    """What the file says. `running` is by coin and wave, `stages` by name in the order they were entered."""

    pid: int
    started_ms: int
    backend: str
    workers: int
    state: str = "running"
    run_id: str | None = None
    members: EventValue = None
    pairs: EventValue = None
    retried: int = 0
    failed: int = 0
    code: str | None = None
    error: str | None = None
    stages: dict[str, StageProgress] = field(default_factory=dict)
    running: dict[tuple[str, str], RunningJob] = field(default_factory=dict)
    recent: tuple[ShownEvent, ...] = ()

    def to_json(self, updated_ms: int) -> JsonObject:
        """The file's content."""
        return {
            "format": PROGRESS_FORMAT,
            "state": self.state,
            "run_id": self.run_id,
            "pid": self.pid,
            "started_ms": self.started_ms,
            "backend": self.backend,
            "workers": self.workers,
            "members": self.members,
            "pairs": self.pairs,
            "retried": self.retried,
            "failed": self.failed,
            "code": self.code,
            "error": self.error,
            "updated_ms": updated_ms,
            "stages": [stage.to_json() for stage in self.stages.values()],
            "running": [asdict(job) for job in self.running.values()],
            "recent": [shown.to_json() for shown in self.recent],
        }


class ProgressFile:
    """Telemetry that passes everything on and keeps the file up to date.

    Reads events by name: `run_started` (run_id), `universe_built` (members, pairs), `job_started` (coin, wave, attempt)
    and `job_finished`, `job_retried`, `job_failed`, `job_cancelled` (coin, wave). A run killed at any moment leaves a
    file that says "running"; whether it is, the store's lock knows.
    """

    def __init__(
        self,
        path: Path,
        inner: Telemetry,
        *,
        workers: int,
        backend: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._inner = path, inner
        self._now_ms, self._monotonic = now_ms, monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._written = -EVERY_S
        self._night = NightProgress(pid=os.getpid(), started_ms=now_ms(), backend=backend, workers=workers)
        self._enter("universe")
        self._write()

    def event(self, name: str, **fields: EventValue) -> None:
        """Pass the event on and take from it what the page shows."""
        self._inner.event(name, **fields)
        if name == "run_started":
            run_id = fields.get("run_id")
            self._night.run_id = None if run_id is None else str(run_id)
        elif name == "universe_built":
            self._night.members, self._night.pairs = fields.get("members"), fields.get("pairs")
        self._follow_job(name, fields)
        if name in _SHOWN:
            shown = ShownEvent(event=name, at_ms=self._now_ms(), fields=_short(fields))
            self._night.recent = (*self._night.recent, shown)[-RECENT:]
        elif name not in _ENTERED_BY and name != "run_started" and not name.startswith("job_"):
            return
        if name in _ENTERED_BY:
            self._enter(_ENTERED_BY[name])
        self._changed()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass the step on and count it."""
        self._inner.progress(stage, done, total)
        if stage in STAGES:
            self._enter(stage)
            entered = self._night.stages[stage]
            entered.done, entered.total = done, total
            self._changed()

    def spent(self) -> tuple[tuple[str, float], ...]:
        """Every stage that was entered with the seconds it took, or takes so far."""
        now = self._now_ms()
        return tuple(
            (name, ((now if stage.ended_ms is None else stage.ended_ms) - stage.started_ms) / 1000)
            for name, stage in self._night.stages.items()
        )

    @property
    def run_id(self) -> str | None:
        """The run's id, None before it has one."""
        return self._night.run_id

    @property
    def workers(self) -> int:
        """How many worker processes the night has."""
        return self._night.workers

    def close(self, *, state: str, code: str | None = None, error: str | None = None) -> None:
        """The last word on this night: ``finished``, ``interrupted``, ``refused`` or ``failed``, with its error.

        A file of another night since then is left alone.
        """
        self._night.running.clear()
        self._night.state, self._night.code, self._night.error = state, code, error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._replaced():
            self._write()

    def _replaced(self) -> bool:
        try:
            body = json.loads(self._path.read_bytes())
            return bool((body["pid"], body["started_ms"]) != (self._night.pid, self._night.started_ms))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False

    def _follow_job(self, name: str, fields: EventFields) -> None:
        if not name.startswith("job_"):
            return
        key = (str(fields.get("coin")), str(fields.get("wave")))
        self._night.running.pop(key, None)
        if name == "job_started":
            self._enter(key[1])
            self._night.running[key] = RunningJob(
                coin=key[0], wave=key[1], attempt=fields.get("attempt"), since_ms=self._now_ms()
            )
        self._night.retried += name == "job_retried"
        self._night.failed += name == "job_failed"

    def _enter(self, stage: str) -> None:
        if stage in STAGES and stage not in self._night.stages:
            now = self._now_ms()
            for earlier in self._night.stages.values():
                if earlier.ended_ms is None:
                    earlier.ended_ms = now
            self._night.stages[stage] = StageProgress(name=stage, started_ms=now)

    def _changed(self) -> None:
        wait = self._written + EVERY_S - self._monotonic()
        if wait <= 0:
            self._write()
        elif self._timer is None:
            with suppress(RuntimeError):  # outside an event loop the next change writes this one too
                self._timer = asyncio.get_running_loop().call_later(wait, self._write)

    def _write(self) -> None:
        self._timer = None
        self._written = self._monotonic()
        body = self._night.to_json(self._now_ms())
        beside = self._path.with_name(f".{self._path.name}")
        with suppress(OSError):  # a full disk ends the night where something that matters is written
            beside.unlink(missing_ok=True)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(body, stream, ensure_ascii=False)
            beside.replace(self._path)


def _short(fields: EventFields) -> EventFields:
    """Fields of a line on the page: plain values, texts cut."""
    plain = {name: value for name, value in fields.items() if isinstance(value, str | int | bool)}
    return {name: value[:300] if isinstance(value, str) else value for name, value in plain.items()}
