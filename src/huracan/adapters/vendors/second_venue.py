"""Bars of another exchange through ccxt."""

from importlib import import_module
from threading import Lock
from typing import Final

import polars as pl

from huracan.domain.frames import BAR_SCHEMA, empty
from huracan.domain.ids import Instrument
from huracan.domain.json import JsonObject
from huracan.domain.time import Horizon
from huracan.errors import ConfigError, UpstreamError

PAGE: Final = 500
"""Rows asked for at a time: every large exchange gives as many."""


class SecondVenue:
    """One exchange of ccxt, by ccxt's own name (bybit, okx, ...). Close it after use.

    `options` are what ccxt's class is built with over its defaults, such as other URLs. Raises ConfigError without the
    extra or for a name that ccxt does not know.
    """

    def __init__(self, name: str, options: JsonObject | None = None) -> None:
        try:
            ccxt = import_module("ccxt")
        except ImportError as error:
            raise ConfigError(
                f"comparing with {name} needs {error.name}, which is not installed: pip install 'huracan-engine[vendors]'"
            ) from error
        if name not in ccxt.exchanges:
            raise ConfigError(f"ccxt knows no exchange {name!r}; wanted one of its names, such as bybit or okx")
        self.name = name
        self._alone = Lock()  # ccxt paces one caller
        self._failure: type[Exception] = ccxt.BaseError
        self._exchange = getattr(ccxt, name)({"enableRateLimit": True, **(options or {})})

    def bars(self, instrument: Instrument, interval: str, start_ms: int, end_ms: int) -> pl.DataFrame | None:
        """Bars with start_ms <= open_time < end_ms, ascending (BAR_SCHEMA; ccxt has no quote volume, trades or taker
        volume).

        None where the venue does not list the instrument. Raises UpstreamError where it does not answer as it should.
        """
        try:
            with self._alone:
                symbol = self._symbol(instrument)
                return None if symbol is None else self._pages(symbol, interval, start_ms, end_ms)
        except self._failure as error:
            words = str(error).partition("\n")[0][:300]
            raise UpstreamError(f"{self.name}, {instrument.id}: {type(error).__name__}: {words}") from error

    def close(self) -> None:
        """Release connections."""
        session = getattr(self._exchange, "session", None)
        if session is not None:
            session.close()

    def _symbol(self, instrument: Instrument) -> str | None:
        """The instrument's name at ccxt, None where the venue has none such."""
        pair = f"{instrument.base}/{instrument.quote}"
        symbol = pair if instrument.market == "spot" else f"{pair}:{instrument.quote}"
        return symbol if symbol in self._exchange.load_markets() else None

    def _pages(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> pl.DataFrame:
        step, at = Horizon.parse(interval).ms, start_ms
        rows: dict[int, list[float]] = {}
        while at < end_ms:
            wanted = min(PAGE, (end_ms - at) // step)
            page = self._exchange.fetch_ohlcv(symbol, interval, since=at, limit=wanted)
            rows |= {row[0]: row[:6] for row in page if at <= row[0] < end_ms}
            at += wanted * step
        if not rows:
            return empty(BAR_SCHEMA)
        frame = pl.DataFrame([rows[time] for time in sorted(rows)], schema=list(BAR_SCHEMA)[:6], orient="row")
        absent = (pl.lit(None).alias(name) for name in list(BAR_SCHEMA)[6:])
        return frame.with_columns(*absent).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
