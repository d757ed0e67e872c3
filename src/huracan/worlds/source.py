"""Where a replay exchange gets its market from: one protocol, and what every implementation shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self, TypedDict

import polars as pl

from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument, Market
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS

NO_DELIVERY_MS: Final = 4_133_404_800_000
"""`deliveryDate` of a perpetual without an announced delisting."""

INTERVALS: Final[dict[str, int]] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
}

Book = tuple[float, float, float, float]
"""Best bid, best ask, quantity at the bid, quantity at the ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInstrument:
    """An instrument with what `exchangeInfo` says of it.

    `interval_ms` is the finest bar the source has. `archived_ms` is the first bar of an earlier listing of the ticker,
    which the archive alone remembers (None: there was none). `step_size` 0 means unknown. `funding_hours` is None
    without settlements (spot, recorded candles).
    """

    instrument: Instrument
    onboard_ms: int
    delivery_ms: int = NO_DELIVERY_MS
    archived_ms: int | None = None
    interval_ms: int = MINUTE_MS
    step_size: float = 0.0
    min_notional: float = 5.0
    funding_hours: int | None = None

    @property
    def id(self) -> str:
        """The instrument's id, such as ``BTCUSDT-um``."""
        return self.instrument.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Rolling 24 hours of one instrument. `trades` is None where the source has no counts."""

    open: float
    high: float
    low: float
    last: float
    previous: float
    volume: float
    quote_volume: float
    trades: int | None


class WorstDay(TypedDict):
    """The declared worst day of a simulated market, in bps of notional: a stress table as promotion reads it."""

    kind: Literal["world"]
    world: str
    factor_bps: float
    idio_bps: float
    one_pair_bps: float
    funding_day_bps: float
    note: str


class MarketSource(Protocol):
    """A market as it was known at `now_ms`. Unknown ids raise KeyError."""

    @property
    def now_ms(self) -> int:
        """The moment of this view, ms UTC."""
        ...

    @property
    def last_ms(self) -> int:
        """The latest moment that `at` accepts."""
        ...

    def at(self, now_ms: int) -> Self:
        """The same market at another moment; raises ConfigError outside the known bars."""
        ...

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """Everything listed until now, dead symbols included."""
        ...

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """Bars (BAR_SCHEMA) with start <= open_time < min(end, now); a bar that is still open shows its open only."""
        ...

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Settlements (FUNDING_SCHEMA) before now; empty where there are none."""
        ...

    def book(self, id: str) -> Book | None:  # noqa: A002
        """The best quotes now, None without a two-sided book."""
        ...

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The 24 hours before now, None without a bar in them."""
        ...

    def stress_table(self) -> WorstDay | None:
        """The declared worst day of this market, None where it is unknown."""
        ...


class Listings:
    """What a market lists by symbol, made again only when the source's list is another one."""

    def __init__(self) -> None:
        self._known: tuple[int, Sequence[ListedInstrument], dict[Market, dict[str, ListedInstrument]]] = (-1, (), {})

    def of(self, view: MarketSource, market: Market) -> dict[str, ListedInstrument]:
        """Everything listed on a market at the view's moment."""
        now, items, known = self._known
        if now != view.now_ms:
            listed = view.instruments()
            if listed is not items:
                known = {"spot": {}, "um": {}}
                for item in listed:
                    known[item.instrument.market][item.instrument.symbol] = item
            self._known = (view.now_ms, listed, known)
        return known[market]


def last_day(view: MarketSource, id_: str) -> Day | None:
    """The 24 hours before a view's moment, from its bars."""
    return rolling_day(view.klines(id_, view.now_ms - DAY_MS - HOUR_MS, view.now_ms), view.now_ms - DAY_MS)


def rolling_day(bars: pl.DataFrame, start_ms: int) -> Day | None:
    """Statistics of the bars from `start_ms` on; earlier ones give the previous close alone. None without bars.

    Without a quote volume it is derived: the sum of volume x close, bar by bar.
    """
    day = bars.filter(pl.col("open_time") >= start_ms)
    if day.height == 0:
        return None
    before = bars.filter(pl.col("open_time") < start_ms)
    known = day["quote_volume"].null_count() == 0
    quote = float(day["quote_volume"].sum()) if known else float((day["volume"] * day["close"]).sum())
    return Day(
        open=float(day["open"][0]),
        high=float(day.select(pl.col("high").max()).item()),
        low=float(day.select(pl.col("low").min()).item()),
        last=float(day["close"][-1]),
        previous=float(before["close"][-1]) if before.height else float(day["open"][0]),
        volume=float(day["volume"].sum()),
        quote_volume=round(quote, 8),
        trades=int(day["trades"].sum()) if day["trades"].null_count() == 0 else None,
    )


def known_at(frame: pl.DataFrame, now_ms: int, interval_ms: int) -> pl.DataFrame:
    """Bars as known at `now_ms`: later ones hidden, the running one reduced to its open.

    A running bar has traded for less than one native bar, so its open is all that a bar file can say without
    looking ahead: high, low and close equal it and the volumes are 0 (null where the source has none).
    """
    # open_time ascends, so only the last visible bar can still be running.
    visible = frame.head(int(frame["open_time"].search_sorted(now_ms, side="left")))
    if visible.height == 0 or int(visible["open_time"][-1]) + interval_ms <= now_ms:
        return visible
    flat = {name: pl.col("open") for name in ("high", "low", "close")}
    silent = {name: pl.col(name) * 0.0 for name in tuple(BAR_SCHEMA)[5:]}
    return pl.concat([visible.head(-1), visible.tail(1).with_columns(**flat, **silent)])


def between(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    """Rows of an ascending frame with start <= open_time < end."""
    times = frame["open_time"]
    first = int(times.search_sorted(start_ms, side="left"))
    last = int(times.search_sorted(end_ms, side="left"))
    return frame.slice(first, max(last - first, 0))


def resample(frame: pl.DataFrame, interval_ms: int) -> pl.DataFrame:
    """Bars of a longer interval, aligned to the UTC epoch, made of the shorter ones that exist (BAR_SCHEMA).

    Sums stay null where any part is null: nothing is invented.
    """

    def total(name: str) -> pl.Expr:
        return pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name)

    return (
        frame.group_by((pl.col("open_time") // interval_ms * interval_ms).alias("open_time"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(total(name) for name in tuple(BAR_SCHEMA)[5:]),
        )
        .select(*BAR_SCHEMA)
    )


def bars_of(view: MarketSource, listed: ListedInstrument, start_ms: int, end_ms: int, interval_ms: int) -> pl.DataFrame:
    """Bars of any whole multiple of the native interval, start <= open_time < end; the last one may be running."""
    if interval_ms == listed.interval_ms:
        return view.klines(listed.id, start_ms, end_ms)
    whole_end = -(-end_ms // interval_ms) * interval_ms
    return resample(view.klines(listed.id, start_ms, whole_end), interval_ms)
