"""Recorded candles as a market: a folder of ``<spot|um>/<SYMBOL>/<1m|15m|1h>.parquet`` files.

What the files do not say stays unknown: absent columns are null, there is no funding, and a book exists only where a
recorded bookTicker answer gives one. Tick sizes, listing times and dead symbols are read off the bars.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NotRequired, Self, TypedDict

import numpy as np
import polars as pl

from huracan.domain.candles import TimeUnit, in_ms, time_unit
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, iso
from huracan.errors import ConfigError, SchemaError
from huracan.worlds.source import INTERVALS, NO_DELIVERY_MS, Book, Day, ListedInstrument, between, known_at, last_day

QUOTE_ASSETS: Final = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY", "BRL")
FILE_INTERVALS: Final = ("1m", "15m", "1h")
LONG_ENOUGH_MS: Final = 30 * DAY_MS

_ALIASES: Final = {"taker_buy_base": "taker_base", "taker_buy_quote": "taker_quote", "count": "trades"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """One symbol's file, and what its bars say of the symbol."""

    market: Literal["spot", "um"]
    symbol: str
    path: Path
    interval_ms: int
    first_ms: int
    last_ms: int
    tick_size: float
    unit: TimeUnit

    @property
    def id(self) -> str:
        return f"{self.symbol}-{self.market}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleDirectory:
    """Recorded candles as known at `now_ms`; build it with `open`. A real market has no declared worst day."""

    now_ms: int
    recordings: Mapping[str, _Recording] = field(repr=False)
    books: Mapping[str, Book | None] = field(repr=False)

    @classmethod
    def open(cls, path: Path, book_file: Path | None = None) -> "CandleDirectory":
        """Read a folder's index. `now` is the earliest last bar of the symbols with 30 days or more, plus a minute.

        Raises ConfigError for a folder without candles, a file without the five basic columns, or a bad book file, and
        SchemaError for times of no unit and for values that are no finite numbers.
        """
        found = {item.id: item for item in _scan(path)}
        if not found:
            message = f"no candles in {path.name!r}: wanted <spot|um>/<SYMBOL>/<1m|15m|1h>.parquet"
            raise ConfigError(message)
        long = [item for item in found.values() if item.last_ms - item.first_ms + item.interval_ms >= LONG_ENOUGH_MS]
        now = min(item.last_ms for item in long or found.values()) + MINUTE_MS
        return cls(now_ms=now, recordings=found, books={} if book_file is None else _read_books(book_file))

    @property
    def last_ms(self) -> int:
        """A minute after the very last bar."""
        return max(item.last_ms for item in self.recordings.values()) + MINUTE_MS

    def at(self, now_ms: int) -> Self:
        """The same recordings at another moment, before or after the common `now`."""
        first = min(item.first_ms for item in self.recordings.values())
        if not first < now_ms <= self.last_ms:
            message = f"the candles span {iso(first)} to {iso(self.last_ms)}, now {iso(now_ms)} is outside"
            raise ConfigError(message)
        return replace(self, now_ms=now_ms)

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """Symbols with a first bar before now; one whose bars ended a day or more ago is dead."""
        return tuple(self._listed(item) for item in self.recordings.values() if item.first_ms < self.now_ms)

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """Bars with start <= open_time < min(end, now); absent columns null, the running bar shows its open only."""
        item = self.recordings[id]
        frame = _read(item, start_ms, min(end_ms, self.now_ms))
        return between(known_at(frame, self.now_ms, item.interval_ms), start_ms, end_ms)

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Nothing: candle folders hold no settlements."""
        _ = self.recordings[id]
        return pl.DataFrame(schema=FUNDING_SCHEMA)

    def book(self, id: str) -> Book | None:  # noqa: A002
        """The recorded quotes of the book file, None without them or without two sides."""
        _ = self.recordings[id]
        return self.books.get(id)

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The 24 hours before now, from the bars."""
        return last_day(self, id)

    def stress_table(self) -> None:
        """None: the table shipped with the package applies."""

    def _listed(self, item: _Recording) -> ListedInstrument:
        dead = item.last_ms + DAY_MS <= self.now_ms
        base, quote = split_symbol(item.symbol)
        after = "BREAK" if item.market == "spot" else "SETTLING"
        instrument = Instrument(
            market=item.market,
            symbol=item.symbol,
            base=base,
            quote=quote,
            status=after if dead else "TRADING",
            contract_type="PERPETUAL" if item.market == "um" else None,
            tick_size=item.tick_size,
            listed_ms=item.first_ms,
        )
        delivery = item.last_ms + item.interval_ms if dead and item.market == "um" else NO_DELIVERY_MS
        return ListedInstrument(
            instrument=instrument, onboard_ms=item.first_ms, delivery_ms=delivery, interval_ms=item.interval_ms
        )


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote asset of a symbol; raises ConfigError when it ends in no known quote asset.

    >>> split_symbol("1000SHIBUSDT"), split_symbol("SOLUSDC")
    (('1000SHIB', 'USDT'), ('SOL', 'USDC'))
    """
    for quote in QUOTE_ASSETS:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    message = f"symbol {symbol!r} ends in none of the quote assets {', '.join(QUOTE_ASSETS)}"
    raise ConfigError(message)


def _scan(path: Path) -> list[_Recording]:
    found = []
    for market in ("spot", "um"):
        for folder in sorted((path / market).glob("*/")):
            file = next(
                (folder / f"{name}.parquet" for name in FILE_INTERVALS if (folder / f"{name}.parquet").is_file()), None
            )
            if file is not None:
                split_symbol(folder.name)
                found.append(_index(market, folder.name, file))
    return found


def _index(market: Literal["spot", "um"], symbol: str, file: Path) -> _Recording:
    where = f"{market}/{symbol}/{file.name}"
    try:
        unit, first, last = _span(file, where)
        _refuse_unusable(file, where)
        closes = _lazy(file, unit).filter(pl.col("open_time") > last - DAY_MS).select("close").collect()["close"]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SchemaError(f"{where} cannot be read as candles: {error}") from error
    return _Recording(
        market=market,
        symbol=symbol,
        path=file,
        interval_ms=INTERVALS[file.stem],
        first_ms=first,
        last_ms=last,
        tick_size=_common_step(closes.to_numpy()),
        unit=unit,
    )


def _span(file: Path, where: str) -> tuple[TimeUnit, int, int]:
    """The unit of a file's times, and the first and last of them in ms."""
    times = _columns(file).select("open_time").collect()
    if times.is_empty():
        raise ConfigError(f"{where} has no rows; remove it")
    seen = times["open_time"]
    try:
        unit = time_unit(seen.dtype, seen.min(), seen.max())
    except ValueError as error:
        raise SchemaError(f"{where}: column open_time {error}") from None
    if seen.null_count():
        raise SchemaError(f"{where}: column open_time has {seen.null_count()} rows without a time; wanted none")
    ms = times.select(first=in_ms("open_time", unit).min(), last=in_ms("open_time", unit).max())
    return unit, *ms.row(0)


