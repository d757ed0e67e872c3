"""The consensus over history: causal, weighted, gated, and equal to its slow definitions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.consensus import consensus_path
from huracan.domain.recipe import ConsensusPolicy
from huracan.domain.results import CellScores, TrainedPair
from huracan.domain.time import DAY_MS, HOUR_MS, Horizon
from huracan.errors import DataError
from huracan.stats.decide import vote

FIRST = 20454
HOURS = 24


def make_inputs(*, days=12, engines=4, seed=0, horizon_hours=4, skill=None, clones=0, abstain=0.1):
    """A walk-forward of `days`; engine e's edge has sign equal to the future with probability .5 + skill[e]."""
    rng = np.random.default_rng(seed)
    n = days * HOURS
    times = FIRST * DAY_MS + np.arange(n) * HOUR_MS
    forward = 40.0 * rng.standard_normal(n)
    skill = np.zeros(engines) if skill is None else np.asarray(skill)
    right = rng.random((n, engines)) < 0.5 + skill
    edges = np.where(right, 1.0, -1.0) * np.sign(forward)[:, None] * rng.uniform(2, 60, (n, engines))
    for clone in range(clones):
        edges[:, engines - 1 - clone] = edges[:, 0]
    edges[rng.random((n, engines)) < abstain] = np.nan
    edges[rng.random((n, engines)) < abstain / 2] = 0.0
    names = tuple(f"e{i}" for i in range(engines))
    cost = np.full(n, 8.0)
    net = np.sign(edges) * forward[:, None] - cost[:, None]
    net[edges == 0.0] = np.nan
    closed = times + horizon_hours * HOUR_MS + 60_000
    regime = rng.integers(0, 4, n)
    return pair_of(names, times, times // DAY_MS, regime, edges), CellScores(
        net_bps=net, closed_ms=closed, cost_bps=cost
    )


def pair_of(names, times, fold_day, regime, edges):
    head = {"decision_time": times, "fold_day": fold_day, "regime": regime}
    frame = pl.DataFrame({**head, **{name: edges[:, j] for j, name in enumerate(names)}})
    shape = (len(names), 4, 1)
    return TrainedPair(
        horizon=Horizon.parse("4h"),
        engines=names,
        feature_names=("x",),
        forecasts=frame,
        edges=frame,
        coef=np.zeros(shape),
        intercept=np.zeros(shape[:2]),
        clip_low=np.zeros(1),
        clip_high=np.zeros(1),
        slope=np.ones(len(names)),
        tree_of=np.full(len(names), -1),
    )


def walk(trained, cells, *, enabled=None, live=None, policy=None, cutoff=None):
    days = np.unique(trained.edges["fold_day"].to_numpy())
    n = len(trained.engines)
    enabled = np.ones((len(days), n, 4), np.int64) if enabled is None else enabled
    live = np.ones((n, 4), np.int64) if live is None else live
    cutoff = int(days[-1] + 1) * DAY_MS if cutoff is None else cutoff
    policy = policy or ConsensusPolicy(window=8)
    gates = {"enabled_by_fold": enabled, "fold_days": days, "live_enabled": live}
    return consensus_path(trained, cells, **gates, policy=policy, cutoff_ms=cutoff)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), day=st.integers(2, 11), hours=st.sampled_from([1, 4, 24]))
def test_an_outcome_closed_after_a_day_changes_nothing_of_that_day_or_earlier(seed, day, hours):
    trained, cells = make_inputs(seed=seed, horizon_hours=hours)
    start = (FIRST + day) * DAY_MS
    later = cells.closed_ms >= start
    rng = np.random.default_rng(seed + 1)
    changed = cells.net_bps + np.where(later[:, None], 100 * rng.standard_normal(cells.net_bps.shape), 0.0)
    other = CellScores(net_bps=changed, closed_ms=cells.closed_ms, cost_bps=cells.cost_bps)
    kept = pl.col("decision_time") < start + DAY_MS
    one, two = walk(trained, cells), walk(trained, other)
    assert one.frame.filter(kept).equals(two.frame.filter(kept))
    assert not one.frame.equals(two.frame) or day == 11


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), hours=st.integers(1, 200))
def test_live_values_equal_those_of_a_walk_that_only_knows_what_closed_before_the_cut_off(seed, hours):
    trained, cells = make_inputs(seed=seed)
    cutoff = FIRST * DAY_MS + hours * HOUR_MS
    hidden = np.where((cells.closed_ms < cutoff)[:, None], cells.net_bps, 1e6)
    masked = CellScores(net_bps=hidden, closed_ms=cells.closed_ms, cost_bps=cells.cost_bps)
    one, two = walk(trained, cells, cutoff=cutoff), walk(trained, masked, cutoff=cutoff)
    np.testing.assert_array_equal(one.weight, two.weight)
    assert (one.threshold, one.penalty) == (two.threshold, two.penalty)


