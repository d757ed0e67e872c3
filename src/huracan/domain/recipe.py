"""A recipe is everything that decides a trade, frozen and hashed: a lineage tests recipes, not weights.

Each part carries a hand-raised `version`. The recipe id hashes versions and parameters, not source code:
golden-output tests fail when an output changes and its version does not.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

from huracan.domain.ids import content_hash
from huracan.domain.time import Horizon

RiskPreset = Literal["conservative", "balanced", "aggressive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineUse:
    """An engine as a recipe uses it: its name, the version of its code, and its hyper-parameters.

    `content` is the hash of the whole specification where another distribution offers it: its version is not ours to
    raise.
    """

    name: str
    version: int = 1
    estimator: Literal["ridge", "lightgbm"] = "ridge"
    parameters: tuple[tuple[str, float], ...] = ()
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPolicy:
    """Walk-forward and estimation; days are UTC days, rows are decisions."""

    version: int = 1
    first_window_days: int = 30
    lookback_days: int = 150
    ridge_refit_days: int = 1
    tree_refit_days: int = 30
    pool_prior_rows: float = 2_000.0  # shrinkage of the pool's coefficients to zero, in effective rows
    pair_prior_rows: float = 8_000.0  # shrinkage of a pair's coefficients to its pool's, in effective rows
    min_regime_rows: int = 400  # below: the pooled-regime model serves that regime
    label_clip_sd: float = 4.0  # labels winsorised at this many ex-ante horizon sds, in training only
    calibration_prior_slope: float = 0.25
    calibration_prior_labels: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusPolicy:
    """How engines' calibrated edges become one score S and one edge."""

    version: int = 1
    adaptive_threshold: bool = True
    min_consensus_score: float = 0.5
    correlation_penalty_weight: float = 0.3
    window: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPolicy:
    """Costs of trading, one way unless said otherwise. Fees per market: (maker, taker) in bps."""

    version: int = 1
    fees_bps: tuple[tuple[str, float, float], ...] = (("spot", 10.0, 10.0), ("um", 2.0, 5.0))
    impact_y: float = 1.0  # impact bps = Y * sigma_day_bps * sqrt(Q / V)
    panic_spread_multiple: float = 10.0
    worst_funding_bps_per_day: float = 30.0  # for the side held, where a perpetual's funding is unknown
    capital_quote: float = 10_000.0  # capital of one coin in quote currency, for impact


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingPolicy:
    """Position size as a fraction of the coin's capital, and the caps the simulation and Hamilton enforce."""

    version: int = 1
    risk_preset: RiskPreset = "balanced"
    per_trade_risk: float = 0.005
    daily_loss_stop: float = 0.025
    leverage_cap: float = 2.0
    min_confidence: float = 0.55
    sigma_floor_day_bps: float = (
        500.0  # sizing never assumes less (a usual altcoin's day); declares the largest position
    )
    net_cap_share: float = 0.5  # of the largest position, over a pool
    gross_cap_share: float = 1.0
    entry_cost_multiple: float = 1.5
    min_edge_after_cost_bps: float = 5.0

    def largest_position(self, horizon: Horizon) -> float:
        """Largest |fraction of capital| this policy can hold at a horizon; the declared cap.

        >>> round(SizingPolicy().largest_position(Horizon.parse("1d")), 4)
        0.05
        """
        sd = self.sigma_floor_day_bps * 1e-4 * math.sqrt(horizon.days)
        return min(self.leverage_cap, self.per_trade_risk / (2 * sd))


PRESETS: dict[RiskPreset, SizingPolicy] = {
    "conservative": SizingPolicy(
        risk_preset="conservative", per_trade_risk=0.0025, daily_loss_stop=0.015, leverage_cap=1.5, min_confidence=0.65
    ),
    "balanced": SizingPolicy(),
    "aggressive": SizingPolicy(
        risk_preset="aggressive", per_trade_risk=0.010, daily_loss_stop=0.035, leverage_cap=3.0, min_confidence=0.50
    ),
}

DRAWDOWN_LIMIT: dict[RiskPreset, float] = {"conservative": 0.10, "balanced": 0.15, "aggressive": 0.20}


SHIPPED_SEEN: Final = (("2022-02-20", "2022-06-20"), ("2025-06-11", "2025-11-12"))
"""Days the makers of shipped recipes looked at, both ends included; each look is a row of docs/trials.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Engines + features + training + consensus + costs + sizing, under one name.

    `gate` holds the thresholds of the regime gate that differ from the shipped ones.
    """

    name: str
    engines: tuple[EngineUse, ...]
    feature_recipe: str
    training: TrainingPolicy = field(default_factory=TrainingPolicy)
    consensus: ConsensusPolicy = field(default_factory=ConsensusPolicy)
    costs: CostPolicy = field(default_factory=CostPolicy)
    sizing: SizingPolicy = field(default_factory=SizingPolicy)
    decision_interval_minutes: int = 60
    execution_latency_s: int = 30
    seen: tuple[tuple[str, str], ...] = SHIPPED_SEEN
    gate: tuple[tuple[str, float], ...] = ()

    @property
    def id(self) -> str:
        """Name and the hash of everything that decides a trade (not of `seen`)."""
        content = asdict(replace(self, seen=()))
        if not self.gate:  # a recipe of before the gate was part of it keeps its id
            del content["gate"]
        for use in content["engines"]:  # and so does one of built-in engines
            if not use["content"]:
                del use["content"]
        return f"{self.name}-{content_hash(content)[:12]}"
