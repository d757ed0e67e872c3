"""Which adapter serves which port, for the driver and for workers alike."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.backends import TrainingOrchestrator
from huracan.adapters.backends.orchestrator import CANCELLED
from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.adapters.lake import DeltaLake
from huracan.app.worker import PLAN_FILE, SPENT, run_pair_job
from huracan.domain.addresses import is_loopback
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.domain.records import SkipCode
from huracan.errors import WorkerLostError
from huracan.hamilton.state import state_home
from huracan.pipeline.night import PairOutcome, PairWork
from huracan.pipeline.pair import PairPorts
from huracan.pipeline.plan import NightPlan
from huracan.ports import Telemetry
from huracan.settings import BinanceSettings, Settings
from huracan.training.jobs import TrainingBackend, TrainingConfig, TrainingJob

WEIGHT_SHARE = 0.8
"""Share of the exchange's weight limit that a run may use."""


_CANCELLED = frozenset({CANCELLED, SkipCode.DEADLINE.value})


class SystemClock:
    """The machine's clock, for metadata and ledger rows."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000


def wiring_facts(settings: Settings, workdir: Path) -> dict[str, Any]:
    """What a worker needs to open the same adapters: URLs and folders, no secrets."""
    return {
        "lake": str(workdir / "lake" / settings.training.base_interval),
        "artefacts": str(workdir / "artefacts"),
        "binance": settings.binance.model_dump(),
        "quote_per_gbp": settings.costs.quote_per_gbp,
        "interval": settings.training.base_interval,
    }


def pair_ports(facts: dict[str, Any]) -> PairPorts:
    """Lake, artefacts and exchange for the work on pairs."""
    return PairPorts(
        lake=DeltaLake(facts["lake"]),
        artefacts=LocalArtefacts(Path(facts["artefacts"])),
        market=market_data(facts),
    )


def market_data(facts: dict[str, Any]) -> BinanceMarketData:
    """The exchange client; all workers and runs of this machine together stay within the share that may be used."""
    settings = BinanceSettings(**facts["binance"])
    hosts = [urlsplit(url) for url in (settings.rest_url, settings.futures_url)]
    # Only real exchanges count by address; one on loopback is this workdir's own.
    alone = all(is_loopback(host.hostname or "") for host in hosts)
    folder = Path(facts["artefacts"]).parent if alone else state_home()
    scope = " ".join(f"{host.hostname}:{host.port or ''}" for host in hosts)
    budget = WeightBudget(share=WEIGHT_SHARE, file=folder / "exchange.sqlite", scope=scope)
    return BinanceMarketData(settings, facts["quote_per_gbp"], interval=facts["interval"], budget=budget)


@dataclass(kw_only=True)
class OrchestratedWaves:
    """Waves of pair jobs on a TrainingOrchestrator: one job a pair, ``horizon="*"``, results by coin."""

    settings: Settings
    folder: Path
    facts: dict[str, Any]
    telemetry: Telemetry
    started: Callable[[TrainingJob, int], None]
    deadline_ms: int | None = None
    _orchestrator: TrainingOrchestrator | None = None

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """All outcomes in the order given; a failed job is an outcome."""
        path = self.folder / PLAN_FILE
        data = canonical_json({"plan": plan, "wiring": self.facts})
        path.write_bytes(data)
        planned = {"plan": str(path), "plan_sha256": sha256_hex(data)}
        orchestrator = await self._start()
        jobs = [
            TrainingJob(
                coin=item.coin,
                horizon="*",
                engine_type=item.wave,
                priority=item.priority,
                payload={**planned, "wave": item.wave, "facts": item.facts},
            )
            for item in work
        ]
        orchestrator.clear()
        orchestrator.add_jobs(jobs)
        stage = work[0].wave if work else ""
        orchestrator.on_progress = lambda done, total: self.telemetry.progress(stage, done, total)
        self.telemetry.progress(stage, 0, len(jobs))
        timer = self._arm_deadline(orchestrator)
        began = time.monotonic()
        self.telemetry.event("wave_started", wave=stage, jobs=len(jobs))
        try:
            await orchestrator.train_all()
        finally:
            if timer is not None:
                timer.cancel()
            self.telemetry.event("wave_finished", wave=stage, seconds=round(time.monotonic() - began, 3))
        return [self._outcome(job) for job in jobs]

    async def _start(self) -> TrainingOrchestrator:
        if self._orchestrator is None:
            training = self.settings.training
            self._orchestrator = TrainingOrchestrator(
                TrainingConfig(
                    backend=TrainingBackend(training.training_backend),
                    max_concurrent_jobs=training.max_concurrent_jobs,
                    lookback_days=training.lookback_days,
                    horizons=list(training.horizons),
                    risk_preset=training.risk_preset,
                    dry_run=training.dry_run,
                    num_workers=worker_count(self.settings),
                )
            )
            self._orchestrator.on_start = self._start_of
            self._orchestrator.on_retry = lambda job, error: self._tell("job_retried", job, error.code, str(error))
            self._orchestrator.on_settled = self._end_of
            self._orchestrator.register_training_function(run_pair_job)
            await self._orchestrator.initialize()
            self.telemetry.event("backend_started", backend=training.training_backend, slots=self._orchestrator.slots)
        return self._orchestrator

    def _arm_deadline(self, orchestrator: TrainingOrchestrator) -> asyncio.TimerHandle | None:
        """Have whatever is unfinished at the deadline cancelled with that reason."""
        if self.deadline_ms is None:
            return None
        left_s = max(0.0, (self.deadline_ms - SystemClock().now_ms()) / 1000)
        return asyncio.get_running_loop().call_later(left_s, orchestrator.cancel_all, SkipCode.DEADLINE.value)

    def _start_of(self, job: TrainingJob, attempt: int) -> None:
        self.started(job, attempt)
        self.telemetry.event("job_started", coin=job.coin, wave=job.engine_type, attempt=attempt)

    def _end_of(self, job: TrainingJob) -> None:
        """Tell how a job ended, and take what it spent out of its record, which is content."""
        if job.status == "completed":
            record = job.result if isinstance(job.result, dict) else {}
            spent = {"seconds": None, "peak_memory_bytes": None, **record.pop(SPENT, {})}
            facts = {"coin": job.coin, "wave": job.engine_type, "attempt": job.attempts}
            self.telemetry.event("job_finished", **facts, **spent, cached=record.get("cached"))
        else:
            name = "job_cancelled" if job.error_code in _CANCELLED else "job_failed"
            self._tell(name, job, job.error_code or "", job.error or "")

    def _tell(self, name: str, job: TrainingJob, code: str, error: str) -> None:
        facts = {"coin": job.coin, "wave": job.engine_type, "attempt": job.attempts}
        if code == WorkerLostError.code:
            self.telemetry.event("worker_lost", **facts)
        self.telemetry.event(name, **facts, code=code, error=error)

    async def stop(self) -> None:
        """Shut the workers down."""
        if self._orchestrator is not None:
            await self._orchestrator.shutdown()
            self._orchestrator = None

    @staticmethod
    def _outcome(job: TrainingJob) -> PairOutcome:
        if job.status == "completed" and isinstance(job.result, dict):
            return PairOutcome(coin=job.coin, record=job.result)
        return PairOutcome(
            coin=job.coin, record=None, code=job.error_code or "JOB_FAILED", error=job.error or "no result"
        )


def worker_count(settings: Settings) -> int:
    """Worker processes of a run: as configured, else one a core."""
    if settings.training.num_workers:
        return settings.training.num_workers
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
