"""Prometheus metrics of a night, counted from its events."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from huracan.adapters.telemetry.memory import resident_bytes
from huracan.adapters.telemetry.names import METRICS, MOST_VALUES, OTHER, Kind, MetricSpec
from huracan.ports import EventValue

_C = TypeVar("_C", Counter, Gauge)
_M = TypeVar("_M", Counter, Gauge, Histogram)

WAVES: Final = ("ingest", "prepare", "train")
STATUSES: Final = {"champion_promoted": "promoted", "champion_refreshed": "refreshed", "champion_kept": "kept"}
FIRST_TARGET: Final = "folder"
"""Where every night is published first."""


class MetricsTelemetry:
    """Listens to events and keeps the metrics of `names.METRICS`; `collector` is what the ways out read.

    `workdir` is where free space is measured, at every reading; `now` is the wall clock in seconds.
    """

    def __init__(self, workdir: Path, *, now: Callable[[], float] = time.time) -> None:
        self._registry = CollectorRegistry()
        self._counters = {name: self._made(Counter, name, spec) for name, spec in _of_kind("counter")}
        self._gauges = {name: self._made(Gauge, name, spec) for name, spec in _of_kind("gauge")}
        self._histograms = {
            name: Histogram(name, spec.help, spec.labels, registry=self._registry, buckets=spec.buckets)
            for name, spec in _of_kind("histogram")
        }
        self._shown: dict[tuple[str, str], set[str]] = {}
        self._set: set[str] = set()
        self._now = now
        self._started: float | None = None
        self._dry_run = False
        self._wave_jobs = self._ended = 0
        self._running: set[tuple[str, str]] = set()
        self._stage = ""
        self._nearest: dict[tuple[str, str], tuple[float, float]] = {}
        self._machine(workdir)
        for name in ("huracan_jobs_started_total", "huracan_jobs_completed_total"):
            for wave in WAVES:
                self._counters[name].labels(wave)

    @property
    def collector(self) -> Collector:
        """The metrics that have a value, without the client's ``_created`` series."""
        return _Known(self._registry, self._set)

    def event(self, name: str, **fields: EventValue) -> None:
        """Count the event; most events count nothing."""
        count = _COUNTED.get(name)
        if count is not None:
            count(self, **fields)
        if name in STATUSES:
            self._gauge("huracan_champions", status=STATUSES[name]).inc()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing: waves and jobs are events too."""

    def _machine(self, workdir: Path) -> None:
        def there() -> Path:
            return next(folder for folder in (workdir, *workdir.parents) if folder.exists())

        self._gauge("huracan_disk_free_bytes").set_function(lambda: float(shutil.disk_usage(there()).free))
        self._gauge("huracan_disk_size_bytes").set_function(lambda: float(shutil.disk_usage(there()).total))
        self._gauge("huracan_driver_resident_bytes").set_function(resident_bytes)
        self._gauge("huracan_machine_memory_bytes").set(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def _made(self, kind: type[_C], name: str, spec: MetricSpec) -> _C:
        return kind(name, spec.help, spec.labels, registry=self._registry)

    def _gauge(self, name: str, **labels: object) -> Gauge:
        self._set.add(name)
        return self._labelled(self._gauges, name, labels)

    def _count(self, name: str, amount: float = 1.0, **labels: object) -> None:
        self._labelled(self._counters, name, labels).inc(amount)

    def _labelled(self, metrics: Mapping[str, _M], name: str, labels: Mapping[str, object]) -> _M:
        metric = metrics[name]
        if not labels:
            return metric
        return metric.labels(**{key: self._bounded(name, key, value) for key, value in labels.items()})

    def _bounded(self, name: str, label: str, value: object) -> str:
        shown = self._shown.setdefault((name, label), set())
        text = str(value)
        if text not in shown and len(shown) >= MOST_VALUES:
            return OTHER
        shown.add(text)
        return text

    def _workdir_opened(self, *, last_success_ms: int | None, **_: Any) -> None:
        if last_success_ms is not None:
            self._gauge("huracan_last_success_timestamp_seconds").set(last_success_ms / 1000)

    def _run_started(self, *, horizons: tuple[str, ...], dry_run: bool, **_: Any) -> None:
        self._dry_run = dry_run
        for horizon in horizons:
            self._count("huracan_promotions_total", 0.0, horizon=horizon)
            self._count("huracan_demotions_total", 0.0, horizon=horizon)

    def _run_finished(self, **_: Any) -> None:
        for status in STATUSES.values():
            self._gauge("huracan_champions", status=status).inc(0)
        self._gauge("huracan_candidates").inc(0)
        if not self._dry_run:
            self._gauge("huracan_last_success_timestamp_seconds").set(self._now())
        self._run_ended()

    def _run_refused(self, *, code: str, **_: Any) -> None:
        self._failed(code)
        self._count("huracan_runs_refused_total", code=code)
        self._run_ended()

    def _run_crashed(self, **_: Any) -> None:
        self._run_refused(code="CRASHED")

    def _run_interrupted(self, **_: Any) -> None:
        self._run_refused(code="INTERRUPTED")

    def _run_ended(self) -> None:
        self._gauge("huracan_run_active").set(0)
        if self._started is not None:
            self._gauge("huracan_run_duration_seconds").set(self._now() - self._started)
        self._running.clear()
        self._ended = self._wave_jobs
        self._queue()

    def _stage_started(self, *, step: str, **_: Any) -> None:
        self._stage = step
        self._gauge("huracan_run_active").set(1)
        if self._started is None:
            self._started = self._now()
            self._gauge("huracan_run_start_timestamp_seconds").set(self._started)

    def _stage_finished(self, *, step: str, seconds: float, job_seconds: float = 0.0, **_: Any) -> None:
        self._gauge("huracan_stage_duration_seconds", step=step).set(seconds)
        self._gauge("huracan_stage_job_seconds", step=step).set(job_seconds)

    def _stage_failed(self, *, step: str, seconds: float, job_seconds: float = 0.0, **_: Any) -> None:
        self._stage_finished(step=step, seconds=seconds, job_seconds=job_seconds)
        if step == "export" and not self._dry_run:
            self._gauge("huracan_publish_pending", target=FIRST_TARGET).set(1)

    def _wave_started(self, *, jobs: int, **_: Any) -> None:
        self._wave_jobs, self._ended = jobs, 0
        self._running.clear()
        self._queue()

    def _backend_started(self, *, slots: int, **_: Any) -> None:
        self._gauge("huracan_worker_slots").set(slots)

    def _job_started(self, *, coin: str, wave: str, **_: Any) -> None:
        self._running.add((wave, coin))
        self._count("huracan_jobs_started_total", wave=wave)
        self._queue()

    def _job_finished(
        self,
        *,
        coin: str,
        wave: str,
        seconds: float | None,
        peak_memory_bytes: int | None,
        cached: bool | None,
        **_: Any,
    ) -> None:
        self._count("huracan_jobs_completed_total", wave=wave)
        if seconds is not None:
            self._labelled(self._histograms, "huracan_job_duration_seconds", {"wave": wave}).observe(seconds)
        if cached is not None:
            self._count("huracan_cache_lookups_total", wave=wave, outcome="hit" if cached else "miss")
        if peak_memory_bytes is not None:
            peak = self._gauge("huracan_worker_peak_resident_bytes")
            peak.set(max(peak_memory_bytes, _value(peak)))
        self._end_job(coin, wave)

    def _job_retried(self, *, coin: str, wave: str, code: str, **_: Any) -> None:
        self._running.discard((wave, coin))
        self._count("huracan_jobs_retried_total", wave=wave, code=code)
        self._queue()

    def _job_failed(self, *, coin: str, wave: str, code: str, **_: Any) -> None:
        self._count("huracan_jobs_failed_total", wave=wave, code=code)
        self._failed(code)
        self._end_job(coin, wave)

    def _job_cancelled(self, *, coin: str, wave: str, code: str, **_: Any) -> None:
        self._count("huracan_jobs_cancelled_total", wave=wave, code=code)
        if code == "DEADLINE":
            self._count("huracan_deadline_misses_total")
        self._end_job(coin, wave)

    def _end_job(self, coin: str, wave: str) -> None:
        self._running.discard((wave, coin))
        self._ended += 1
        self._queue()

    def _queue(self) -> None:
        self._gauge("huracan_jobs_running").set(len(self._running))
        self._gauge("huracan_jobs_waiting").set(max(0, self._wave_jobs - self._ended - len(self._running)))

    def _worker_lost(self, **_: Any) -> None:
        self._count("huracan_workers_lost_total")

    def _failed(self, code: str) -> None:
        self._count("huracan_errors_total", code=code)

    def _data_aged(self, *, max_minutes: float, median_minutes: float, **_: Any) -> None:
        self._gauge("huracan_data_age_seconds", statistic="max").set(max_minutes * 60)
        self._gauge("huracan_data_age_seconds", statistic="median").set(median_minutes * 60)

    def _bars_repaired(self, *, bars: int, **_: Any) -> None:
        self._count("huracan_bars_repaired_total", bars)

    def _universe_built(self, *, members: int, pairs: int, **_: Any) -> None:
        self._gauge("huracan_pairs", state="listed").set(pairs)
        self._gauge("huracan_pairs", state="members").set(members)

    def _pairs_trained(self, *, pairs: int, **_: Any) -> None:
        self._gauge("huracan_pairs", state="trained").set(pairs)

    def _pair_skipped(self, *, code: str, **_: Any) -> None:
        self._gauge("huracan_skips", code=code).inc()

    def _candidate_published(self, **_: Any) -> None:
        self._gauge("huracan_candidates").inc()

    def _pool_evaluated(
        self, *, horizon: str, recipe: str, e: float, needed: float, nights_until_decidable: float | None, **_: Any
    ) -> None:
        model = (horizon, recipe)
        best_e, nights = self._nearest.get(model, (-1.0, float("inf")))
        if e > best_e:
            self._gauge("huracan_e_value_max", horizon=horizon, recipe=recipe).set(e)
            self._gauge("huracan_e_value_needed", horizon=horizon, recipe=recipe).set(needed)
        nights = min(nights, float("inf") if nights_until_decidable is None else nights_until_decidable)
        if nights < float("inf"):
            self._gauge("huracan_nights_until_decidable", horizon=horizon, recipe=recipe).set(nights)
        self._nearest[model] = (max(e, best_e), nights)

    def _pool_promoted(self, *, horizon: str, **_: Any) -> None:
        self._count("huracan_promotions_total", horizon=horizon)

    def _champion_demoted(self, *, horizon: str, **_: Any) -> None:
        self._count("huracan_demotions_total", horizon=horizon)

    def _pool_frozen(self, **_: Any) -> None:
        self._gauge("huracan_pools_frozen").inc()

    def _export_failed(self, *, code: str, **_: Any) -> None:
        self._failed(code)

    def _pair_failed(self, *, code: str, **_: Any) -> None:
        self._failed(code)

    def _telemetry_failed(self, **_: Any) -> None:
        self._failed("TELEMETRY")

    def _traces_lost(self, **_: Any) -> None:
        self._failed("TRACES")

    def _job_refused(self, *, coin: str, wave: str, **_: Any) -> None:
        self._end_job(coin, wave)

    def _push_failed(self, *, target: str, **_: Any) -> None:
        self._gauge("huracan_publish_pending", target=target).set(1)

    def _set_published(self, *, target: str, version: int, **_: Any) -> None:
        self._gauge("huracan_published_version", target=target).set(version)
        self._gauge("huracan_publish_pending", target=target).set(0)


def _of_kind(kind: Kind) -> list[tuple[str, MetricSpec]]:
    return [(name, spec) for name, spec in METRICS.items() if spec.kind == kind]


def _value(gauge: Gauge) -> float:
    return float(next(iter(gauge.collect())).samples[0].value)


class _Known(Collector):
    """A registry without gauges that were never set: a zero there would be a lie, such as a last success in 1970."""

    def __init__(self, registry: CollectorRegistry, given: set[str]) -> None:
        self._registry = registry
        self._set = given

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            if family.type == "gauge" and family.name not in self._set:
                continue
            shown = Metric(family.name, family.documentation, family.type)
            shown.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield shown


_COUNTED: Final[dict[str, Callable[..., None]]] = {
    "backend_started": MetricsTelemetry._backend_started,  # noqa: SLF001
    "bars_repaired": MetricsTelemetry._bars_repaired,  # noqa: SLF001
    "candidate_published": MetricsTelemetry._candidate_published,  # noqa: SLF001
    "champion_demoted": MetricsTelemetry._champion_demoted,  # noqa: SLF001
    "data_aged": MetricsTelemetry._data_aged,  # noqa: SLF001
    "export_failed": MetricsTelemetry._export_failed,  # noqa: SLF001
    "job_cancelled": MetricsTelemetry._job_cancelled,  # noqa: SLF001
    "job_failed": MetricsTelemetry._job_failed,  # noqa: SLF001
    "job_finished": MetricsTelemetry._job_finished,  # noqa: SLF001
    "job_refused": MetricsTelemetry._job_refused,  # noqa: SLF001
    "job_retried": MetricsTelemetry._job_retried,  # noqa: SLF001
    "job_started": MetricsTelemetry._job_started,  # noqa: SLF001
    "pair_failed": MetricsTelemetry._pair_failed,  # noqa: SLF001
    "pair_skipped": MetricsTelemetry._pair_skipped,  # noqa: SLF001
    "pool_evaluated": MetricsTelemetry._pool_evaluated,  # noqa: SLF001
    "pool_frozen": MetricsTelemetry._pool_frozen,  # noqa: SLF001
    "pool_promoted": MetricsTelemetry._pool_promoted,  # noqa: SLF001
    "push_failed": MetricsTelemetry._push_failed,  # noqa: SLF001
    "push_finished": MetricsTelemetry._set_published,  # noqa: SLF001
    "run_crashed": MetricsTelemetry._run_crashed,  # noqa: SLF001
    "run_finished": MetricsTelemetry._run_finished,  # noqa: SLF001
    "run_interrupted": MetricsTelemetry._run_interrupted,  # noqa: SLF001
    "run_refused": MetricsTelemetry._run_refused,  # noqa: SLF001
    "run_started": MetricsTelemetry._run_started,  # noqa: SLF001
    "set_published": MetricsTelemetry._set_published,  # noqa: SLF001
    "stage_failed": MetricsTelemetry._stage_failed,  # noqa: SLF001
    "stage_finished": MetricsTelemetry._stage_finished,  # noqa: SLF001
    "stage_started": MetricsTelemetry._stage_started,  # noqa: SLF001
    "telemetry_failed": MetricsTelemetry._telemetry_failed,  # noqa: SLF001
    "traces_lost": MetricsTelemetry._traces_lost,  # noqa: SLF001
    "pairs_trained": MetricsTelemetry._pairs_trained,  # noqa: SLF001
    "universe_built": MetricsTelemetry._universe_built,  # noqa: SLF001
    "wave_started": MetricsTelemetry._wave_started,  # noqa: SLF001
    "workdir_opened": MetricsTelemetry._workdir_opened,  # noqa: SLF001
    "worker_lost": MetricsTelemetry._worker_lost,  # noqa: SLF001
}
