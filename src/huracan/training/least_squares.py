"""The trainer that stands in where features are user-supplied and the trainer is not: heavily shrunk least squares."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64
from huracan.stats.ridge import varies
from huracan.training.protocols import FitJob, FitResult

PRIOR_ROWS: Final = 500.0
"""Shrinkage towards no edge, in effective rows."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Slopes (p,) on raw features and an intercept, in bps."""

    coef_: F64
    intercept_: float

    def predict(self, x: F64) -> F64:
        """Forecasts (n,) in bps."""
        return np.asarray(x @ self.coef_ + self.intercept_)


def least_squares_trainer(job: FitJob) -> FitResult:
    """A ridge fit of the job's labels on its features, as the documented trainer result.

    Features are standardised by the train rows, and those that stand still there get no weight; their mean forecasts
    nothing, since a coin's mean return is not an edge.
    """
    x = np.column_stack(list(job["features"].values()))
    y, w = job["labels"], job["weights"]
    total = float(w.sum())
    mean = w @ x / total
    sd = np.sqrt(w @ (x - mean) ** 2 / total)
    alive = varies(sd, mean)
    sd = np.where(alive, sd, 1.0)
    z = np.where(alive, (x - mean) / sd, 0.0)
    gram = (z * w[:, None]).T @ z + PRIOR_ROWS * np.eye(z.shape[1])
    beta = np.linalg.solve(gram, z.T @ (w * (y - w @ y / total)))
    coef = np.where(alive, beta / sd, 0.0)
    model = LinearModel(coef_=coef, intercept_=float(-mean @ coef))
    return {"success": True, "model": model, "metrics": {}, "edge_bps": 0.0}