def slow_weights(trained, cells, day, window, rules_enabled):
    """Weights of one day, straight from the definitions, without cumulative sums or batches."""
    from scipy.optimize import nnls
    from sklearn.covariance import ledoit_wolf

    k = len(trained.engines)
    closed_day = cells.closed_ms // DAY_MS
    known = np.isfinite(cells.net_bps).any(axis=1) & (cells.closed_ms < day * DAY_MS)
    weights, usual = np.full(k, 1 / k), []
    eta, share = np.sqrt(8 * np.log(k) / window), 1 / window
    if known.any():
        for past in range(int(closed_day[known].min()), min(int(closed_day[known].max()) + 1, day)):
            rows = cells.net_bps[known & (closed_day == past)]
            means = [
                rows[np.isfinite(rows[:, e]), e].mean() if np.isfinite(rows[:, e]).any() else None for e in range(k)
            ]
            usual += [mean for mean in means if mean is not None]
            clip = 2 * np.sqrt(np.mean(np.square(usual)))
            loss = [None if mean is None else 0.5 - 0.5 * np.clip(mean / clip, -1, 1) for mean in means]
            awake = [e for e in range(k) if loss[e] is not None]
            mixed = sum(weights[e] * loss[e] for e in awake) / sum(weights[e] for e in awake) if awake else 0.5
            loss = np.array([max(0.5, mixed) if one is None else one for one in loss])
            weights = weights * np.exp(-eta * loss)
            weights = (1 - share) * weights / weights.sum() + share / k
    won = np.nan_to_num(cells.net_bps + cells.cost_bps[:, None])[known & (closed_day >= day - window)]
    matrix = np.eye(k)
    if won.shape[0]:
        some = np.flatnonzero((won != 0).any(axis=0))
        standard = won[:, some] / np.sqrt((won[:, some] ** 2).mean(axis=0))
        shrunk, _ = ledoit_wolf(standard, assume_centered=True)
        matrix[np.ix_(some, some)] += (shrunk - np.diag(np.diag(shrunk))) * len(won) / (len(won) + k)
    on = np.flatnonzero(rules_enabled)
    shared = np.zeros(k)
    shared[on] = nnls(matrix[np.ix_(on, on)], np.ones(on.size))[0]
    shared /= shared.sum()
    spoke = np.isfinite(cells.net_bps[known & (closed_day >= day - window)]).any(axis=0)
    heard = np.array([e for e in on if spoke[e]], dtype=int)
    voters = heard if heard.size else on
    part = nnls(matrix[np.ix_(voters, voters)], np.ones(voters.size))[0]
    effective = part.sum() ** 2 / (part @ matrix[np.ix_(voters, voters)] @ part)
    penalty = np.clip(1 - effective / voters.size, 0, 1) if voters.size > 1 else 0.0
    final = weights * shared
    if heard.size:
        least = min(final[e] for e in heard if final[e] > 0)
        final = np.array([final[e] if e in heard else min(final[e], least) for e in range(k)])
    return final / final.sum(), penalty


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weights_penalty_and_scores_equal_the_slow_definitions(seed):
    trained, cells = make_inputs(seed=seed, clones=seed % 3, engines=5, skill=[0.2, 0, 0, 0.1, 0])
    cells.net_bps[: HOURS * 6, 1] = np.nan  # speaks up late
    cells.net_bps[:, 2] = np.nan  # never heard
    rng = np.random.default_rng(seed)
    days = np.unique(trained.edges["fold_day"].to_numpy())
    enabled = (rng.random((len(days), 5, 4)) < 0.7).astype(np.int64)
    enabled[:, 0, 0] = 1
    path = walk(trained, cells, enabled=enabled)
    for index, day in enumerate(days):
        weights, penalty = slow_weights(trained, cells, int(day), 8, enabled[index].any(axis=1))
        rows = np.flatnonzero(trained.edges["fold_day"].to_numpy() == day)
        edges = trained.edges.select(trained.engines).to_numpy()[rows].copy()
        regime = trained.edges["regime"].to_numpy()[rows]
        edges[enabled[index].T[regime] == 0] = np.nan
        score, edge, confidence = vote.py_func(
            edges, np.tile(weights, (rows.size, 1)), cells.cost_bps[rows], np.full(rows.size, penalty), 0.3
        )
        np.testing.assert_allclose(path.frame["penalty"].to_numpy()[rows], penalty, atol=1e-9)
        np.testing.assert_allclose(path.frame["score"].to_numpy()[rows], score, atol=1e-9)
        np.testing.assert_allclose(path.frame["edge_bps"].to_numpy()[rows], edge, atol=1e-7)
        np.testing.assert_allclose(path.frame["confidence"].to_numpy()[rows], confidence, atol=1e-9)


