"""Bars of invented coins that share a market, on any interval, for tests that need features or labels of real bars."""

import numpy as np
import polars as pl

from huracan.domain.frames import CLEAN_SCHEMA, FUNDING_SCHEMA, Bars
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS

FIRST_DAY = 20454  # 2026-01-01


def coin_bars(coin="SOL", *, days=16, interval_ms=HOUR_MS, silent=0.0, seed=0, market_seed=99, beta=1.0):
    """`days` of a walk that follows a common market; a share of `silent` bars traded nothing."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(market_seed)
    n = days * DAY_MS // interval_ms
    step = np.sqrt(interval_ms / HOUR_MS) * 6e-3
    own = rng.standard_t(4, n) / np.sqrt(2) * step
    close = 50.0 * np.exp(np.cumsum(beta * common.normal(0, step, n) + own))
    open_ = np.append(50.0, close[:-1]) * np.exp(rng.normal(0, 1e-5, n))
    volume = np.where(rng.random(n) < silent, 0.0, rng.lognormal(2, 1, n))
    time = FIRST_DAY * DAY_MS + np.arange(n, dtype=np.int64) * interval_ms
    frame = pl.DataFrame(
        {
            "open_time": time,
            "open": open_,
            "high": np.maximum(open_, close) * 1.0005,
            "low": np.minimum(open_, close) * 0.9995,
            "close": close,
            "volume": volume,
            "quote_volume": volume * close,
            "trades": np.ones(n),
            "taker_base": volume * rng.beta(6, 6, n),
            "taker_quote": volume * close / 2,
            "flags": np.zeros(n, np.int32),
            "segment": np.zeros(n, np.int32),
        },
        schema=CLEAN_SCHEMA,
    )
    settled = np.arange(int(time[0]), int(time[-1]), 8 * HOUR_MS)
    funding = pl.DataFrame(
        {
            "funding_time": settled,
            "rate": rng.normal(1e-4, 2e-4, settled.size),
            "interval_hours": np.full(settled.size, 8.0),
        },
        schema=FUNDING_SCHEMA,
    )
    instrument = Instrument(market="um", symbol=f"{coin}USDT", base=coin, quote="USDT", coin=coin)
    return Bars(instrument=instrument, interval_ms=interval_ms, frame=frame, funding=funding)
