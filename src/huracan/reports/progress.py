"""How far a night is, as its ``progress.json`` says, as a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from huracan.domain.json import JsonObject
from huracan.reports.reading import record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage that was entered; `done` of `total` jobs, None where it has none."""

    name: str
    started_ms: int | None = None
    ended_ms: int | None = None
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job at work."""

    coin: str
    wave: str
    attempt: int = 1
    since_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A night under way, or the last one. `recent` are events: `event`, `at_ms`, and fields of their own."""

    state: str = "none"
    run_id: str | None = None
    started_ms: int | None = None
    updated_ms: int | None = None
    backend: str | None = None
    workers: int | None = None
    members: int | None = None
    pairs: int | None = None
    retried: int = 0
    failed: int = 0
    code: str | None = None
    error: str | None = None
    stages: tuple[Stage, ...] = ()
    running: tuple[RunningJob, ...] = ()
    recent: tuple[JsonObject, ...] = ()


def progress_of(body: Mapping[str, object]) -> Progress:
    """The record of a ``progress.json``; ValueError for a damaged one."""
    return record_of(_codec(), body)


@cache
def _codec() -> TypeAdapter[Progress]:
    return TypeAdapter(Progress)
