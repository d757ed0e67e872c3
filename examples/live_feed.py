"""Live bars for a trading loop: forty days of history once, then only what is new."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import polars as pl

from huracan.adapters.binance import BinanceMarketData
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, empty
from huracan.domain.time import DAY_MS
from huracan.errors import DataError
from huracan.hamilton import instrument_of

HISTORY_MS = 40 * DAY_MS
FETCHES_AT_ONCE = 4


class Feed:
    """Raw bars and settlements of the last forty days, by instrument id; only what is new is fetched."""

    def __init__(self, market: BinanceMarketData, interval_ms: int) -> None:
        self.market, self.interval_ms = market, interval_ms
        self.bars: dict[str, pl.DataFrame] = {}
        self.funding: dict[str, pl.DataFrame] = {}
        self.free = asyncio.Semaphore(FETCHES_AT_ONCE)

    async def update(self, names: Iterable[str], until_ms: int) -> None:
        """Bring these instruments up to a time; one that cannot be had keeps its old bars, and is stale then."""
        await asyncio.gather(*(self._update(name, until_ms) for name in sorted(set(names))))

    async def _update(self, name: str, until_ms: int) -> None:
        bars, funding = self.bars.get(name, empty(BAR_SCHEMA)), self.funding.get(name, empty(FUNDING_SCHEMA))
        since = until_ms - HISTORY_MS if bars.is_empty() else int(bars["open_time"][-1]) + self.interval_ms
        parts: dict[str, list[pl.DataFrame]] = {"bars": [bars], "funding": [funding]}
        async with self.free:
            with suppress(DataError):
                async for batch in self.market.fetch(instrument_of(name), since, until_ms + 1, {}):
                    parts[batch.kind].append(batch.rows)
        self.bars[name] = _joined(parts["bars"], "open_time", until_ms - 1)
        self.funding[name] = _joined(parts["funding"], "funding_time", until_ms)

    def price(self, name: str) -> float | None:
        """The last close."""
        bars = self.bars.get(name)
        return None if bars is None or bars.is_empty() else float(bars["close"][-1])

    def funding_after(self, name: str, after_ms: int) -> tuple[float, int]:
        """What a long paid after a time, as a fraction of notional, and when the last of it was settled."""
        settled = self.funding[name].filter(pl.col("funding_time") > after_ms)
        last = after_ms if settled.is_empty() else int(settled["funding_time"][-1])
        return float(settled["rate"].sum()), last


def _joined(parts: list[pl.DataFrame], time: str, until_ms: int) -> pl.DataFrame:
    rows = pl.concat(parts).unique(time, keep="last").sort(time)
    return rows.filter(pl.col(time).is_between(until_ms - HISTORY_MS, until_ms))
