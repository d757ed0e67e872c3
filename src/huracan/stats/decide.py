"""From features to a decision: the kernels shared by out-of-fold scoring, the live model and Hamilton.

One implementation, so what was tested is what trades. Shapes: n rows, p features, E engines, R regimes, F folds
(1 for a live model). NaN in a forecast means that engine abstains.
"""

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.stats.kernel import kernel


@kernel
def linear_forecasts(x: F64, fold: I64, regime: I64, coef: F64, intercept: F64, clip_low: F64, clip_high: F64) -> F64:
    """Raw forecasts in bps, shape (n, E); x (n, p), fold and regime (n,), coef (F, E, R, p), intercept (F, E, R),
    clips (F, p). Rows with a fold below zero, or a non-finite feature an engine uses, give NaN.
    """
    n, p = x.shape
    n_engines = coef.shape[1]
    out = np.empty((n, n_engines))
    for row in range(n):
        f, r = fold[row], regime[row]
        for engine in range(n_engines):
            if f < 0 or r < 0:
                out[row, engine] = np.nan
                continue
            total = intercept[f, engine, r]
            for j in range(p):
                slope = coef[f, engine, r, j]
                if slope != 0.0:
                    value = x[row, j]
                    if value < clip_low[f, j]:
                        value = clip_low[f, j]
                    elif value > clip_high[f, j]:
                        value = clip_high[f, j]
                    total += slope * value
            out[row, engine] = total if np.isfinite(total) else np.nan
    return out


@kernel
def forest_forecasts(x: F64, feature: I64, threshold: F64, left: I64, right: I64, leaf_value: F64, roots: I64) -> F64:
    """Sum of all trees for each row of x (n, p); shape (n,). NaN where a visited feature is not finite."""
    out = np.zeros(x.shape[0])
    for row in range(x.shape[0]):
        total = 0.0
        for root in roots:
            node = root
            while node >= 0:
                value = x[row, feature[node]]
                if not np.isfinite(value):
                    total = np.nan
                node = left[node] if value <= threshold[node] else right[node]
            total += leaf_value[~node]
        out[row] = total
    return out


@kernel
def weigh_votes(
    direction: F64, edges: F64, confidence: F64, weight: F64, penalty: F64, penalty_weight: float
) -> tuple[F64, F64, F64]:
    """Score S in [-1, 1], edge in bps and confidence in [0, 1] for each row of votes; all shape (n,).

    direction (n, E): +1, -1 or 0 (hold). edges (n, E): signed, bps. confidence (n, E) in [0, 1]: 0 = no view, and then
    direction and edge are not read. weight (n, E) >= 0. penalty (n,): correlation penalty 0..1.

    With ``A = sum(w c d) / sum(w c)`` (agreement) and ``C = sum(w c c) / sum(w c)`` (strength),
    ``S = A * C * (1 - penalty_weight * penalty)``, the edge is the same weighted mean of the edges, and the confidence
    is the share of the weight that stands on the stronger side. No voters: zeros.
    """
    n, n_engines = confidence.shape
    score, edge, agreed = np.zeros(n), np.zeros(n), np.zeros(n)
    for row in range(n):
        total, sided, signed, strength, money = 0.0, 0.0, 0.0, 0.0, 0.0
        for engine in range(n_engines):
            c = confidence[row, engine]
            if not c > 0.0:
                continue
            wc = weight[row, engine] * c
            total += wc
            strength += wc * c
            d = direction[row, engine]
            if d != 0.0:
                sided += wc
                signed += wc if d > 0.0 else -wc
                money += wc * edges[row, engine]
        if total > 0.0:
            agreement = signed / total
            score[row] = agreement * (strength / total) * (1.0 - penalty_weight * penalty[row])
            edge[row] = money / total
            agreed[row] = 0.5 * (sided / total + abs(agreement))
    return score, edge, agreed


@kernel
def vote(edges: F64, weight: F64, cost_bps: F64, penalty: F64, penalty_weight: float) -> tuple[F64, F64, F64]:
    """Score S in [-1, 1], edge in bps and confidence in [0, 1] for each row; all shape (n,).

    edges (n, E): calibrated edges in bps, NaN = abstains, 0 = holds. weight (n, E) >= 0. cost_bps (n,): one round
    trip. penalty (n,): correlation penalty 0..1.

    An engine's confidence is ``c = e^2 / (e^2 + cost^2)``: one half where the edge just pays for the round trip, close
    to 1 only where it dwarfs it; the rest is `weigh_votes`. The confidence that comes out is ``(1 + |A|) / 2``, the
    weight that agrees. An engine without a view thus dilutes nothing, and a confident dissenter counts in full.
    """
    n, n_engines = edges.shape
    direction, confidence = np.zeros((n, n_engines)), np.zeros((n, n_engines))
    for row in range(n):
        for engine in range(n_engines):
            e = edges[row, engine]
            if np.isnan(e) or e == 0.0:
                continue
            direction[row, engine] = 1.0 if e > 0.0 else -1.0
            confidence[row, engine] = e * e / (e * e + cost_bps[row] * cost_bps[row])
    return weigh_votes(direction, edges, confidence, weight, penalty, penalty_weight)


@kernel
def wants_entry(
    score: float,
    edge_bps: float,
    confidence: float,
    cost_bps: float,
    threshold: float,
    cost_multiple: float,
    min_edge_after_cost_bps: float,
    min_confidence: float,
    allow_short: bool,
) -> int:
    """Side to enter (+1, -1) or 0: the edge must clear the costs with room to spare, and the engines must agree."""
    side = 1 if edge_bps > 0.0 else -1
    if side < 0 and not allow_short:
        return 0
    if score * side < threshold or confidence < min_confidence:
        return 0
    size = abs(edge_bps)
    if size <= cost_multiple * cost_bps or size - cost_bps < min_edge_after_cost_bps:
        return 0
    return side


@kernel
def position_fraction(
    score: float,
    threshold: float,
    sigma_day_bps: float,
    horizon_days: float,
    per_trade_risk: float,
    leverage_cap: float,
    sigma_floor_day_bps: float,
    largest_position: float,
) -> float:
    """Unsigned fraction of capital to hold: ``min(cap, risk / (2 sd)) * min(1, (|S| - t) / (1 - t) + .5)``."""
    sd = max(sigma_day_bps, sigma_floor_day_bps) * 1e-4 * np.sqrt(horizon_days)
    size = min(leverage_cap, per_trade_risk / (2.0 * sd), largest_position)
    conviction = (abs(score) - threshold) / max(1e-9, 1.0 - threshold) + 0.5
    return float(size * min(1.0, max(0.0, conviction)))
