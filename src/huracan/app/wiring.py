"""Which adapter serves which port, for the driver and for workers alike."""

import asyncio
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.backends import TrainingOrchestrator
from huracan.adapters.backends.orchestrator import CANCELLED
from huracan.adapters.endpoints import is_url, loopback_endpoint
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.reports import write_atomically
from huracan.app.exchange import AdapterPlaces
from huracan.app.worker import PLAN_FILE, PLANS, job_result, run_pair_job
from huracan.domain.codec import to_json
from huracan.domain.ids import canonical_json, content_hash, sha256_hex
from huracan.domain.night_records import (
    Done,
    Failed,
    IngestRecord,
    JobResult,
    PrepareRecord,
    TrainRecord,
    Wave,
)
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS
from huracan.errors import BackendError, ConfigError, DataError, HuracanError, JobFailedError, WorkerLostError
from huracan.night.jobs.artefacts import RECORD, Artefacts
from huracan.night.plan import NightPlan
from huracan.night.state import PairOutcome, PairWork
from huracan.ports import Telemetry
from huracan.settings import Settings
from huracan.training.jobs import TrainingBackend, TrainingConfig, TrainingJob

UNHEARD_PER_DEATH = 2
"""Starts whose end the ledger does not have (the run itself was killed) that count as one dead worker: they may be
innocent.
"""
PRIVATE = 0o600  # the plan names the exchange's URLs, which may hold a password


_RECORDS: Final = {Wave.INGEST: IngestRecord, Wave.PREPARE: PrepareRecord, Wave.TRAIN: TrainRecord}
_CANCELLED = frozenset({CANCELLED, SkipCode.DEADLINE.value})


