"""Memory of a live consensus: how reliable each engine was, and which engines say the same thing."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from huracan.consensus.votes import EngineVote, checked_votes
from huracan.domain.arrays import F64
from huracan.stats.correlation import correlation_penalty, outcome_correlation, vote_weights
from huracan.stats.hedge import reliability_of


class ReliabilityTracker:
    """How reliable each engine was over its last `window_size` outcomes, in (0, 1); 0.5 = nothing known yet.

    The score is the Hedge weight of the engine against an expert that is right half of the time. So an engine without
    outcomes never outweighs one that was right more often than wrong.
    """

    def __init__(self, window_size: int = 100) -> None:
        self.window_size = _window(window_size)
        self._losses: dict[str, deque[float]] = {}
        self._last_seen: dict[str, datetime] = {}

    def record_prediction(self, engine_type: str, correct: bool, timestamp: datetime | None = None) -> None:
        """Remember whether an engine was right."""
        losses = self._losses.setdefault(engine_type, deque(maxlen=self.window_size))
        losses.append(0.0 if correct else 1.0)
        if timestamp is not None:
            self._last_seen[engine_type] = timestamp

    def get_reliability_score(self, engine: str) -> float:
        """Score of one engine; 0.5 for one that was never scored."""
        return reliability_of(np.array(self._losses.get(engine, ()), dtype=np.float64), self.window_size)

    def get_all_reliability_scores(self) -> dict[str, float]:
        """Scores of all engines ever scored, by name."""
        return {engine: self.get_reliability_score(engine) for engine in sorted(self._losses)}

    def is_seen(self, engine: str) -> bool:
        """Whether the engine was ever scored."""
        return engine in self._losses

    def last_seen(self, engine: str) -> datetime | None:
        """Time of the latest outcome that came with one."""
        return self._last_seen.get(engine)


class CorrelationCalculator:
    """Which engines vote alike, over the last `window_size` rounds. Clones share one vote; dissent is no fault.

    Correlations are uncentred and shrunk (`huracan.stats.correlation`), so an engine that always votes the same way
    has one too, and two such engines are clones.
    """

    def __init__(self, window_size: int = 100) -> None:
        self.window_size = _window(window_size)
        self._rounds: deque[dict[str, float]] = deque(maxlen=self.window_size)

    def record_predictions(self, votes: Sequence[EngineVote]) -> None:
        """Remember one round of votes; a hold and an absent engine both count as no vote."""
        if votes:
            self._rounds.append(merged_signs(votes))

    def calculate_correlation_penalty(self, votes: Sequence[EngineVote]) -> float:
        """``1 - effective votes / number of engines``, 0 to 1: 0 for one voter, near 1 for many clones."""
        engines = sorted({vote.engine_type for vote in votes})
        _, effective = self.shares(engines)
        return float(correlation_penalty(np.array(effective), np.array(float(len(engines)))))

    def get_correlation_matrix(self) -> dict[str, dict[str, float]]:
        """Correlation by engine and engine, finite, 1 on the diagonal."""
        engines = sorted({engine for signs in self._rounds for engine in signs})
        rows = self._matrix(engines).tolist()
        return {one: dict(zip(engines, row, strict=True)) for one, row in zip(engines, rows, strict=True)}

    def shares(self, engines: Sequence[str]) -> tuple[dict[str, float], float]:
        """What share of the vote each of these engines deserves (sums to 1), and their effective number."""
        if not engines:
            return {}, 0.0
        weights, effective = vote_weights(self._matrix(engines), np.ones(len(engines), dtype=np.bool_))
        return dict(zip(engines, weights.tolist(), strict=True)), float(effective)

    def _matrix(self, engines: Sequence[str]) -> F64:
        table = [[signs.get(engine, 0.0) for engine in engines] for signs in self._rounds]
        return outcome_correlation(np.array(table, dtype=np.float64).reshape(len(table), len(engines)))


def merged_signs(votes: Sequence[EngineVote]) -> dict[str, float]:
    """Side of each engine: +1, -1 or 0; several votes of one engine count as the louder side."""
    loudness: dict[str, float] = {}
    for vote in checked_votes(votes):
        loudness[vote.engine_type] = loudness.get(vote.engine_type, 0.0) + vote.sign * vote.confidence
    return {engine: float(np.sign(value)) for engine, value in loudness.items()}


def _window(size: int) -> int:
    if size < 1:
        raise ValueError(f"window_size is {size}, wanted at least 1")
    return size
