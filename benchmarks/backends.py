"""What a backend costs per pair job, against calling the function directly in one process; and scaling from 1 to 2
workers.

    python benchmarks/backends.py [--jobs 200] [--work-s 1.0] [--kinds asyncio dask ray]

Empty jobs with a payload and a record of the size of a real pair job's go through orchestrator, ledger and backend, and
through the function alone. CPU is that of the driver and every process below it; what idle cluster processes burn in
the meantime is measured on its own and charged to a job of `--work-s` seconds on two workers. Prints one JSON object;
fails above .5 % of such a job in CPU, and says so by backend.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from huracan.adapters.backends import AsyncioPool, ClusterBackend, TrainingOrchestrator
from huracan.adapters.ledger import SqliteLedger
from huracan.training.jobs import TrainingConfig, TrainingJob

LIMIT = 0.005
WORKERS = 2
IDLE_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


def empty(job: TrainingJob) -> dict[str, Any]:
    """A record of the size of a pair's (about 12 kB), and no work."""
    return {
        "coin": job.coin,
        "cells": {f"1h:linear-{n}": {"net_bps": 1.25, "days": list(range(60))} for n in range(40)},
    }


def burn(job: TrainingJob) -> int:
    """A fixed amount of arithmetic in one thread."""
    total = 0
    for number in range(job.payload["rounds"]):
        total += number * number % 7
    return total


def backend_of(kind: str, workers: int):
    return AsyncioPool(slots=workers) if kind == "asyncio" else ClusterBackend(kind=kind, workers=workers)


def cpu_of_family() -> float:
    """CPU seconds of this process and everything below it, ended children included."""
    rows = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            rows[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    found = {os.getpid()}
    while grown := {pid for pid, (parent, _) in rows.items() if parent in found} - found:
        found |= grown
    return sum(rows[pid][1] for pid in found) / _TICKS


def jobs_of(count: int, **payload: Any) -> list[TrainingJob]:
    facts = {f"key{n}": f"{n:064x}" for n in range(30)}
    return [TrainingJob(f"C{n}", "*", payload={"facts": facts, **payload}) for n in range(count)]


async def timed(made: TrainingOrchestrator, jobs: list[TrainingJob]) -> tuple[float, float]:
    """Wall and CPU seconds of all jobs."""
    made.clear()
    made.add_jobs(jobs)
    cpu, wall = cpu_of_family(), time.perf_counter()
    summary = await made.train_all()
    wall, cpu = time.perf_counter() - wall, cpu_of_family() - cpu
    assert summary["failed"] == 0
    return wall, cpu


async def costs(kind: str, count: int, folder: Path) -> dict[str, float]:
    """Milliseconds per empty job, wall and CPU, and CPU per second of the idle backend."""
    backend = backend_of(kind, WORKERS)
    with SqliteLedger(folder / f"{kind}.sqlite") as ledger:
        ledger.record_run("bench", started_ms=0, facts={})
        made = TrainingOrchestrator(TrainingConfig(num_workers=WORKERS), backend)
        made.on_start = ledger.record_attempt
        made.on_finished = lambda job: ledger.note_end(job, None, None)
        made.register_training_function(empty)
        started = time.perf_counter()
        await made.initialize()
        up_s = time.perf_counter() - started
        await timed(made, jobs_of(20, warm=True))
        idle = cpu_of_family()
        await asyncio.sleep(IDLE_S)
        idle = (cpu_of_family() - idle) / IDLE_S
        wall, cpu = await timed(made, jobs_of(count))
        await made.shutdown()
    await backend.stop()
    busy = max(0.0, cpu - idle * wall)
    return {
        "up_s": up_s,
        "wall_ms_per_job": 1000 * wall / count,
        "cpu_ms_per_job": 1000 * busy / count,
        "idle_cpu_per_s": idle,
    }


def direct(count: int) -> dict[str, float]:
    """The same empty jobs by plain calls, results through JSON as a caller would store them."""
    jobs = jobs_of(count)
    cpu, wall = time.process_time(), time.perf_counter()
    for job in jobs:
        json.dumps(empty(job))
    return {
        "wall_ms_per_job": 1000 * (time.perf_counter() - wall) / count,
        "cpu_ms_per_job": 1000 * (time.process_time() - cpu) / count,
    }


def rounds_for(seconds: float) -> int:
    """Rounds of `burn` that take about so much CPU here."""
    probe = TrainingJob("PROBE", "*", payload={"rounds": 1_000_000})
    started = time.process_time()
    burn(probe)
    return int(1_000_000 * seconds / (time.process_time() - started))


async def scaling(kind: str, rounds: int, count: int) -> dict[str, float]:
    """Wall seconds of the same jobs on one worker and on two."""
    walls = {}
    for workers in (1, 2):
        backend = backend_of(kind, workers)
        made = TrainingOrchestrator(TrainingConfig(num_workers=workers), backend)
        made.register_training_function(burn)
        await made.initialize()
        await timed(made, jobs_of(workers, rounds=1))
        walls[workers], _ = await timed(made, jobs_of(count, rounds=rounds))
        await made.shutdown()
        await backend.stop()
    return {"wall_1_s": walls[1], "wall_2_s": walls[2], "speed_up": walls[1] / walls[2]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--work-s", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", default=["asyncio", "dask", "ray"])
    wanted = parser.parse_args()
    plain = direct(wanted.jobs)
    rounds = rounds_for(0.25)
    report: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "jobs": wanted.jobs,
        "pair_job_s": wanted.work_s,
        "workers": WORKERS,
        "direct": plain,
    }
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in wanted.kinds:
            cost = asyncio.run(costs(kind, wanted.jobs, Path(folder)))
            own = (cost["cpu_ms_per_job"] - plain["cpu_ms_per_job"]) / 1000
            idle = cost["idle_cpu_per_s"] * wanted.work_s / WORKERS
            cost["cpu_share_of_pair_job"] = own / wanted.work_s
            cost["idle_share_of_pair_job"] = idle / wanted.work_s
            cost["wall_share_of_pair_job"] = (cost["wall_ms_per_job"] - plain["wall_ms_per_job"]) / 1000 / wanted.work_s
            report[kind] = {**cost, "scaling": asyncio.run(scaling(kind, rounds, 8))}
            if cost["cpu_share_of_pair_job"] > LIMIT:
                failed.append(kind)
    report["above_limit"] = failed
    print(json.dumps(report, indent=2, default=lambda value: round(value, 5)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import backends

    sys.exit(backends.main())
