"""Which adapter serves which port, for the driver and for workers alike."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.backends import TrainingOrchestrator
from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.adapters.lake import DeltaLake
from huracan.adapters.reports import write_atomically
from huracan.app.worker import PLAN_FILE, run_pair_job
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.domain.records import SkipCode
from huracan.errors import HuracanError
from huracan.pipeline.night import PairOutcome, PairWork
from huracan.pipeline.pair import PairPorts
from huracan.pipeline.plan import NightPlan
from huracan.ports import Telemetry
from huracan.settings import BinanceSettings, Settings
from huracan.training.jobs import TrainingBackend, TrainingConfig, TrainingJob

WEIGHT_SHARE = 0.8
"""Share of the exchange's weight limit that a run may use."""
PRIVATE = 0o600  # the plan names the exchange's URLs, which may hold a password


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
        "workers": settings.training.num_workers or _cores(),
    }


def pair_ports(facts: dict[str, Any]) -> PairPorts:
    """Lake, artefacts and exchange for the work on pairs."""
    return PairPorts(
        lake=DeltaLake(facts["lake"]),
        artefacts=LocalArtefacts(Path(facts["artefacts"])),
        market=market_data(facts),
    )


def market_data(facts: dict[str, Any]) -> BinanceMarketData:
    """The exchange client; all workers together stay within the share of the weight limit that one may use."""
    return BinanceMarketData(
        BinanceSettings(**facts["binance"]),
        facts["quote_per_gbp"],
        interval=facts["interval"],
        budget=WeightBudget(share=WEIGHT_SHARE / facts["workers"]),
    )


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
        write_atomically(path, data, mode=PRIVATE)
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
        timer = self._arm_deadline(orchestrator)
        try:
            await orchestrator.train_all()
        finally:
            if timer is not None:
                timer.cancel()
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
                    num_workers=training.num_workers or _cores(),
                )
            )
            self._orchestrator.on_start = self.started
            self._orchestrator.on_retry = lambda job, error: self._tell("job_retried", job, error)
            self._orchestrator.on_failure = lambda job, error: self._tell("job_failed", job, error)
            self._orchestrator.register_training_function(run_pair_job)
            await self._orchestrator.initialize()
        return self._orchestrator

    def _arm_deadline(self, orchestrator: TrainingOrchestrator) -> asyncio.TimerHandle | None:
        """Have whatever is unfinished at the deadline cancelled with that reason."""
        if self.deadline_ms is None:
            return None
        left_s = max(0.0, (self.deadline_ms - SystemClock().now_ms()) / 1000)
        return asyncio.get_running_loop().call_later(left_s, orchestrator.cancel_all, SkipCode.DEADLINE.value)

    def _tell(self, name: str, job: TrainingJob, error: HuracanError) -> None:
        wave = job.engine_type or ""
        self.telemetry.event(name, coin=job.coin, wave=wave, attempt=job.attempts, code=error.code, error=str(error))

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


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
