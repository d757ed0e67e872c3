"""R13: with the exchange's true weights nobody is ever told to slow down, and after a 418 nobody says a word."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import AsyncExitStack

import pytest
from simulated_clock import SimulatedClock
from sizes import size

from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.domain.time import HOUR_MS
from huracan.errors import BannedError
from huracan.settings import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Change, Fault
from huracan.worlds.limits import LIMITS
from huracan.worlds.wide import wide_world
from huracan.worlds.wide_listings import WideSpec

pytestmark = pytest.mark.slow

WORKERS = 4
AT_ONCE = size(1, 4)
"""Requests that a worker has under way. What is under way as the clock moves on counts in the next window: few against
the limits of this size, or they are exceeded by the simulation alone.
"""
SYMBOLS = size(400, 10_000)
SCALED = {window: (limit * SYMBOLS // 10_000, seconds) for window, (limit, seconds) in LIMITS.items()}
"""True limits at ten thousand symbols; a smaller market gets its share of them, so that they bind as much."""

CLIENT_LIMITS = {window: SCALED[window] for window in ("spot", "um", "um-funding")}


class Log:
    """A fault hook that remembers when which request came, and may ban at one of them."""

    def __init__(self, clock, ban_at=None, ban_s=300.0) -> None:
        self.clock, self.ban_at, self.ban_s = clock, ban_at, ban_s
        self.requests: list[tuple[float, str]] = []

    def __call__(self, request):
        self.requests.append((self.clock(), request))
        if len(self.requests) == self.ban_at:
            return Fault(changes=(Change(kind="ban", seconds=self.ban_s),))
        return None


def settings(exchange) -> BinanceSettings:
    urls = exchange.urls
    return BinanceSettings(rest_url=urls["rest"], futures_url=urls["futures"], archive_url=urls["archive"])


def budget_of(clock, file) -> WeightBudget:
    return WeightBudget(CLIENT_LIMITS, file=file, scope="one", clock=clock, sleep=clock.sleep)


@pytest.fixture(scope="module")
def market():
    """A few hours into a day, so that a night has a file of yesterday and pages of today to read."""
    world = wide_world(WideSpec(symbols=SYMBOLS, days=3))
    return world.at(world.now_ms - 21 * HOUR_MS)


async def workers(stack, exchange, clock, file):
    """Clients that know of each other by the budget's file alone."""
    clients = [BinanceMarketData(settings(exchange), 1.3, budget=budget_of(clock, file)) for _ in range(WORKERS)]
    for client in clients:
        stack.push_async_callback(client.aclose)
    return clients


async def night(clients, start_ms, end_ms):
    """Everything that is listed, fetched by all workers together; rows by instrument, and the first error."""
    instruments = list((await clients[0].snapshot(end_ms)).instruments)
    rows = {}

    async def work(client):
        while instruments:
            instrument = instruments.pop()
            batches = [batch async for batch in client.fetch(instrument, start_ms, end_ms, {})]
            rows[instrument.id] = sum(batch.rows.height for batch in batches if batch.kind == "bars")

    results = await asyncio.gather(
        *(work(client) for client in clients for _ in range(AT_ONCE)), return_exceptions=True
    )
    return rows, next((result for result in results if isinstance(result, BaseException)), None)


@pytest.mark.guarantee("R13")
async def test_a_night_over_every_symbol_is_never_told_to_slow_down(market, tmp_path, counted):
    clock = SimulatedClock()
    start = market.now_ms - market.now_ms % (24 * HOUR_MS) - 24 * HOUR_MS
    with ReplayExchange(market, enforce_weights=True, clock=clock, ip_limits=SCALED) as exchange:
        async with AsyncExitStack() as stack:
            clients = await workers(stack, exchange, clock, tmp_path / "budget.sqlite")
            rows, error = await night(clients, start, market.now_ms)
        assert error is None
        assert exchange.limits.refused.total() == 0
        peak = {window: exchange.limits.peak[window] / SCALED[window][0] for window in CLIENT_LIMITS}
    assert len(rows) == len(market.instruments())
    for item in market.instruments():
        wanted = market.klines(item.id, start, market.now_ms).height
        assert rows[item.id] == wanted, item.id
    assert max(peak.values()) <= 1.0
    assert peak["um-funding"] > 0.5  # the limits did bind
    counted(len(rows))


