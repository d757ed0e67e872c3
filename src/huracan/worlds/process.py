"""From a spec to one symbol's bars and settlements: random streams, price process, volumes, published signal.

Per bar, as fractions of the price at the day's start: common factor + own part, both sums bounded within the day
(`kernels.bounded_steps`). Regimes multiply volatility, volume and spread, never the mean. The signal of a coin is
published as its taker-buy share of the same minute, and leads planted coins' drift from the next minute on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import random_seed
from huracan.domain.time import HOUR_MS, MINUTE_MS
from huracan.worlds.kernels import SHOCK_LIMIT, bounded_steps, crash_steps, draw_bars, regime_chain, slow_signal
from huracan.worlds.spec import CRASH_PROBABILITY, SPARE_DAYS, START_MS, Listing, WorldSpec

T3_SCALE: Final = 1.6323604468172743
"""t(3) draws divided by this and clipped at +-8 have variance 1 (root of E[min(t/c, 8)^2] = 1)."""

# trend, range, panic, illiquid
REGIME_HOURS: Final = np.array([12.0, 18.0, 3.0, 5.0])
REGIME_ENTRY: Final = np.array([0.30, 0.45, 0.10, 0.15])
REGIME_VOLATILITY: Final = np.array([1.1, 0.8, 2.2, 1.2])
REGIME_VOLUME: Final = np.array([1.15, 0.9, 2.5, 0.35])
REGIME_SPREAD: Final = np.array([1.0, 1.0, 3.0, 2.5])
REGIME_SHARE: Final = REGIME_HOURS * REGIME_ENTRY / float(REGIME_HOURS @ REGIME_ENTRY)

BASIS_BPS: Final = 1.5
"""Spot and perpetual mids differ by at most this."""

FUNDING_BPS: Final = 1.0
FUNDING_LIMIT_BPS: Final = 3.0
"""Mean and largest |rate| of an 8-hour settlement; shorter intervals pay pro rata."""

TAKER_NOISE: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonPath:
    """What all coins share, each (n,): the factor's steps and step sizes, and the common part of planted signals."""

    steps: F64
    sizes: F64
    signal: F64


def bar_count(spec: WorldSpec) -> int:
    """Bars simulated per symbol, spare days included."""
    return (spec.days + SPARE_DAYS) * spec.per_day


def stream(spec: WorldSpec, *names: str) -> np.random.Generator:
    """The random stream of one purpose. Purposes have streams of their own, so a longer world begins like a shorter
    one.
    """
    return np.random.default_rng(random_seed(spec.seed, "world", *names))


def common_path(spec: WorldSpec) -> CommonPath:
    """The market factor and the signal that planted coins have in common."""
    steps, sizes = _walk(spec, "factor", np.zeros(bar_count(spec)), 1.0, spec.t_factor_bps)
    return CommonPath(steps=steps, sizes=sizes, signal=_signal(spec, "signal"))


def published_signal(spec: WorldSpec, base: str, common: CommonPath) -> F64:
    """The slow signal of a coin (n,), unit variance; planted coins' signals correlate by `signal_correlation`."""
    own = _signal(spec, "signal", base)
    if base not in spec.planted_coins:
        return own
    rho = spec.signal_correlation
    return np.asarray(np.sqrt(rho) * common.signal + np.sqrt(1.0 - rho) * own)


