"""A driver inside a network namespace: argument 1 is JSON; a line of JSON for every finished job, then the summary."""

import asyncio
import json
import sys

import jobs_for_workers as work

from huracan.adapters.backends import TrainingOrchestrator
from huracan.training.jobs import TrainingConfig, TrainingJob


async def main(wanted):
    config = {"backend": wanted["kind"], f"{wanted['kind']}_address": wanted["address"]}
    made = TrainingOrchestrator(TrainingConfig(**config))
    made.register_training_function(work.bars_and_place)
    made.add_jobs(TrainingJob(f"C{n}", "1h", payload=wanted["payload"]) for n in range(wanted["jobs"]))
    made.on_finished = lambda job: print(json.dumps({"done": job.result}), flush=True)
    summary = await made.train_all()
    retried = sum(job.attempts - 1 for job in made.get_all_jobs())
    await made.shutdown()
    print(json.dumps({**summary, "retried": retried}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
