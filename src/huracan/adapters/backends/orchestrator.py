"""Runs training jobs on a backend: priorities, a limit, retries with backoff, time-outs, progress, cancellation."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final, TypedDict

from huracan.adapters.backends.admission import Admission
from huracan.adapters.backends.asyncio_pool import AsyncioPool
from huracan.adapters.backends.cluster import ClusterBackend
from huracan.adapters.backends.messages import address_of
from huracan.errors import (
    BackendError,
    ConfigError,
    DataError,
    HuracanError,
    JobFailedError,
    JobTimedOutError,
    UpstreamError,
    WorkerLostError,
)
from huracan.ports import Backend, JobFunction
from huracan.training.jobs import JobResult, TrainingBackend, TrainingConfig, TrainingJob

CANCELLED: Final = "CANCELLED"
WAITING_LOGGED_S: Final = 30.0
"""How often it is logged that a backend is not up yet."""


class TrainingSummary(TypedDict):
    """What `train_all` returns; `results` are by job id."""

    total_jobs: int
    completed: int
    failed: int
    results: dict[str, JobResult]


class TrainingOrchestrator:
    """Takes jobs and sees each of them through; a job's failure is its own and never the run's.

    `backend` replaces the one `config.backend` names. A module-level training function runs in worker processes, any
    other in this process (see `AsyncioPool`); sync and async functions are both fine. A result ``{"success": False,
    "error": ...}`` is a failure of the job.

    `on_start(job, attempt)` is called before every start and may store the attempt. `on_progress(done, total)` is
    called after every job, `on_retry(job, error)` when one will start again, `on_failure(job, error)` when one will
    not. `on_finished(job)` is called once for each job, however it ended. Exceptions of these callbacks end
    `train_all`.
    """

    def __init__(
        self,
        config: TrainingConfig | None = None,
        backend: Backend | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config or TrainingConfig()
        self.on_start: Callable[[TrainingJob, int], None] | None = None
        self.on_waiting: Callable[[float], None] | None = None
        self.on_progress: Callable[[int, int], None] | None = None
        self.on_retry: Callable[[TrainingJob, HuracanError], None] | None = None
        self.on_failure: Callable[[TrainingJob, HuracanError], None] | None = None
        self.on_finished: Callable[[TrainingJob], None] | None = None
        self._backend = backend
        self._owned = backend is None
        self._ready = False
        self._function: JobFunction | None = None
        self._jobs: dict[str, TrainingJob] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._finished: set[str] = set()
        self._sleep = sleep

    async def initialize(self) -> None:
        """Start the backend; raises BackendError or ConfigError naming what is missing, and never takes another
        one instead.
        """
        if self._ready:
            return
        if self._backend is None:
            self._backend = _backend_for(self.config)
        waiting = asyncio.create_task(self._report_waiting())
        try:
            await self._backend.start()
        finally:
            waiting.cancel()
        self._ready = True

    async def _report_waiting(self) -> None:
        """For a backend that takes its time: how many seconds it has had, every so often."""
        began = time.monotonic()
        while self.on_waiting is not None:
            await asyncio.sleep(WAITING_LOGGED_S)
            self.on_waiting(time.monotonic() - began)

    async def shutdown(self) -> None:
        """Stop the backend; jobs and their results stay known."""
        if self._ready and self._backend is not None:
            self._ready = False
            await self._backend.stop()
            if self._owned:
                self._backend = None

    async def slots(self) -> int:
        """How many jobs run at once where memory allows; known once the backend is up."""
        assert self._backend is not None
        there = sum(machine.slots for machine in await self._backend.machines())
        return min(self.config.max_concurrent_jobs, there)

    def register_training_function(self, fn: JobFunction) -> None:
        """The function that gets every job; sync or async."""
        self._function = fn

    def add_job(self, job: TrainingJob) -> None:
        """Take a job. One whose id is known is the same work and is taken once; a failed one may be given again."""
        known = self._jobs.get(job.job_id)
        if known is not None and known.status != "failed":
            return
        if known is job:
            job.status, job.result, job.error, job.error_code, job.attempts = "pending", None, None, None, 0
        self._cancelled.discard(job.job_id)
        self._finished.discard(job.job_id)
        if job.created_at is None:
            job.created_at = datetime.now(UTC)
        self._jobs[job.job_id] = job

    def add_jobs(self, jobs: Iterable[TrainingJob]) -> None:
        """Take several jobs."""
        for job in jobs:
            self.add_job(job)

    def clear(self) -> None:
        """Forget all jobs; raises BackendError while some are running."""
        if self._tasks:
            raise BackendError(f"{len(self._tasks)} jobs are still running; cancel them before clearing")
        self._jobs.clear()
        self._cancelled.clear()
        self._finished.clear()

    async def train_all(self) -> TrainingSummary:
        """Run every pending job: ``{total_jobs, completed, failed, results: {job_id: result}}``.

        A failed job's result is ``{"success": False, "error", "code"}``. Raises ValueError without a registered
        function, BackendError when the backend itself is lost (jobs not finished are pending again).
        """
        if self._function is None:
            raise ValueError("no training function is registered; call register_training_function(fn) first")
        await self.initialize()
        pending = [job for job in self._jobs.values() if job.status == "pending"]
        pending.sort(key=lambda job: -job.priority)
        admission = self._admission(self._function)
        try:
            async with asyncio.TaskGroup() as group:
                for job in pending:
                    self._tasks[job.job_id] = group.create_task(self._see_through(job, self._function, admission))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._tasks.clear()
        return self._summary()

    def cancel_job(self, job_id: str, code: str = CANCELLED) -> bool:
        """End one job that is pending or running; False where there is nothing to cancel. `code` becomes its error
        code.
        """
        job = self._jobs.get(job_id)
        if job is None or job.status in {"completed", "failed"}:
            return False
        _fail(job, code, f"cancelled after {job.attempts} starts")
        self._cancelled.add(job_id)
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel()
        self._narrate(job)
        return True

    def cancel_all(self, code: str = CANCELLED) -> int:
        """End every job that is not finished (a deadline does this); returns how many."""
        return sum(self.cancel_job(job_id, code) for job_id in list(self._jobs))

    def get_job_status(self, job_id: str) -> TrainingJob | None:
        """The job as it stands now, its `status`, `result` and `error` among the rest; None for one that was never
        added.
        """
        return self._jobs.get(job_id)

    def get_all_jobs(self) -> list[TrainingJob]:
        """All jobs in the order they were added."""
        return list(self._jobs.values())

    def get_completed_jobs(self) -> list[TrainingJob]:
        """Jobs with a result."""
        return [job for job in self._jobs.values() if job.status == "completed"]

    def get_failed_jobs(self) -> list[TrainingJob]:
        """Jobs with an error."""
        return [job for job in self._jobs.values() if job.status == "failed"]

    def _admission(self, function: JobFunction) -> Admission:
        """Who decides when a job starts; time-outs count from the start of the work, so no job may wait for a
        worker.
        """
        assert self._backend is not None
        in_process = isinstance(self._backend, AsyncioPool) and address_of(function) is None
        return Admission(
            backend=self._backend,
            most=self.config.max_concurrent_jobs,
            reserve=self.config.memory_reserve_mb << 20,
            bounded=not in_process,
        )

    async def _see_through(self, job: TrainingJob, function: JobFunction, admission: Admission) -> None:
        if job.deaths >= self.config.max_attempts:
            self._fail_for_good(job, WorkerLostError(f"{job.deaths} workers died at this job: it is left out"))
            self._narrate(job)
            return
        try:
            while not await self._attempt(job, function, admission):
                await self._sleep(self.config.retry_backoff_s * 2 ** (job.attempts - 1))
        except asyncio.CancelledError:
            if job.job_id in self._cancelled:
                return
            job.status = "pending"
            raise
        self._narrate(job)

    async def _attempt(self, job: TrainingJob, function: JobFunction, admission: Admission) -> bool:
        """Start the job once; True when it is finished, completed or failed."""
        assert self._backend is not None
        async with admission.slot():
            job.attempts += 1
            if self.on_start is not None:
                self.on_start(job, job.attempts)
            job.status = "running"
            try:
                async with asyncio.timeout(self.config.job_timeout_s) as limit:
                    result = await self._backend.run(function, job)
            except Exception as error:  # the job boundary: a job's failure is its own
                ours = _ours(error, job, self.config.job_timeout_s if limit.expired() else None)
                if isinstance(ours, BackendError) and not isinstance(ours, WorkerLostError):
                    job.status = "pending"
                    raise ours from error
                return self._after(ours, job)
        _finish(job, result)
        return True

    def _after(self, error: HuracanError, job: TrainingJob) -> bool:
        job.deaths += isinstance(error, WorkerLostError)
        if max(job.attempts, job.deaths) < self.config.max_attempts and _may_pass(error):
            job.status = "pending"
            if self.on_retry is not None:
                self.on_retry(job, error)
            return False
        self._fail_for_good(job, error)
        return True

    def _fail_for_good(self, job: TrainingJob, error: HuracanError) -> None:
        _fail(job, error.code, str(error))
        if self.on_failure is not None:
            self.on_failure(job, error)

    def _narrate(self, job: TrainingJob) -> None:
        self._finished.add(job.job_id)
        if self.on_finished is not None:
            self.on_finished(job)
        if self.on_progress is not None:
            self.on_progress(len(self._finished), len(self._jobs))

    def _summary(self) -> TrainingSummary:
        completed, failed = self.get_completed_jobs(), self.get_failed_jobs()
        results: dict[str, JobResult] = {job.job_id: job.result for job in completed}
        results |= {job.job_id: {"success": False, "error": job.error, "code": job.error_code} for job in failed}
        return {
            "total_jobs": len(self._jobs),
            "completed": len(completed),
            "failed": len(failed),
            "results": results,
        }


def _backend_for(config: TrainingConfig) -> Backend:
    if config.backend is TrainingBackend.ASYNCIO:
        return AsyncioPool(slots=config.num_workers, recycle_after=config.recycle_after, start_s=config.backend_start_s)
    return ClusterBackend(
        kind="dask" if config.backend is TrainingBackend.DASK else "ray",
        address=config.dask_address if config.backend is TrainingBackend.DASK else config.ray_address,
        workers=config.num_workers,
        recycle_after=config.recycle_after,
        reserve=config.memory_reserve_mb << 20,
        places=config.places,
        gpu_per_worker=config.gpu_per_worker,
        start_s=config.backend_start_s,
    )


def _ours(error: Exception, job: TrainingJob, limit_s: float | None) -> HuracanError:
    where = f"{job.coin} {job.horizon}"
    if isinstance(error, TimeoutError) and limit_s is not None:
        return JobTimedOutError(f"{where}: the job ran longer than job_timeout_s = {limit_s:g} s and was ended")
    if isinstance(error, HuracanError):
        return error
    return JobFailedError(
        f"{where}: {type(error).__name__}: {error}",
        error_type=type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def _may_pass(error: HuracanError) -> bool:
    """Whether another attempt may end differently: bad data and bad configuration stay bad, a time-out repeats
    itself.
    """
    final = isinstance(error, ConfigError | DataError | JobTimedOutError)
    return not final or isinstance(error, UpstreamError)


def _finish(job: TrainingJob, result: JobResult) -> None:
    job.result = result
    if isinstance(result, dict) and result.get("success") is False:
        _fail(
            job,
            str(result.get("code") or JobFailedError.code),
            str(result.get("error") or "the function said success: False"),
        )
    else:
        job.status = "completed"


def _fail(job: TrainingJob, code: str, text: str) -> None:
    job.status, job.error_code, job.error = "failed", code, text