def planted_drift(spec: WorldSpec, base: str, signal: F64) -> F64:
    """Expected step of every bar (n,): bounded in the signal of the bar before, so it is known from the past alone."""
    drift = np.zeros(signal.shape[0])
    if base in spec.planted_coins:
        drift[1:] = spec.strength_bps_per_hour * 1e-4 * spec.interval_minutes / 60.0 * np.tanh(signal[:-1])
    if spec.broken_from_ms is not None:
        drift[(spec.broken_from_ms - START_MS) // (spec.interval_minutes * MINUTE_MS) :] = 0.0
    return drift


def simulate_bars(spec: WorldSpec, listing: Listing, common: CommonPath) -> pl.DataFrame:
    """All bars of a listing (BAR_SCHEMA), from its first day to its last, holes left out."""
    signal = published_signal(spec, listing.base, common)
    steps, sizes = own_path(spec, listing, signal)
    if listing.follows_market:
        steps, sizes = steps + common.steps, np.hypot(sizes, common.sizes)
    regime = _regimes(spec, listing.base)
    n, names = bar_count(spec), (listing.symbol, listing.market)
    trades, activity = _activity(spec, listing, regime, steps, sizes)
    half_spread = 0.5e-4 * listing.spread_bps * REGIME_SPREAD[regime]
    reach = stream(spec, *names, "reach").standard_exponential((n, 2))
    worst = (spec.worst_day_bps if listing.follows_market else spec.t_idio_bps * listing.daily_vol_share) * 1e-4
    decimals = listing.decimals or 0
    prices = draw_bars(
        steps, sizes, _basis(spec, listing), half_spread, stream(spec, *names, "sides").integers(0, 4, n, dtype=np.int8),
        np.ascontiguousarray(reach[:, 0]), np.ascontiguousarray(reach[:, 1]), trades, listing.price or 1.0,
        -worst, worst, spec.per_day, 10.0**decimals,
    )  # fmt: skip
    share = 0.5 + spec.taker_tilt * np.tanh(signal) + TAKER_NOISE * stream(spec, *names, "taker").standard_normal(n)
    times = START_MS + spec.interval_minutes * MINUTE_MS * np.arange(n, dtype=np.int64)
    columns = (times, *prices, *_volumes(listing, prices, trades, activity, np.clip(share, 0.02, 0.98)))
    return _as_listed(pl.DataFrame(dict(zip(BAR_SCHEMA, columns, strict=True))), listing)


def own_path(spec: WorldSpec, listing: Listing, signal: F64) -> tuple[F64, F64]:
    """(steps, sizes) of a coin's own part: diffusion with planted drift, and crashes in the skewed world."""
    drift = planted_drift(spec, listing.base, signal)
    share = spec.idio_share * listing.daily_vol_share
    steps, sizes = _walk(spec, listing.base, drift, share, share * spec.t_idio_bps)
    if spec.crash_bps and listing.follows_market:
        hazard = 1.0 - (1.0 - CRASH_PROBABILITY) ** (1.0 / spec.per_day)
        uniform = stream(spec, listing.base, "crash").random(bar_count(spec))
        steps = steps + crash_steps(uniform, hazard, spec.crash_bps * 1e-4, spec.per_day)
    return steps, sizes


def simulate_funding(spec: WorldSpec, listing: Listing) -> pl.DataFrame:
    """Settlements of a perpetual (FUNDING_SCHEMA) every `funding_hours` on the hour: a clipped AR(1) around 1 bp."""
    if listing.funding_hours is None:
        return pl.DataFrame(schema=FUNDING_SCHEMA)
    step_ms, part = listing.funding_hours * HOUR_MS, listing.funding_hours / 8.0
    count = (spec.days + SPARE_DAYS) * 24 // listing.funding_hours
    noise = slow_signal(stream(spec, listing.symbol, "funding").standard_normal(count), 0.9)
    bps = np.clip(FUNDING_BPS + 0.7 * noise, -FUNDING_LIMIT_BPS, FUNDING_LIMIT_BPS) * part
    frame = pl.DataFrame(
        {
            "funding_time": START_MS + step_ms * np.arange(count, dtype=np.int64),
            "rate": np.round(bps * 1e4) / 1e8,
            "interval_hours": np.full(count, float(listing.funding_hours)),
        },
        schema=FUNDING_SCHEMA,
    )
    # Nothing settles at the moment of listing, and the first interval has no predecessor to be measured from.
    frame = frame.filter(pl.col("funding_time").is_between(listing.listed_ms, listing.last_ms or 2**62, closed="right"))
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(pl.when(~first).then(pl.col("interval_hours")).alias("interval_hours"))


def _walk(spec: WorldSpec, name: str, drift: F64, vol_share: float, cap_bps: float) -> tuple[F64, F64]:
    n, minutes = bar_count(spec), spec.interval_minutes
    shock = np.clip(stream(spec, name, "shock").standard_t(3, n) / T3_SCALE, -SHOCK_LIMIT, SHOCK_LIMIT)
    sigma = spec.component_vol_bps * 1e-4 * vol_share / np.sqrt(spec.per_day)
    level = REGIME_VOLATILITY / np.sqrt(REGIME_SHARE @ REGIME_VOLATILITY**2)
    scale = sigma * level[_regimes(spec, name)]
    # Half-life of the volatility about half a day, whatever the bar's length.
    pull, push = min(minutes / 1000.0, 0.2), min(0.01 * np.sqrt(minutes), 0.1)
    return bounded_steps(shock, scale, drift, cap_bps * 1e-4, spec.per_day, pull, push)


def _regimes(spec: WorldSpec, name: str) -> I64:
    n = bar_count(spec)
    hazard = np.minimum(spec.interval_minutes / (60.0 * REGIME_HOURS), 1.0)
    leave, choose = stream(spec, name, "regime").random((n, 2)).T
    return regime_chain(np.ascontiguousarray(leave), np.ascontiguousarray(choose), hazard, np.cumsum(REGIME_ENTRY))


def _signal(spec: WorldSpec, *names: str) -> F64:
    decay = 0.5 ** (spec.interval_minutes / spec.half_life_minutes)
    return slow_signal(stream(spec, *names, "signal").standard_normal(bar_count(spec)), decay)


def _basis(spec: WorldSpec, listing: Listing) -> F64:
    n = bar_count(spec)
    if listing.market == "um" or not listing.regular:
        return np.zeros(n)
    decay = 0.5 ** (spec.interval_minutes / 30.0)
    noise = slow_signal(stream(spec, listing.symbol, "basis").standard_normal(n), decay)
    return np.asarray(np.clip(0.5e-4 * noise, -BASIS_BPS * 1e-4, BASIS_BPS * 1e-4))


def _activity(spec: WorldSpec, listing: Listing, regime: I64, steps: F64, sizes: F64) -> tuple[F64, F64]:
    """(trades, quote volume) of every bar: busier by day, in fast markets and by regime; silent without trades."""
    n, names = bar_count(spec), (listing.symbol, listing.market)
    place = 2.0 * np.pi * (np.arange(n) % spec.per_day) / spec.per_day
    season = 1.0 + 0.25 * np.sin(place - 2.0)
    noise = np.exp(0.4 * stream(spec, *names, "volume").standard_normal(n) - 0.08)
    surprise = 0.6 + 0.55 * np.minimum(np.abs(steps) / np.maximum(sizes, 1e-12), 6.0)
    level = REGIME_VOLUME / float(REGIME_SHARE @ REGIME_VOLUME)
    wanted = listing.volume_day_quote / spec.per_day * season * noise * surprise * level[regime]
    expected = wanted / listing.trade_size
    trades = stream(spec, *names, "trades").poisson(expected).astype(np.float64)
    lot = listing.trade_size * np.exp(0.2 * stream(spec, *names, "lot").standard_normal(n) - 0.02)
    return trades, trades * lot


def _volumes(
    listing: Listing, prices: tuple[F64, F64, F64, F64], trades: F64, quote: F64, share: F64
) -> tuple[F64, ...]:
    """(volume, quote_volume, trades, taker_base, taker_quote), rounded as an exchange would, consistent with prices."""
    mean_price = (prices[0] + prices[1] + prices[2] + prices[3]) / 4.0
    unit = 10.0 ** quantity_decimals(listing)
    volume = np.where(trades > 0, np.maximum(np.round(quote / mean_price * unit), 1.0), 0.0) / unit
    taker = np.round(volume * share * unit) / unit
    return volume, np.round(volume * mean_price * 1e4) / 1e4, trades, taker, np.round(taker * mean_price * 1e4) / 1e4


def quantity_decimals(listing: Listing) -> int:
    """Decimals of a lot: finer for dearer coins."""
    return 3 if (listing.price or 1.0) >= 10.0 else 1


def _as_listed(frame: pl.DataFrame, listing: Listing) -> pl.DataFrame:
    time = pl.col("open_time")
    kept = (time >= listing.listed_ms) & (time < (listing.last_ms or 2**62))
    for start, end in listing.holes:
        kept &= (time < start) | (time >= end)
    return frame.filter(kept)
