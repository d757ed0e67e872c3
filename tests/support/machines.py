"""Two machines: network namespaces joined by a cable, with folders that one of them does not see; Dask and Ray over both."""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
import trustme
from sockets import family

_NUMBERS = count()
HOSTS = ("10.77.0.1", "10.77.0.2")


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


needs_machines = pytest.mark.skipif(
    shutil.which("ip") is None or not permitted(),
    reason="network namespaces need root and iproute2 (CAP_SYS_ADMIN)",
)


class Machines:
    """Two network namespaces with a cable between them; their processes log to `folder` and import from `path`, too."""

    def __init__(self, folder: Path, path: tuple[Path, ...] = ()):
        self.folder = folder
        self.path = path
        self.names = tuple(f"hu-{os.getpid()}-{next(_NUMBERS)}{letter}" for letter in "ab")
        self.started = []
        self._mounts: tuple[list[str], list[str]] = ([], [])

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

    def hide(self, machine: int, folder: Path, how: str = "ro") -> None:
        """Lay an empty folder over one, for whatever is started on that machine from now on; no other process sees it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._mounts[machine].append(f"mount -t tmpfs -o {how} none {shlex.quote(str(folder))}")

    def start(self, machine: int, command: list[str], environment: dict[str, str], **options):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "DASK_", "HURACAN_"))}
        path = os.pathsep.join([*map(str, self.path), *filter(None, sys.path)])
        # `ip netns exec` gives each process a mount namespace of its own, so what is hidden here is hidden nowhere else.
        begin = " && ".join([*self._mounts[machine], 'exec "$@"'])
        with (self.folder / f"{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[machine], "sh", "-c", begin, "sh", sys.executable, *command],
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
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def wait_for_port(self, port: int) -> None:
        """Until something listens on a port of the first machine's address."""
        script = f"import socket; socket.create_connection(({HOSTS[0]!r}, {port}), 1)"
        command = ["ip", "netns", "exec", self.names[0], sys.executable, "-S", "-c", script]
        for _ in range(120):
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.5)
        raise AssertionError(f"nothing listens on port {port}")


def certificates(folder: Path) -> None:
    """One certificate for both machines and its authority: ca.pem, cert.pem, key.pem, and both.pem with chain and key."""
    authority = trustme.CA()
    server = authority.issue_cert(*HOSTS)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.private_key_pem.write_to_path(folder / "key.pem")
    server.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")


def dask_cluster(machines, certified: Path, environments, scratch, workers_on=(0, 1)):
    """Scheduler on the first machine; returns its address, the variables of whoever uses it, and the workers by machine."""
    prefix = "DASK_DISTRIBUTED__COMM__"
    variables = {f"{prefix}REQUIRE_ENCRYPTION": "true", f"{prefix}TLS__CA_FILE": str(certified / "ca.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"{prefix}TLS__{role}__KEY"] = str(certified / "key.pem")
        variables[f"{prefix}TLS__{role}__CERT"] = str(certified / "cert.pem")
    address = f"tls://{HOSTS[0]}:8786"
    machines.start(0, ["-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"], variables)
    worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    nodes = {}
    for n in workers_on:
        place = ["--local-directory", str(scratch[n]), "--host", f"tls://{HOSTS[n]}"]
        nodes[n] = machines.start(n, [*worker, *place], {**variables, **environments[n]})
    machines.wait_for_port(8786)
    return address, variables, nodes


def ray_cluster(machines, environments, temporary: Path, cpus=(1, 1)):
    """Head on the first machine; returns its address, the variables of whoever uses it, and the nodes by machine."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    address = f"{HOSTS[0]}:6379"
    common = ["-m", "ray.scripts.scripts", "start", "--object-store-memory", "80000000", "--block"]
    head = ["--head", "--node-ip-address", HOSTS[0], "--port", "6379", "--include-dashboard", "false"]
    first = [*common, "--num-cpus", str(cpus[0]), *head, "--temp-dir", str(temporary)]
    second = [*common, "--num-cpus", str(cpus[1]), "--address", address, "--node-ip-address", HOSTS[1]]
    nodes = {0: machines.start(0, first, {**variables, **environments[0]})}
    machines.wait_for_port(6379)
    nodes[1] = machines.start(1, second, {**variables, **environments[1]})
    return address, variables, nodes


@contextlib.contextmanager
def ray_folder():
    """A short path for Ray's sockets; gone at the end."""
    folder = Path("/tmp") / f"hu-{secrets.token_hex(4)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
