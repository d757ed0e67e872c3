"""The documented consensus interface, with a test for every trap an earlier attempt fell into."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.consensus import (
    ConsensusLevel,
    ConsensusService,
    CorrelationCalculator,
    EngineVote,
    ReliabilityTracker,
)

votes_strategy = st.lists(
    st.builds(
        EngineVote,
        engine_type=st.sampled_from("abcdef"),
        direction=st.sampled_from(["long", "short", "hold"]),
        confidence=st.floats(0, 1),
        edge_bps=st.floats(-100, 100),
        reliability_score=st.floats(0, 5),
    ),
    max_size=7,
)


def vote(engine, direction="long", confidence=0.8, edge=10.0, **extra):
    return EngineVote(engine, direction, confidence, edge, **extra)


def test_no_votes_is_a_divided_hold_with_its_reason():
    result = ConsensusService().compute_consensus([])
    assert (result.consensus_score, result.consensus_level, result.direction) == (0.0, ConsensusLevel.DIVIDED, "hold")
    assert result.reasoning == "No votes"


@pytest.mark.parametrize(
    ("confidence", "level"),
    [(0.7, "strong"), (0.5, "moderate"), (0.3, "weak"), (0.29, "divided")],
)
def test_levels_follow_the_documented_limits(confidence, level):
    result = ConsensusService().compute_consensus([vote(name, confidence=confidence) for name in "abc"])
    assert result.consensus_level == level
    assert result.consensus_score == pytest.approx(confidence)


@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": math.nan},
        {"confidence": 1.01},
        {"confidence": -0.01},
        {"direction": "up"},
        {"reliability_score": -1.0},
        {"reliability_score": math.inf},
        {"edge_bps": math.nan},
        {"engine_type": ""},
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ValueError, match="wanted"):
        EngineVote(**{"engine_type": "a", "direction": "long", "confidence": 0.5, "edge_bps": 1.0, **bad})


def test_something_that_is_no_vote_and_settings_out_of_range_are_refused():
    service = ConsensusService()
    with pytest.raises(ValueError, match="no EngineVote"):
        service.compute_consensus([{"engine_type": "a"}])
    with pytest.raises(ValueError, match="finite"):
        service.record_outcome([vote("a")], True, realised_net_bps=math.nan)
    with pytest.raises(ValueError, match="min_consensus_score"):
        ConsensusService(min_consensus_score=1.5)
    with pytest.raises(ValueError, match="window_size"):
        ReliabilityTracker(0)


def test_confidence_is_the_share_behind_the_stronger_side_and_not_always_one():
    result = ConsensusService().compute_consensus([vote("a"), vote("b"), vote("c", "short"), vote("d", "short")])
    assert result.confidence == pytest.approx(0.5)
    assert result.direction == "hold"
    split = ConsensusService().compute_consensus([vote("a"), vote("b"), vote("c"), vote("d", "short")])
    assert split.confidence == pytest.approx(0.75)
    assert split.weighted_sum == pytest.approx(0.5 * 0.8)


def test_a_hold_dilutes_in_proportion_to_its_confidence():
    service = ConsensusService()
    alone = service.compute_consensus([vote("a")]).consensus_score
    scores = [
        service.compute_consensus([vote("a"), vote("b", "hold", confidence)]).consensus_score
        for confidence in (0.0, 0.4, 0.8)
    ]
    assert scores[0] == pytest.approx(alone)
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] == pytest.approx(0.5 * 0.8)


def test_the_edge_is_signed_by_the_side_whatever_sign_the_vote_gives_it():
    for edge in (8.0, -8.0):
        assert ConsensusService().compute_consensus([vote("a", "short", edge=edge)]).edge_bps == pytest.approx(-8.0)


def test_the_threshold_rises_when_performance_is_poor_and_never_falls_below_its_base():
    service = ConsensusService()
    votes = [vote(name, confidence=0.6) for name in "abc"]
    assert service.compute_consensus(votes).direction == "long"
    for _ in range(20):
        service.record_outcome(votes, correct=False)
    assert service.threshold == pytest.approx(0.7)
    assert service.compute_consensus(votes).direction == "hold"
    for _ in range(200):
        service.record_outcome(votes, correct=True)
    assert service.threshold == 0.5


def test_without_adaption_the_threshold_stays():
    service = ConsensusService(adaptive_threshold=False)
    for _ in range(20):
        service.record_outcome([vote("a")], correct=False)
    assert service.threshold == 0.5


def test_a_raised_threshold_falls_again_once_losses_leave_the_window():
    service = ConsensusService(window_size=10)
    for _ in range(10):
        service.record_outcome([vote("a")], correct=False)
    assert service.threshold > 0.5
    for _ in range(10):
        service.record_outcome([vote("a", confidence=0.1)], correct=True)
    assert service.threshold == 0.5


def test_a_dissenter_is_judged_by_the_opposite_of_the_consensus():
    service = ConsensusService()
    votes = [vote("a"), vote("b"), vote("rebel", "short"), vote("silent", "hold", 0.1)]
    for _ in range(3):
        service.record_outcome(votes, correct=False)
    scores = service.get_reliability_scores()
    assert scores["rebel"] > 0.5 > scores["a"]
    assert "silent" not in scores


def test_each_vote_is_judged_against_the_realised_net_return_which_overrules_the_flag():
    service = ConsensusService()
    votes = [vote("bull"), vote("bear", "short", confidence=0.05)]
    for _ in range(10):
        service.record_outcome(votes, correct=True, realised_net_bps=-12.0)
    scores = service.get_reliability_scores()
    assert scores["bear"] > 0.5 > scores["bull"]
    assert service.threshold > 0.5


def test_when_nothing_is_left_after_costs_everybody_who_took_a_side_was_wrong():
    service = ConsensusService()
    service.record_outcome([vote("bull"), vote("bear", "short")], correct=True, realised_net_bps=0.0)
    assert all(score < 0.5 for score in service.get_reliability_scores().values())


def test_an_exact_tie_without_a_return_judges_nobody():
    service = ConsensusService()
    service.record_outcome([vote("bull"), vote("bear", "short")], correct=True)
    service.record_outcome([], correct=True)
    assert service.get_reliability_scores() == {}


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(wins=st.integers(1, 60), extra=st.integers(0, 40), own=st.floats(0.1, 3.0))
def test_an_unseen_engine_never_outweighs_a_proven_one(wins, extra, own):
    service = ConsensusService()
    for right in [True] * (wins + extra) + [False] * min(extra, wins - 1):
        service.record_outcome([vote("proven"), vote("clone")], correct=right)
    result = service.compute_consensus([vote("proven"), vote("clone"), vote("new", "short", reliability_score=own)])
    if service.get_reliability_scores()["proven"] > 0.5:
        assert result.reliability_weights["new"] <= result.reliability_weights["proven"] + 1e-12


def test_a_proven_engine_outweighs_a_poor_one():
    service = ConsensusService()
    for round_ in range(40):
        service.record_outcome([vote("good"), vote("bad", "short")], correct=True, realised_net_bps=10.0 + round_)
    weights = service.compute_consensus([vote("good"), vote("bad", "short")]).reliability_weights
    assert weights["good"] > 2 * weights["bad"]


def market_of(rounds, seed, voters):
    """Record rounds of votes; `voters` maps a name to a function of (common sign, own random sign)."""
    rng = np.random.default_rng(seed)
    service = ConsensusService()
    for _ in range(rounds):
        common = rng.choice([-1, 1])
        signs = {name: rule(common, rng.choice([-1, 1])) for name, rule in voters.items()}
        votes = [vote(name, "long" if sign > 0 else "short") for name, sign in signs.items()]
        service.record_outcome(votes, correct=bool(rng.random() < 0.5), realised_net_bps=float(rng.normal()))
    return service


def test_clones_count_as_one_voter():
    def copy(common, own):
        return common

    def independent(common, own):
        return own

    service = market_of(100, 1, {"c1": copy, "c2": copy, "c3": copy, "lone": independent})
    present = [vote("c1"), vote("c2"), vote("c3"), vote("lone", "short")]
    result = service.compute_consensus(present)
    clones = sum(result.reliability_weights[name] for name in ("c1", "c2", "c3"))
    assert clones / result.reliability_weights["lone"] < 1.6
    assert result.correlation_penalty > 0.35
    assert result.consensus_score < 0.5


def test_engines_that_diversify_are_not_punished_for_their_negative_correlation():
    def copy(common, own):
        return common

    def opposite(common, own):
        return -common

    service = market_of(100, 2, {"a": copy, "b": opposite})
    assert service.get_correlation_matrix()["a"]["b"] < -0.8
    assert service.compute_consensus([vote("a"), vote("b")]).correlation_penalty == 0.0


def test_constant_voters_have_a_finite_correlation_and_are_clones():
    calculator = CorrelationCalculator()
    for _ in range(50):
        calculator.record_predictions([vote("a"), vote("b"), vote("mute", "hold")])
    matrix = calculator.get_correlation_matrix()
    assert all(math.isfinite(value) for row in matrix.values() for value in row.values())
    assert matrix["a"]["b"] > 0.9
    assert matrix["a"]["mute"] == 0.0
    assert matrix["mute"]["mute"] == 1.0


def test_penalty_is_zero_for_one_voter_and_near_one_for_many_clones():
    calculator = CorrelationCalculator()
    assert calculator.calculate_correlation_penalty([]) == 0.0
    clones = [vote(f"c{i}") for i in range(10)]
    for _ in range(100):
        calculator.record_predictions(clones)
    assert calculator.calculate_correlation_penalty(clones[:1]) == 0.0
    assert 0.75 < calculator.calculate_correlation_penalty(clones) <= 0.9
    assert calculator.calculate_correlation_penalty([vote("x"), vote("y")]) == 0.0


def test_several_votes_of_one_engine_count_as_one_engine():
    once = ConsensusService().compute_consensus([vote("a"), vote("b", "short", 0.6)])
    twice = ConsensusService().compute_consensus([vote("a"), vote("a"), vote("b", "short", 0.6)])
    assert twice.consensus_score == pytest.approx(once.consensus_score)
    assert twice.reliability_weights == pytest.approx(once.reliability_weights)


def test_voters_without_weight_leave_a_divided_hold():
    result = ConsensusService().compute_consensus([vote("a", reliability_score=0.0)])
    assert (result.consensus_score, result.direction) == (0.0, "hold")


def test_the_tracker_forgets_what_left_its_window_and_remembers_when():
    tracker = ReliabilityTracker(window_size=20)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert tracker.get_reliability_score("a") == 0.5
    for _ in range(50):
        tracker.record_prediction("a", False)
    for _ in range(20):
        tracker.record_prediction("a", True, moment)
    fresh = ReliabilityTracker(window_size=20)
    for _ in range(20):
        fresh.record_prediction("a", True)
    assert tracker.get_all_reliability_scores() == fresh.get_all_reliability_scores()
    assert tracker.last_seen("a") == moment
    assert fresh.last_seen("a") is None


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(votes=votes_strategy, history=st.lists(votes_strategy, max_size=6), data=st.data())
def test_any_votes_give_bounded_numbers_independent_of_their_order_and_leave_everything_as_it_was(votes, history, data):
    service = ConsensusService()
    for past in history:
        service.record_outcome(past, correct=len(past) % 2 == 0)
    before = [replace(one) for one in votes]
    result = service.compute_consensus(votes)
    again = service.compute_consensus(data.draw(st.permutations(votes)))
    assert votes == before
    assert again.consensus_score == pytest.approx(result.consensus_score, abs=1e-12)
    assert again.direction == result.direction
    assert 0.0 <= result.consensus_score <= 1.0
    assert 0.0 <= result.confidence <= 1.0 + 1e-12
    assert 0.0 <= result.correlation_penalty <= 1.0
    assert all(math.isfinite(weight) and weight >= 0.0 for weight in result.reliability_weights.values())
    assert math.isfinite(result.edge_bps)
