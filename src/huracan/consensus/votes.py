"""A vote and what the votes came to: the records of the documented consensus interface."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

Direction = Literal["long", "short", "hold"]

SIGN: Final[dict[str, float]] = {"long": 1.0, "short": -1.0, "hold": 0.0}

ROUNDING: Final = 1e-12
"""Votes that all have confidence .7 make a score of .7, whatever the order they are added up in."""


class ConsensusLevel(StrEnum):
    """How loud the consensus is: S >= .7 strong, >= .5 moderate, >= .3 weak, else divided."""

    STRONG = "strong"
    MODERATE = "moderate"
    WEAK = "weak"
    DIVIDED = "divided"

    @classmethod
    def of(cls, score: float) -> "ConsensusLevel":
        """Level of a score in [0, 1].

        >>> str(ConsensusLevel.of(0.7)), str(ConsensusLevel.of(0.69)), str(ConsensusLevel.of(0.0))
        ('strong', 'moderate', 'divided')
        """
        for level, least in ((cls.STRONG, 0.7), (cls.MODERATE, 0.5), (cls.WEAK, 0.3)):
            if score >= least - ROUNDING:
                return level
        return cls.DIVIDED


@dataclass(frozen=True, slots=True)
class EngineVote:
    """One engine's opinion. `edge_bps` is what its side is expected to earn; only its size counts.

    `reliability_score` is the caller's own weight on top of the tracker's. Raises ValueError for an unknown
    direction, a confidence outside [0, 1], a negative reliability, or anything that is not finite.
    """

    engine_type: str
    direction: Direction
    confidence: float
    edge_bps: float
    reliability_score: float = 1.0
    timestamp: datetime | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.engine_type, str) or not self.engine_type:
            raise ValueError(f"engine_type is {self.engine_type!r}, wanted a name")
        if self.direction not in SIGN:
            raise ValueError(f"{self.engine_type}: direction is {self.direction!r}, wanted one of {', '.join(SIGN)}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"{self.engine_type}: confidence is {self.confidence}, wanted 0 to 1")
        if not math.isfinite(self.edge_bps):
            raise ValueError(f"{self.engine_type}: edge_bps is {self.edge_bps}, wanted a finite number")
        if not (math.isfinite(self.reliability_score) and self.reliability_score >= 0.0):
            raise ValueError(f"{self.engine_type}: reliability_score is {self.reliability_score}, wanted at least 0")

    @property
    def sign(self) -> float:
        """+1 long, -1 short, 0 hold."""
        return SIGN[self.direction]


@dataclass(frozen=True, slots=True)
class ConsensusResult:
    """What the votes came to. `consensus_score` is |S| in [0, 1]; `direction` is "hold" below the threshold.

    `confidence`: share of the weight behind the stronger side. `weighted_sum`: signed agreement x strength before the
    correlation penalty. `reliability_weights`: share of each engine in the vote, sums to 1. `edge_bps`: signed,
    long positive. `threshold`: |S| that was needed.
    """

    consensus_score: float
    consensus_level: ConsensusLevel
    direction: Direction
    confidence: float
    votes: tuple[EngineVote, ...]
    weighted_sum: float
    correlation_penalty: float
    reliability_weights: dict[str, float] = field(default_factory=dict)
    reasoning: str = ""
    edge_bps: float = 0.0
    threshold: float = 0.0


def checked_votes(votes: Sequence[EngineVote]) -> tuple[EngineVote, ...]:
    """The votes in an order of their own, so that the caller's order decides nothing; raises ValueError for others."""
    for vote in votes:
        if not isinstance(vote, EngineVote):
            raise ValueError(f"{vote!r} is no EngineVote")  # noqa: TRY004 - the contract names ValueError
    return tuple(sorted(votes, key=lambda vote: (vote.engine_type, vote.direction, vote.confidence, vote.edge_bps)))
