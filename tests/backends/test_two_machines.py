"""A Dask and a Ray cluster over two machines (network namespaces joined by a cable); one of them is lost at work."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
import trustme
from sockets import family

from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.ports import FetchedRows

HERE = Path(__file__).parent
HOSTS = ("10.77.0.1", "10.77.0.2")
JOBS = 12


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def permitted() -> bool:
    name = f"hu-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("ip") is None or not permitted(),
        reason="network namespaces need root and iproute2 (CAP_SYS_ADMIN)",
    ),
]


class Machines:
    """Two network namespaces with a cable between them."""

    def __init__(self, folder):
        self.folder = folder
        self.names = tuple(f"hu{os.getpid()}{letter}" for letter in "ab")
        self.started = []

    def __enter__(self):
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", "v0", "netns", self.names[0], "type", "veth", "peer", "name", "v0", "netns", self.names[1])
        for name, host in zip(self.names, HOSTS, strict=True):
            ip("-n", name, "addr", "add", f"{host}/24", "dev", "v0")
            for device in ("lo", "v0"):
                ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            self.kill(process)
        for name in self.names:
            ip("netns", "del", name)

    def start(self, machine: int, command: list[str], environment: dict[str, str], **options):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "DASK_", "HURACAN_"))}
        path = os.pathsep.join([str(HERE / "workers"), *filter(None, sys.path)])
        with (self.folder / f"{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[machine], sys.executable, *command],
                env={**kept, "PYTHONPATH": path, **environment},
                stderr=log,
                **{"stdout": log, **options},
            )
        self.started.append(process)
        return process

    @staticmethod
    def kill(process) -> None:
        """The process and everything below it, at once."""
        for pid in family(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def dask_cluster(machines, folder):
    authority = trustme.CA()
    server = authority.issue_cert(*HOSTS)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.private_key_pem.write_to_path(folder / "key.pem")
    server.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    prefix = "DASK_DISTRIBUTED__COMM__"
    environment = {f"{prefix}REQUIRE_ENCRYPTION": "true", f"{prefix}TLS__CA_FILE": str(folder / "ca.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        environment[f"{prefix}TLS__{role}__KEY"] = str(folder / "key.pem")
        environment[f"{prefix}TLS__{role}__CERT"] = str(folder / "cert.pem")
    address = f"tls://{HOSTS[0]}:8786"
    machines.start(0, ["-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"], environment)
    worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    place = ["--local-directory", str(folder)]
    nodes = [machines.start(n, [*worker, *place, "--host", f"tls://{HOSTS[n]}"], environment) for n in range(2)]
    return address, environment, nodes


def ray_cluster(machines, folder):
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    address = f"{HOSTS[0]}:6379"
    common = ["-m", "ray.scripts.scripts", "start", "--num-cpus", "1", "--object-store-memory", "80000000", "--block"]
    temporary = Path("/tmp") / f"hu-{secrets.token_hex(4)}"  # Ray's sockets need a short path
    head = ["--head", "--node-ip-address", HOSTS[0], "--port", "6379", "--include-dashboard", "false"]
    first = machines.start(0, [*common, *head, "--temp-dir", str(temporary)], environment)
    wait_for_port(machines, 6379)
    second = machines.start(1, [*common, "--address", address, "--node-ip-address", HOSTS[1]], environment)
    return address, environment, [first, second], temporary


def wait_for_port(machines, port):
    script = f"import socket; socket.create_connection(({HOSTS[0]!r}, {port}), 1)"
    command = ["ip", "netns", "exec", machines.names[0], sys.executable, "-S", "-c", script]
    for _ in range(120):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"nothing listens on port {port}")


@pytest.fixture
def lake(tmp_path):
    instrument = Instrument(symbol="BTCUSDT", market="um", base="BTC", quote="USDT", coin="BTC")
    row = {name: 1.0 if dtype.is_float() else 60_000 for name, dtype in BAR_SCHEMA.items()}
    rows = pl.DataFrame([row], schema=BAR_SCHEMA)
    DeltaLake(str(tmp_path / "lake")).append(instrument, [FetchedRows(kind="bars", rows=rows, source="rest")], "test")
    return {"lake": str(tmp_path / "lake"), "instrument": asdict(instrument), "seconds": 1.0}


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_jobs_of_a_machine_that_is_lost_end_on_the_other(kind, lake, tmp_path):
    temporary = None
    with Machines(tmp_path) as machines:
        if kind == "dask":
            address, environment, nodes = dask_cluster(machines, tmp_path)
            wait_for_port(machines, 8786)
        else:
            address, environment, nodes, temporary = ray_cluster(machines, tmp_path)
        time.sleep(6)  # both machines have joined; one that joins later is used too, but then there is less to lose
        wanted = json.dumps({"kind": kind, "address": address, "payload": lake, "jobs": JOBS})
        driver = machines.start(
            0,
            [str(HERE / "workers" / "two_machines_driver.py"), wanted],
            environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        places = []
        for line in driver.stdout:
            told = json.loads(line)
            if "done" not in told:
                break
            places.append(told["done"]["place"])
            if len(places) == 4:
                machines.kill(nodes[1])
        else:
            raise AssertionError((tmp_path / f"{len(machines.started) - 1}.log").read_text()[-3000:])
        assert driver.wait(60) == 0
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
    assert (told["completed"], told["failed"]) == (JOBS, 0)
    assert all(result["rows"] == 1 for result in told["results"].values())
    assert len(set(places[:4])) == 2, "one machine did all the work before the other was lost"
    assert len(set(places[6:])) == 1
    assert told["retried"] <= 2
