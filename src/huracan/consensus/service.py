"""Consensus of any votes, live: the maths of `consensus_path` for engines that bring their own confidence."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from huracan.consensus.threshold import raised_threshold
from huracan.consensus.trackers import CorrelationCalculator, ReliabilityTracker, merged_signs
from huracan.consensus.votes import (
    ROUNDING,
    ConsensusLevel,
    ConsensusResult,
    Direction,
    EngineVote,
    checked_votes,
)
from huracan.stats.decide import weigh_votes

UNSEEN = 0.5
"""Reliability of an engine that was never scored; above it lie those that were right more often than wrong."""


class ConsensusService:
    """Weighs votes by reliability and independence; learns only from recorded outcomes.

    With `adaptive_threshold` the score that is needed rises by up to .2 while the consensus loses, and never falls
    below `min_consensus_score`. `correlation_penalty_weight` of the score is at stake when all voters are clones.

    >>> votes = [EngineVote("trend", "long", 0.8, 12.0), EngineVote("flow", "long", 0.8, 9.0)]
    >>> result = ConsensusService().compute_consensus(votes)
    >>> result.direction, round(result.consensus_score, 3), str(result.consensus_level)
    ('long', 0.8, 'strong')
    """

    def __init__(
        self,
        adaptive_threshold: bool = True,
        min_consensus_score: float = 0.5,
        correlation_penalty_weight: float = 0.3,
        window_size: int = 100,
    ) -> None:
        for name, value in (
            ("min_consensus_score", min_consensus_score),
            ("correlation_penalty_weight", correlation_penalty_weight),
        ):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}, wanted 0 to 1")
        self.adaptive_threshold = adaptive_threshold
        self.min_consensus_score = min_consensus_score
        self.correlation_penalty_weight = correlation_penalty_weight
        self.reliability_tracker = ReliabilityTracker(window_size)
        self.correlation_calculator = CorrelationCalculator(window_size)
        self._outcomes: deque[float] = deque(maxlen=window_size)

    @property
    def threshold(self) -> float:
        """|S| that a direction needs now."""
        if not self.adaptive_threshold:
            return self.min_consensus_score
        seen = np.array([outcome for outcome in self._outcomes if outcome], dtype=np.float64)
        count, total = np.array(float(seen.size)), np.array(seen.sum())
        return float(raised_threshold(self.min_consensus_score, count, total, np.array(np.square(seen).sum())))

    def compute_consensus(self, votes: Sequence[EngineVote]) -> ConsensusResult:
        """Score, direction and reasons; asking twice gives the same answer, in whatever order the votes come.

        A "hold" dilutes the score in proportion to its confidence. No votes: score 0, DIVIDED, hold. Raises ValueError
        for anything that is not an EngineVote.
        """
        given = tuple(votes)
        ordered = checked_votes(given)
        threshold = self.threshold
        if not ordered:
            return ConsensusResult(
                consensus_score=0.0,
                consensus_level=ConsensusLevel.DIVIDED,
                direction="hold",
                confidence=0.0,
                votes=(),
                weighted_sum=0.0,
                correlation_penalty=0.0,
                reasoning="No votes",
                threshold=threshold,
            )
        weights = self._weights(ordered)
        penalty = self.correlation_calculator.calculate_correlation_penalty(ordered)
        score, edge, confidence = self._weigh(ordered, weights, penalty)
        signed, _, _ = self._weigh(ordered, weights, 0.0)
        direction = _direction(score, threshold)
        return ConsensusResult(
            consensus_score=abs(score),
            consensus_level=ConsensusLevel.of(abs(score)),
            direction=direction,
            confidence=confidence,
            votes=given,
            weighted_sum=signed,
            correlation_penalty=penalty,
            reliability_weights=_by_engine(ordered, weights),
            reasoning=_reasoning(ordered, score, direction, penalty, threshold),
            edge_bps=edge,
            threshold=threshold,
        )

    def record_outcome(
        self,
        votes: Sequence[EngineVote],
        correct: bool,
        timestamp: datetime | None = None,
        realised_net_bps: float | None = None,
    ) -> None:
        """Learn from one outcome: each vote is scored by itself, a dissenter by the opposite of the consensus.

        `realised_net_bps`: what the market paid a long after costs; positive: longs were right, negative: shorts were,
        zero: nobody who took a side. It overrules `correct`. Without it `correct` says whether the consensus'
        side was right, and the other side was right when it was not. Holds are not scored. Raises ValueError for a
        return that is not finite.
        """
        if realised_net_bps is not None and not np.isfinite(realised_net_bps):
            raise ValueError(f"realised_net_bps is {realised_net_bps}, wanted a finite number or None")
        ordered = checked_votes(votes)
        if not ordered:
            return
        score, _, _ = self._weigh(
            ordered, self._weights(ordered), self.correlation_calculator.calculate_correlation_penalty(ordered)
        )
        side = float(np.sign(score))
        paid = (side if correct else -side) if realised_net_bps is None else float(np.sign(realised_net_bps))
        for engine, sign in merged_signs(ordered).items():
            if sign and (paid or realised_net_bps is not None):
                self.reliability_tracker.record_prediction(engine, sign * paid > 0.0, timestamp)
        loud = side != 0.0 and abs(score) >= self.min_consensus_score - ROUNDING
        self._outcomes.append((1.0 if side * paid > 0.0 else -1.0) if loud else 0.0)
        self.correlation_calculator.record_predictions(ordered)

    def get_reliability_scores(self) -> dict[str, float]:
        """Reliability of all engines ever scored."""
        return self.reliability_tracker.get_all_reliability_scores()

    def get_correlation_matrix(self) -> dict[str, dict[str, float]]:
        """Correlation of the engines' votes."""
        return self.correlation_calculator.get_correlation_matrix()

    def _weights(self, votes: tuple[EngineVote, ...]) -> list[float]:
        """Weight of each vote, sums to 1 (or all zero): reliability x independence, several votes of an engine as one.

        An engine that was never scored weighs at most as much as the least of those that proved themselves.
        """
        number: dict[str, int] = {}
        for vote in votes:
            number[vote.engine_type] = number.get(vote.engine_type, 0) + 1
        tracker = self.reliability_tracker
        scores = {engine: tracker.get_reliability_score(engine) for engine in number}
        shares, _ = self.correlation_calculator.shares(sorted(number))
        raw = [
            scores[vote.engine_type] * vote.reliability_score * shares[vote.engine_type] / number[vote.engine_type]
            for vote in votes
        ]
        engines = _by_engine(votes, raw)
        cap = min((engines[engine] for engine, score in scores.items() if score > UNSEEN), default=float("inf"))
        for index, vote in enumerate(votes):
            whole = engines[vote.engine_type]
            if not tracker.is_seen(vote.engine_type) and whole > cap:
                raw[index] *= cap / whole
        total = sum(raw)
        return [weight / total for weight in raw] if total > 0.0 else raw

    def _weigh(self, votes: tuple[EngineVote, ...], weights: list[float], penalty: float) -> tuple[float, float, float]:
        sign = np.array([[vote.sign for vote in votes]])
        edge = sign * np.array([[abs(vote.edge_bps) for vote in votes]])
        confidence = np.array([[vote.confidence for vote in votes]], dtype=np.float64)
        score, money, agreed = weigh_votes(
            sign, edge, confidence, np.array([weights]), np.array([penalty]), self.correlation_penalty_weight
        )
        return float(score[0]), float(money[0]), float(agreed[0])


def _direction(score: float, threshold: float) -> Direction:
    if score == 0.0 or abs(score) < threshold - ROUNDING:
        return "hold"
    return "long" if score > 0.0 else "short"


def _by_engine(votes: tuple[EngineVote, ...], weights: list[float]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for vote, weight in zip(votes, weights, strict=True):
        shares[vote.engine_type] = shares.get(vote.engine_type, 0.0) + weight
    return shares


def _reasoning(
    votes: tuple[EngineVote, ...], score: float, direction: Direction, penalty: float, threshold: float
) -> str:
    count = {side: sum(vote.direction == side for vote in votes) for side in ("long", "short", "hold")}
    camps = ", ".join(f"{number} {side}" for side, number in count.items() if number)
    verdict = f"{direction}" if direction != "hold" else "hold, too quiet or divided"
    return f"{camps}: S {score:+.2f} against {threshold:.2f} after a correlation penalty of {penalty:.2f}: {verdict}"
