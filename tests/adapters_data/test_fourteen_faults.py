"""R14: fourteen ways an answer can go wrong, at the first, a middle and the last request of everything the client asks."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import polars as pl
import pytest
import stamina
from sizes import FULL

from huracan.adapters.binance import BinanceMarketData, WeightBudget, rest
from huracan.adapters.binance.http import HttpClient
from huracan.adapters.binance.rest import Rest
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import DataError
from huracan.settings import BinanceSettings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import ANSWER_FAULTS, Fault
from huracan.worlds.rest import settlement_jitter_ms
from huracan.worlds.wide import WideWorld, wide_world
from huracan.worlds.wide_listings import WideSpec

DEADLINES_S = (1.5,) if FULL else (1.5, 6.0, 24.0)
"""On a busy machine a good answer may take longer than the first, and then no fault is met: the next one is given."""
SLACK_S = 5.0
PHASES = ("first", "middle", "last")
REQUESTS = 3
CODES = {"UPSTREAM", "CHECKSUM", "SCHEMA"}
FUNDING_PAGE = 5

SPOT = Instrument(market="spot", symbol="BTCUSDT", base="BTC", quote="USDT")
UM = Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT", listed_ms=0)


@dataclass(frozen=True)
class Client:
    """What asks: the REST layer alone, and the whole market data client."""

    rest: Rest
    data: BinanceMarketData
    world: WideWorld


async def clock(client: Client) -> None:
    for _ in range(REQUESTS):
        assert await client.rest.server_time() == client.world.now_ms


def listing(market: str) -> Callable[[Client], Awaitable[None]]:
    async def ask(client: Client) -> None:
        ids = {item.id for item in client.world.instruments() if item.instrument.market == market}
        for _ in range(REQUESTS):
            instruments, quotes = await client.rest.listing(market)
            assert {one.id for one in instruments} == ids
            book = client.world.book(f"BTCUSDT-{market}")
            assert (quotes[f"BTCUSDT-{market}"].bid, quotes[f"BTCUSDT-{market}"].ask) == book[:2]

    return ask


def bars(instrument: Instrument, minutes: int) -> Callable[[Client], Awaitable[None]]:
    async def ask(client: Client) -> None:
        now = client.world.now_ms
        pages = [page async for page in client.rest.bars(instrument, now - minutes * MINUTE_MS, now, now)]
        assert len(pages) == REQUESTS
        assert same_bars(pl.concat(pages), client.world, instrument, now - minutes * MINUTE_MS, now)

    return ask


async def settlements(client: Client) -> None:
    known = client.world.funding(UM.id)["funding_time"].to_list()
    wanted = known[: FUNDING_PAGE * 2 + 1]
    pages = [page async for page in client.rest.funding(UM, wanted[0], wanted[-1] + 18)]
    assert len(pages) == REQUESTS
    times = pl.concat(pages)["funding_time"].to_list()
    assert times in (wanted, [time + settlement_jitter_ms(UM.symbol, time) for time in wanted])


async def all_settlements(client: Client) -> None:
    now = client.world.now_ms
    rows = pl.concat(
        client.world.funding(item.id).with_columns(symbol=pl.lit(item.instrument.symbol))
        for item in client.world.instruments()
        if item.instrument.market == "um"
    )
    wanted = rows.filter(pl.col("funding_time").is_between(now - 13 * HOUR_MS, now, closed="left"))
    assert wanted.height > (REQUESTS - 1) * FUNDING_PAGE
    found = await client.rest.all_funding(now - 13 * HOUR_MS, now)
    columns = ["symbol", "funding_time"]
    assert found.select(columns).sort(columns).equals(wanted.select(columns).sort(columns))


async def archive(client: Client) -> None:
    start = client.world.now_ms - REQUESTS * DAY_MS
    batches = [batch async for batch in client.data.fetch(UM, start, client.world.now_ms, {})]
    rows = pl.concat([batch.rows for batch in batches if batch.kind == "bars"])
    assert same_bars(rows, client.world, UM, start, client.world.now_ms)


async def lists(client: Client) -> None:
    for _ in range(REQUESTS):
        await archive(client)


def same_bars(rows: pl.DataFrame, world: WideWorld, instrument: Instrument, start: int, end: int) -> bool:
    truth = world.klines(instrument.id, start, end)
    return rows.select(pl.col(c).cast(t) for c, t in BAR_SCHEMA.items()).sort("open_time").equals(truth)


def is_in(path: str) -> Callable[[str], bool]:
    return lambda request: path in request


def is_daily_zip(request: str) -> bool:
    return "/daily/klines/" in request and request.endswith(".zip")


ENDPOINTS: dict[str, tuple[Callable[[str], bool], Callable[[Client], Awaitable[None]]]] = {
    "spot time": (is_in("/api/v3/time"), clock),
    "spot exchangeInfo": (is_in("/api/v3/exchangeInfo"), listing("spot")),
    "spot 24hr": (is_in("/api/v3/ticker/24hr"), listing("spot")),
    "spot bookTicker": (is_in("/api/v3/ticker/bookTicker"), listing("spot")),
    "spot klines": (is_in("/api/v3/klines"), bars(SPOT, 2100)),
    "um exchangeInfo": (is_in("/fapi/v1/exchangeInfo"), listing("um")),
    "um 24hr": (is_in("/fapi/v1/ticker/24hr"), listing("um")),
    "um bookTicker": (is_in("/fapi/v1/ticker/bookTicker"), listing("um")),
    "um klines": (is_in("/fapi/v1/klines"), bars(UM, 1100)),
    "um fundingRate": (is_in("/fapi/v1/fundingRate"), settlements),
    "um fundingRate of all": (is_in("/fapi/v1/fundingRate"), all_settlements),
    "archive checksum": (is_in(".zip.CHECKSUM"), archive),
    "archive zip": (is_daily_zip, archive),
    "archive listing": (is_in("/?prefix="), lists),
}


class OneFault:
    """A hook that spoils the matching requests from the `place`-th on, `times` of them."""

    def __init__(self, matches: Callable[[str], bool], kind: str, place: int, times: float) -> None:
        self.matches, self.fault, self.place, self.times = (
            matches,
            Fault(kind=kind, delay_s=30.0, pace_s=0.25),
            place,
            times,
        )
        self.seen = 0

    def __call__(self, request: str) -> Fault | None:
        if not self.matches(request):
            return None
        self.seen += 1
        return self.fault if self.place < self.seen <= self.place + self.times else None


@pytest.fixture(autouse=True)
def _real_waits(_no_backoff_waits):
    stamina.set_testing(False)


@pytest.fixture(scope="module")
def world() -> WideWorld:
    """Its kernels compiled: that would count against the first deadlines."""
    made = wide_world(WideSpec(symbols=40, days=4))
    made.klines(UM.id, 0, made.now_ms)
    made.funding(UM.id)
    return made


async def ends_well(world: WideWorld, endpoint: str, kind: str, phase: int, times: float) -> str:
    """How it ended: "right" data, or the code of one of our errors; anything else raises."""
    matches, ask = ENDPOINTS[endpoint]
    for deadline_s in DEADLINES_S:
        hook = OneFault(matches, kind, phase, times)
        ended = await ended_within(deadline_s, world, hook, ask)
        if hook.seen > phase:
            return ended
    raise AssertionError(f"the fault was never met; {hook.seen} requests, the last of which ended {ended}")


async def ended_within(
    deadline_s: float, world: WideWorld, hook: OneFault, ask: Callable[[Client], Awaitable[None]]
) -> str:
    exchange = await asyncio.to_thread(ReplayExchange, world, faults=hook)
    urls = exchange.urls
    settings = BinanceSettings(
        rest_url=urls["rest"],
        futures_url=urls["futures"],
        archive_url=urls["archive"],
        connect_timeout_s=deadline_s / 1.5,
        read_timeout_s=deadline_s / 1.5,
        total_timeout_s=deadline_s,
    )
    http, data = HttpClient(settings, WeightBudget()), BinanceMarketData(settings, 1.3)
    began = time.monotonic()
    try:
        async with asyncio.timeout(300):
            await ask(Client(Rest(http, settings, "1m", MINUTE_MS), data, world))
        ended = "right"
    except DataError as error:
        ended = error.code
    finally:
        took = time.monotonic() - began
        await http.aclose()
        await data.aclose()
        await asyncio.to_thread(exchange.close)
    assert took <= deadline_s + SLACK_S or not FULL, took  # seconds are judged on a quiet machine
    return ended


AT_ONCE = 12


def cases() -> list[tuple[str, str, int, float]]:
    """All of them at full size; else every fault at every endpoint once, the phases and durations taking turns."""
    every = itertools.product(ENDPOINTS, ANSWER_FAULTS, range(len(PHASES)), (1, float("inf")))
    if FULL:
        return list(every)
    return [
        (endpoint, kind, (e + k) % 3, 1 if (e + k) % 2 else float("inf"))
        for (e, endpoint), (k, kind) in itertools.product(enumerate(ENDPOINTS), enumerate(ANSWER_FAULTS))
    ]


@pytest.mark.slow
@pytest.mark.guarantee("R14")
async def test_every_fault_at_every_place_ends_within_the_deadline_and_never_in_wrong_data(world, counted, monkeypatch):
    monkeypatch.setattr(rest, "FUNDING_PAGE", FUNDING_PAGE)
    gate, wrong = asyncio.Semaphore(AT_ONCE), []

    async def check(case):
        async with gate:
            try:
                ended = await ends_well(world, *case)
            except Exception as error:
                wrong.append((*case, repr(error)))
                return
        counted()
        if ended != "right" and ended not in CODES:
            wrong.append((*case, ended))
        if case[3] > 1 and ended == "right":
            wrong.append((*case, "a fault that lasts was not noticed"))

    await asyncio.gather(*(check(case) for case in cases()))
    assert wrong == []
    assert len(ANSWER_FAULTS) == 14


@pytest.mark.slow
async def test_without_a_fault_every_endpoint_gives_right_data(world, monkeypatch):
    monkeypatch.setattr(rest, "FUNDING_PAGE", FUNDING_PAGE)
    for endpoint in ENDPOINTS:
        assert await ends_well(world, endpoint, "html", 0, 0) == "right"
