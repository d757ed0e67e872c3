"""Documented names of training."""

from huracan.adapters.backends import TrainingOrchestrator as TrainingOrchestrator
from huracan.app import TrainingPipeline as TrainingPipeline
from huracan.app import TrainingPipelineConfig as TrainingPipelineConfig
from huracan.training.jobs import TrainingBackend as TrainingBackend
from huracan.training.jobs import TrainingConfig as TrainingConfig
from huracan.training.jobs import TrainingJob as TrainingJob
from huracan.training.jobs import compute_code_hash as compute_code_hash
from huracan.training.jobs import compute_features_hash as compute_features_hash
