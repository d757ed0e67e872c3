"""Empirical Bayes for many noisy means: each is pulled to the group as far as the group says it should be."""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """Posterior of each mean (`mean`, `sd`, shape (k,)) and the prior it was pulled to."""

    mean: F64
    sd: F64
    prior_mean: float
    prior_mean_se: float
    prior_variance: float


def shrink(means: F64, standard_errors: F64, *, centre: float | None = None) -> Shrunk:
    """Normal-normal empirical Bayes: prior variance by DerSimonian and Laird (1986), prior mean by precision weights.

    Both inputs have shape (k,), k >= 1, in one unit; standard errors above 0. With a `centre` the prior mean is not
    estimated but that number. `sd` contains the uncertainty of an estimated prior mean, not that of the prior variance.
    Raises ValueError for other shapes or values.
    """
    y = np.asarray(means, dtype=np.float64)
    se = np.asarray(standard_errors, dtype=np.float64)
    if y.ndim != 1 or y.shape != se.shape or y.size == 0:
        raise ValueError(f"means {y.shape} and standard errors {se.shape} must be one-dimensional, alike and not empty")
    if not (np.isfinite(y).all() and np.isfinite(se).all() and (se > 0.0).all()):
        raise ValueError("means must be finite and standard errors finite and above 0")
    variance = se**2
    tau2 = _prior_variance(y, variance) if centre is None else _variance_around(centre, y, variance)
    weight = 1.0 / (variance + tau2)
    prior = float((weight @ y) / weight.sum()) if centre is None else centre
    prior_variance_of_mean = 1.0 / float(weight.sum()) if centre is None else 0.0
    pull = variance / (variance + tau2)
    posterior = pull * prior + (1.0 - pull) * y
    spread = np.sqrt((1.0 - pull) * variance + pull**2 * prior_variance_of_mean)
    return Shrunk(
        mean=posterior,
        sd=spread,
        prior_mean=prior,
        prior_mean_se=prior_variance_of_mean**0.5,
        prior_variance=tau2,
    )


def _variance_around(centre: float, y: F64, variance: F64) -> float:
    weight = 1.0 / variance
    return max(0.0, (float(weight @ (y - centre) ** 2) - y.size) / float(weight.sum()))


def _prior_variance(y: F64, variance: F64) -> float:
    if y.size < 2:
        return 0.0
    weight = 1.0 / variance
    total = float(weight.sum())
    centre = float(weight @ y) / total
    excess = float(weight @ (y - centre) ** 2) - (y.size - 1)
    scale = total - float(weight @ weight) / total
    return max(0.0, excess / scale) if scale > 0.0 else 0.0
