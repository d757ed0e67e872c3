"""The trainer that stands in where an owner supplies features but no trainer: heavily shrunk least squares."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from huracan.domain.model import F64

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


def least_squares_trainer(job: dict[str, Any]) -> dict[str, Any]:
    """A ridge fit of the job's labels on its features, as the documented trainer result.

    Features are standardised by the train rows; their mean forecasts nothing, since a coin's mean return is not an edge.
    """
    x = np.column_stack(list(job["features"].values()))
    y, w = job["labels"], job["weights"]
    total = float(w.sum())
    mean = w @ x / total
    sd = np.sqrt(np.maximum(w @ (x - mean) ** 2 / total, 1e-18))
    z = (x - mean) / sd
    gram = (z * w[:, None]).T @ z + PRIOR_ROWS * np.eye(z.shape[1])
    beta = np.linalg.solve(gram, z.T @ (w * (y - w @ y / total)))
    coef = np.where(sd > 1e-8, beta / sd, 0.0)
    model = LinearModel(coef_=coef, intercept_=float(-mean @ coef))
    return {"success": True, "model": model, "metrics": {}, "edge_bps": 0.0}