@pytest.mark.guarantee("R13")
async def test_after_a_418_there_is_silence_until_it_ends_also_after_a_restart(market, tmp_path, counted):
    clock, file = SimulatedClock(), tmp_path / "budget.sqlite"
    log = Log(clock, ban_at=SYMBOLS // 2)
    start = market.now_ms - 3 * HOUR_MS
    with ReplayExchange(market, enforce_weights=True, clock=clock, ip_limits=SCALED, faults=log) as exchange:
        async with AsyncExitStack() as stack:
            clients = await workers(stack, exchange, clock, file)
            _, error = await night(clients, start, market.now_ms)
            assert isinstance(error, BannedError)
            in_flight = len(log.requests) - log.ban_at
            assert in_flight <= WORKERS * AT_ONCE  # had left before the first 418 arrived
            told = len(log.requests)
            for client in clients:
                with pytest.raises(BannedError):
                    await client.snapshot(market.now_ms)
        ends = error.until_ms / 1000
        for moment in (clock.now, (clock.now + ends) / 2, ends - 0.002):
            clock.now = moment
            async with AsyncExitStack() as stack:
                restarted = await workers(stack, exchange, clock, file)
                _, again = await refused_night(restarted, market)
                assert isinstance(again, BannedError)
                assert again.until_ms == error.until_ms
                counted(len(restarted))
        assert len(log.requests) == told
        assert exchange.limits.refused[418] == in_flight + 1
        clock.now = ends + 1.0
        async with AsyncExitStack() as stack:
            after = await workers(stack, exchange, clock, file)
            assert await after[0].server_time() == market.now_ms
        assert exchange.limits.refused[418] == in_flight + 1


async def refused_night(clients, market):
    try:
        return await night(clients, market.now_ms - HOUR_MS, market.now_ms)
    except BannedError as error:
        return {}, error


SPENDER = """
import asyncio, json, sys
from pathlib import Path
from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.errors import BannedError
from huracan.settings import BinanceSettings

async def main(url, file, requests):
    budget = WeightBudget({"spot": (40, 1.0)}, file=Path(file), scope="one")
    client = BinanceMarketData(BinanceSettings(rest_url=url, futures_url=url, archive_url=url), 1.3, budget=budget)
    answered = refused = 0
    for _ in range(int(requests)):
        try:
            await client.server_time()
            answered += 1
        except BannedError:
            refused += 1
    await client.aclose()
    print(json.dumps([answered, refused]))

asyncio.run(main(*sys.argv[1:]))
"""


def processes(exchange, file, count, requests):
    line = [sys.executable, "-c", SPENDER, exchange.urls["rest"], str(file), str(requests)]
    running = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [tuple(json.loads(process.communicate(timeout=120)[0])) for process in running]


@pytest.mark.guarantee("R13")
def test_real_processes_share_one_budget_and_one_ban(market, tmp_path, counted):
    """In real time, with windows of one second instead of a minute: processes cannot share a simulated clock."""
    file, each, ban_s = tmp_path / "budget.sqlite", size(50, 400), 20.0
    log = Log(time.time)
    limits = {**LIMITS, "spot": (40, 1.0)}
    with ReplayExchange(market, enforce_weights=True, clock=time.time, ip_limits=limits, faults=log) as exchange:
        assert processes(exchange, file, 3, each) == [(each, 0)] * 3
        assert exchange.limits.refused.total() == 0
        log.ban_at, log.ban_s = len(log.requests) + each, ban_s
        ended = processes(exchange, file, 3, each)
        assert sum(answered for answered, _ in ended) == each - 1
        told = len(log.requests)
        assert told <= log.ban_at + 2
        assert processes(exchange, file, 2, each) == [(0, each)] * 2  # started inside the ban
        assert len(log.requests) == told
        counted(8)
