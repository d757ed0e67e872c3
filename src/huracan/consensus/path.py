"""What the engines together said at every out-of-fold decision, with the weights known on that day."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from huracan.consensus.threshold import raised_threshold
from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.recipe import ConsensusPolicy
from huracan.domain.results import CellScores, ConsensusPath, TrainedPair
from huracan.domain.time import DAY_MS
from huracan.errors import DataError
from huracan.stats.correlation import correlation_penalty, shrunk_correlation, vote_weights
from huracan.stats.decide import vote
from huracan.stats.hedge import edge_loss, hedge_weights, learning_rate

CLIP_MULTIPLE = 2.0
"""A day's net edge counts as won or lost outright at this multiple of the usual size of daily net edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcomes:
    """Rows whose label closed before the cut-off, by day of closing (0 = `first_day`); rows without a vote are out.

    net, won (m, E): net of costs (NaN = no vote) and sign(edge) * forward return (0 = no vote), bps.
    """

    row: I64
    day: I64
    first_day: int
    n_days: int
    net: F64
    won: F64

    def daily(self, values: F64) -> F64:
        """Sums of values (m,) or (m, ...) by day of closing."""
        out = np.zeros((self.n_days, *values.shape[1:]))
        np.add.at(out, self.day, values)
        return out


def consensus_path(
    trained: TrainedPair,
    cells: CellScores,
    *,
    enabled_by_fold: I64,
    fold_days: I64,
    live_enabled: I64,
    policy: ConsensusPolicy,
    cutoff_ms: int,
) -> ConsensusPath:
    """Scores, edges and thresholds of all out-of-fold rows, and the live weights as of the cut-off.

    enabled_by_fold (n_days, E, R) is the gate on each of fold_days (n_days,), UTC day numbers, ascending;
    live_enabled (E, R) the gate at the cut-off. A day's weights, penalty and threshold rest on outcomes closed
    before 00:00 of that day; the live ones on outcomes closed before the cut-off. A disabled engine
    abstains, and so does everybody where the round-trip cost is unknown. An engine without an outcome in the window
    is no voter to be counted, and weighs no more than the least of those with one. Raises
    DataError when a row's fold day has no gate.
    """
    head = trained.edges
    fold = _fold_index(head["fold_day"].to_numpy(), fold_days)
    raw = head.select(trained.engines).to_numpy().astype(np.float64, copy=False)
    regime = head["regime"].to_numpy()
    edges = _gated(raw, regime, fold, enabled_by_fold)
    edges[~np.isfinite(cells.cost_bps)] = np.nan
    outcomes = _closed_outcomes(cells, cutoff_ms)
    first = 0 if outcomes is None else outcomes.first_day
    asked = np.append(fold_days - first, cutoff_ms // DAY_MS + 1 - first)  # the last one: everything closed so far
    enabled = (np.concatenate((enabled_by_fold, live_enabled[None])) != 0).any(axis=2)
    votes = _votes(outcomes, asked, policy.window, enabled)
    weight, penalty = votes.weight, votes.penalty
    score, edge, confidence = vote(
        edges, weight[fold], cells.cost_bps, penalty[fold], policy.correlation_penalty_weight
    )
    threshold = _thresholds(policy, outcomes, asked, score=score, cost_bps=cells.cost_bps, edges=raw)
    frame = pl.DataFrame(
        {
            "decision_time": head["decision_time"],
            "regime": head["regime"],
            "score": score,
            "edge_bps": edge,
            "confidence": confidence,
            "threshold": threshold[fold],
            "penalty": penalty[fold],
            "cost_bps": cells.cost_bps,
        }
    )
    return ConsensusPath(
        frame=frame,
        weight=weight[-1],
        enabled=live_enabled,
        threshold=float(threshold[-1]),
        penalty=float(penalty[-1]),
        reliability=dict(zip(trained.engines, votes.reliability[-1].tolist(), strict=True)),
        correlation=_named(trained.engines, votes.correlation[-1]),
    )


class _Votes(NamedTuple):
    """What each asked day gives every engine: weight and reliability (t, E), correlation (t, E, E), and the penalty
    (t,).
    """

    weight: F64
    penalty: F64
    reliability: F64
    correlation: F64


def _votes(outcomes: _Outcomes | None, asked: I64, window: int, enabled: Bool) -> _Votes:
    engines = enabled.shape[1]
    reliability = _reliability(outcomes, asked, window, engines)
    correlation = _correlation(outcomes, asked, window, engines)
    seen = _with_outcomes(outcomes, asked, window, enabled)
    voters = np.where(seen.any(axis=1, keepdims=True), seen, enabled)
    _, effective = vote_weights(correlation, voters)
    shared, _ = vote_weights(correlation, enabled)
    return _Votes(
        weight=_normalised(_humbled(reliability * shared, seen)),
        penalty=correlation_penalty(effective, voters.sum(axis=1).astype(np.float64)),
        reliability=reliability,
        correlation=correlation,
    )


def _fold_index(fold_day: I64, fold_days: I64) -> I64:
    index = np.searchsorted(fold_days, fold_day).astype(np.int64)
    inside = np.minimum(index, max(len(fold_days) - 1, 0))
    if fold_day.size and (not len(fold_days) or (fold_days[inside] != fold_day).any()):
        known = f"{fold_days[0]}..{fold_days[-1]} ({len(fold_days)} days)" if len(fold_days) else "none"
        raise DataError(f"forecasts for a fold day without a gate; gates are known for {known}: pass one for every day")
    return index


def _gated(edges: F64, regime: I64, fold: I64, enabled: I64) -> F64:
    """Edges of engines that may vote in that row's regime on that day; NaN for the others."""
    code = np.clip(regime, 0, enabled.shape[2] - 1)
    allowed = (enabled[fold, :, code] != 0) & (regime >= 0)[:, None]
    gated: F64 = np.where(allowed, edges, np.nan)
    return gated


def _closed_outcomes(cells: CellScores, cutoff_ms: int) -> _Outcomes | None:
    known = np.isfinite(cells.net_bps).any(axis=1) & (cells.closed_ms < cutoff_ms)
    row = np.flatnonzero(known)
    if not row.size:
        return None
    day = cells.closed_ms[row] // DAY_MS
    net = cells.net_bps[row]
    won = np.nan_to_num(net + cells.cost_bps[row, None], nan=0.0)
    first = int(day.min())
    return _Outcomes(row=row, day=day - first, first_day=first, n_days=int(day.max()) - first + 1, net=net, won=won)


def _before(daily: F64, asked: I64, window: int) -> F64:
    """Sums over the `window` days of closing before each asked day (day numbers from the first day of closing)."""
    running = np.concatenate((np.zeros((1, *daily.shape[1:])), np.cumsum(daily, axis=0)))
    last = len(daily)
    until = np.clip(asked, 0, last)
    sums: F64 = running[until] - running[np.clip(until - window, 0, last)]
    return sums


def _reliability(outcomes: _Outcomes | None, asked: I64, window: int, n_engines: int) -> F64:
    """Hedge weights (days, E) on each engine's mean net edge of a day; the clip grows from earlier days only."""
    if outcomes is None:
        return np.full((len(asked), n_engines), 1.0 / max(n_engines, 1))
    voted = np.isfinite(outcomes.net)
    number = outcomes.daily(voted.astype(np.float64))
    mean = outcomes.daily(np.where(voted, outcomes.net, 0.0)) / np.maximum(number, 1.0)
    seen = number > 0.0
    usual = np.sqrt(np.cumsum((mean**2).sum(axis=1)) / np.maximum(np.cumsum(seen.sum(axis=1)), 1.0))
    loss = edge_loss(np.where(seen, mean, np.nan), CLIP_MULTIPLE * usual[:, None])
    weights = hedge_weights(loss, learning_rate(n_engines, window), 1.0 / max(window, 1))
    return weights[np.clip(asked, 0, outcomes.n_days)]


def _correlation(outcomes: _Outcomes | None, asked: I64, window: int, n_engines: int) -> F64:
    """Shrunk correlation (days, E, E) of what the engines' votes earned before costs."""
    if outcomes is None:
        return np.broadcast_to(np.eye(n_engines), (len(asked), n_engines, n_engines)).copy()
    won, squares = outcomes.won, np.square(outcomes.won)
    second = outcomes.daily(won[:, :, None] * won[:, None, :])
    fourth = outcomes.daily(squares[:, :, None] * squares[:, None, :])
    count = outcomes.daily(np.ones(len(won)))
    return shrunk_correlation(
        _before(second, asked, window), _before(fourth, asked, window), _before(count, asked, window)
    )


def _with_outcomes(outcomes: _Outcomes | None, asked: I64, window: int, enabled: Bool) -> Bool:
    """Enabled engines with an outcome in the window, shape (days, E)."""
    if outcomes is None:
        return np.zeros_like(enabled)
    voted = outcomes.daily(np.isfinite(outcomes.net).astype(np.float64))
    seen: Bool = enabled & (_before(voted, asked, window) > 0.5)
    return seen


def _humbled(weight: F64, seen: Bool) -> F64:
    """Weights where an engine without a recent outcome weighs no more than the least of those with one."""
    least = np.where(seen & (weight > 0.0), weight, np.inf).min(axis=1, keepdims=True)
    humbled: F64 = np.where(seen, weight, np.minimum(weight, least))
    return humbled


def _normalised(weight: F64) -> F64:
    total = weight.sum(axis=1, keepdims=True)
    equal = np.full_like(weight, 1.0 / max(weight.shape[1], 1))
    normal: F64 = np.where(total > 0.0, weight / np.where(total > 0.0, total, 1.0), equal)
    return normal


def _thresholds(
    policy: ConsensusPolicy, outcomes: _Outcomes | None, asked: I64, *, score: F64, cost_bps: F64, edges: F64
) -> F64:
    """Threshold on each asked day from what the consensus earned lately where it was loud enough to enter."""
    base = policy.min_consensus_score
    if outcomes is None or not policy.adaptive_threshold:
        return np.full(len(asked), base)
    row = outcomes.row
    voter = np.argmax(np.isfinite(outcomes.net), axis=1)
    up = np.sign(edges[row, voter]) * outcomes.won[np.arange(len(row)), voter]
    loud = (np.abs(score[row]) >= base) & (score[row] != 0.0)
    net = np.where(loud, np.sign(score[row]) * up - cost_bps[row], 0.0)
    number = outcomes.daily(loud.astype(np.float64))
    mean = outcomes.daily(net) / np.maximum(number, 1.0)
    traded = (number > 0.0).astype(np.float64)
    window = policy.window
    return raised_threshold(
        base, _before(traded, asked, window), _before(mean, asked, window), _before(mean**2, asked, window)
    )


def _named(engines: tuple[str, ...], matrix: F64) -> dict[str, dict[str, float]]:
    return {one: dict(zip(engines, row, strict=True)) for one, row in zip(engines, matrix.tolist(), strict=True)}
