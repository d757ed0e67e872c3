"""GPUs per worker: asked of Ray, which is told of some that this machine need not have, and refused where nobody gives any."""

import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import jobs_for_workers as work
import pytest
from conformance import job
from machines import ray_folder

from huracan.adapters.backends import ClusterBackend, TrainingOrchestrator
from huracan.errors import ConfigError
from huracan.training.jobs import TrainingConfig

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["asyncio", "dask"])
def test_a_backend_that_cannot_give_gpus_refuses_to_be_asked(kind):
    with pytest.raises(ConfigError, match=f"the {kind} backend cannot give GPUs"):
        TrainingConfig(backend=kind, gpu_per_worker=1)
    assert TrainingConfig(backend="ray", gpu_per_worker=0.5).gpu_per_worker == 0.5


async def test_a_cluster_without_a_gpu_is_refused_at_the_start(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # whatever the machine of the test has
    made = TrainingOrchestrator(TrainingConfig(backend="ray", num_workers=1, gpu_per_worker=1))
    with pytest.raises(
        ConfigError, match="gpu_per_worker is 1, and no machine of the Ray cluster of this run has as many"
    ):
        await made.initialize()
    await made.shutdown()


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def head():
    """The address of a Ray cluster of four processors on loopback that says it has three GPUs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = str(Path(work.__file__).parent)  # machines at an address import what is installed on them
    with ray_folder() as folder, pytest.MonkeyPatch.context() as patch:
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        for name, value in {**variables, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}.items():
            patch.setenv(name, value)
        command = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            "--block",
            "--num-cpus",
            "4",
            "--num-gpus",
            "3",
        ]
        place = ["--node-ip-address", "127.0.0.1", "--port", str(port), "--temp-dir", str(folder)]
        rest = ["--include-dashboard", "false", "--object-store-memory", "80000000"]
        process = subprocess.Popen(
            [*command, *place, *rest],
            env={**os.environ, "PYTHONPATH": workers},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not answers(port):
                assert process.poll() is None, "the head did not start"
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(("each", "slots"), [(0, 4), (0.5, 4), (1, 3), (1.5, 2)])
async def test_a_machine_has_as_many_workers_as_its_gpus_suffice_for(head, each, slots):
    backend = ClusterBackend(kind="ray", address=head, gpu_per_worker=each)
    await backend.start()
    try:
        (machine,) = await backend.machines()
        assert machine.slots == slots
        assert await backend.run(work.name_the_coin, job("SOL"))
    finally:
        await backend.stop()
