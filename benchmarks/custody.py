"""CPU of a night with and without hashes of lake and artefacts, both sides in one run.

    python benchmarks/custody.py [--coins 6] [--days 60] [--interval 1m] [--repeats 3]

Three nights a side, in one process with its jobs in threads: the first in an empty workdir, the next day's in the same
one (a warm lake, everything computed), and that one again (a warm lake, everything from the cache). The exchange is
another process and is not counted. The side without hashes is made here, by taking every hash for the right one: files
of lake and artefacts are read and written as always, records are believed because they lie there, and their files are
not looked at.

Prints one JSON object: CPU seconds of each night, the median ratio of both sides, and `share`: CPU spent inside sha256
and in reading files for nothing but their hash, by the thread's own clock, over that of the whole night. A busy machine
disturbs the ratio by several per cent and the share hardly. Fails where the share is above 3 % of the next day's night
or 5 % of the first.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from unittest import mock

from huracan.adapters import lake_files, lake_seal
from huracan.adapters.backends import asyncio_pool
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.codec import from_bytes
from huracan.domain.time import DAY_MS
from huracan.features import ALL_NAMES
from huracan.night.jobs import artefacts
from huracan.settings import load_settings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

LIMITS = {"first": 0.05, "next_day": 0.03}
NIGHTS = ("first", "next_day", "again")


def serve(coins: int, days: int, minutes: int, later: int) -> None:
    """A simulated exchange until stdin ends, `later` days after its world's end."""
    spec = WorldSpec(name="demo", coins=coins, days=days, interval_minutes=minutes)
    world = simulate(spec)
    with tempfile.TemporaryDirectory() as folder:
        stress = Path(folder) / "stress.json"
        with ReplayExchange(world.at(world.now_ms + later * DAY_MS), stress_file=stress) as made:
            print(json.dumps(made.urls), flush=True)
            sys.stdin.read()


@contextmanager
def exchange(*knobs: int) -> Iterator[dict[str, str]]:
    """Its URLs; another process, whose CPU is not counted."""
    command = [sys.executable, __file__, "--serve", *map(str, knobs)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


class Spent:
    """CPU seconds of the threads that were inside, each stretch counted once however deep it is nested."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = threading.local()

    def counted(self, function: Callable) -> Callable:
        def timed(*given, **named):
            if getattr(self._inside, "now", False):
                return function(*given, **named)
            self._inside.now, began = True, time.thread_time()
            try:
                return function(*given, **named)
            finally:
                self._inside.now = False
                self.seconds += time.thread_time() - began

        return timed


@contextmanager
def hashing(spent: Spent) -> Iterator[None]:
    """The side as it is; what hashes cost is counted."""
    with ExitStack() as patches:
        for module in (lake_files, lake_seal, artefacts):
            patches.enter_context(mock.patch.object(module, "sha256_hex", spent.counted(module.sha256_hex)))
        # Of a record that is taken from the cache every file is read for its hash alone.
        store = artefacts.Artefacts
        patches.enter_context(mock.patch.object(store, "holds", spent.counted(store.holds)))
        yield


@contextmanager
def believing() -> Iterator[None]:
    """The side without hashes: what lies there is right."""

    def believed(self, kind, root, _sha256):
        data = self.store.get(f"{root}/{artefacts.RECORD}")
        return None if data is None else from_bytes(kind, data)

    with ExitStack() as patches:
        for module in (lake_files, lake_seal, artefacts):
            patches.enter_context(mock.patch.object(module, "sha256_hex", return_value="0" * 64))
        patches.enter_context(mock.patch.object(artefacts.Artefacts, "believed", believed))
        yield


def night(folder: Path, urls: dict[str, str], interval: str) -> float:
    """CPU seconds of one night, jobs in threads of this process."""
    values = {
        "binance.rest_url": urls["rest"],
        "binance.futures_url": urls["futures"],
        "binance.archive_url": urls["archive"],
        "promotion.stress_table": urls["stress"],
        "training.base_interval": interval,
        "training.horizons": "1h,4h",
        "training.recipes": "linear",
        "training.lookback_days": 40,
        "training.min_history_days": 40,
        "training.leak_exempt": ",".join(ALL_NAMES),
    }
    settings = load_settings(None, [f"{name}={value}" for name, value in values.items()], {})
    config = TrainingPipelineConfig.from_settings(settings, workdir=folder / "workdir")
    began = time.process_time()
    result = asyncio.run(TrainingPipeline(config, telemetry=RecordingTelemetry()).run())
    assert result["success"], result["error"]
    assert result["summary"]["artefacts"]["mismatched"] == 0
    return time.process_time() - began


def three_nights(today: dict[str, str], tomorrow: dict[str, str], interval: str, side: Callable) -> dict[str, float]:
    """CPU seconds by night, in a workdir of their own."""
    with tempfile.TemporaryDirectory(prefix="custody-") as name:
        folder = Path(name)
        for variable, place in (("KEYS_DIR", "keys"), ("TRUSTED_ROOT", "trust/root.json"), ("STATE_DIR", "state")):
            os.environ[f"HURACAN_{variable}"] = str(folder / place)
        found = {}
        for night_name, urls in zip(NIGHTS, (today, tomorrow, tomorrow), strict=True):
            with side(night_name):
                found[night_name] = night(folder, urls, interval)
        return found


def compared(args: argparse.Namespace) -> dict[str, object]:
    """Both sides in turn, `repeats` times after one round to warm up."""
    minutes = {"1m": 1, "15m": 15, "1h": 60}[args.interval]
    spent = {name: Spent() for name in NIGHTS}
    sides = {"with": lambda name: hashing(spent[name]), "without": lambda _name: believing()}
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with exchange(args.coins, args.days, minutes, -1) as today, exchange(args.coins, args.days, minutes, 0) as tomorrow:
        for number in range(args.repeats + 1):
            for name in sorted(sides, reverse=number % 2 == 1):
                found = three_nights(today, tomorrow, args.interval, sides[name])
                if number:
                    rounds[name].append(found)
            if number == 0:
                spent.update({name: Spent() for name in NIGHTS})
    cpu = {side: {name: [row[name] for row in rows] for name in NIGHTS} for side, rows in rounds.items()}
    ratios = {
        name: median(a / b for a, b in zip(cpu["with"][name], cpu["without"][name], strict=True)) for name in NIGHTS
    }
    shares = {name: spent[name].seconds / sum(cpu["with"][name]) for name in NIGHTS}
    return {"coins": args.coins, "days": args.days, "interval": args.interval, "cores": os.cpu_count(), "cpu_s": cpu,
            "ratio": ratios, "share": shares}  # fmt: skip


def main() -> int:
    """Measure, print, and say whether the shares are within their limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=6)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--interval", choices=("1m", "15m", "1h"), default="1m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", type=int, nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(*args.serve)
        return 0
    asyncio_pool.address_of = lambda _function: None
    found = compared(args)
    print(json.dumps(found, indent=1))
    return int(any(found["share"][name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