class SystemClock:
    """The machine's clock, for metadata and ledger rows."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000


@dataclass(kw_only=True)
class OrchestratedWaves:
    """Waves of pair jobs on a TrainingOrchestrator: one job a pair, ``horizon="*"``, results by coin."""

    settings: Settings
    folder: Path
    wiring: AdapterPlaces
    telemetry: Telemetry
    ledger: SqliteLedger
    artefacts: Artefacts
    deadline_ms: int | None = None
    _orchestrator: TrainingOrchestrator | None = None

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """All outcomes in the order given; a failed job is an outcome."""
        planned = self._publish(plan)
        orchestrator = await self.start()
        jobs = self._jobs(plan, work, planned)
        orchestrator.clear()
        orchestrator.add_jobs(jobs)
        stage = work[0].task.wave.value if work else ""
        orchestrator.on_progress = lambda done, total: self.telemetry.progress(stage, done, total)
        self.telemetry.progress(stage, 0, len(jobs))
        timer = self._arm_deadline(orchestrator)
        began = time.monotonic()
        self.telemetry.event("wave_started", wave=stage, jobs=len(jobs))
        try:
            await orchestrator.train_all()
        except BackendError as error:
            for job in jobs:
                if job.attempts and job.status == "pending":
                    self.ledger.note_end(job, error.code, str(error))
            raise
        finally:
            self.ledger.flush_jobs()
            if timer is not None:
                timer.cancel()
            self.telemetry.event("wave_finished", wave=stage, seconds=round(time.monotonic() - began, 3))
        return [PairOutcome(coin=job.coin, result=_result_of(job)) for job in jobs]

    def _publish(self, plan: NightPlan) -> dict[str, str]:
        """Write the plan where every worker reads it: in the workdir, and among the artefacts where those are in a
        bucket.
        """
        data = canonical_json({"plan": to_json(plan), "wiring": self.wiring})
        path, sha256 = self.folder / PLAN_FILE, sha256_hex(data)
        write_atomically(path, data, mode=PRIVATE)
        place = self.wiring["artefacts"]
        if not is_url(place):
            return {"plan": str(path), "plan_sha256": sha256}
        open_artefacts(place, allow_http=loopback_endpoint(os.environ)).replace(f"{PLANS}/{sha256}.json", data)
        return {"plan": f"{place}/{PLANS}/{sha256}.json", "plan_sha256": sha256}

    def _jobs(self, plan: NightPlan, work: list[PairWork], planned: dict[str, str]) -> list[TrainingJob]:
        """Jobs whose ids do not change when a run of the same night starts again, with the workers they have cost."""
        same_night = replace(plan, now_ms=plan.cutoff_ms, members=(), historical=(), quote_per_gbp=())
        past = self.ledger.past_starts(SystemClock().now_ms() - DAY_MS)
        jobs = [
            TrainingJob(
                coin=item.coin,
                horizon="*",
                engine_type=item.task.wave.value,
                priority=item.priority,
                payload={**planned, "task": to_json(item.task)},
                job_id=content_hash(same_night, item.task.wave, item.coin)[:24],
            )
            for item in work
        ]
        for job in jobs:
            lost, unheard = past.get(job.job_id, (0, 0))
            job.deaths = max(lost, unheard // UNHEARD_PER_DEATH)
        return jobs

    async def start(self) -> TrainingOrchestrator:
        """Bring the backend up, once; raises BackendError naming the extra or the address, ConfigError for a machine
        that does not reach what its jobs would read and write.
        """
        if self._orchestrator is None:
            training = self.settings.training
            if training.backend_address is not None and training.training_backend == "asyncio":
                raise ConfigError(
                    f"training.backend_address is {training.backend_address!r}, and the asyncio backend has no address; "
                    "choose dask or ray, or leave the address out"
                )
            self._orchestrator = TrainingOrchestrator(
                TrainingConfig(
                    backend=TrainingBackend(training.training_backend),
                    max_concurrent_jobs=training.max_concurrent_jobs,
                    lookback_days=training.lookback_days,
                    horizons=list(training.horizons),
                    risk_preset=training.risk_preset,
                    dry_run=training.dry_run,
                    num_workers=worker_count(self.settings),
                    job_timeout_s=training.job_timeout_s,
                    backend_start_s=training.backend_start_s,
                    dask_address=training.backend_address,
                    ray_address=training.backend_address,
                    places=self._places(),
                )
            )
            self._orchestrator.on_waiting = self._waiting_for
            self._orchestrator.on_start = self._start_of
            self._orchestrator.on_retry = self._retry_of
            self._orchestrator.on_finished = self._end_of
            self._orchestrator.register_training_function(run_pair_job)
            await self._orchestrator.initialize()
            self.telemetry.event(
                "backend_started", backend=training.training_backend, slots=await self._orchestrator.slots()
            )
        return self._orchestrator

    def _waiting_for(self, seconds: float) -> None:
        training = self.settings.training
        fields = {"seconds": round(seconds), "at_most": training.backend_start_s}
        self.telemetry.event("backend_awaited", backend=training.training_backend, **fields)

    def _places(self) -> tuple[str, ...]:
        """Where workers read and write: the buckets of lake and artefacts, the workdir for what lies in none."""
        both = (self.wiring["lake"], self.wiring["artefacts"])
        return tuple(dict.fromkeys(place if is_url(place) else str(self.folder) for place in both))

    def _arm_deadline(self, orchestrator: TrainingOrchestrator) -> asyncio.TimerHandle | None:
        """Have whatever is unfinished at the deadline cancelled with that reason."""
        if self.deadline_ms is None:
            return None
        left_s = max(0.0, (self.deadline_ms - SystemClock().now_ms()) / 1000)
        return asyncio.get_running_loop().call_later(left_s, orchestrator.cancel_all, SkipCode.DEADLINE.value)

    def _start_of(self, job: TrainingJob, attempt: int) -> None:
        self.ledger.record_attempt(job, attempt)
        self.telemetry.event("job_started", coin=job.coin, wave=job.engine_type, attempt=attempt)

    def _retry_of(self, job: TrainingJob, error: HuracanError) -> None:
        self.ledger.note_end(job, error.code, str(error))
        self._emit("job_retried", job, error.code, str(error))

    def _end_of(self, job: TrainingJob) -> None:
        """Note and emit how a job ended, and keep the hash of what it wrote."""
        if job.attempts:
            self.ledger.note_end(job, job.error_code, job.error)
        result = _result_of(job)
        self.artefacts.count(verified=result.verified, mismatched=result.mismatched)
        if isinstance(result, Failed):
            name = "job_cancelled" if result.code in _CANCELLED else "job_failed"
            self._emit(name, job, result.code, result.error)
            return
        if result.sha256 and not isinstance(result.record, IngestRecord):
            self.ledger.note_artefact(f"{result.record.key}/{RECORD}", result.sha256)
        self.telemetry.event(
            "job_finished",
            coin=job.coin,
            wave=job.engine_type,
            attempt=job.attempts,
            seconds=sum(result.seconds_by_step.values()),
            peak_memory_bytes=result.peak_bytes,
            cached=result.cached,
        )

    def _emit(self, name: str, job: TrainingJob, code: str, error: str) -> None:
        fields = {"coin": job.coin, "wave": job.engine_type, "attempt": job.attempts}
        if code == WorkerLostError.code:
            self.telemetry.event("worker_lost", **fields)
        self.telemetry.event(name, **fields, code=code, error=error)

    async def stop(self) -> None:
        """Shut the workers down."""
        if self._orchestrator is not None:
            await self._orchestrator.shutdown()
            self._orchestrator = None


def _result_of(job: TrainingJob) -> JobResult:
    """What became of a job; one that has no answer, or an answer that is not of this job, has failed."""
    if job.status == "completed":
        try:
            return _of_this_job(job, job_result(job.result))
        except DataError as error:
            return Failed(code=JobFailedError.code, error=f"the worker's answer cannot be used: {error}")
    answer = job.result if isinstance(job.result, dict) else {}
    return Failed(
        code=job.error_code or JobFailedError.code,
        error=job.error or "no result",
        verified=answer.get("verified", 0),
        mismatched=tuple(answer.get("mismatched", ())),
    )


def _of_this_job(job: TrainingJob, result: JobResult) -> JobResult:
    """The result; raises DataError for the record of another coin or of another wave."""
    wanted = _RECORDS[Wave(str(job.engine_type))]
    if isinstance(result, Done) and (not isinstance(result.record, wanted) or result.record.coin != job.coin):
        seen = f"a {type(result.record).__name__}, the record of {result.record.coin}"
        raise DataError(f"{seen}; wanted a {wanted.__name__} of {job.coin}")
    return result


def worker_count(settings: Settings) -> int:
    """Worker processes of a run: as configured, else one a core."""
    if settings.training.num_workers:
        return settings.training.num_workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
