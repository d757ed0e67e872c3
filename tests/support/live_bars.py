"""A champion that is asked from raw bars, and the bars to ask it with: days of one coin that is its own market."""

import dataclasses

import numpy as np
import polars as pl

from huracan.domain.frames import BAR_SCHEMA
from huracan.features import RECIPE_ID
from huracan.hamilton import LiveInputs, market_context

MINUTE = 60_000
DAY = 1440 * MINUTE
NAMES = ("ret_60", "ret_240", "sigma_day_bps", "efficiency_240", "range_position_1440", "market_ret_240")
PRICES = ("open", "high", "low", "close")
AMOUNTS = ("volume", "quote_volume", "trades", "taker_base", "taker_quote")


def live_inputs(interval_ms=MINUTE):
    return LiveInputs(
        context={"BTC": "BTCUSDT-um"},
        interval_ms=interval_ms,
        decision_ms=60 * MINUTE,
        latency_s=30,
        net_cap_share=0.5,
        gross_cap_share=1.0,
        daily_loss_stop=0.025,
    )


def publish_live(world, factory, interval_ms=MINUTE, inputs=None, **changes):
    """A champion of the true feature recipe that always wants to trade."""
    model = factory.model(names=NAMES, trees=0, drift=300.0, cost_bps=1.0, min_confidence=0.0, **changes)
    model = dataclasses.replace(model, enabled=np.ones_like(model.enabled))
    bundle = factory.bundle(of=model)
    manifest = bundle.manifest.model_copy(update={"features_hash": RECIPE_ID})
    world.publish(
        dataclasses.replace(bundle, manifest=manifest), extras=(inputs or live_inputs(interval_ms)).as_extras()
    )


def random_bars(end_ms, days=5, interval_ms=MINUTE, seed=0):
    """Raw bars (BAR_SCHEMA) that all traded, up to a moment."""
    rng = np.random.default_rng(seed)
    n = days * DAY // interval_ms
    close = 100.0 * np.exp(np.cumsum(rng.normal(size=n) * 1e-3))
    open_ = np.append(100.0, close[:-1])
    volume = rng.uniform(1.0, 9.0, n)
    columns = {
        "open_time": end_ms - interval_ms * np.arange(n, 0, -1),
        "open": open_,
        "high": np.maximum(open_, close) * 1.0005,
        "low": np.minimum(open_, close) * 0.9995,
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trades": np.full(n, 9.0),
        "taker_base": volume / 2,
        "taker_quote": volume * close / 2,
    }
    return pl.DataFrame(columns).cast(BAR_SCHEMA)


def silenced(bars, since_ms, last=None):
    """The bars as an exchange sends them for a market that is halted from a moment on: flat, at the last close."""
    still = pl.col("open_time") >= since_ms
    last = bars.filter(~still)["close"][-1] if last is None else last
    return bars.with_columns(
        *(pl.when(still).then(last).otherwise(pl.col(name)).alias(name) for name in PRICES),
        *(pl.when(still).then(0.0).otherwise(pl.col(name)).alias(name) for name in AMOUNTS),
    )


def context_of(bars, at, interval_ms=MINUTE):
    return market_context({"BTC": bars}, live_inputs(interval_ms), at)
