"""A worker, a machine or the head of a Dask or Ray cluster is killed in the middle of a night; the bytes are the same."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nights import night_overrides, small_world, tree_hashes, trust_variables
from sizes import size
from sockets import family

from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HURACAN_TEST_KILLS", size(2, 60)))
ORDER = (("dask", "head"), ("ray", "node"), ("dask", "node"), ("ray", "head"), ("dask", "worker"), ("ray", "worker"))
POINTS = [(*ORDER[number % len(ORDER)], number) for number in range(KILLS)]
VICTIMS = {
    ("dask", "head"): "backends.gateway",
    ("dask", "node"): "spawn_main",
    ("ray", "head"): "gcs_server",
    ("ray", "node"): "ray::Supervisor",
    ("dask", "worker"): "backends/worker.py",
    ("ray", "worker"): "backends/worker.py",
}


class Runs:
    """Starts `huracan run` in a folder, against one exchange."""

    def __init__(self, folder, urls):
        self.folder = folder
        sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 2}
        self.sets = [part for text in night_overrides(urls, **sizes) for part in ("--set", text)]

    def start(self, name, kind):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HURACAN_")}
        command = [sys.executable, "-m", "huracan.cli.main", "run", "--json", "--backend", kind]
        with (folder / "out.json").open("w") as out, (folder / "err.txt").open("a") as err:
            return subprocess.Popen(
                [*command, "--workdir", str(folder / "workdir"), *self.sets],
                stdout=out,
                stderr=err,
                env={**kept, **trust_variables(folder)},
            )

    def finish(self, name, kind):
        assert self.start(name, kind).wait(timeout=300) == 0, self.told(name)

    def told(self, name):
        return (self.folder / name / "err.txt").read_text()[-3000:]

    def models(self, name):
        return tree_hashes(self.folder / name / "workdir" / "store" / "models")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    world = small_world(name="null", coins=3, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        yield Runs(folder, exchange.urls)


@pytest.fixture(scope="module")
def sources():
    return compute_code_hash.__wrapped__()


@pytest.fixture(scope="module")
def unbroken(runs, sources):
    """Seconds from the first worker of an undisturbed night on worker processes to its end."""
    process = runs.start("unbroken", "asyncio")
    find(process, "backends/worker.py")
    started = time.monotonic()
    assert process.wait(timeout=300) == 0, runs.told("unbroken")
    return time.monotonic() - started


def find(process, words):
    """A process below this one with these words in its command line, waited for while this one runs; else None."""
    while process.poll() is None:
        for pid in sorted(family(process.pid) - {process.pid}):
            try:
                if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
            except OSError:
                continue
        time.sleep(0.05)
    return None


@pytest.mark.guarantee("R18")
@pytest.mark.parametrize(("kind", "victim", "seed"), POINTS)
def test_a_night_that_loses_part_of_its_cluster_ends_as_if_nothing_had_happened(
    runs, unbroken, sources, kind, victim, seed
):
    name, chance = f"{kind}-{victim}-{seed}", random.Random(seed)
    process = runs.start(name, kind)
    find(process, "backends/worker.py")
    time.sleep(unbroken * 0.9 * chance.random())
    pid = find(process, VICTIMS[kind, victim])
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    status = process.wait(timeout=300)
    if victim == "head":
        answer = json.loads((runs.folder / name / "out.json").read_text())
        assert (status, answer.get("code")) in {(4, "BACKEND_LOST"), (0, None)}, runs.told(name)
        runs.finish(name, kind)
    else:
        assert status == 0, runs.told(name)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert runs.models(name) == runs.models("unbroken") != {}
