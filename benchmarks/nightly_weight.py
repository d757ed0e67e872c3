"""What a nightly update takes of the exchange's limits: `python benchmarks/nightly_weight.py [pairs]`.

Two nights over the same pairs (2,000 unless given: every perpetual that trades, then spot pairs) of a simulated market
of ten thousand symbols, with the true weights enforced. The first night fills an empty lake with the day before; the
second one, a day later, is the update that is reported: with yesterday's archive files out, before they are, and as it
was when every perpetual's settlements were asked for alone.

The clock is simulated and shared by exchange and client: requests take no time, only waiting for the budget does. So
the minutes say what the limits cost, not how fast a network is.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import polars as pl

from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.ports import FetchedFile, KnownSettlements
from huracan.settings import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault, FaultHook
from huracan.worlds.limits import LIMITS
from huracan.worlds.wide import WideWorld, wide_world
from huracan.worlds.wide_listings import WideSpec

PAIRS = 2_000
AT_ONCE = 16
NIGHT_MS = 2 * HOUR_MS
"""Nights begin this long after midnight."""

Known = dict[str, dict[str, FetchedFile]]


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


@dataclass(frozen=True)
class Night:
    """What one night took."""

    rows: int
    minutes: float
    real_s: float
    spent: dict[str, int]
    requests: int
    refused: int


def main() -> None:
    """Run both nights and print them."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    world = wide_world(WideSpec(days=5))
    first, second = world.at(world.now_ms - 2 * DAY_MS + NIGHT_MS), world.at(world.now_ms - DAY_MS + NIGHT_MS)
    chosen = choose(first, pairs)
    known: Known = {one.id: {} for one in chosen}
    asyncio.run(night(first, chosen, known, keep=True))
    late = hidden(second)
    for name, hook, together in (
        ("with yesterday's files", None, True),
        ("before yesterday's files are out", late, True),
        ("before they are out, settlements pair by pair", late, False),
    ):
        report(name, len(chosen), asyncio.run(night(second, chosen, known, hook=hook, together=together)))


def told(shared: pl.DataFrame, one: Instrument, start_ms: int) -> KnownSettlements:
    """What a pair's job is told of its settlements."""
    own = shared.filter(pl.col("symbol") == one.symbol).drop("symbol")
    stored = (
        (own["funding_time"][0],) * 2 if own.height else None
    )  # the lake has the first of them from the night before
    return KnownSettlements(stored=stored, since_ms=start_ms, rows=own if own.height else None)


def choose(world: WideWorld, pairs: int) -> list[Instrument]:
    """Instruments that trade throughout: perpetuals first."""
    days = [one.instrument for one in world.instruments() if one.instrument.status == "TRADING"]
    full = [one for one in days if (one.listed_ms or 0) <= world.now_ms - 2 * DAY_MS]
    return sorted(full, key=lambda one: one.contract_type != "PERPETUAL")[:pairs]


def hidden(world: WideWorld) -> FaultHook:
    """Answers 404 for every file of the day before."""
    day = time.strftime("%Y-%m-%d", time.gmtime((world.now_ms - DAY_MS) / 1000))
    return lambda request: Fault(status=404) if f"{day}.zip" in request else None


async def night(
    world: WideWorld,
    chosen: list[Instrument],
    known: Known,
    *,
    keep: bool = False,
    hook: FaultHook | None = None,
    together: bool = True,
) -> Night:
    """Snapshot, then every pair's bars and settlements since the day before; settlements for all `together`, or one by
    one.
    """
    clock, began = Clock(), time.perf_counter()
    start = world.now_ms // DAY_MS * DAY_MS - DAY_MS
    rows, left = 0, list(chosen)
    requests = 0

    def count(request: str) -> Fault | None:
        nonlocal requests
        requests += 1
        return None if hook is None else hook(request)

    with ReplayExchange(world, enforce_weights=True, clock=clock, faults=count) as exchange:
        urls = exchange.urls
        settings = BinanceSettings(rest_url=urls["rest"], futures_url=urls["futures"], archive_url=urls["archive"])
        budget = WeightBudget(clock=clock, sleep=clock.sleep)
        client = BinanceMarketData(settings, 1.3, budget=budget)

        async def work() -> None:
            nonlocal rows
            while left:
                one = left.pop()
                settled = None if shared is None else told(shared, one, start)
                async for batch in client.fetch(one, start, world.now_ms, known[one.id], settled):
                    rows += batch.rows.height
                    if keep and batch.file is not None:
                        known[one.id][batch.file.name] = batch.file

        await client.server_time()
        await client.snapshot(world.now_ms)
        shared = await client.recent_settlements(start, world.now_ms) if together else None
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await client.aclose()
        limits = exchange.limits
        return Night(
            rows=rows,
            minutes=(clock.now - 1_000_000.0) / 60.0,
            real_s=time.perf_counter() - began,
            spent={window: limits.spent[window] for window in ("spot", "um", "um-funding")},
            requests=requests,
            refused=limits.refused.total(),
        )


def report(name: str, pairs: int, done: Night) -> None:
    """One night, as shares of what the exchange allows in an hour."""
    print(f"{pairs} pairs, {name}: {done.rows} rows in {done.requests} requests, {done.refused} refused")
    for window, used in done.spent.items():
        limit, seconds = LIMITS[window]  # type: ignore[index]
        hour = limit * 3600.0 / seconds
        print(f"  {window:10s} {used:6d} used = {used / limit:5.2f} windows of {limit} = {used / hour:6.1%} of an hour")
    print(f"  simulated {done.minutes:.1f} minutes of waiting for the budget; really {done.real_s:.0f} s")


if __name__ == "__main__":
    main()
