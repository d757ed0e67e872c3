"""Deflated Sharpe ratio (Bailey, Lopez de Prado 2014): how likely a Sharpe ratio is real after so many trials.

Kurtosis here is never excess kurtosis: a normal distribution has 3.
"""

import math

import numpy as np
from scipy.special import ndtr, ndtri

from huracan.domain.arrays import F64

_EULER = 0.5772156649015329


def expected_best_sharpe(trials: int, sharpe_variance: float) -> float:
    """Sharpe ratio (per period) that the best of so many worthless trials shows on average; 0 for a single trial."""
    if trials < 2:
        return 0.0
    high = float(ndtri(1.0 - 1.0 / trials))
    higher = float(ndtri(1.0 - 1.0 / (trials * math.e)))
    return math.sqrt(sharpe_variance) * ((1.0 - _EULER) * high + _EULER * higher)


def probabilistic_sharpe(sharpe: float, benchmark: float, n: int, skew: float, kurtosis: float) -> float | None:
    """Probability that the true Sharpe ratio exceeds the benchmark; both per period, kurtosis 3 for a normal.

    None for fewer than two observations or a variance term that is not positive.
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if n < 2 or not spread > 0.0:
        return None
    return float(ndtr((sharpe - benchmark) * math.sqrt(n - 1.0) / math.sqrt(spread)))


def deflated_sharpe(returns: F64, trials: int, sharpe_variance: float) -> float | None:
    """Probability that returns (n,) beat the best of `trials` worthless ones; None without variation.

    `sharpe_variance` is the variance of the per-period Sharpe ratios over the trials. Moments divide by n.
    """
    x = np.asarray(returns, dtype=np.float64)
    if x.size < 2:
        return None
    centred = x - x.mean()
    sd = float(np.sqrt((centred**2).mean()))
    if sd <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return None
    z = centred / sd
    return probabilistic_sharpe(
        float(x.mean()) / sd,
        expected_best_sharpe(trials, sharpe_variance),
        x.size,
        float((z**3).mean()),
        float((z**4).mean()),
    )
