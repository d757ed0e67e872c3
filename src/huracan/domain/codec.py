"""Records as JSON, and back: the one place where a record of a night becomes words and keys."""

from collections.abc import Hashable
from functools import cache
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from huracan.domain.ids import canonical_json
from huracan.domain.json import Json
from huracan.domain.night_records import JobResult, Task
from huracan.errors import DataError

T = TypeVar("T")


@cache
def _cached(kind: Hashable) -> TypeAdapter[object]:
    return TypeAdapter(cast("type[object]", kind))


def _adapter(kind: object) -> TypeAdapter[object]:
    assert isinstance(kind, Hashable)
    return _cached(kind)


def to_json(record: object) -> dict[str, Json]:
    """A record as JSON values, its fields by name, tuples as lists, enums by value."""
    found: dict[str, Json] = _adapter(type(record)).dump_python(record, mode="json")
    return found


def to_bytes(record: object) -> bytes:
    """The canonical bytes of a record; ValueError for NaN and infinities."""
    return canonical_json(to_json(record))


def from_json(kind: type[T], raw: object) -> T:
    """The record that `to_json` wrote; raises DataError for what is none of this kind."""
    return cast("T", _read(kind, raw))


def from_bytes(kind: type[T], data: bytes) -> T:
    """The record that `to_bytes` wrote; raises DataError for what is none of this kind."""
    try:
        return cast("T", _adapter(kind).validate_json(data))
    except ValidationError as error:
        raise DataError(f"no {kind.__name__}: {str(error)[:300]}") from error


def task_from_json(raw: object) -> Task:
    """The task of a job that `to_json` wrote; raises DataError for anything else."""
    return cast("Task", _read(Task, raw))


def result_from_json(raw: object) -> JobResult:
    """The result of a job that `to_json` wrote; raises DataError for anything else."""
    return cast("JobResult", _read(JobResult, raw))


def _read(kind: object, raw: object) -> object:
    try:
        return _adapter(kind).validate_python(raw)
    except ValidationError as error:
        raise DataError(f"no {getattr(kind, '__name__', kind)}: {str(error)[:300]}") from error
