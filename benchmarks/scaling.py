"""A simulation of a night on 8 to 256 workers, from job times and overheads that are measured here first.

    python benchmarks/scaling.py [--pairs 2000] [--coins 9] [--kind asyncio|dask|ray]

A small night in the simulated market gives the seconds of every pair job by wave and the driver's own seconds between
the waves; empty jobs give the seconds that driver and gateway need for a job. Then a discrete-event simulation. Nothing
in the table but the first line of each block is a measurement. Prints one JSON object with the assumptions.
"""

import argparse
import asyncio
import heapq
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "support")]
WORKERS = (1, 8, 16, 32, 64, 128, 256)
ASSUMPTIONS = (
    "a job takes as long on a worker of a large cluster as it took here, one process a core, no core shared",
    "2,000 pairs have the job times of the small night's pairs, drawn with replacement, and more bars take no longer",
    "all CPU that a job costs beside its work (driver, gateway, supervisor) passes through one core, one job at a time",
    "a worker's first job of a wave takes as much longer as the first one did here (imports, compiled kernels)",
    "the driver's CPU between the waves is a fixed part and one in proportion to the pairs, from two measured nights",
    "lake, artefacts and network answer any number of workers as fast as they answered two",
    "the lake is warm: the exchange's weight limit, which no number of workers raises, is not reached",
    "no worker is lost, no job is retried; within a wave the jobs that take longest start first",
)


def measured_night(coins: int) -> tuple[dict[str, list[float]], float, int]:
    """Seconds of every job by wave on one worker, the driver's CPU seconds outside the waves, and the pairs of the
    night.
    """
    from nights import night_settings, run_pipeline, small_world

    from huracan.adapters.backends.asyncio_pool import AsyncioPool
    from huracan.app.wiring import OrchestratedWaves
    from huracan.worlds.exchange import ReplayExchange

    seconds: dict[str, list[float]] = defaultdict(list)
    waves: list[float] = []
    run_job, run_wave = AsyncioPool.run, OrchestratedWaves.run

    async def timed_job(self: Any, function: Any, job: Any) -> Any:
        started = time.perf_counter()
        result = await run_job(self, function, job)
        seconds[job.engine_type].append(time.perf_counter() - started)
        return result

    async def timed_wave(self: Any, plan: Any, work: Any) -> Any:
        started = time.thread_time()
        result = await run_wave(self, plan, work)
        waves.append(time.thread_time() - started)
        return result

    AsyncioPool.run, OrchestratedWaves.run = timed_job, timed_wave  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as name:
            world = small_world(name="null", coins=coins, days=60, interval_minutes=60)
            with ReplayExchange(world, stress_file=Path(name) / "stress.json") as exchange:
                sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 1}
                started = time.thread_time()
                result, _ = run_pipeline(Path(name), night_settings(exchange.urls, **sizes))
                whole = time.thread_time() - started
    finally:
        AsyncioPool.run, OrchestratedWaves.run = run_job, run_wave  # type: ignore[method-assign]
    assert result["success"], result["error"]
    return dict(seconds), whole - sum(waves), len(result["coin_universe"])


def simulate(jobs: list[float], workers: int, dispatch_s: float, first_s: float) -> float:
    """Seconds until the last of these jobs is done: each needs a free worker and then the driver for `dispatch_s`."""
    free = [first_s] * workers
    driver = 0.0
    for seconds in sorted(jobs, reverse=True):
        driver = max(driver, heapq.heappop(free)) + dispatch_s
        heapq.heappush(free, driver + seconds)
    return max(free)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--coins", type=int, default=9)
    parser.add_argument("--kind", default="dask", choices=["asyncio", "dask", "ray"])
    wanted = parser.parse_args()
    import backends

    with tempfile.TemporaryDirectory() as folder:
        cost = asyncio.run(backends.costs(wanted.kind, 200, Path(folder)))
    dispatch_s = cost["cpu_ms_per_job"] / 1000
    _, few_s, few = measured_night(wanted.coins // 2)  # also compiles and loads what a driver loads once
    _, few_s, few = measured_night(wanted.coins // 2)
    by_wave, many_s, many = measured_night(wanted.coins)
    per_pair_s = max(0.0, (many_s - few_s) / (many - few))
    rng = np.random.default_rng(0)
    drawn = {wave: rng.choice(times[1:], wanted.pairs).tolist() for wave, times in by_wave.items()}
    first_s = {wave: max(0.0, times[0] - float(np.median(times[1:]))) for wave, times in by_wave.items()}
    serial_s = max(0.0, few_s - per_pair_s * few) + per_pair_s * wanted.pairs
    alone_s = simulated_night(drawn, 1, dispatch_s, first_s) + serial_s
    rows = []
    for workers in WORKERS:
        waves_s = simulated_night(drawn, workers, dispatch_s, first_s)
        night_s = waves_s + serial_s
        rows.append(
            {
                "workers": workers,
                "waves_s": round(waves_s, 1),
                "night_s": round(night_s, 1),
                "speed_up": round(alone_s / night_s, 2),
                "busy_share_in_waves": round(sum(map(sum, drawn.values())) / workers / waves_s, 3),
            }
        )
    measured = {
        "load_average": round(os.getloadavg()[0], 1),
        "job_s_mean_by_wave": {wave: round(float(np.mean(times)), 4) for wave, times in by_wave.items()},
        "job_s_max_by_wave": {wave: round(max(times), 4) for wave, times in by_wave.items()},
        "first_job_extra_s_by_wave": {wave: round(extra, 4) for wave, extra in first_s.items()},
        "driver_cpu_s_between_waves": {few: round(few_s, 3), many: round(many_s, 3)},
        "driver_cpu_ms_per_pair": round(1000 * per_pair_s, 3),
        "dispatch_ms_per_job": round(1000 * dispatch_s, 3),
        "backend": wanted.kind,
    }
    print(json.dumps({"measured": measured, "assumptions": ASSUMPTIONS, "simulated": rows}, indent=2))
    return 0


def simulated_night(drawn: dict[str, list[float]], workers: int, dispatch_s: float, first_s: dict[str, float]) -> float:
    """Seconds of all waves, one after the other."""
    return sum(simulate(jobs, workers, dispatch_s, first_s[wave]) for wave, jobs in drawn.items())


if __name__ == "__main__":
    sys.exit(main())
