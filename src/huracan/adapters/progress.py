"""How far tonight is, in one small file that anybody may read while the night runs: ``{workdir}/progress.json``.

It is a display and no evidence: written whole or not at all, but never synced, and a night goes on without it.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from huracan.ports import Telemetry

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
_FACTS_IN: Final = {"run_started": ("run_id",), "universe_built": ("members", "pairs")}
_TOLD: Final = frozenset(
    {"universe_built", "job_retried", "job_failed", "worker_lost", "pool_frozen", "export_failed", "set_published"}
    | {"keys_created", "root_key_unprotected", "champion_demoted", "backend_lost"}
)
"""Events worth a line on the page."""


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
        self._running: dict[tuple[str, str], dict[str, Any]] = {}
        self._recent: list[dict[str, Any]] = []
        self._stages: dict[str, dict[str, Any]] = {}
        self._facts: dict[str, Any] = {
            "format": PROGRESS_FORMAT,
            "state": "running",
            "run_id": None,
            "pid": os.getpid(),
            "started_ms": now_ms(),
            "backend": backend,
            "workers": workers,
            "members": None,
            "pairs": None,
            "retried": 0,
            "failed": 0,
            "code": None,
            "error": None,
        }
        self._enter("universe")
        self._write()

    def event(self, name: str, **fields: Any) -> None:
        """Pass the event on and take from it what the page shows."""
        self._inner.event(name, **fields)
        for key in _FACTS_IN.get(name, ()):
            self._facts[key] = fields.get(key)
        self._follow_job(name, fields)
        if name in _TOLD:
            self._recent = [*self._recent, {"event": name, "at_ms": self._now_ms(), **_short(fields)}][-RECENT:]
        elif name not in _ENTERED_BY and name not in _FACTS_IN and not name.startswith("job_"):
            return
        if name in _ENTERED_BY:
            self._enter(_ENTERED_BY[name])
        self._changed()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass the step on and count it."""
        self._inner.progress(stage, done, total)
        if stage in STAGES:
            self._enter(stage)
            self._stages[stage] |= {"done": done, "total": total}
            self._changed()

    def spent(self) -> tuple[tuple[str, float], ...]:
        """Every stage that was entered with the seconds it took, or takes so far."""
        now = self._now_ms()
        return tuple(
            (name, (stage.get("ended_ms", now) - stage["started_ms"]) / 1000) for name, stage in self._stages.items()
        )

    @property
    def run_id(self) -> str | None:
        """The run's id, None before it has one."""
        run_id = self._facts["run_id"]
        return None if run_id is None else str(run_id)

    @property
    def workers(self) -> int:
        """How many worker processes the night has."""
        return int(self._facts["workers"])

    def close(self, *, state: str, code: str | None = None, error: str | None = None) -> None:
        """The last word on this night: ``finished``, ``interrupted``, ``refused`` or ``failed``, with its error.

        A file that tells of another night since then is left alone.
        """
        self._running.clear()
        self._facts |= {"state": state, "code": code, "error": error}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._replaced():
            self._write()

    def _replaced(self) -> bool:
        try:
            body = json.loads(self._path.read_bytes())
            return any(body[name] != self._facts[name] for name in ("pid", "started_ms"))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False

    def _follow_job(self, name: str, fields: dict[str, Any]) -> None:
        if not name.startswith("job_"):
            return
        key = (str(fields.get("coin")), str(fields.get("wave")))
        self._running.pop(key, None)
        if name == "job_started":
            self._enter(key[1])
            self._running[key] = {
                "coin": key[0],
                "wave": key[1],
                "attempt": fields.get("attempt"),
                "since_ms": self._now_ms(),
            }
        self._facts["retried"] += name == "job_retried"
        self._facts["failed"] += name == "job_failed"

    def _enter(self, stage: str) -> None:
        if stage in STAGES and stage not in self._stages:
            now = self._now_ms()
            for open_stage in self._stages.values():
                open_stage.setdefault("ended_ms", now)
            self._stages[stage] = {"name": stage, "started_ms": now}

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
        body = {
            **self._facts,
            "updated_ms": self._now_ms(),
            "stages": list(self._stages.values()),
            "running": list(self._running.values()),
            "recent": self._recent,
        }
        beside = self._path.with_name(f".{self._path.name}")
        with suppress(OSError):  # a full disk ends the night where something that matters is written
            beside.unlink(missing_ok=True)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(body, stream, ensure_ascii=False)
            beside.replace(self._path)


def _short(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a line on the page: plain values, texts cut."""
    plain = {name: value for name, value in fields.items() if isinstance(value, str | int | bool)}
    return {name: value[:300] if isinstance(value, str) else value for name, value in plain.items()}
