"""What runs inside a worker process: open the adapters once, then work on one pair at a time."""

import asyncio
import json
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.endpoints import is_url, loopback_endpoint
from huracan.adapters.telemetry.memory import peak_resident_bytes
from huracan.domain.codec import from_json, result_from_json, task_from_json, to_json
from huracan.domain.ids import sha256_hex
from huracan.domain.night_records import Done, Failed, IngestTask, JobResult, PrepareTask, Task, TrainTask
from huracan.errors import AlteredArtefactError, DataError
from huracan.night.plan import NightPlan
from huracan.training.jobs import TrainingJob

if TYPE_CHECKING:
    from huracan.app.exchange import AdapterPlaces
    from huracan.night.jobs.inputs import PairPorts

PLAN_FILE = "plan.json"
PLANS = "plans"
"""Prefix of the plans among artefacts in a bucket."""


@lru_cache(maxsize=2)
def _plan(path: str, sha256: str) -> "tuple[NightPlan, AdapterPlaces]":
    """The plan in a file, asked by content: a worker of a cluster outlives the night and meets the next plan."""
    data = _plan_bytes(path)
    if sha256_hex(data) != sha256:
        raise DataError(f"{path} is not the plan this job belongs to: another run has written its own; run again")
    raw = json.loads(data)
    return from_json(NightPlan, raw["plan"]), raw["wiring"]


def _plan_bytes(place: str) -> bytes:
    if not is_url(place):
        return Path(place).read_bytes()
    artefacts, _, name = place.rpartition(f"/{PLANS}/")
    data = open_artefacts(artefacts, allow_http=loopback_endpoint(os.environ)).get(f"{PLANS}/{name}")
    if data is None:
        raise DataError(f"{place} is gone: another run of the same artefacts has swept it; run again")
    return data


def run_pair_job(job: TrainingJob) -> dict[str, Any]:
    """What became of one pair's wave, as JSON of `JobResult`; the payload names plan and task.

    An input that was altered ends the job, by its code: the driver has it made again, and the job run again.
    """
    import stamina.instrumentation

    from huracan.app.pair_adapters import pair_ports

    stamina.instrumentation.set_on_retry_hooks(())  # they would print to stdout, which belongs to the job's answer
    plan, wiring = _plan(job.payload["plan"], job.payload["plan_sha256"])
    task = task_from_json(job.payload["task"])
    ports = pair_ports(wiring)
    result: JobResult
    try:
        done = asyncio.run(_work(ports, plan, job.coin, task))
        result = replace(done, peak_bytes=peak_resident_bytes())
    except AlteredArtefactError as error:
        result = Failed(code=error.code, error=str(error))
    verified, mismatched = ports.artefacts.verified, tuple(ports.artefacts.mismatched)
    result = replace(result, verified=verified, mismatched=mismatched)
    return {**to_json(result), "success": isinstance(result, Done)}


def job_result(answer: object) -> JobResult:
    """What `run_pair_job` answered; raises DataError for anything else."""
    return result_from_json(answer)


async def _work(ports: "PairPorts", plan: NightPlan, coin: str, task: Task) -> Done:
    try:
        if isinstance(task, IngestTask):
            from huracan.night.jobs.ingest import ingest_pair

            return await ingest_pair(ports, plan, coin, task)
        return await _later(ports, plan, coin, task)
    finally:
        await ports.market.aclose()


async def _later(ports: "PairPorts", plan: NightPlan, coin: str, task: PrepareTask | TrainTask) -> Done:
    from huracan.night.damage import mended_job
    from huracan.night.jobs.prepare import prepare_pair
    from huracan.night.jobs.train import train_pair

    async def step() -> Done:
        if isinstance(task, PrepareTask):
            return prepare_pair(ports, plan, coin, task)
        return train_pair(ports, plan, coin, task)

    return await mended_job(ports, plan, coin, step)
