"""The usual numbers of a daily series and its round trips; undefined is None, never NaN. 365 days a year."""

import math
from dataclasses import asdict

import numpy as np
import polars as pl

from huracan.domain.arrays import F64
from huracan.domain.results import DailyMetrics, ScorecardMetrics
from huracan.domain.time import DAY_MS
from huracan.scoring.capacity import Capacity

DAYS_A_YEAR = 365


def sharpe_ratio(net_bps: F64) -> float | None:
    """Annualised mean over sample standard deviation; None for fewer than two days or without any variation."""
    if net_bps.size < 2:
        return None
    spread = float(net_bps.std(ddof=1))
    return _finite(float(net_bps.mean()) / spread * math.sqrt(DAYS_A_YEAR)) if spread > 1e-12 else None


def sortino_ratio(net_bps: F64) -> float | None:
    """Annualised mean over root mean square of the losing days; None where no day loses."""
    if net_bps.size < 2:
        return None
    downside = math.sqrt(float(np.square(np.minimum(net_bps, 0.0)).mean()))
    return _finite(float(net_bps.mean()) / downside * math.sqrt(DAYS_A_YEAR)) if downside > 1e-12 else None


def max_drawdown(net_bps: F64) -> float | None:
    """Largest loss from a peak of the compounded capital, a fraction in [0, 1]; None without days."""
    if not net_bps.size:
        return None
    growth = np.maximum(1.0 + net_bps * 1e-4, 0.0)
    capital = np.concatenate(([1.0], np.cumprod(growth)))
    return float((1.0 - capital / np.maximum.accumulate(capital)).max())


def hit_rate(net_bps: F64) -> float | None:
    """Share of round trips with a positive net result; None without any."""
    return float((net_bps > 0.0).mean()) if net_bps.size else None


def profit_factor(gains: F64) -> float | None:
    """Sum of gains over sum of losses, of money and not of notional; None where nothing was lost."""
    lost = -float(gains[gains < 0.0].sum())
    return _finite(float(gains[gains > 0.0].sum()) / lost) if lost > 0.0 else None


def scorecard_metrics(daily: pl.DataFrame, trades: pl.DataFrame, capacity: Capacity | None) -> ScorecardMetrics:
    """The numbers of a scorecard, and the same ones under ``without_best_day``.

    Only valid days count; round trips are counted wherever they ended. `turnover` is the mean of a day, as a multiple
    of capital; `capacity_estimate` is in quote currency, and ``capacity`` says what it rests on.
    """
    days = daily.filter("valid")
    full = _numbers(days, trades)
    best = days["net_bps"].arg_max()
    rest = full
    if best is not None:
        best_day = int(days["day"][best])
        ended = pl.col("exit_time") // DAY_MS
        rest = _numbers(days.filter(pl.col("day") != best_day), trades.filter(ended != best_day))
    estimate = capacity.quote if capacity is not None else None
    return {
        **full,
        "capacity_estimate": estimate,
        "capacity": asdict(capacity) if capacity is not None else None,
        "without_best_day": {**rest, "capacity_estimate": estimate},
    }


def _numbers(days: pl.DataFrame, trades: pl.DataFrame) -> DailyMetrics:
    net = days["net_bps"].to_numpy()
    per_trip = trades["net_bps"].to_numpy()
    hits = hit_rate(per_trip)
    return {
        "sharpe_ratio": sharpe_ratio(net),
        "sortino_ratio": sortino_ratio(net),
        "max_drawdown": max_drawdown(net),
        "hit_rate": hits,
        "win_rate": hits,
        "profit_factor": profit_factor(per_trip * trades["position"].to_numpy()),
        "turnover": float(days["turnover"].to_numpy().mean()) if days.height else None,
        "net_bps_a_day": float(net.mean()) if net.size else None,
        "days": days.height,
        "days_with_position": int((days["exposure"] > 0.0).sum()),
        "round_trips": trades.height,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
