"""Documented path of the pipeline."""

from huracan.app import TrainingPipeline as TrainingPipeline
from huracan.app import TrainingPipelineConfig as TrainingPipelineConfig
