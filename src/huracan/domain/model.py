"""The arrays of a champion: what training produces, the bundle stores and Hamilton evaluates.

One record for all three, evaluated by one compiled kernel (`huracan.stats.decide`), so a prediction in
production equals the one in training bit for bit.
"""

from dataclasses import dataclass, field

from huracan.domain.arrays import F64, I64


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeArrays:
    """A forest as flat arrays. Nodes of all trees stand behind one another; `roots` are their starts.

    A row goes to `left` when ``x[feature] <= threshold`` (NaN never reaches it), else `right`; a negative child c
    is leaf ``~c`` of `leaf_value`. Children always have larger node numbers than their parent.
    Shapes: feature, threshold, left, right (n_nodes,); leaf_value (n_leaves,); roots (n_trees,)
    (a root may be negative: a single leaf).
    """

    feature: I64
    threshold: F64
    left: I64
    right: I64
    leaf_value: F64
    roots: I64


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionParameters:
    """Scalars of one champion's decision, as of the data cut-off."""

    horizon_minutes: int
    threshold: float  # |S| needed to enter
    cost_bps: float  # one round trip, of notional: fees, spread and impact both ways
    min_edge_after_cost_bps: float
    entry_cost_multiple: float
    min_confidence: float
    per_trade_risk: float
    leverage_cap: float
    sigma_floor_day_bps: float
    largest_position: float
    correlation_penalty: float  # 0..1, of the enabled engines
    correlation_penalty_weight: float
    allow_short: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionModel:
    """All arrays of one (coin, horizon): E engines, R = 4 regimes, p features.

    feature_names: exact columns of `predict`, in order. coef (E, R, p) and intercept (E, R) act on clipped raw
    features and give bps; zero for tree engines. clip_low, clip_high (p,): training quantiles. enabled (E, R):
    the gate (0/1). slope (E,): calibration. weight (E,): reliability x correlation, sums to 1.
    tree_of (E,): index into `forests`, or -1.
    """

    feature_names: tuple[str, ...]
    engines: tuple[str, ...]
    coef: F64
    intercept: F64
    clip_low: F64
    clip_high: F64
    enabled: I64
    slope: F64
    weight: F64
    tree_of: I64
    forests: tuple[TreeArrays, ...] = field(default_factory=tuple)
    decision: DecisionParameters
