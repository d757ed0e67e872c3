"""A whole champion on feature rows: the one composition of kernels used in training, golden rows and Hamilton.

Shapes: n rows, p features, E engines, R = 4 regimes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from huracan.domain.arrays import F64, I64
from huracan.domain.model import ChampionModel
from huracan.stats.decide import forest_forecasts, linear_forecasts, position_fraction, vote, wants_entry
from huracan.stats.kernel import kernel

REGIME_FEATURE: Final = "regime"
SIGMA_FEATURE: Final = "sigma_day_bps"

Context = tuple[F64, F64, F64, I64, F64, I64, I64, F64, F64, I64, I64, F64, int]
"""Arrays of a champion in the order `decide_rows` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What a champion decides for each row.

    raw (n, E): forecasts in bps, NaN = abstains. edges (n, E): calibrated and gated, NaN = abstains or closed by the
    gate. score (n,) in [-1, 1]; edge_bps (n,) of notional before costs, signed; confidence (n,) in [0, 1]; side (n,) is
    +1, -1 or 0 for a new entry; position_fraction (n,) is the signed fraction of capital for it.
    """

    raw: F64
    edges: F64
    score: F64
    edge_bps: F64
    confidence: F64
    side: I64
    position_fraction: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledModel:
    """A champion as contiguous arrays, ready for the kernels; columns are -1 where the model lacks the feature."""

    feature_names: tuple[str, ...]
    engines: tuple[str, ...]
    cost_bps: float
    regime_column: int
    context: Context


def compile_model(model: ChampionModel) -> CompiledModel:
    """The champion's arrays in the kernels' layout: own contiguous copies, all forests behind one another."""
    d = model.decision
    scalars = np.array(
        [
            d.cost_bps,
            d.correlation_penalty,
            d.correlation_penalty_weight,
            d.threshold,
            d.entry_cost_multiple,
            d.min_edge_after_cost_bps,
            d.min_confidence,
            1.0 if d.allow_short else 0.0,
            d.horizon_minutes / 1440,
            d.per_trade_risk,
            d.leverage_cap,
            d.sigma_floor_day_bps,
            d.largest_position,
        ]
    )
    names = model.feature_names
    column = {name: names.index(name) if name in names else -1 for name in (REGIME_FEATURE, SIGMA_FEATURE)}
    context: Context = (
        _floats(model.coef)[np.newaxis],
        _floats(model.intercept)[np.newaxis],
        _floats(np.stack([model.clip_low, model.clip_high])[:, np.newaxis]),
        _integers(model.enabled),
        _floats(np.stack([model.slope, model.weight])),
        _integers(model.tree_of),
        *_joined_forests(model),
        scalars,
        column[SIGMA_FEATURE],
    )
    return CompiledModel(
        feature_names=names,
        engines=model.engines,
        cost_bps=d.cost_bps,
        regime_column=column[REGIME_FEATURE],
        context=context,
    )


def evaluate(model: ChampionModel | CompiledModel, x: F64, regime: I64) -> Decisions:
    """Decisions for feature rows x (n, p), columns as in `feature_names`, and regime codes (n,); -1 = unknown, abstain.

    Every row's result is independent of the other rows, so one row at a time gives the same bits.
    """
    compiled = model if isinstance(model, CompiledModel) else compile_model(model)
    rows = np.ascontiguousarray(x, dtype=np.float64)
    codes = np.ascontiguousarray(regime, dtype=np.int64)
    raw, edges, score, edge, confidence, side, fraction = decide_rows(rows, codes, *compiled.context)
    return Decisions(
        raw=raw,
        edges=edges,
        score=score,
        edge_bps=edge,
        confidence=confidence,
        side=side,
        position_fraction=fraction,
    )


def regime_codes(model: ChampionModel | CompiledModel, x: F64) -> I64:
    """Regime code of each row of x (n, p) from its ``regime`` column; -1 where it is not one of the four.

    All zeros where the model has no such column: then all its regimes hold the same pooled arrays.
    """
    if REGIME_FEATURE not in model.feature_names:
        return np.zeros(x.shape[0], dtype=np.int64)
    column = x[:, model.feature_names.index(REGIME_FEATURE)]
    known = np.isin(column, np.arange(4.0))
    return np.where(known, column, -1.0).astype(np.int64)


@kernel
def decide_rows(
    x: F64,
    regime: I64,
    coef: F64,
    intercept: F64,
    clips: F64,
    enabled: I64,
    scales: F64,
    tree_of: I64,
    nodes: I64,
    threshold: F64,
    leaf_value: F64,
    roots: I64,
    forest_start: I64,
    scalars: F64,
    sigma_column: int,
) -> tuple[F64, F64, F64, F64, F64, I64, F64]:
    """Raw forecasts, edges, score, edge, confidence, side, signed position; see `Decisions` and `compile_model`.

    clips (2, 1, p): low and high. scales (2, E): slopes and weights. nodes (3, N): feature, left and right child. Few
    arrays, because the cost of a call from Python grows with their number.
    """
    slope, weight = scales[0], scales[1]
    n, n_engines = x.shape[0], slope.shape[0]
    fold = np.zeros(n, dtype=np.int64)
    raw = linear_forecasts(x, fold, regime, coef, intercept, clips[0], clips[1])
    edges = np.empty((n, n_engines))
    for engine in range(n_engines):
        forest = tree_of[engine]
        if forest >= 0:
            trees = roots[forest_start[forest] : forest_start[forest + 1]]
            sums = forest_forecasts(x, nodes[0], threshold, nodes[1], nodes[2], leaf_value, trees)
            for row in range(n):
                raw[row, engine] = sums[row] if regime[row] >= 0 else np.nan
        for row in range(n):
            is_open = regime[row] >= 0 and enabled[engine, regime[row]] == 1
            edges[row, engine] = slope[engine] * raw[row, engine] if is_open else np.nan
    cost, penalty, penalty_weight = scalars[0], scalars[1], scalars[2]
    weights = np.empty((n, n_engines))
    weights[:] = weight
    score, edge, confidence = vote(edges, weights, np.full(n, cost), np.full(n, penalty), penalty_weight)
    side, fraction = np.zeros(n, dtype=np.int64), np.zeros(n)
    for row in range(n):
        side[row] = wants_entry(
            score[row],
            edge[row],
            confidence[row],
            cost,
            scalars[3],
            scalars[4],
            scalars[5],
            scalars[6],
            scalars[7] > 0.0,
        )
        if side[row] != 0:
            sigma = x[row, sigma_column] if sigma_column >= 0 else 0.0
            fraction[row] = side[row] * position_fraction(
                score[row], scalars[3], sigma, scalars[8], scalars[9], scalars[10], scalars[11], scalars[12]
            )
    return raw, edges, score, edge, confidence, side, fraction


@kernel
def decide_row(x: F64, regime_column: int, *context: *Context) -> tuple[int, int, float, float, float, int, float, F64]:
    """One row, x (1, p), for serving: regime, silent engines, score, edge, confidence, side, signed position, edges
    (E,).

    The regime is -1 when a feature is not finite and -2 when the regime is not one of the four; then nothing
    else means anything.
    """
    code = 0
    for j in range(x.shape[1]):
        if not np.isfinite(x[0, j]):
            return -1, 0, 0.0, 0.0, 0.0, 0, 0.0, np.empty(0)
    if regime_column >= 0:
        value = x[0, regime_column]
        code = int(value)
        if code < 0 or code > 3 or float(code) != value:
            return -2, 0, 0.0, 0.0, 0.0, 0, 0.0, np.empty(0)
    regime = np.full(1, code, dtype=np.int64)
    _, edges, score, edge, confidence, side, fraction = decide_rows(x, regime, *context)
    silent = 0
    for engine in range(edges.shape[1]):
        if np.isnan(edges[0, engine]):
            silent += 1
    return (
        code,
        silent,
        float(score[0]),
        float(edge[0]),
        float(confidence[0]),
        int(side[0]),
        float(fraction[0]),
        edges[0],
    )


def _joined_forests(model: ChampionModel) -> tuple[I64, F64, F64, I64, I64]:
    node_start = np.cumsum([0, *(forest.feature.size for forest in model.forests)])
    leaf_start = np.cumsum([0, *(forest.leaf_value.size for forest in model.forests)])
    root_start = np.cumsum([0, *(forest.roots.size for forest in model.forests)])

    def moved(name: str) -> I64:
        # A leaf is ~index, so leaves move the other way.
        parts = [
            np.where(child >= 0, child + node_start[number], child - leaf_start[number])
            for number, child in enumerate(getattr(forest, name) for forest in model.forests)
        ]
        return _integers(np.concatenate([np.empty(0, np.int64), *parts]))

    def joined(name: str, dtype: type[np.float64 | np.int64]) -> NDArray[np.float64 | np.int64]:
        return np.concatenate([np.empty(0, dtype), *(getattr(forest, name) for forest in model.forests)])

    return (
        _integers(np.stack([joined("feature", np.int64), moved("left"), moved("right")])),
        _floats(joined("threshold", np.float64)),
        _floats(joined("leaf_value", np.float64)),
        moved("roots"),
        _integers(root_start),
    )


def _floats(array: NDArray[np.generic]) -> F64:
    return np.array(array, dtype=np.float64, order="C")


def _integers(array: NDArray[np.generic]) -> I64:
    return np.array(array, dtype=np.int64, order="C")
