"""Bars of invented coins, with everything that goes wrong in real ones, and the slow reference."""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import CLEAN_SCHEMA, FUNDING_SCHEMA, HALT, REPAIRED, Bars
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, MINUTE_MS

START = 1_767_225_600_000  # 2026-01-01


def simulate(n, seed=0, minutes=1, *, start=START, broken=False, common=None, market="um"):
    """`n` bars of a fat-tailed walk; `broken` adds repaired bars, a halt, silence, missing columns and a long hole."""
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(3, n) * 4e-4 * np.sqrt(minutes)
    if common is not None:
        moves += common[:n]
    close = 50 * np.exp(np.cumsum(moves))
    open_ = np.append(50.0, close[:-1]) * np.exp(rng.normal(0, 1e-5, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 2e-4, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 2e-4, n)))
    volume = rng.lognormal(2, 1, n)
    taker = volume * rng.beta(6, 6, n)
    flags = np.zeros(n, np.int32)
    segment = np.zeros(n, np.int32)
    times = start + minutes * MINUTE_MS * np.arange(n)
    quote = volume * close
    if broken:
        odd = rng.random(n) < 0.01
        odd[n // 3 : n // 3 + 20] = True
        flags[odd] = np.where(rng.random(odd.sum()) < 0.5, REPAIRED, HALT)
        for column in (open_, high, low, close):
            column[odd] = 49.0  # whatever stands in an unreal bar must not matter
        volume[odd] = taker[odd] = quote[odd] = 0.0
        silent = rng.random(n) < 0.02
        volume[silent] = taker[silent] = quote[silent] = 0.0
        quote[rng.random(n) < 0.1] = np.nan
        taker[rng.random(n) < 0.02] = np.nan
        times[n // 5 :] += 90 * MINUTE_MS // (minutes * MINUTE_MS) * minutes * MINUTE_MS
        times[n // 2 :] += 30 * HOUR_MS
        segment[n // 2 :] = 1
    frame = pl.DataFrame(
        {
            "open_time": times,
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "quote_volume": quote,
            "trades": np.round(volume),
            "taker_base": taker,
            "taker_quote": taker * close,
            "flags": flags,
            "segment": segment,
        },
        schema=CLEAN_SCHEMA,
        nan_to_null=True,
    )
    settled = np.arange(start, times[-1] + 1, 8 * HOUR_MS)
    funding = pl.DataFrame(
        {
            "funding_time": settled,
            "rate": rng.normal(1e-4, 2e-4, settled.size),
            "interval_hours": [None, *[8.0] * (settled.size - 1)],
        },
        schema=FUNDING_SCHEMA,
    )
    instrument = Instrument(market=market, symbol="ALFAUSDT", base="ALFA", quote="USDT", coin="ALFA")
    if market == "spot":
        funding = funding.clear()
    return Bars(instrument=instrument, interval_ms=minutes * MINUTE_MS, frame=frame, funding=funding)


@pytest.fixture(scope="session")
def make_bars():
    return simulate


@pytest.fixture(scope="session")
def make_members():
    def members(n, names, minutes=1, start=START):
        common = np.random.default_rng(99).normal(0, 3e-4 * np.sqrt(minutes), n)
        return {
            name: simulate(n, seed=100 + index, minutes=minutes, start=start, common=common)
            for index, name in enumerate(names)
        }

    return members


@pytest.fixture(scope="session")
def reference():
    spec = importlib.util.spec_from_file_location("feature_reference", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
