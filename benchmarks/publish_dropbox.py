"""Publish a night's champions to a Dropbox-compatible server: commits per 100 files, CPU of the client, calls.

Run: ``python benchmarks/publish_dropbox.py [CHAMPIONS]`` (default 2,000, of 7 files each). The server runs in a process of
its own and on loopback: its time is not counted, and the network's is not there. Then all of it is published again, as
after a crash, and one champion in ten anew, as after an ordinary night.
"""

import json
import random
import subprocess
import sys
import time

from pydantic import SecretStr

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint
from huracan.adapters.publishers.dropbox_store import DropboxStore

POINTER = "metadata/timestamp.json"
SIZES = {  # bytes, as bundles of the demo have them
    "model.safetensors": 9_000,
    "metrics.json": 900,
    "cost_report.json": 1_200,
    "decision_logs.json": 6_000,
    "regime_map.json": 1_500,
    "data_integrity.json": 400,
    "manifest.json": 2_500,
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


def tree(champions, version, seed):
    rng = random.Random(seed)
    return {
        f"models/COIN{number:04d}/1h/v{version}/{name}": rng.randbytes(size)
        for number in champions
        for name, size in SIZES.items()
    }


def publish(store, files, pointer):
    wall, cpu = time.perf_counter(), time.process_time()
    there = store.read(POINTER, 1 << 20)
    sent = store.write_new(files.items())
    store.swap(POINTER, pointer, None if there is None else there[1].revision)
    return sent, time.perf_counter() - wall, time.process_time() - cpu


def main():
    champions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        host, ca_file, refresh_token, key, secret = json.loads(server.stdout.readline())
        access = DropboxAccess(
            refresh_token=SecretStr(refresh_token), app_key=SecretStr(key), app_secret=SecretStr(secret)
        )
        store = DropboxStore(access, endpoint=DropboxEndpoint(host=host, ca_file=ca_file))
        everything = tree(range(champions), 1, seed=1)
        nights = [
            ("first night", everything, b"1"),
            ("the same again", everything, b"2"),
            ("one in ten new", {**everything, **tree(range(0, champions, 10), 2, seed=2)}, b"3"),
        ]
        for name, files, pointer in nights:
            sent, wall, cpu = publish(store, files, pointer)
            server.stdin.write("\n")
            server.stdin.flush()
            commits, calls, standing = json.loads(server.stdout.readline())
            total = sum(commits.values())
            print(
                f"{name}: {len(files)} files, {sent} sent, {calls} calls, {total} commits"
                f" ({100 * total / max(sent, 1):.3f} per 100 files sent), client {cpu:.1f} s CPU, {wall:.1f} s wall,"
                f" {standing} files stand"
            )
        store.close()
        server.stdin.close()
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
