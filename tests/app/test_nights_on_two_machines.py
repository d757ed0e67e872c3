"""A whole night on two machines that share no folder: driver, exchange and bucket on one, every worker on the other."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from machines import HOSTS, Machines, certificates, dask_cluster, needs_machines, ray_cluster, ray_folder
from nights import (
    accounted,
    built_once,
    night_overrides,
    night_settings,
    run_pipeline,
    small_world,
    tree_hashes,
    trust_variables,
)
from remotes import s3_variables
from sizes import FULL
from sockets import family

from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

SUPPORT = Path(__file__).parent.parent / "support"
WORLD = {"name": "null", "coins": int(os.environ.get("HURACAN_TEST_NIGHT_COINS", "3")), "days": 45}
SIZES = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 1}
BUCKET = "night"
URLS = {"storage__lake_url": f"s3://{BUCKET}/lake", "storage__artefacts_url": f"s3://{BUCKET}/artefacts"}
DRIVER, WORKER = 0, 1

pytestmark = [pytest.mark.slow, needs_machines]


@dataclass(kw_only=True)
class Site:
    """Two machines at work; `folders` are their own disks, each an empty read-only folder on the other machine."""

    machines: Machines
    kind: str
    folders: tuple[Path, Path]
    requests: Path
    address: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    urls: dict[str, Any] = field(default_factory=dict)
    node: subprocess.Popen[str] | None = None
    """The cluster's process on the worker's machine, parent of all that works there."""

    def run(self, workdir: Path, **changes: Any) -> tuple[int, dict[str, Any], str]:
        """Exit status, answer and log of `huracan run` on the driver's machine."""
        sets = [part for text in night_overrides(self.urls, **{**SIZES, **changes}) for part in ("--set", text)]
        where = ["--workdir", str(workdir), "--backend", self.kind, "--address", self.address]
        environment = {**self.environment, **trust_variables(self.folders[DRIVER])}
        driver = self.machines.start(
            DRIVER, ["-m", "huracan.cli.main", "run", "--json", *where, *sets], environment, stdout=subprocess.PIPE
        )
        answer, _ = driver.communicate(timeout=300)
        log = (self.machines.folder / f"{len(self.machines.started) - 1}.log").read_text()
        assert answer, log[-3000:]
        return driver.returncode, json.loads(answer), log

    def seen_by_workers(self) -> set[str]:
        """What the processes of the cluster on the worker's machine find in the folder of the driver."""
        roots = [Path(f"/proc/{pid}/root{self.folders[DRIVER]}") for pid in family(self.node.pid)]
        return {path.name for root in roots for path in root.iterdir()}

    def writers(self, wanted: str) -> set[str]:
        """Addresses that have written an object whose key contains this."""
        lines = [line.split(" ", 2) for line in self.requests.read_text().splitlines()]
        return {address for address, method, path in lines if method == "PUT" and wanted in path}


