"""What the later steps hand on: trained pairs, cell scores, the consensus path, scorecards, pool results.

Steps never import one another, so the records they exchange live here.
"""

from dataclasses import dataclass, field
from typing import TypedDict

import polars as pl

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import DAILY_SCHEMA, FORECAST_SCHEMA_HEAD, PANEL_SCHEMA, TRADE_SCHEMA, check_schema
from huracan.domain.json import JsonObject
from huracan.domain.model import TreeArrays
from huracan.domain.time import Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPair:
    """Step 5's answer for one (coin, horizon, recipe): out-of-fold forecasts and the live arrays.

    `forecasts` and `edges` have FORECAST_SCHEMA_HEAD columns, then one float64 column per engine (bps; NaN = the engine
    abstains). `forecasts` are raw, `edges` calibrated with slopes known at the row's `fold_day` only. Rows are all
    decisions of the test folds, ascending. The live arrays are fitted on every label closed at the cut-off; shapes as
    in ChampionModel. `notes` say where a pooled model stood in, and what tonight's models do without; `stopped` are the
    features among the latter whose source has ended. `n_effective` is the sum of uniqueness weights. `window_ms` are
    the open times of the first and the last bar behind the live arrays' labels.
    """

    horizon: Horizon
    engines: tuple[str, ...]
    feature_names: tuple[str, ...]
    forecasts: pl.DataFrame
    edges: pl.DataFrame
    coef: F64
    intercept: F64
    clip_low: F64
    clip_high: F64
    slope: F64
    tree_of: I64
    forests: tuple[TreeArrays, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    n_effective: float = 0.0
    window_ms: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        schema = {**FORECAST_SCHEMA_HEAD, **dict.fromkeys(self.engines, pl.Float64)}
        check_schema(self.forecasts, schema, "out-of-fold forecasts")
        check_schema(self.edges, schema, "calibrated edges")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScores:
    """Step 6's answer per (engine, regime): what each engine's calibrated edge earned after costs, row by row.

    Row-aligned with `TrainedPair.edges`. `net_bps` (n, E): sign(edge) * forward return - round-trip cost of notional,
    NaN where the engine abstains, holds, or the label is not closed. `closed_ms` (n,): when that outcome was known.
    `cost_bps` (n,): one round trip at that decision (fees, spread, impact both ways).
    """

    net_bps: F64
    closed_ms: I64
    cost_bps: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusPath:
    """Step 7's answer: what the engines together said at every out-of-fold decision, causally.

    `frame`: decision_time (int64), regime (int64), score (signed S), edge_bps, confidence, threshold, penalty, cost_bps
    (float64). Live values are as of the cut-off: `weight` (E,), `enabled` (E, R), `threshold`, `penalty`.
    """

    frame: pl.DataFrame
    weight: F64
    enabled: I64
    threshold: float
    penalty: float
    reliability: dict[str, float]
    correlation: dict[str, dict[str, float]]


class DailyMetrics(TypedDict):
    """The numbers of a daily series and its round trips; None where undefined, never NaN."""

    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float | None
    hit_rate: float | None
    win_rate: float | None
    profit_factor: float | None
    turnover: float | None
    net_bps_a_day: float | None
    days: int
    days_with_position: int
    round_trips: int


class MetricsWithCapacity(DailyMetrics):
    """The same numbers and the capacity of the edge, in quote currency."""

    capacity_estimate: float | None


class ScorecardMetrics(MetricsWithCapacity):
    """The numbers of a scorecard, what its capacity rests on, and its numbers without the best day."""

    capacity: JsonObject | None
    without_best_day: MetricsWithCapacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One recipe on one (coin, horizon), simulated with costs: the path, its days, its trades, its numbers.

    `metrics` has at least sharpe_ratio, sortino_ratio, max_drawdown, hit_rate, profit_factor, turnover,
    capacity_estimate (None where undefined, never NaN), and the same ones under ``without_best_day``. `costs` has
    means per round trip in bps of notional: fees, spread, slippage, funding, gross, net, break_even, and p10/p50/p90.
    """

    coin: str
    horizon: str
    recipe_id: str
    panel: pl.DataFrame
    daily: pl.DataFrame
    trades: pl.DataFrame
    metrics: ScorecardMetrics
    costs: dict[str, float | None]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_schema(self.panel, PANEL_SCHEMA, "panel")
        check_schema(self.daily, DAILY_SCHEMA, "daily results")
        check_schema(self.trades, TRADE_SCHEMA, "trades")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolResult:
    """The equal-capital mean of a pool's members for one (horizon, recipe), after the pool's net cap.

    `daily` is DAILY_SCHEMA, bps of the pool's capital; a day with fewer than 80% valid members is invalid.
    `members` are coins; `net_cap` and `gross_cap` are fractions of capital, enforced.
    """

    pool: str
    horizon: str
    recipe_id: str
    members: tuple[str, ...]
    daily: pl.DataFrame
    net_cap: float
    gross_cap: float

    def __post_init__(self) -> None:
        check_schema(self.daily, DAILY_SCHEMA, "pool results")
