"""Documented path of consensus."""

from huracan.consensus import ConsensusLevel as ConsensusLevel
from huracan.consensus import ConsensusResult as ConsensusResult
from huracan.consensus import ConsensusService as ConsensusService
from huracan.consensus import CorrelationCalculator as CorrelationCalculator
from huracan.consensus import EngineVote as EngineVote
from huracan.consensus import ReliabilityTracker as ReliabilityTracker
