"""Huracan trains every Binance pair every night and keeps only the edges that survive an honest test.

The names below are the public surface; everything else is reached through them or the ``huracan`` command.
They load lazily, so importing the package costs nothing. `DataLoader`, `FeatureBuilder`, `ModelTrainer` and `Validator`
say what your own code is given and must return.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "BAR_SCHEMA",
    "DataLoader",
    "EngineSpec",
    "FeatureBuilder",
    "FitJob",
    "FitResult",
    "HamiltonInterface",
    "ModelTrainer",
    "TrainingPipeline",
    "TrainingPipelineConfig",
    "Validator",
]

if TYPE_CHECKING:
    from huracan.app import TrainingPipeline, TrainingPipelineConfig
    from huracan.domain.frames import BAR_SCHEMA
    from huracan.hamilton import HamiltonInterface
    from huracan.training import (
        DataLoader,
        EngineSpec,
        FeatureBuilder,
        FitJob,
        FitResult,
        ModelTrainer,
        Validator,
    )

_HOMES = {
    **dict.fromkeys(
        ("DataLoader", "EngineSpec", "FeatureBuilder", "FitJob", "FitResult", "ModelTrainer", "Validator"),
        "huracan.training",
    ),
    "BAR_SCHEMA": "huracan.domain.frames",
    "HamiltonInterface": "huracan.hamilton",
    "TrainingPipeline": "huracan.app",
    "TrainingPipelineConfig": "huracan.app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'huracan' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from huracan.domain.extras import missing_module

        missing = missing_module(error, f"huracan.{name}", "hamilton" if name == "BAR_SCHEMA" else "train")
        if missing is None:
            raise
        raise missing from error
