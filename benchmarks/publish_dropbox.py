"""Publish a night's champions to a Dropbox-compatible server: commits per 100 files, CPU of the client, calls.

Run: ``python benchmarks/publish_dropbox.py [CHAMPIONS [small|demo]]``. Default: 2,000 champions of seven small files,
22 kB each; `demo` are nine files as a champion of the demo has them, 284 kB each. The server is a process of its own on
loopback: its time is not counted, and no network's is there. Then all of it is published again, as after a crash, and
one champion in ten anew, as after an ordinary night.
"""

import json
import random
import subprocess
import sys
import time
from itertools import chain

from pydantic import SecretStr

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint
from huracan.adapters.publishers.dropbox_store import DropboxStore

POINTER = "metadata/timestamp.json"
SIZES = {
    "small": {
        "model.safetensors": 14_704,
        "metrics.json": 847,
        "cost_report.json": 324,
        "decision_logs.json": 1_000,
        "regime_map.json": 2_279,
        "data_integrity.json": 389,
        "manifest.json": 1_986,
    },
    "demo": {
        "model.safetensors": 59_600,
        "metrics.json": 956,
        "cost_report.json": 472,
        "decision_logs.json": 201_181,
        "regime_map.json": 2_434,
        "data_integrity.json": 1_207,
        "golden.json": 14_151,
        "recipe.json": 1_465,
        "manifest.json": 2_159,
    },
}
SERVER = """
import json, sys
from huracan.worlds.dropbox import DropboxServer, FaultPlan
with DropboxServer() as server:
    app = server.tokens.app
    print(json.dumps([server.host, str(server.ca_file), app.refresh_token, app.key, app.secret]), flush=True)
    for _ in sys.stdin:
        print(json.dumps([server.commits, len(server.faults.calls), len(server.files())]), flush=True)
        server.account.commits.clear()
        server.faults = FaultPlan()
"""


RANDOM = random.Random(0).randbytes(1 << 18)


def tree(sizes, champions, version):
    """Paths and bytes, no two files alike."""
    for number in champions:
        for name, size in sizes.items():
            yield (
                f"models/COIN{number:04d}/1h/v{version}/{name}",
                b"%08d" % number + RANDOM[version : version + size - 8],
            )


def publish(store, files, pointer):
    wall, cpu = time.perf_counter(), time.process_time()
    there = store.read(POINTER, 1 << 20)
    sent = store.write_new(files)
    store.swap(POINTER, pointer, None if there is None else there[1].revision)
    return sent, time.perf_counter() - wall, time.process_time() - cpu


def main():
    champions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    sizes = SIZES[sys.argv[2] if len(sys.argv) > 2 else "small"]
    print(f"{champions} champions of {len(sizes)} files, {sum(sizes.values()) / 1e3:.0f} kB each")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        host, ca_file, refresh_token, key, secret = json.loads(server.stdout.readline())
        access = DropboxAccess(
            refresh_token=SecretStr(refresh_token), app_key=SecretStr(key), app_secret=SecretStr(secret)
        )
        store = DropboxStore(access, endpoint=DropboxEndpoint(host=host, ca_file=ca_file))
        whole, some = range(champions), range(0, champions, 10)
        nights = [
            ("first night", tree(sizes, whole, 1), b"1"),
            ("the same again", tree(sizes, whole, 1), b"2"),
            ("one in ten new", chain(tree(sizes, whole, 1), tree(sizes, some, 2)), b"3"),
        ]
        for name, files, pointer in nights:
            sent, wall, cpu = publish(store, files, pointer)
            server.stdin.write("\n")
            server.stdin.flush()
            commits, calls, standing = json.loads(server.stdout.readline())
            total = sum(commits.values())
            rate = f" ({100 * total / sent:.3f} per 100 files)" if sent else ""
            print(
                f"{name}: {sent} files sent, {calls} calls, {total} commits{rate}, client {cpu:.1f} s CPU, {wall:.1f} s wall,"
                f" {standing} files stand"
            )
        store.close()
        server.stdin.close()
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
