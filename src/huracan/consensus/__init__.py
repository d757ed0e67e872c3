"""Step 7: reliability, correlation and the vote; causally over history, and live for a user's own votes."""

from huracan.consensus.path import consensus_path
from huracan.consensus.service import ConsensusService
from huracan.consensus.trackers import CorrelationCalculator, ReliabilityTracker
from huracan.consensus.votes import ConsensusLevel, ConsensusResult, EngineVote

__all__ = [
    "ConsensusLevel",
    "ConsensusResult",
    "ConsensusService",
    "CorrelationCalculator",
    "EngineVote",
    "ReliabilityTracker",
    "consensus_path",
]
