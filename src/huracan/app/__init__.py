"""Composition root: wires steps to adapters. `TrainingPipeline` for people, `run_pair_job` for workers, `open_source`
for Hamilton.

The names load lazily: a worker process needs the work on pairs, not the driver's promotion and publication.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["TrainingPipeline", "TrainingPipelineConfig", "configured_hamilton", "open_source", "run_pair_job"]

if TYPE_CHECKING:
    from huracan.app.config import TrainingPipelineConfig
    from huracan.app.training_pipeline import TrainingPipeline
    from huracan.app.worker import run_pair_job
    from huracan.operations.pull import open_source
    from huracan.operations.serve import configured_hamilton

_HOMES = {
    "TrainingPipeline": "huracan.app.training_pipeline",
    "TrainingPipelineConfig": "huracan.app.config",
    "configured_hamilton": "huracan.operations.serve",
    "open_source": "huracan.operations.pull",
    "run_pair_job": "huracan.app.worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'huracan.app' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