def serve(site: Site, certified: Path) -> str:
    """Exchange and bucket on the driver's machine, and a tunnel to that exchange on the other; the bucket's endpoint."""
    disk = site.folders[DRIVER]
    services = {
        "s3": {"certificate": str(certified / "both.pem"), "authority": str(certified / "ca.pem"), "bucket": BUCKET},
        "host": HOSTS[DRIVER],
        "requests": str(site.requests),
        "world": {**WORLD, "interval_minutes": 60},
        "stress": str(disk / "stress.json"),
    }
    command = [str(SUPPORT / "machine_services.py"), json.dumps(services)]
    process = site.machines.start(DRIVER, command, {}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told = json.loads(process.stdout.readline())
    site.urls, port = told["urls"], str(told["port"])
    # The replay exchange counts as one on loopback, whose clock may differ; a real one is reached by both alike.
    site.machines.start(WORKER, [str(SUPPORT / "relay.py"), "127.0.0.1", port, HOSTS[DRIVER], port], {})
    return told["s3"]


@contextmanager
def opened(kind: str, folder: Path, *, driver_works: bool = False) -> Iterator[Site]:
    """A site with one slot on the worker's machine, and one on the driver's where that works, too."""
    folders, certified = (folder / "driver", folder / "worker"), folder / "certified"
    for one in (*folders, certified):
        one.mkdir()
    certificates(certified)
    with ray_folder() as temporary, Machines(folder, (SUPPORT,)) as machines:
        machines.hide(WORKER, folders[DRIVER])
        machines.hide(DRIVER, folders[WORKER])
        made = Site(machines=machines, kind=kind, folders=folders, requests=folder / "requests.txt")
        bucket = {**s3_variables(serve(made, certified)), "SSL_CERT_FILE": str(certified / "ca.pem")}
        own = (bucket, {**bucket, "HURACAN_STATE_DIR": str(folders[WORKER] / "state")})
        if kind == "dask":
            at_work = (DRIVER, WORKER) if driver_works else (WORKER,)
            made.address, user, nodes = dask_cluster(machines, certified, own, folders, workers_on=at_work)
        else:
            machines.hide(WORKER, temporary, "rw")
            made.address, user, nodes = ray_cluster(machines, own, temporary, cpus=(int(driver_works), 1))
        made.environment, made.node = {**user, **bucket}, nodes[WORKER]
        yield made


@pytest.fixture(scope="module", params=["dask", "ray"])
def site(request, tmp_path_factory):
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def build_one_machine(folder: Path) -> None:
    with ReplayExchange(small_world(**WORLD, interval_minutes=60), stress_file=folder / "stress.json") as exchange:
        result, _ = run_pipeline(folder, night_settings(exchange.urls, **SIZES))
    assert result["success"], result["error"]


@pytest.fixture(scope="module")
def one_machine(shared_folder):
    """Bundles of the same night on worker processes of one machine, with lake and artefacts in its workdir."""
    night = built_once(shared_folder, "one-machine", build_one_machine)
    return tree_hashes(night / "workdir" / "store" / "models")


def test_a_night_whose_workers_see_no_folder_of_the_driver_has_the_bytes_of_one_machine(site, one_machine):
    sources = compute_code_hash.__wrapped__()
    workdir = site.folders[DRIVER] / "workdir"
    status, result, log = site.run(workdir, **URLS)
    assert status == 0, (result, log[-3000:])
    accounted(result)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert tree_hashes(workdir / "store" / "models") == one_machine != {}
    assert {"workdir", "keys"} <= {path.name for path in site.folders[DRIVER].iterdir()}
    assert site.seen_by_workers() == set()
    driver, worker = HOSTS
    assert site.writers("/plans/") == {driver}
    assert {kind: site.writers(kind) for kind in ("/lake/1h/bars/", "/labels.parquet", "/model.safetensors")} == {
        "/lake/1h/bars/": {worker},
        "/labels.parquet": {worker},
        "/model.safetensors": {worker},
    }
    assert not any((workdir / "lake").iterdir())
    assert not any((workdir / "artefacts").iterdir())
    assert not list(workdir.glob(".landmark-*"))
    own = {path.name for path in (site.folders[WORKER] / "state").iterdir()}
    assert "exchange.sqlite" in own


def test_a_night_whose_workers_would_need_the_workdir_and_lack_it_is_refused_before_any_job(site):
    workdir = site.folders[DRIVER] / "alone"
    status, result, log = site.run(workdir)
    assert (status, result["success"], result["code"]) == (2, False, "CONFIG")
    assert f"does not share this run's folder {workdir} (nothing lies there)" in result["error"]
    assert "set storage.lake_url and storage.artefacts_url" in result["error"]
    assert "mount the folder there under the same path" in result["error"]
    assert "job_started" not in log
    assert not list(workdir.glob(".landmark-*"))


def test_a_workdir_that_both_machines_see_needs_no_bucket(site):
    shared = site.machines.folder / "shared"
    shared.mkdir()
    nobody = {"binance__rest_url": "http://127.0.0.1:9", "binance__total_timeout_s": 1}
    status, result, log = site.run(shared / "workdir", **nobody)
    assert (status, result["code"]) == (3, "UPSTREAM"), "the next thing a night does once its machines are in order"
    assert "backend_started" in log


@pytest.mark.skipif(not FULL, reason="another cluster and another night for each backend; HURACAN_TEST_FULL=1 runs it")
@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_night_that_loses_a_machine_without_our_folder_ends_on_the_other_with_the_same_bytes(
    kind, tmp_path, one_machine
):
    sources = compute_code_hash.__wrapped__()
    with opened(kind, tmp_path, driver_works=True) as site:
        time.sleep(6)  # both machines have joined; one that joins later is used too, but then there is less to lose

        def lose_it_at_work() -> None:
            while HOSTS[WORKER] not in site.writers("/labels.parquet"):
                time.sleep(0.02)
            site.machines.kill(site.node)

        killer = threading.Thread(target=lose_it_at_work, daemon=True)
        killer.start()
        workdir = site.folders[DRIVER] / "workdir"
        status, result, log = site.run(workdir, **URLS)
        assert status == 0, (result, log[-3000:])
        killer.join()
        assert site.writers("/labels.parquet") == set(HOSTS), "one machine did all the work"
        assert site.writers("/model.safetensors") == {HOSTS[DRIVER]}
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert tree_hashes(workdir / "store" / "models") == one_machine != {}
