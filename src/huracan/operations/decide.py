"""One decision now: bars from the lake as far as they go, the rest from the exchange, then Hamilton's answer to
them.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from huracan.adapters.endpoints import loopback_endpoint
from huracan.adapters.lake import DeltaLake
from huracan.adapters.lake_table import HeldRows
from huracan.app.exchange import AdapterPlaces, adapter_places, market_data
from huracan.domain.bundle import Manifest
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, LONGEST_FUNDING_MS, MarketContext, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, Horizon, iso
from huracan.errors import ConfigError, DataError
from huracan.hamilton import HamiltonInterface, LiveInputs, PredictionResult, instrument_of, market_context
from huracan.hamilton.live import HISTORY_DAYS
from huracan.operations.hour_context import HourContext, context_key, read_context, write_context
from huracan.settings import Settings

if TYPE_CHECKING:
    from huracan.adapters.binance import BinanceMarketData

REST_ALONE_MS: Final = 3 * DAY_MS
"""A gap up to this length is asked of REST; of a longer one the archive has most in a few files."""
AT_ONCE: Final = 4


@dataclass(slots=True)
class Moment:
    """The time that decides: given, else the exchange's. Hamilton reads it as its clock."""

    now_ms: int = 0
    read_at: float = 0.0
    stands: bool = True

    def set(self, now_ms: int, *, stands: bool = False) -> None:
        """Take a time, which goes on unless it `stands`."""
        self.now_ms, self.read_at, self.stands = now_ms, time.monotonic(), stands

    def __call__(self) -> int:
        """Now, ms UTC."""
        return self.now_ms if self.stands else self.now_ms + int((time.monotonic() - self.read_at) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A prediction, when it was made and until when it holds (ms UTC), and what it rests on.

    `holds_until_ms` is the next decision time; a position that is entered on it is held until `exit_ms`. `stored` and
    `fetched` count bars by where they came from, `doubts` say what could not be had,
    and where the model has learned from what came after the moment.
    """

    prediction: PredictionResult
    instrument: str
    decision_ms: int
    holds_until_ms: int
    exit_ms: int
    stored: int
    fetched: int
    doubts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Rows:
    """What is known of one instrument."""

    bars: pl.DataFrame
    funding: pl.DataFrame
    fetched: int = 0


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """The exchange's client, made when it is first asked: a lake that reaches up to the moment needs none."""

    places: AdapterPlaces
    opened: "BinanceMarketData | None" = None

    @property
    def client(self) -> "BinanceMarketData":
        """The client; raises ConfigError for an address or a proxy that cannot be used."""
        if self.opened is None:
            import stamina.instrumentation

            stamina.instrumentation.set_on_retry_hooks(())  # they would print to stdout, which belongs to the result
            self.opened = market_data(self.places)
        return self.opened

    async def aclose(self) -> None:
        """Close it where it was made."""
        if self.opened is not None:
            await self.opened.aclose()


@dataclass(slots=True, kw_only=True)
class _Feed:
    """Rows of instruments before a moment: those of the lake, and from the exchange what the lake lacks.

    A settlement at the very moment is left out, as the night leaves it out: whether it is published in time is luck.
    """

    lake: DeltaLake
    exchange: _Exchange
    interval_ms: int
    doubts: list[str] = field(default_factory=list)

    async def held(self, names: Iterable[str], until_ms: int) -> dict[str, HeldRows | None]:
        """What the lake holds of the last forty days, as checked bytes; None, and a doubt, where it is damaged."""
        wanted = list(names)
        found = await asyncio.gather(*(asyncio.to_thread(self._held, instrument_of(name), until_ms) for name in wanted))
        return dict(zip(wanted, found, strict=True))

    async def stored(self, held: Mapping[str, HeldRows | None], until_ms: int, own: str) -> dict[str, _Rows]:
        """The rows of these bytes, and of the `own` instrument the settlements beside them."""
        parsed = (
            asyncio.to_thread(self._stored, instrument_of(name), rows, until_ms, funding=name == own)
            for name, rows in held.items()
        )
        return dict(zip(held, await asyncio.gather(*parsed), strict=True))

    def _held(self, item: Instrument, until_ms: int) -> HeldRows | None:
        try:
            return self.lake.held_bars(item, until_ms - HISTORY_DAYS * DAY_MS, until_ms)
        except DataError as error:
            self._left_out(item, error)
            return None

    def _stored(self, item: Instrument, held: HeldRows | None, until_ms: int, *, funding: bool) -> _Rows:
        settled = empty(FUNDING_SCHEMA)
        try:
            if held is not None and funding and item.market == "um":
                settled = self.lake.funding(item, until_ms - HISTORY_DAYS * DAY_MS, until_ms)
            return _Rows(bars=empty(BAR_SCHEMA) if held is None else held.frame(), funding=settled)
        except DataError as error:
            self._left_out(item, error)
            return _Rows(bars=empty(BAR_SCHEMA), funding=empty(FUNDING_SCHEMA))

    def _left_out(self, item: Instrument, error: DataError) -> None:
        self.doubts.append(
            f"{item.id}: the lake's rows are left out ({error.code}), `huracan lake fill --verify` mends them"
        )

    def reaches(self, newest_ms: int | None, until_ms: int) -> bool:
        """Whether bars whose newest opened then are all that there were at the moment."""
        return newest_ms is not None and newest_ms >= until_ms - self.interval_ms

    def fresh(self, item: Instrument, rows: _Rows, until_ms: int, *, funding: bool) -> bool:
        """Whether nothing is missing that was there at the moment."""
        whole = self.reaches(_newest(rows.bars), until_ms)
        return whole and (item.market == "spot" or not funding or _settled_to(rows.funding) >= until_ms)

    async def completed(self, name: str, rows: _Rows, until_ms: int, *, funding: bool) -> _Rows:
        """The rows with what the lake lacks; raises DataError where the exchange does not give it."""
        item = instrument_of(name)
        if self.fresh(item, rows, until_ms, funding=funding):
            return rows
        since = until_ms - HISTORY_DAYS * DAY_MS
        start = since if rows.bars.is_empty() else int(rows.bars["open_time"][-1]) + self.interval_ms
        parts: dict[str, list[pl.DataFrame]] = {"bars": [rows.bars], "funding": [rows.funding]}
        if until_ms - start > REST_ALONE_MS:
            async for batch in self.exchange.client.fetch(item, start, until_ms, {}):
                parts[batch.kind].append(batch.rows)
        elif start < until_ms:
            parts["bars"].append(await self.exchange.client.rest_bars(item, start, until_ms))
        if item.market == "um" and funding:
            asked = since if rows.funding.is_empty() else int(rows.funding["funding_time"][-1]) + 1
            parts["funding"].append(await self.exchange.client.rest_funding(item, asked, until_ms))
        bars = _joined(parts["bars"], "open_time", since, until_ms - 1)
        return _Rows(
            bars=bars,
            funding=_joined(parts["funding"], "funding_time", since, until_ms - 1),
            fetched=bars.height - rows.bars.height,
        )


async def decide(
    hamilton: HamiltonInterface,
    moment: Moment,
    coin: str,
    horizon: str,
    *,
    settings: Settings,
    workdir: Path,
    at_ms: int | None = None,
) -> Decision:
    """The decision of the newest decision time at or before `at_ms`, or before now.

    The lake is the workdir's, or that of `storage.lake_url`. Where it reaches up to the moment nothing is asked of the
    exchange. Raises ModelLoadError without a champion, ConfigError for a moment in the future, DataError where bars
    cannot be had.
    """
    inputs = hamilton.live_inputs()
    interval = str(Horizon(inputs.interval_ms // MINUTE_MS))
    places = adapter_places(settings, workdir) | {"interval": interval}
    place = f"{settings.storage.lake_url or workdir / 'lake'}/{interval}"
    lake = DeltaLake(place, allow_http=loopback_endpoint(os.environ))
    exchange = _Exchange(places=places)
    feed = _Feed(lake=lake, exchange=exchange, interval_ms=inputs.interval_ms)
    try:
        opened = asyncio.to_thread(hamilton.manifest, coin, horizon)  # verified and tried out while the lake is read
        made_of = await _made_of(feed, moment, opened, inputs, at_ms)
    finally:
        await exchange.aclose()
    known_ms = hamilton.manifest(coin, horizon).data_cutoff_ms
    name, until_ms, own = made_of.name, made_of.until_ms, made_of.rows[made_of.name]
    if until_ms < known_ms:
        feed.doubts.append(f"the model has learned from data up to {iso(known_ms)}: this is no test of that moment")
    context = made_of.context(inputs)
    prediction = hamilton.predict_bars(coin, horizon, own.bars, context, until_ms, funding=own.funding)
    return Decision(
        prediction=prediction,
        instrument=name,
        decision_ms=until_ms,
        holds_until_ms=until_ms + inputs.decision_ms,
        exit_ms=until_ms + Horizon.parse(prediction.horizon).ms,
        stored=made_of.stored,
        fetched=sum(item.fetched for item in made_of.rows.values()),
        doubts=tuple(feed.doubts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeOf:
    """What a decision is made of: the instrument, the decision time, and rows of the instrument and of the market.

    Where the market context of the hour is `kept`, the rows are those of the instrument alone. `key` is the one under
    which it may be kept. There is none where anything was fetched or left out.
    """

    name: str
    until_ms: int
    rows: Mapping[str, _Rows]
    kept: HourContext | None = None
    key: str | None = None

    @property
    def stored(self) -> int:
        """Bars from the lake."""
        rows = {name: item.bars.height - item.fetched for name, item in self.rows.items()}
        return sum((rows if self.kept is None else {**rows, **self.kept.bars}).values())

    def context(self, inputs: LiveInputs) -> MarketContext:
        """The market context; one that is made anew of stored rows alone is kept for the other coins of the hour."""
        if self.kept is not None:
            return self.kept.context
        bars = {name: self.rows[name].bars for name in inputs.context.values()}
        context = market_context({coin: bars[name] for coin, name in inputs.context.items()}, inputs, self.until_ms)
        if self.key is not None:
            counts = {name: frame.height for name, frame in bars.items()}
            newest = {name: int(frame["open_time"][-1]) for name, frame in bars.items()}
            write_context(self.key, HourContext(context=context, bars=counts, newest_ms=newest), os.environ)
        return context


async def _made_of(
    feed: _Feed, moment: Moment, opened: Awaitable[Manifest], inputs: LiveInputs, at_ms: int | None
) -> _MadeOf:
    """The instrument, the decision time, and the rows of the instrument and of the market."""
    here = time.time_ns() // MINUTE_MS // 1_000_000 * MINUTE_MS if at_ms is None else at_ms
    until_ms = here // inputs.decision_ms * inputs.decision_ms
    manifest, held = await asyncio.gather(opened, feed.held(sorted({*inputs.context.values()}), until_ms))
    own, key = manifest.instrument, _key(inputs, until_ms, held)
    if own not in held:
        held |= await feed.held([own], until_ms)
    moment.set(here, stands=at_ms is not None)
    kept = None if key is None else read_context(key, os.environ)
    if kept is not None and all(feed.reaches(newest, until_ms) for newest in kept.newest_ms.values()):
        mine = await feed.stored({own: held[own]}, until_ms, own)
        if feed.fresh(instrument_of(own), mine[own], until_ms, funding=True):
            return _MadeOf(name=own, until_ms=until_ms, rows=mine, kept=kept)
    stored = await feed.stored(held, until_ms, own)
    if all(feed.fresh(instrument_of(name), rows, until_ms, funding=name == own) for name, rows in stored.items()):
        return _MadeOf(name=own, until_ms=until_ms, rows=stored, key=key)
    now = await feed.exchange.client.server_time()
    if at_ms is not None and at_ms > now:
        raise ConfigError(f"--at {iso(at_ms)} lies in the future: the exchange's clock says {iso(now)}")
    if at_ms is None:
        moment.set(now)
        if now // inputs.decision_ms * inputs.decision_ms != until_ms:
            until_ms = now // inputs.decision_ms * inputs.decision_ms
            stored = await feed.stored(await feed.held(stored, until_ms), until_ms, own)
    free = asyncio.Semaphore(AT_ONCE)
    tasks = (_completed(feed, free, name, rows, until_ms=until_ms, own=own) for name, rows in stored.items())
    completed = dict(zip(stored, await asyncio.gather(*tasks), strict=True))
    return _MadeOf(name=own, until_ms=until_ms, rows=completed)


def _key(inputs: LiveInputs, until_ms: int, held: Mapping[str, HeldRows | None]) -> str | None:
    """The key of the market context that these bytes make; None where some are left out."""
    digests = {name: rows.digest for name, rows in held.items() if rows is not None}
    return context_key(inputs, until_ms, digests) if len(digests) == len(held) else None


def _newest(bars: pl.DataFrame) -> int | None:
    return None if bars.is_empty() else int(bars["open_time"][-1])


async def _completed(feed: _Feed, free: asyncio.Semaphore, name: str, rows: _Rows, *, until_ms: int, own: str) -> _Rows:
    """As `_Feed.completed`; a member of the market that cannot be had keeps its old rows, and that is said."""
    async with free:
        try:
            return await feed.completed(name, rows, until_ms, funding=name == own)
        except DataError as error:
            if name == own:
                raise
            feed.doubts.append(f"{name}, of the market context, is not up to date ({error.code})")
            return rows


def _settled_to(funding: pl.DataFrame) -> int:
    """The moment of the next settlement after those that are known; 0 where that is not known."""
    if funding.height < 2:
        return 0
    last, before = int(funding["funding_time"][-1]), int(funding["funding_time"][-2])
    return last + min(last - before, LONGEST_FUNDING_MS)


def _joined(parts: list[pl.DataFrame], column: str, since: int, until: int) -> pl.DataFrame:
    rows = pl.concat(parts).unique(column, keep="last").sort(column)
    return rows.filter(pl.col(column).is_between(since, until))


def as_record(made: Decision) -> Mapping[str, object]:
    """The decision as JSON has it: the prediction's own fields, and beside them those of the moment."""
    own = asdict(made)
    own.pop("prediction")
    return {**asdict(made.prediction), **own}