def test_a_disabled_engine_abstains_and_a_row_without_regime_or_cost_has_no_voice():
    trained, cells = make_inputs(abstain=0.0)
    days = np.unique(trained.edges["fold_day"].to_numpy())
    enabled = np.zeros((len(days), 4, 4), np.int64)
    enabled[:, 2, :] = 1
    path = walk(trained, cells, enabled=enabled, live=enabled[0])
    np.testing.assert_allclose(path.frame["edge_bps"].to_numpy(), trained.edges["e2"].to_numpy())
    assert (path.frame["penalty"] == 0.0).all()
    np.testing.assert_array_equal(path.weight, [0.0, 0.0, 1.0, 0.0])
    nowhere = trained.edges.with_columns(pl.lit(-1, pl.Int64).alias("regime"))
    lost = TrainedPair(**{**{k: getattr(trained, k) for k in trained.__slots__}, "edges": nowhere})
    assert (walk(lost, cells).frame["score"] == 0.0).all()
    unknown = CellScores(
        net_bps=np.full_like(cells.net_bps, np.nan), closed_ms=cells.closed_ms, cost_bps=np.full(len(nowhere), np.nan)
    )
    assert (walk(trained, unknown).frame["score"] == 0.0).all()


def test_an_engine_that_was_never_heard_weighs_no_more_than_the_least_of_the_others():
    trained, cells = make_inputs(days=40, skill=[0.1, -0.3, -0.3, 0.0])
    cells.net_bps[:, 3] = np.nan
    path = walk(trained, cells, policy=ConsensusPolicy())
    assert 0.0 < path.weight[3] <= path.weight[:3].min() + 1e-12
    without = walk(*make_inputs(days=40, skill=[0.1, -0.3, -0.3, 0.0]), policy=ConsensusPolicy())
    assert path.penalty == pytest.approx(without.penalty, abs=0.1)


def test_costs_that_everybody_pays_for_nothing_leave_the_weights_close_to_equal():
    trained, cells = make_inputs(days=90, engines=4, abstain=0.0, seed=4)
    rare = np.random.default_rng(0).random(len(cells.net_bps)) < 0.9
    cells.net_bps[rare, 3] = np.nan
    path = walk(trained, cells, policy=ConsensusPolicy())
    values = list(path.reliability.values())
    assert max(values) < 3 * min(values)


def test_nobody_enabled_gives_equal_weights_and_silence():
    trained, cells = make_inputs()
    days = np.unique(trained.edges["fold_day"].to_numpy())
    path = walk(trained, cells, enabled=np.zeros((len(days), 4, 4), np.int64), live=np.zeros((4, 4), np.int64))
    assert (path.frame["score"] == 0.0).all()
    np.testing.assert_allclose(path.weight, 0.25)


def test_a_good_engine_gains_weight_and_clones_are_penalised():
    trained, cells = make_inputs(days=40, skill=[0.3, 0, 0, 0])
    path = walk(trained, cells, policy=ConsensusPolicy())
    assert path.weight[0] > 1.3 * path.weight[1:].max()
    assert path.reliability["e0"] == max(path.reliability.values())
    cloned, scores = make_inputs(days=40, clones=3, abstain=0.0)
    penalised = walk(cloned, scores, policy=ConsensusPolicy())
    assert penalised.penalty > 0.6
    assert penalised.correlation["e0"]["e3"] > 0.9
    assert penalised.frame["penalty"][0] == 0.0


def test_the_threshold_rises_after_losses_and_never_falls_below_its_base():
    losing, cells = make_inputs(days=30, skill=[-0.4] * 4, abstain=0.0)
    path = walk(losing, cells, policy=ConsensusPolicy(min_consensus_score=0.3))
    assert path.threshold == pytest.approx(0.5)
    assert path.frame["threshold"][0] == 0.3
    fixed = walk(losing, cells, policy=ConsensusPolicy(min_consensus_score=0.3, adaptive_threshold=False))
    assert (fixed.frame["threshold"] == 0.3).all()
    winning, scores = make_inputs(days=30, skill=[0.4] * 4, abstain=0.0)
    assert (walk(winning, scores, policy=ConsensusPolicy(min_consensus_score=0.3)).frame["threshold"] == 0.3).all()


def test_a_fold_day_without_a_gate_is_refused():
    trained, cells = make_inputs(days=3)
    gate = np.ones((2, 4, 4), np.int64)
    days = np.array([FIRST, FIRST + 1])
    rest = {"live_enabled": gate[0], "policy": ConsensusPolicy(), "cutoff_ms": (FIRST + 3) * DAY_MS}
    with pytest.raises(DataError, match="without a gate"):
        consensus_path(trained, cells, enabled_by_fold=gate, fold_days=days, **rest)
    with pytest.raises(DataError, match="none"):
        consensus_path(trained, cells, enabled_by_fold=gate[:0], fold_days=days[:0], **rest)


def test_nothing_closed_yet_means_equal_weights_and_no_penalty():
    trained, cells = make_inputs(days=2)
    path = walk(trained, cells, cutoff=FIRST * DAY_MS)
    np.testing.assert_allclose(path.weight, 0.25)
    assert path.penalty == 0.0
    assert path.threshold == 0.5
