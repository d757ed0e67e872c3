"""A worker, a machine or the head of a Dask or Ray cluster is killed in the middle of a night; the bytes are the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from commands import Commands
from nights import small_world
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    world = small_world(name="null", coins=3, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        yield Commands(folder=folder, urls=exchange.urls, workers=2)


@pytest.fixture(scope="module")
def sources():
    return compute_code_hash.__wrapped__()


@pytest.fixture(scope="module")
def unbroken(runs, sources):
    """Seconds from the first worker of an undisturbed night on worker processes to its end."""
    process = runs.start("unbroken")
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
        assert (status, runs.answer(name).get("code")) in {(4, "BACKEND_LOST"), (0, None)}, runs.told(name)
        runs.finish(name, kind)
    else:
        assert status == 0, runs.told(name)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert runs.models(name) == runs.models("unbroken") != {}
