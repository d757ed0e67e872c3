"""What runs inside a worker process: open the adapters once, then work on one pair at a time."""

import asyncio
import json
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.endpoints import is_url, loopback_endpoint
from huracan.adapters.telemetry.memory import peak_resident_bytes
from huracan.domain.ids import sha256_hex
from huracan.errors import AlteredArtefactError, DataError
from huracan.night.plan import NightPlan
from huracan.training.jobs import TrainingJob

if TYPE_CHECKING:
    from huracan.night.jobs.inputs import PairPorts

PLAN_FILE = "plan.json"
PLANS = "plans"
"""Prefix of the plans among artefacts in a bucket."""


@lru_cache(maxsize=2)
def _plan(path: str, sha256: str) -> tuple[NightPlan, dict[str, Any]]:
    """The plan in a file; asked by content, because a worker of a cluster outlives the night and the next plan is there too."""
    data = _plan_bytes(path)
    if sha256_hex(data) != sha256:
        raise DataError(f"{path} is not the plan this job belongs to: another run has written its own; run again")
    raw = json.loads(data)
    return NightPlan.from_json(raw["plan"]), raw["wiring"]


def _plan_bytes(place: str) -> bytes:
    if not is_url(place):
        return Path(place).read_bytes()
    artefacts, _, name = place.rpartition(f"/{PLANS}/")
    data = open_artefacts(artefacts, allow_http=loopback_endpoint(os.environ)).get(f"{PLANS}/{name}")
    if data is None:
        raise DataError(f"{place} is gone: another run of the same artefacts has swept it; run again")
    return data


SPENT = "spent"
CHECKED = "checked"
"""Keys under which a worker says what a job took and which artefacts it verified; never part of the record, which is content."""


def run_pair_job(job: TrainingJob) -> dict[str, Any]:
    """The record of one pair's wave, with `SPENT` and `CHECKED`; the payload names plan, wave and facts.

    An input that was altered ends the job, by its code: the driver has it made again, and the job run again.
    """
    import stamina.instrumentation

    from huracan.app.pair_adapters import pair_ports

    stamina.instrumentation.set_on_retry_hooks(())  # they would print to stdout, which belongs to the job's answer
    began = time.monotonic()
    plan, wiring = _plan(job.payload["plan"], job.payload["plan_sha256"])
    ports = pair_ports(wiring)
    try:
        record = _record(ports, plan, job)
    except AlteredArtefactError as error:
        record = {"success": False, "code": error.code, "error": str(error)}
    checked = {"verified": ports.artefacts.verified, "mismatched": ports.artefacts.mismatched}
    spent = {"seconds": time.monotonic() - began, "peak_memory_bytes": peak_resident_bytes()}
    return {**record, SPENT: spent, CHECKED: checked}


def _record(ports: "PairPorts", plan: NightPlan, job: TrainingJob) -> dict[str, Any]:
    work = _ingest if job.payload["wave"] == "ingest" else _later
    return asyncio.run(work(ports, plan, job))


async def _later(ports: "PairPorts", plan: NightPlan, job: TrainingJob) -> dict[str, Any]:
    from huracan.night.damage import mended, with_set_aside
    from huracan.night.jobs.prepare import prepare_pair
    from huracan.night.jobs.train import train_pair

    work = prepare_pair if job.payload["wave"] == "prepare" else train_pair

    async def step() -> dict[str, Any]:
        return work(ports, plan, job.coin, job.payload["facts"])

    try:
        return with_set_aside(*await mended(ports, plan, job.coin, step))
    finally:
        await ports.market.aclose()


async def _ingest(ports: "PairPorts", plan: NightPlan, job: TrainingJob) -> dict[str, Any]:
    from huracan.night.jobs.ingest import ingest_pair

    try:
        return await ingest_pair(ports, plan, job.coin, job.payload["facts"])
    finally:
        await ports.market.aclose()
