"""A market of ten thousand symbols that costs nothing to keep: `wide_world(WideSpec())` is a MarketSource.

Every bar is computed when asked for, from its place alone, so start-up and memory do not depend on how much is listed.
It is for clients, limits and listings, not for models: every bar trades, coins move alone, and nothing is planted.
"""

import threading
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Self

import numpy as np
import polars as pl

from huracan.domain.arrays import F64
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, iso
from huracan.errors import ConfigError
from huracan.worlds.noise import uniforms, wide_bars
from huracan.worlds.process import FUNDING_BPS, FUNDING_LIMIT_BPS
from huracan.worlds.source import NO_DELIVERY_MS, Book, Day, ListedInstrument, known_at
from huracan.worlds.spec import SPARE_DAYS, START_MS
from huracan.worlds.wide_listings import WideListing, WideSpec, wide_listings

LOT_QUOTE: Final = 400.0
PEG_BPS: Final = 5.0
"""A pegged coin stays within this of its peg."""


def wide_world(spec: WideSpec) -> "WideWorld":
    """The market of a spec, at its end."""
    return WideWorld(spec=spec, now_ms=spec.now_ms, catalogue=_Catalogue(wide_listings(spec)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WideWorld:
    """A wide market as known at `now_ms`."""

    spec: WideSpec
    now_ms: int
    catalogue: "_Catalogue" = field(repr=False, compare=False)

    @property
    def last_ms(self) -> int:
        """End of the spare days."""
        return self.spec.now_ms + SPARE_DAYS * DAY_MS

    def at(self, now_ms: int) -> Self:
        """The same market at another moment of its span."""
        if not START_MS < now_ms <= self.last_ms:
            message = f"the wide world spans {iso(START_MS)} to {iso(self.last_ms)}, now {iso(now_ms)} is outside"
            raise ConfigError(message)
        return replace(self, now_ms=now_ms)

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """Everything listed until now, announced contracts included; the same object until something changes."""
        return self.catalogue.at(self.now_ms)

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """Bars with start <= open_time < min(end, now); a running bar shows its open only."""
        first, n, values = self._bars(id, start_ms, end_ms)
        times = START_MS + MINUTE_MS * np.arange(first, first + n, dtype=np.int64)
        columns = dict(zip(tuple(BAR_SCHEMA)[1:], values, strict=True))
        return known_at(pl.DataFrame({"open_time": times, **columns}), self.now_ms, MINUTE_MS)

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Settlements before now, on the hour; the first interval has no predecessor to be measured from."""
        listing = self.catalogue.listings[id]
        if listing.funding_hours is None:
            return pl.DataFrame(schema=FUNDING_SCHEMA)
        step = listing.funding_hours * HOUR_MS
        first = (listing.listed_ms - START_MS) // step + 1
        n = max(-(-(min(self.now_ms, listing.last_ms or self.now_ms) - START_MS) // step) - first, 0)
        noise = 2.0 * uniforms(np.uint64(listing.key + 1), first, n) - 1.0
        part = listing.funding_hours / 8.0
        bps = np.clip(FUNDING_BPS + 2.0 * noise, -FUNDING_LIMIT_BPS, FUNDING_LIMIT_BPS) * part
        hours = np.full(n, float(listing.funding_hours))
        hours[:1] = np.nan
        frame = pl.DataFrame(
            {
                "funding_time": START_MS + step * np.arange(first, first + n, dtype=np.int64),
                "rate": np.round(bps * 1e4) / 1e8,
                "interval_hours": hours,
            },
            schema=FUNDING_SCHEMA,
        )
        return frame.with_columns(pl.col("interval_hours").fill_nan(None))

    def book(self, id: str) -> Book | None:  # noqa: A002
        """Quotes around the last close, as wide as the listing's spread; None for a symbol that does not trade."""
        listing = self.catalogue.listings[id]
        minute = self.now_ms // MINUTE_MS * MINUTE_MS
        _, n, values = self._bars(id, minute - MINUTE_MS, minute)
        if n == 0:
            return None
        close, scale = float(values[3, 0]), 10.0**listing.decimals
        half = max(0.5e-4 * listing.spread_bps * close, 0.5 / scale)
        quantity = max(float(round(listing.volume_day_quote / 2e4 / close, 1)), 1.0)
        return round((close - half) * scale) / scale, round((close + half) * scale) / scale, quantity, quantity

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The 24 hours before now; the bar that is running counts for nothing yet."""
        minute = self.now_ms // MINUTE_MS * MINUTE_MS
        _, n, values = self._bars(id, minute - DAY_MS, minute)
        if n == 0:
            return None
        return Day(
            open=float(values[0, 0]),
            high=float(values[1].max()),
            low=float(values[2].min()),
            last=float(values[3, -1]),
            previous=float(values[0, 0]),
            volume=float(values[4].sum()),
            quote_volume=round(float(values[5].sum()), 8),
            trades=int(values[6].sum()),
        )

    def stress_table(self) -> None:
        """None: this market has no declared worst day."""

    def _bars(self, id_: str, start_ms: int, end_ms: int) -> tuple[int, int, F64]:
        """(first minute, count, values (9, count)) of the bars that exist and have begun."""
        listing = self.catalogue.listings[id_]
        low = max(start_ms, listing.listed_ms)
        high = min(end_ms, self.now_ms, listing.last_ms or self.now_ms)
        first = -(-(low - START_MS) // MINUTE_MS)
        n = max(-(-(high - START_MS) // MINUTE_MS) - first, 0)
        trades = listing.volume_day_quote / 1440.0 / LOT_QUOTE
        scale = 10.0**listing.decimals
        waves = PEG_BPS / 1e4 / 0.45 if listing.pegged else 1.0
        return first, n, wide_bars(np.uint64(listing.key), first, n, (listing.price, scale, waves), trades, LOT_QUOTE)


class _Catalogue:
    """Listings by id, and who is alive when; safe to share between threads."""

    def __init__(self, listings: tuple[WideListing, ...]) -> None:
        self.listings: Mapping[str, WideListing] = {f"{one.symbol}-{one.market}": one for one in listings}
        self._guard = threading.Lock()
        self._latest: tuple[int, tuple[ListedInstrument, ...]] = (-1, ())

    @cached_property
    def _events(self) -> list[int]:
        moments = {one.listed_ms for one in self.listings.values()}
        return sorted(moments | {one.last_ms for one in self.listings.values() if one.last_ms is not None})

    def at(self, now_ms: int) -> tuple[ListedInstrument, ...]:
        with self._guard:
            stage = bisect_right(self._events, now_ms)
            if self._latest[0] != stage:
                known = (one for one in self.listings.values() if one.listed_ms <= now_ms or one.status != "TRADING")
                self._latest = (stage, tuple(_listed(one, now_ms) for one in known))
            return self._latest[1]


def _listed(listing: WideListing, now_ms: int) -> ListedInstrument:
    instrument = listing.instrument(now_ms)
    ended = listing.last_ms if instrument.status == "SETTLING" else listing.delivery_ms
    return ListedInstrument(
        instrument=instrument,
        onboard_ms=listing.listed_ms,
        delivery_ms=NO_DELIVERY_MS if ended is None else ended,
        step_size=0.001 if listing.price >= 10.0 else 0.1,
        funding_hours=listing.funding_hours,
    )
