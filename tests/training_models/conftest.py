"""Synthetic pairs whose truth is known: autocorrelated features, a planted edge, labels of any horizon."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter

from huracan.domain.frames import FeatureFrame, LabelledSet
from huracan.domain.ids import Instrument
from huracan.domain.recipe import Recipe, TrainingPolicy
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, Horizon
from huracan.training import built_in_recipes

FIRST_DAY = 20454  # 2026-01-01

NAMES = (
    *("ret_5", "ret_15", "ret_60", "ret_240", "ret_1440", "ret_4320", "sigma_day_bps"),
    *("vol_ratio_15_240", "vol_ratio_60_1440", "vol_ratio_240_4320", "ewma_vol_ratio_60_1440", "parkinson_ratio_1440"),
    *("downside_share_1440", "efficiency_240", "efficiency_1440", "drift_t_1440", "drift_t_4320"),
    *("ema_distance_60", "ema_distance_240", "ema_distance_1440", "ema_cross_60_240", "ema_cross_240_1440"),
    *("zscore_240", "zscore_1440", "range_position_240", "range_position_1440", "range_position_4320"),
    *("max_distance_1440", "max_distance_4320", "min_distance_1440", "min_distance_4320", "rsi_60", "rsi_240"),
    *("volume_z_60", "volume_z_240", "signed_volume_240", "amihud_240", "skew_1440", "kurtosis_1440"),
    *("relative_strength_60", "relative_strength_240", "relative_strength_1440", "beta"),
    *("residual_240", "residual_1440", "market_ret_60", "market_ret_240", "hour_sin"),
    *("taker_imbalance_60", "taker_imbalance_240", "taker_imbalance_1440", "taker_imbalance_ewma"),
    *("funding_last", "funding_mean_4320", "regime"),
)


@dataclass(frozen=True)
class Pair:
    features: FeatureFrame
    labels: LabelledSet
    cutoff_ms: int


def synthetic_pair(
    *,
    seed: int = 0,
    days: int = 60,
    horizon: str = "1h",
    planted: dict[str, float] | None = None,
    absent: tuple[str, ...] = (),
    interval_ms: int = HOUR_MS,
    sd_hour_bps: float = 80.0,
    warm_days: int = 3,
    start_day: int = FIRST_DAY,
    symbol: str = "SOLUSDT",
) -> Pair:
    """`planted` gives bps of forward return per unit of a feature; everything else is noise."""
    rng = np.random.default_rng(seed)
    hours = Horizon.parse(horizon)
    n = days * DAY_MS // interval_ms
    time = start_day * DAY_MS + np.arange(n, dtype=np.int64) * interval_ms
    names = tuple(name for name in NAMES if name not in absent)
    x = lfilter([0.3], [1.0, -0.95], rng.normal(size=(n, len(NAMES))), axis=0)
    columns = {name: x[:, NAMES.index(name)] for name in names}
    columns["sigma_day_bps"] = sd_hour_bps * np.sqrt(24) * np.exp(0.2 * columns["sigma_day_bps"])
    if "regime" in names:
        columns["regime"] = np.digitize(columns["regime"], (-1.0, 0.4, 1.4)).astype(np.float64)
    steps = max(1, hours.ms // interval_ms)
    noise = rng.standard_t(4, size=n + steps) / np.sqrt(2) * sd_hour_bps * np.sqrt(interval_ms / HOUR_MS)
    cumulative = np.concatenate(([0.0], np.cumsum(noise)))
    forward = cumulative[steps : steps + n] - cumulative[:n]
    for name, bps in (planted or {}).items():
        forward = forward + bps * columns[name]
    warm = np.arange(n) >= warm_days * DAY_MS // interval_ms
    data = {name: np.where(warm, values, np.nan) for name, values in columns.items()}
    frame = pl.DataFrame(
        {
            "decision_time": time,
            **data,
            "spread_bps": np.full(n, 2.0),
            "volume_day_quote": np.full(n, 1e8),
            "valid": warm,
        }
    )
    return Pair(
        features=FeatureFrame(
            instrument=Instrument(market="um", symbol=symbol, base=symbol[:-4], quote="USDT"),
            recipe_id="core-test",
            names=names,
            absent=absent,
            frame=frame,
        ),
        labels=labelled(time, forward, hours, interval_ms),
        cutoff_ms=int(time[-1]),
    )


def labelled(time: np.ndarray, forward: np.ndarray, horizon: Horizon, interval_ms: int) -> LabelledSet:
    """Labels filled a minute after the decision; those not closed at the last decision are null."""
    fill = time + MINUTE_MS
    end = fill + horizon.ms
    known = end <= time[-1]
    overlap = max(1, horizon.ms // interval_ms)
    value = lambda column: pl.Series(column).scatter(np.flatnonzero(~known), None)  # noqa: E731
    return LabelledSet(
        horizon=horizon,
        frame=pl.DataFrame(
            {
                "decision_time": time,
                "fill_time": fill,
                "label_end": end,
                "exit_time": value(end),
                "fill_price": np.full(time.size, 100.0),
                "exit_price": value(100.0 * (1 + forward * 1e-4)),
                "forward_bps": value(forward),
                "weight": value(np.full(time.size, 1.0 / overlap)),
            }
        ),
    )


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Pair]:
    return synthetic_pair


@pytest.fixture(scope="session")
def relabel() -> Callable[..., LabelledSet]:
    return labelled


def recipe_of(name: str, **rules: float) -> Recipe:
    return built_in_recipes([name], feature_recipe="core-test", training=TrainingPolicy(**rules))[0]


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    return recipe_of
