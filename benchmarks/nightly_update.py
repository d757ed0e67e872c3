"""CPU of a nightly update: the client's and the lake's share for one new day of many pairs.

Run: ``python benchmarks/nightly_update.py [--pairs 2000] [--nights 2]``. A simulated exchange of ten thousand symbols
in a process of its own, on loopback; the first night fills an empty lake with the day before, the later ones add a day
each to every table and are reported. Counted is everything of this process: HTTP, checksums, unzipping, parsing,
comparing with what is stored, commits. Waiting for the weight budget takes no time here; `nightly_weight.py` measures
it. Fails above 3 CPU minutes a night of 2,000 pairs.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.adapters.lake import DeltaLake
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, iso
from huracan.sections import BinanceSettings
from huracan.worlds.wide import WideWorld, wide_world
from huracan.worlds.wide_listings import WideSpec

LIMIT_S_A_PAIR = 180 / 2000
AT_ONCE = 8
DAYS = 5


@contextmanager
def exchange(now_ms: int) -> Iterator[dict[str, str]]:
    """Its URLs; another process, whose CPU is not counted."""
    command = [sys.executable, "-m", "huracan.cli.main", "exchange", "serve", "--coins", "10000", "--days", str(DAYS)]
    process = subprocess.Popen(
        [*command, "--now", iso(now_ms), "--attached"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


async def instantly(_seconds: float) -> None:
    await asyncio.sleep(0)


async def night(urls: dict[str, str], now_ms: int, pairs: list[Instrument], lake: DeltaLake) -> dict[str, float]:
    settings = BinanceSettings(rest_url=urls["rest"], futures_url=urls["futures"], archive_url=urls["archive"])
    clock = iter(range(1 << 60))  # a second passes whenever somebody looks
    budget = WeightBudget(clock=lambda: float(next(clock)), sleep=instantly)
    market = BinanceMarketData(settings, 1.3, budget=budget)
    start, left = now_ms // DAY_MS * DAY_MS - DAY_MS, list(pairs)
    spent = {"rows": 0.0, "lake_cpu_s": 0.0}

    async def work() -> None:
        while left:
            one = left.pop()
            began = time.process_time()
            known = lake.files(one)
            spent["lake_cpu_s"] += time.process_time() - began
            batches = [batch async for batch in market.fetch(one, start, now_ms, known)]
            began = time.process_time()
            spent["rows"] += lake.append(one, batches, "binance")
            spent["lake_cpu_s"] += time.process_time() - began

    began, wall = time.process_time(), time.monotonic()
    await market.server_time()
    await market.snapshot(now_ms)
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await market.aclose()
    return {**spent, "cpu_s": time.process_time() - began, "wall_s": time.monotonic() - wall}


def trading_on(world: WideWorld, nights: list[int]) -> list[Instrument]:
    """Pairs that trade on all these nights and were listed two days before the first; perpetuals first."""
    open_ids = set.intersection(
        *({one.id for one in world.at(now).instruments() if one.instrument.status == "TRADING"} for now in nights)
    )
    listed = [one.instrument for one in world.at(nights[0]).instruments() if one.id in open_ids]
    old = [one for one in listed if (one.listed_ms or 0) <= nights[0] - 2 * DAY_MS]
    return sorted(old, key=lambda one: one.contract_type != "PERPETUAL")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--nights", type=int, default=2, choices=range(2, DAYS - 1))
    wanted = parser.parse_args()
    world = wide_world(WideSpec(days=DAYS))
    last = world.now_ms // DAY_MS * DAY_MS + 2 * HOUR_MS - DAY_MS
    nights = [last - back * DAY_MS for back in reversed(range(wanted.nights))]
    pairs = trading_on(world, nights)[: wanted.pairs]
    report = []
    with tempfile.TemporaryDirectory() as folder:
        lake = DeltaLake(folder)
        for now_ms in nights:
            with exchange(now_ms) as urls:
                done = asyncio.run(night(urls, now_ms, pairs, lake))
            report.append({name: round(value, 2) for name, value in done.items()})
        size = lake.size()
    facts = {"cores": len(os.sched_getaffinity(0)), "load_average": round(os.getloadavg()[0], 1), "pairs": len(pairs)}
    print(json.dumps({**facts, "first_night": report[0], "updates": report[1:], "lake_bytes": size}, indent=2))
    return int(any(update["cpu_s"] > LIMIT_S_A_PAIR * len(pairs) for update in report[1:]))


if __name__ == "__main__":
    sys.exit(main())
