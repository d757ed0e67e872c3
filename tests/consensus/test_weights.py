"""Hedge, shrunk correlation, vote weights and the vote itself against plain formulas and published figures."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import nnls
from sklearn.covariance import ledoit_wolf

from huracan.consensus.threshold import raised_threshold
from huracan.stats.correlation import correlation_penalty, outcome_correlation, shrunk_correlation, vote_weights
from huracan.stats.decide import vote, weigh_votes
from huracan.stats.hedge import edge_loss, hedge_weights, learning_rate, reliability_of


def clones_and_loners(clones, loners, rho):
    matrix = np.eye(clones + loners)
    matrix[:clones, :clones] = rho
    np.fill_diagonal(matrix, 1.0)
    return matrix


def test_nine_clones_at_064_and_three_loners_are_four_and_a_half_votes():
    matrix = clones_and_loners(9, 3, 0.64)
    weights, effective = vote_weights(matrix, np.ones(12, bool))
    ones = np.ones(12)
    assert float(effective) == pytest.approx(ones @ np.linalg.inv(matrix) @ ones)
    assert round(float(effective), 1) == 4.5
    assert weights.sum() == pytest.approx(1.0)


def test_exact_clones_are_one_vote_and_diversifying_engines_are_at_most_their_number():
    _, clones = vote_weights(clones_and_loners(5, 0, 1 - 1e-9), np.ones(5, bool))
    assert float(clones) == pytest.approx(1.0, abs=1e-6)
    _, opposed = vote_weights(np.array([[1.0, -0.9], [-0.9, 1.0]]), np.ones(2, bool))
    assert float(opposed) == 2.0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 7), n=st.integers(1, 60))
@example(seed=132, k=2, n=21)
def test_weights_are_the_non_negative_least_squares_solution_over_the_active_engines(seed, k, n):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((k, k))
    matrix = outcome_correlation(rng.standard_normal((n, k)) @ mixing)
    active = rng.random(k) < 0.8
    weights, effective = vote_weights(matrix, active)
    assert (weights[~active] == 0.0).all()
    on = np.flatnonzero(active)
    if not on.size:
        assert float(effective) == 0.0
        return
    part = matrix[np.ix_(on, on)]
    solution, _ = nnls(part, np.ones(on.size))
    np.testing.assert_allclose(weights[on], solution / solution.sum(), atol=1e-8)
    assert 0.0 < float(effective) <= on.size
    batch, many = vote_weights(np.stack([matrix, matrix]), np.stack([active, active]))
    np.testing.assert_array_equal(batch[1], weights)
    assert many[0] == many[1] == effective


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 6), n=st.integers(2, 80))
def test_shrinkage_from_sums_is_that_of_ledoit_and_wolf(seed, k, n):
    rng = np.random.default_rng(seed)
    outcomes = rng.standard_normal((n, k)) * rng.uniform(1, 50, k) + rng.standard_normal((n, 1))
    standard = outcomes / np.sqrt((outcomes**2).mean(axis=0))
    expected, _ = ledoit_wolf(standard, assume_centered=True)
    matrix = outcome_correlation(outcomes)
    off = ~np.eye(k, dtype=bool)
    np.testing.assert_allclose(matrix[off], expected[off] * n / (n + k), atol=1e-10)
    np.testing.assert_allclose(np.diag(matrix), 1.0)


def test_correlation_of_nothing_and_of_a_silent_engine_is_the_identity():
    np.testing.assert_array_equal(outcome_correlation(np.zeros((0, 3))), np.eye(3))
    matrix = outcome_correlation(np.column_stack((np.ones(50), np.zeros(50))))
    np.testing.assert_array_equal(matrix, np.eye(2))
    assert shrunk_correlation(np.zeros((4, 2, 2)), np.zeros((4, 2, 2)), np.zeros(4)).shape == (4, 2, 2)


def test_one_round_of_agreement_does_not_make_clones():
    _, effective = vote_weights(outcome_correlation(np.ones((1, 4))), np.ones(4, bool))
    assert float(effective) > 2.0


def test_penalty_counts_lost_votes():
    np.testing.assert_allclose(
        correlation_penalty(np.array([1.0, 1.0, 4.47, 0.0]), np.array([1.0, 10.0, 12.0, 0.0])), [0, 0.9, 0.6275, 0]
    )


@settings(max_examples=40, deadline=None)
@given(
    loss=arrays(
        np.float64, st.tuples(st.integers(0, 30), st.integers(1, 6)), elements=st.floats(0, 1) | st.just(np.nan)
    )
)
def test_hedge_with_fixed_share_equals_the_textbook_loop(loss):
    eta, share = learning_rate(loss.shape[1], 50), 0.02
    weights = np.full(loss.shape[1], 1 / loss.shape[1])
    expected = [weights]
    for row in loss:
        awake = ~np.isnan(row)
        mixed = (weights[awake] @ row[awake]) / weights[awake].sum() if awake.any() else 0.5
        grown = weights * np.exp(-eta * np.where(awake, row, max(0.5, mixed)))
        weights = (1 - share) * grown / grown.sum() + share / loss.shape[1]
        expected.append(weights)
    fast = hedge_weights(loss, eta, share)
    np.testing.assert_allclose(fast, expected, atol=1e-13)
    np.testing.assert_allclose(fast, hedge_weights.py_func(loss, eta, share), rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(losses=st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_an_expert_that_never_lost_more_than_neutral_weighs_at_least_as_much_as_a_silent_one(losses):
    table = np.column_stack((losses, np.full(len(losses), np.nan), np.linspace(0, 1, len(losses))))
    weights = hedge_weights(table, 0.4, 0.01)
    assert (weights[:, 0] >= weights[:, 1] - 1e-15).all()
    assert reliability_of(np.array(losses), 100) >= 0.5 - 1e-15


def test_reliability_follows_the_hit_rate_and_recovers_after_bad_times():
    rng = np.random.default_rng(0)
    scores = [reliability_of((rng.random(100) > rate).astype(float), 100) for rate in (0.2, 0.5, 0.8)]
    assert scores[0] < scores[1] < scores[2]
    assert reliability_of(np.r_[np.ones(50), np.zeros(50)], 100) > reliability_of(np.r_[np.zeros(50), np.ones(50)], 100)


def test_losses_are_clipped_and_silence_stays_silence():
    np.testing.assert_array_equal(
        edge_loss(np.array([np.inf, -np.inf, np.nan, 3.0]), np.array([2.0, 2.0, 2.0, 0.0])), [0.0, 1.0, np.nan, 0.5]
    )
    assert learning_rate(1, 100) == 0.0


def test_threshold_needs_five_outcomes_and_rises_with_significance():
    def of(outcomes):
        values = np.asarray(outcomes, float)
        return float(
            raised_threshold(0.5, *(np.array(x, float) for x in (values.size, values.sum(), (values**2).sum())))
        )

    assert of([-1.0] * 4) == 0.5
    assert of([-1.0] * 5) == pytest.approx(0.7)
    assert of([1.0, -1.0] * 20) == 0.5
    values = np.r_[np.ones(18), -np.ones(22)]
    t = values.mean() / (values.std(ddof=1) / np.sqrt(values.size))
    assert of(values) == pytest.approx(0.5 - 0.1 * t)
    assert float(raised_threshold(0.95, np.array(9.0), np.array(-9.0), np.array(9.0))) == 1.0


def alone(edge, cost):
    """Confidence of one engine, as the score it has when it votes alone."""
    edges = np.atleast_1d(np.asarray(edge, float))[:, None]
    score, _, _ = vote(
        edges, np.ones_like(edges), np.broadcast_to(float(cost), edges.shape[:1]).copy(), np.zeros(len(edges)), 0.3
    )
    return np.abs(score)


def test_confidence_is_one_half_where_the_edge_just_pays_and_rises_with_the_edge():
    confidence = alone(np.linspace(0.5, 200, 400), 10.0)
    assert ((confidence > 0) & (confidence < 1)).all()
    assert (np.diff(confidence) > 0).all()
    assert alone(10.0, 10.0)[0] == pytest.approx(0.5)
    assert alone(-10.0, 10.0)[0] == pytest.approx(0.5)
    assert (alone(np.full(5, 10.0), 5.0) > alone(np.full(5, 10.0), 20.0)).all()


def test_the_vote_of_edges_is_the_weighted_mean_of_its_definition_and_its_plain_twin():
    rng = np.random.default_rng(1)
    edges = rng.normal(0, 20, (200, 5))
    edges[rng.random(edges.shape) < 0.2] = np.nan
    edges[rng.random(edges.shape) < 0.2] = 0.0
    weight, cost, penalty = rng.random(edges.shape), rng.uniform(1, 30, 200), rng.random(200)
    score, edge, confidence = vote(edges, weight, cost, penalty, 0.3)
    given_confidence = np.zeros(edges.shape)
    for row in range(200):
        live = np.isfinite(edges[row]) & (edges[row] != 0)
        if not live.any():
            assert (score[row], edge[row], confidence[row]) == (0.0, 0.0, 0.0)
            continue
        e, w, c = edges[row][live], weight[row][live], alone(edges[row][live], cost[row])
        given_confidence[row, live] = c
        agreement = (w * c * np.sign(e)).sum() / (w * c).sum()
        strength = (w * c * c).sum() / (w * c).sum()
        assert score[row] == pytest.approx(agreement * strength * (1 - 0.3 * penalty[row]))
        assert edge[row] == pytest.approx((w * c * e).sum() / (w * c).sum())
        assert confidence[row] == pytest.approx((1 + abs(agreement)) / 2)
    arguments = (np.sign(np.nan_to_num(edges)), edges, given_confidence, weight, penalty, 0.3)
    for fast, slow, same in zip(
        weigh_votes(*arguments), weigh_votes.py_func(*arguments), (score, edge, confidence), strict=True
    ):
        np.testing.assert_allclose(fast, same, atol=1e-12)
        np.testing.assert_allclose(fast, slow, atol=1e-12)
