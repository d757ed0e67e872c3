"""Small random markets with everything that happens to bars, and consensus paths that trade them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import CLEAN_SCHEMA, FUNDING_SCHEMA, PANIC, REPAIRED, Bars, FeatureFrame, LabelledSet
from huracan.domain.ids import Instrument
from huracan.domain.recipe import EngineUse, Recipe, SizingPolicy
from huracan.domain.results import ConsensusPath
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, Horizon
from huracan.labels import label_forward_returns
from huracan.scoring import row_costs

START_DAY = 20454


@dataclass(frozen=True, kw_only=True)
class Case:
    """Inputs of one simulation."""

    bars: Bars
    labels: LabelledSet
    features: FeatureFrame
    path: ConsensusPath
    recipe: Recipe
    horizon: Horizon
    days: int

    @property
    def arguments(self):
        return {
            "path": self.path,
            "bars": self.bars,
            "labels": self.labels,
            "features": self.features,
            "recipe": self.recipe,
            "horizon": self.horizon,
        }


def make_bars(days=3, *, seed=0, interval_minutes=15, market="um", jump=0.004, missing=0.0, funding_known=True):
    rng = np.random.default_rng(seed)
    interval = interval_minutes * MINUTE_MS
    time = START_DAY * DAY_MS + np.arange(int(days * DAY_MS // interval)) * interval
    close = 100 * np.exp(np.cumsum(jump * rng.standard_normal(time.size)))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(0.1 * jump * rng.standard_normal(time.size))
    flags = np.where(rng.random(time.size) < 0.1, PANIC, 0)
    flags = np.where(rng.random(time.size) < missing, flags | REPAIRED, flags)
    volume = np.where(rng.random(time.size) < missing, 0.0, 10.0)
    frame = pl.DataFrame(
        {
            "open_time": time,
            "open": open_,
            "high": np.maximum(open_, close),
            "low": np.minimum(open_, close),
            "close": close,
            "volume": volume,
            "quote_volume": volume * close,
            "trades": np.ones(time.size),
            "taker_base": volume / 2,
            "taker_quote": volume * close / 2,
            "flags": flags.astype(np.int32),
            "segment": np.zeros(time.size, np.int32),
        },
        schema=CLEAN_SCHEMA,
    ).filter(pl.Series(rng.random(time.size) >= missing))
    settlements = np.arange(START_DAY * DAY_MS, START_DAY * DAY_MS + int(days * DAY_MS), 8 * HOUR_MS)
    funding = pl.DataFrame(
        {
            "funding_time": settlements,
            "rate": 1e-4 * rng.standard_normal(settlements.size),
            "interval_hours": np.full(settlements.size, 8.0),
        },
        schema=FUNDING_SCHEMA,
    )
    instrument = Instrument(market=market, symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOL")
    if market == "spot" or not funding_known:
        funding = funding.clear()
    return Bars(instrument=instrument, interval_ms=interval, frame=frame, funding=funding, funding_known=funding_known)


def make_features(bars, times, *, sigma=400.0, spread=2.0, volume=1e8, valid=None):
    n = len(times)
    valid = np.ones(n, bool) if valid is None else valid
    frame = pl.DataFrame(
        {
            "decision_time": times,
            "regime": np.ones(n),
            "sigma_day_bps": np.broadcast_to(np.asarray(sigma, float), n),
            "spread_bps": np.broadcast_to(np.asarray(spread, float), n),
            "volume_day_quote": np.broadcast_to(np.asarray(volume, float), n),
            "valid": valid,
        }
    )
    return FeatureFrame(
        instrument=bars.instrument, recipe_id="f", names=("regime", "sigma_day_bps"), absent=(), frame=frame
    )


def make_path(times, score, edge, cost, *, confidence=1.0, threshold=0.5):
    n = len(times)
    frame = pl.DataFrame(
        {
            "decision_time": times,
            "regime": np.ones(n, np.int64),
            "score": np.asarray(score, float),
            "edge_bps": np.asarray(edge, float),
            "confidence": np.broadcast_to(np.asarray(confidence, float), n),
            "threshold": np.broadcast_to(np.asarray(threshold, float), n),
            "penalty": np.zeros(n),
            "cost_bps": np.asarray(cost, float),
        }
    )
    return ConsensusPath(
        frame=frame,
        weight=np.ones(1),
        enabled=np.ones((1, 4), np.int64),
        threshold=0.5,
        penalty=0.0,
        reliability={},
        correlation={},
    )


def make_recipe(**sizing):
    return Recipe(
        name="linear",
        engines=(EngineUse(name="trend"),),
        feature_recipe="f",
        sizing=SizingPolicy(min_edge_after_cost_bps=0.0, **sizing),
    )


def make_case(*, seed=0, days=3, horizon="1h", stop=0.025, scores=None, edges=None, sizing=None, **bar_options):
    rng = np.random.default_rng(seed + 1)
    bars = make_bars(days, seed=seed, **bar_options)
    times = START_DAY * DAY_MS + np.arange(int(days * 24)) * HOUR_MS
    recipe = make_recipe(daily_loss_stop=stop, **(sizing or {}))
    parsed = Horizon.parse(horizon)
    valid = rng.random(times.size) >= 0.05 if scores is None else np.ones(times.size, bool)
    sigma = np.where(valid, 300 + 300 * rng.random(times.size), np.nan)
    features = make_features(
        bars, times, sigma=sigma, spread=np.where(valid, 1 + rng.random(times.size), np.nan), valid=valid
    )
    score = rng.uniform(-1, 1, times.size) if scores is None else np.asarray(scores, float)
    edge = np.sign(score) * rng.uniform(0, 80, times.size) if edges is None else np.asarray(edges, float)
    edge = np.where(valid, edge, 0.0)
    score = np.where(valid, score, 0.0)
    return Case(
        bars=bars,
        labels=label_forward_returns(bars, times, parsed, recipe.execution_latency_s),
        features=features,
        path=make_path(times, score, edge, row_costs(features, recipe, parsed)),
        recipe=recipe,
        horizon=parsed,
        days=days,
    )


@pytest.fixture(scope="session")
def case():
    """Factory of simulation inputs."""
    return make_case


@pytest.fixture(scope="session")
def features_of():
    """Factory of feature frames for bars and decision times."""
    return make_features


@pytest.fixture(scope="session")
def bars_of():
    """Factory of bars."""
    return make_bars


@pytest.fixture(scope="session")
def recipe_of():
    """Factory of recipes by sizing."""
    return make_recipe
