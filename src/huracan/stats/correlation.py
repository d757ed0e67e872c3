"""How many independent voters there are: shrunk correlation, non-negative vote weights, effective votes.

Correlations are of votes' outcomes and uncentred: two engines that always say "long" are one voter, not two
constants without a correlation. Batches: leading axes are free, the last two are (E, E).
"""

import numpy as np
from scipy.optimize import nnls

from huracan.domain.arrays import F64, Bool


def shrunk_correlation(second: F64, fourth: F64, count: F64) -> F64:
    """Ledoit-Wolf correlation (2004, target identity) of standardised, uncentred columns; shape (..., E, E).

    second (..., E, E): sums of x_i x_j; fourth (..., E, E): sums of x_i^2 x_j^2; count (...): number of rows. Sums
    are enough, so a walk over days needs cumulative sums only. A column without any outcome is uncorrelated
    with all others. E rows of an uncorrelated prior keep one or two rows from declaring everybody a clone.
    """
    k = second.shape[-1]
    identity = np.eye(k)
    own = np.diagonal(second, axis1=-2, axis2=-1)
    seen = own > 0.0
    both = seen[..., :, None] & seen[..., None, :]
    scale = np.sqrt(np.where(seen, own, 1.0))
    raw = np.where(both, second / (scale[..., :, None] * scale[..., None, :]), 0.0)
    sample = np.where(identity > 0.0, 1.0, np.clip(raw, -1.0, 1.0))
    rows = np.maximum(count, 1.0)
    kurtosis = np.where(both, fourth / (scale[..., :, None] * scale[..., None, :]) ** 2, 0.0).sum((-2, -1)) * rows
    distance = np.square(sample - identity).sum((-2, -1))
    noise = np.minimum(np.maximum(kurtosis - np.square(raw).sum((-2, -1)), 0.0) / rows, distance)
    shrink = np.where(distance > 0.0, noise / np.where(distance > 0.0, distance, 1.0), 1.0)
    kept = (1.0 - shrink) * count / (count + k)
    correlation: F64 = kept[..., None, None] * (sample - identity) + identity
    return correlation


def outcome_correlation(outcomes: F64) -> F64:
    """`shrunk_correlation` of a table of outcomes (n, E); 0 = no vote. An empty table gives the identity."""
    squares = np.square(outcomes)
    return shrunk_correlation(outcomes.T @ outcomes, squares.T @ squares, np.asarray(float(outcomes.shape[0])))


def vote_weights(correlation: F64, active: Bool) -> tuple[F64, F64]:
    """Weights (..., E) that sum to 1 over the active engines, and the effective number of votes (...).

    The weights solve ``C w = 1`` with w >= 0 (least squares), so clones share one vote. The effective number is
    ``(1'w)^2 / w'Cw``, which is ``1'C^-1 1`` where no weight hits zero; it is at most the number of
    active engines, since engines that diversify are no fault. Nobody active: zeros.

    >>> c = np.eye(12); c[:9, :9] = 0.64; np.fill_diagonal(c, 1.0)
    >>> round(float(vote_weights(c, np.ones(12, dtype=bool))[1]), 2)
    4.47
    """
    k = correlation.shape[-1]
    pair = active[..., :, None] & active[..., None, :]
    system = np.asarray(np.where(pair, correlation, np.eye(k)).reshape(-1, k, k), dtype=np.float64)
    raw = np.asarray(np.linalg.solve(system, np.ones((system.shape[0], k, 1)))[..., 0], dtype=np.float64)
    for index in np.flatnonzero((raw < 0.0).any(axis=1)):
        raw[index] = nnls(system[index], np.ones(k))[0]
    raw[~active.reshape(-1, k)] = 0.0
    total = _row_sums(raw)
    spread = _row_sums(np.stack([_row_sums(np.multiply(system[:, j], raw)) * raw[:, j] for j in range(k)], axis=1))
    number = active.reshape(-1, k).sum(axis=1)
    effective = np.clip(np.where(spread > 0.0, total**2 / np.where(spread > 0.0, spread, 1.0), 0.0), 0.0, number)
    weights = raw / np.where(total > 0.0, total, 1.0)[:, None]
    return weights.reshape(active.shape), effective.reshape(active.shape[:-1])


def _row_sums(table: F64) -> F64:
    """Sums of each row of (b, k), added left to right, so that a row's sum does not depend on its batch."""
    total = np.zeros(table.shape[0])
    for column in table.T:
        total = total + column
    return total


def correlation_penalty(effective: F64, number: F64) -> F64:
    """``1 - effective / number`` in [0, 1]; 0 for one voter or none, near 1 for many clones.

    >>> correlation_penalty(np.array([1.0, 1.0, 4.0]), np.array([1.0, 10.0, 4.0])).tolist()
    [0.0, 0.9, 0.0]
    """
    share = effective / np.maximum(number, 1.0)
    penalty: F64 = np.where(number > 1.0, np.clip(1.0 - share, 0.0, 1.0), 0.0)
    return penalty
