"""What watching costs a pair job: CPU microseconds of its two events through log, metrics and textfile, in one run.

Run: ``python benchmarks/telemetry.py [JOBS]``. The fastest of three rounds; the log writes JSON lines to a file.
"""

import sys
import tempfile
import time
from pathlib import Path

from prometheus_client import generate_latest

from huracan.adapters.telemetry import FanOut, SilentTelemetry, StructlogTelemetry
from huracan.adapters.telemetry.metrics import MetricsTelemetry
from huracan.adapters.telemetry.ways_out import textfile


def microseconds(telemetry, jobs):
    rounds = []
    for _ in range(3):
        began = time.process_time()
        telemetry.event("wave_started", wave="train", jobs=jobs)
        for number in range(jobs):
            coin = {"coin": f"C{number}", "wave": "train", "attempt": 1}
            telemetry.event("job_started", **coin)
            telemetry.event("job_finished", **coin, seconds=1.0, peak_memory_bytes=5, cached=False)
        rounds.append((time.process_time() - began) / jobs * 1e6)
    return min(rounds)


def main():
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = StructlogTelemetry(progress=False, secrets=(), file=folder / "log.jsonl")
        metrics = MetricsTelemetry(folder)
        file = textfile(metrics.collector, folder / "huracan.prom")
        file.event("workdir_opened")
        for what, listeners in (
            ("nobody", {"log": SilentTelemetry()}),
            ("log", {"log": log}),
            ("log, metrics, textfile", {"log": log, "metrics": metrics, "textfile": file}),
        ):
            print(f"{what:<24} {microseconds(FanOut(listeners), jobs):6.1f} us of CPU a job")
        began = time.process_time()
        for _ in range(100):
            generate_latest(metrics.collector)
        print(f"{'one scrape':<24} {(time.process_time() - began) * 1e4:6.0f} us of CPU")
        log.close()


if __name__ == "__main__":
    main()
