"""The documented words of the orchestrator: backend, job, configuration; and the two hashes of a run."""

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args

import numpy as np
import polars as pl

from huracan.domain.ids import content_hash
from huracan.domain.json import JsonObject
from huracan.domain.recipe import RiskPreset
from huracan.domain.time import Horizon
from huracan.errors import ConfigError

JobStatus = Literal["pending", "running", "completed", "failed"]

JobPayload: TypeAlias = dict[str, Any]
"""What a job is to do, as JSON: keys and paths, never frames."""

JobResult: TypeAlias = Any
"""What a training function returned: JSON from a worker process, any object from a function in this process."""


class TrainingBackend(StrEnum):
    """Where jobs run."""

    RAY = "ray"
    DASK = "dask"
    ASYNCIO = "asyncio"


@dataclass(slots=True)
class TrainingJob(Mapping[str, Any]):
    """One unit of work; its fields are attributes and keys. Its id is the hash of what is to be done, so the same work
    has the same id tonight and tomorrow.

    Jobs of higher `priority` start first. ``horizon="*"`` means all horizons of the coin. `payload` (JSON-able) holds
    keys and paths, never frames. `created_at` is stamped by the orchestrator that takes the job. `error_code` is the
    stable code behind `error`; `attempts` counts starts, `deaths` the workers that died at it, in earlier runs too.

    >>> job = TrainingJob("BTC", "1h")
    >>> job["coin"], job.coin, job.get("regime")
    ('BTC', 'BTC', None)
    """

    coin: str
    horizon: str
    regime: str | None = None
    engine_type: str | None = None
    priority: int = 0
    job_id: str = ""
    created_at: datetime | None = None
    status: JobStatus = "pending"
    result: JobResult = None
    error: str | None = None
    payload: JobPayload = field(default_factory=dict)
    error_code: str | None = None
    attempts: int = 0
    deaths: int = 0

    def __post_init__(self) -> None:
        if not self.job_id:
            self.job_id = content_hash(self.coin, self.horizon, self.regime, self.engine_type, self.payload)[:24]

    def __getitem__(self, key: str) -> Any:
        if key not in _JOB_FIELDS:
            raise KeyError(f"a job has no {key!r}; it has {', '.join(_JOB_FIELDS)}")
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_JOB_FIELDS)

    def __len__(self) -> int:
        return len(_JOB_FIELDS)

    def to_json(self) -> JsonObject:
        """The job as JSON types, for a worker: what is to be done, not what came of it."""
        return {
            "coin": self.coin,
            "horizon": self.horizon,
            "regime": self.regime,
            "engine_type": self.engine_type,
            "priority": self.priority,
            "job_id": self.job_id,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "payload": self.payload,
            "attempts": self.attempts,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TrainingJob":
        """Inverse of `to_json`, as a running job."""
        created = value["created_at"]
        moment = datetime.fromisoformat(created) if created else None
        return cls(**{**value, "created_at": moment}, status="running")


_JOB_FIELDS: Final = tuple(item.name for item in fields(TrainingJob))


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the orchestrator runs jobs; values out of range raise ConfigError.

    At most `max_concurrent_jobs` jobs run at once, and never more than `num_workers` in worker processes. A job may run
    for `job_timeout_s` seconds and start `max_attempts` times, with waits of `retry_backoff_s`, twice that, and so on;
    one at which `max_attempts` workers have died is poison and not started any more. A worker process is replaced after
    `recycle_after` jobs. No job starts while less memory is free than the largest one so far has used and
    `memory_reserve_mb` (MiB). `gpu_per_worker` GPUs (parts of one too) are asked of Ray for every worker; a machine has
    no more workers than its GPUs suffice for, and they share them. `ray_address` and `dask_address` name a cluster;
    None starts one on this machine. Every machine of a named one must reach the `places` that jobs read and write:
    folders, and URLs of buckets. A backend has `backend_start_s` seconds to come up, and may be without any machine for
    so long.
    """

    backend: TrainingBackend = TrainingBackend.ASYNCIO
    max_concurrent_jobs: int = 10
    lookback_days: int = 150
    horizons: list[str] = field(default_factory=lambda: ["1h", "4h", "1d"])
    risk_preset: RiskPreset = "balanced"
    dry_run: bool = False
    ray_address: str | None = None
    dask_address: str | None = None
    num_workers: int = 4
    gpu_per_worker: float = 0
    job_timeout_s: float = 1800.0
    max_attempts: int = 3
    retry_backoff_s: float = 0.5
    recycle_after: int = 500
    memory_reserve_mb: int = 512
    places: tuple[str, ...] = ()
    backend_start_s: float = 300.0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "backend", TrainingBackend(self.backend))
        except ValueError as error:
            names = ", ".join(backend.value for backend in TrainingBackend)
            raise ConfigError(f"backend is {self.backend!r}, wanted one of {names}") from error
        for name in ("max_concurrent_jobs", "lookback_days", "num_workers", "max_attempts", "recycle_after"):
            _at_least(name, getattr(self, name), 1)
        _at_least("gpu_per_worker", self.gpu_per_worker, 0)
        if self.gpu_per_worker and self.backend is not TrainingBackend.RAY:
            raise ConfigError(
                f"gpu_per_worker is {self.gpu_per_worker:g}, and the {self.backend.value} backend cannot give GPUs to its workers; "
                "choose the ray backend, or leave it at 0"
            )
        _at_least("memory_reserve_mb", self.memory_reserve_mb, 0)
        _at_least("retry_backoff_s", self.retry_backoff_s, 0)
        for name in ("job_timeout_s", "backend_start_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, wanted more than 0 seconds")
        if self.risk_preset not in get_args(RiskPreset):
            raise ConfigError(f"risk_preset is {self.risk_preset!r}, wanted one of {', '.join(get_args(RiskPreset))}")
        if not self.horizons:
            raise ConfigError("horizons is empty, wanted at least one (such as '1h')")
        for horizon in self.horizons:
            Horizon.parse(horizon)


@cache
def compute_code_hash() -> str:
    """Hex sha256 of the installed huracan sources (Python and JSON files), by relative path and content; cached.

    Line endings do not matter, time and place do not matter: the same sources give the same hash on every machine.
    """
    digest = hashlib.sha256()
    for name, data in sorted(_sources(files("huracan"), "")):
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def compute_features_hash(features: Any) -> str:
    """Hex sha256 of features: names, types and values.

    Takes a frame (polars, or pandas-like with `columns`), a FeatureFrame or another dataclass, arrays, mappings (in any
    order), sequences and scalars. All NaN are one value; -0.0 and 0.0 are not. Raises TypeError for anything else.
    """
    digest = hashlib.sha256()
    _feed(digest, features)
    return digest.hexdigest()


def _at_least(name: str, value: float, minimum: int) -> None:
    if isinstance(value, bool) or not value >= minimum:
        raise ConfigError(f"{name} is {value!r}, wanted at least {minimum}")


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _sources(entry, f"{name}/")
        elif name.endswith((".py", ".json")):
            found.append((name, entry.read_bytes().replace(b"\r\n", b"\n")))
    return found


class _Digest(Protocol):
    def update(self, data: bytes, /) -> object: ...


def _feed(digest: _Digest, value: Any) -> None:
    """Feed one value with its type and size in front, so that no two different values share a byte stream."""
    if value is None or isinstance(value, bool | int | str | bytes):
        data = value if isinstance(value, bytes) else str(value).encode()
        digest.update(f"{type(value).__name__}:{len(data)}:".encode() + data)
    elif isinstance(value, float):
        digest.update(b"float:" + struct.pack("<d", np.nan if np.isnan(value) else value))
    elif isinstance(value, pl.DataFrame):
        _feed_pairs(digest, "frame", [(name, value.get_column(name)) for name in value.columns])
    elif isinstance(value, pl.Series):
        _feed_series(digest, value)
    elif isinstance(value, np.ndarray | np.generic):
        _feed_array(digest, np.asarray(value))
    elif isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
        _feed_pairs(digest, "mapping", sorted(items, key=lambda item: item[0]))
    elif is_dataclass(value) and not isinstance(value, type):
        _feed_pairs(digest, type(value).__name__, [(f.name, getattr(value, f.name)) for f in fields(value)])
    elif hasattr(value, "columns") and hasattr(value, "to_numpy"):
        _feed_pairs(digest, "frame", [(str(name), value[name].to_numpy()) for name in value.columns])
    elif isinstance(value, Sequence | set | frozenset):
        rows = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        _feed_pairs(digest, "sequence", [(str(index), item) for index, item in enumerate(rows)])
    else:
        raise TypeError(
            f"features of type {type(value).__name__} have no hash; wanted frames, arrays, mappings or scalars"
        )


def _feed_pairs(digest: _Digest, kind: str, pairs: Sequence[tuple[str, object]]) -> None:
    digest.update(f"{kind}:{len(pairs)}:".encode())
    for name, item in pairs:
        _feed(digest, name)
        _feed(digest, item)


def _feed_series(digest: _Digest, series: pl.Series) -> None:
    if series.dtype.is_numeric() and not series.dtype.is_decimal():
        _feed_array(digest, series.is_null().to_numpy())
        _feed_array(digest, series.fill_null(0).to_numpy())
    else:
        _feed(digest, f"{series.dtype}")
        _feed(
            digest, series.cast(pl.String, strict=False).to_list() if not series.dtype.is_nested() else series.to_list()
        )


def _feed_array(digest: _Digest, array: np.ndarray[Any, Any]) -> None:
    if array.dtype.kind not in "biufSU":
        _feed(digest, cast("list[Any]", array.tolist()))
        return
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, dtype=array.dtype), array)
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    digest.update(f"array:{little.dtype.str}:{little.shape}:".encode() + little.tobytes())
