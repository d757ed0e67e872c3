"""Step 7: reliability, correlation and the vote; causally over history, and live for a user's own votes."""

from huracan.consensus.path import consensus_path

__all__ = ["consensus_path"]
