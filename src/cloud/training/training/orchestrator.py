"""Documented path of the orchestrator."""

from huracan.adapters.backends import TrainingOrchestrator as TrainingOrchestrator
from huracan.training.jobs import TrainingBackend as TrainingBackend
from huracan.training.jobs import TrainingConfig as TrainingConfig
from huracan.training.jobs import TrainingJob as TrainingJob
from huracan.training.jobs import compute_code_hash as compute_code_hash
from huracan.training.jobs import compute_features_hash as compute_features_hash
