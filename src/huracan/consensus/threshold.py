"""The consensus must be louder after it has been wrong: the threshold rises with recent losses, and only rises."""

import numpy as np

from huracan.domain.arrays import F64

LARGEST_RISE = 0.2
FEWEST_OUTCOMES = 5
FULL_RISE_T = 2.0
"""The whole rise is due when recent outcomes lie this many standard errors below zero."""


def raised_threshold(base: float, count: F64, total: F64, squares: F64) -> F64:
    """Threshold for each set of recent outcomes, given as count, sum and sum of squares; shapes equal.

    `base` plus up to LARGEST_RISE, in proportion to how many standard errors the mean outcome lies below zero; never
    below `base`, never above 1 (unless `base` is). Fewer than FEWEST_OUTCOMES outcomes score no engine.

    >>> raised_threshold(0.5, np.array([10.0, 10.0]), np.array([10.0, -10.0]), np.array([10.0, 10.0])).tolist()
    [0.5, 0.7]
    """
    n = np.maximum(count, 2.0)
    mean = total / n
    variance = np.maximum(squares / n - mean**2, 0.0) * n / (n - 1.0)
    error = np.sqrt(variance / n)
    certain = np.where(mean < 0.0, 1.0, 0.0)
    rise = np.where(error > 0.0, np.clip(-mean / np.where(error > 0.0, error * FULL_RISE_T, 1.0), 0.0, 1.0), certain)
    rise = np.where(count >= FEWEST_OUTCOMES, rise, 0.0) * LARGEST_RISE
    threshold: F64 = np.maximum(np.minimum(base + rise, 1.0), base)
    return threshold