def _refuse_unusable(file: Path, where: str) -> None:
    needed = list(BAR_SCHEMA)[1:6]
    finite = (pl.col(name).cast(pl.Float64).is_finite().fill_null(value=False) for name in needed)
    counts = _columns(file).select((~usable).sum() for usable in finite).collect().row(0, named=True)
    for name, count in counts.items():
        if count:
            raise SchemaError(f"{where}: column {name} has {count} rows that hold no finite number; wanted none")


def _common_step(prices: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Largest step, in units of 1e-8, that all prices are multiples of: the tick, or a multiple where few prices are.

    0 (unknown) unless the prices show at least 20 different values.
    """
    units = np.unique(np.round(prices * 1e8).astype(np.int64))
    if units.size < 20:
        return 0.0
    step = int(np.gcd.reduce(units))
    # Only 1, 2 or 5 times a power of ten can be a tick; anything else is an accident of the sample.
    power = 10 ** int(math.log10(step))
    return float(max(k * power for k in (1, 2, 5) if step % (k * power) == 0)) / 1e8


def _columns(file: Path) -> pl.LazyFrame:
    """A file's candles under our names and in its own types."""
    lazy = pl.scan_parquet(file, glob=False)
    names = lazy.collect_schema().names()
    lazy = lazy.rename({old: new for old, new in _ALIASES.items() if old in names and new not in names})
    names = lazy.collect_schema().names()
    missing = [name for name in tuple(BAR_SCHEMA)[:6] if name not in names]
    if missing:
        message = f"{file.parent.name}/{file.name} lacks {', '.join(missing)}; wanted at least {', '.join(tuple(BAR_SCHEMA)[:6])}"
        raise ConfigError(message)
    absent = [pl.lit(None, kind).alias(name) for name, kind in BAR_SCHEMA.items() if name not in names]
    return lazy.with_columns(absent).select(list(BAR_SCHEMA))


def _lazy(file: Path, unit: TimeUnit) -> pl.LazyFrame:
    timed = _columns(file).with_columns(in_ms("open_time", unit))
    return timed.select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def _read(item: _Recording, start_ms: int, end_ms: int) -> pl.DataFrame:
    time = pl.col("open_time")
    rows = _lazy(item.path, item.unit).filter((time >= start_ms) & (time < end_ms))
    return rows.sort("open_time", maintain_order=True).collect()


class _BookTicker(TypedDict):
    """A recorded row of bookTicker, unchecked."""

    symbol: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str
    time: NotRequired[int]


def _read_books(path: Path) -> dict[str, Book | None]:
    """Quotes by instrument id from a recorded bookTicker array; rows of futures are known by their `time`."""
    try:
        rows: list[_BookTicker] = json.loads(path.read_text(encoding="utf-8"))
        return {_book_id(row): _book(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"book file {path.name}: {error!r}; wanted a recorded bookTicker array"
        raise ConfigError(message) from error


def _book_id(row: _BookTicker) -> str:
    return f"{row['symbol']}-{'um' if 'time' in row else 'spot'}"


def _book(row: _BookTicker) -> Book | None:
    texts = row["bidPrice"], row["askPrice"], row["bidQty"], row["askQty"]
    bid, ask, bid_quantity, ask_quantity = map(float, texts)
    return (bid, ask, bid_quantity, ask_quantity) if bid > 0 and ask > 0 else None
