"""Composition root: wires steps to adapters. `TrainingPipeline` for people, `run_pair_job` for workers."""

from huracan.app.config import TrainingPipelineConfig
from huracan.app.training_pipeline import TrainingPipeline
from huracan.app.worker import run_pair_job

__all__ = ["TrainingPipeline", "TrainingPipelineConfig", "run_pair_job"]
