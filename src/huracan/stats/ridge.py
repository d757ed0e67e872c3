"""Ridge regression from Gram matrices: sums of z z' are all the data that every fold, regime and engine needs.

Columns of z are ``[1, x_1 .. x_p, y]``, q = p + 2 in all. Grams add up, so a window is a difference of two
cumulative sums, a pool is a sum over coins, and no fold touches the rows again.
"""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import F64, I64, Bool

_NO_ROWS = 1e-9  # what rounding leaves of a window without rows, when it is a difference of two sums
_DEAD_VARIANCE = 1e-12  # share of the second moment below which a column is a constant plus rounding
_DEAD_SD = 1e-5  # of a column's own unit: below, it stands still in this window
LEAST_SPREAD = 1e-9
"""A feature that varies by less than this, and than this share of its size, is a constant plus the rounding of float64.

Differences of log prices over a volatility carry errors up to 1e-12, so one unit is the natural size of a feature. A
feature in much smaller units has to be scaled by its owner.
"""


def unit_of(spread: F64, mean: F64) -> F64:
    """The unit in which a column is summed: its spread, but never so small that rounding would look like variation.

    A column in this unit stands still where its sd is below `_DEAD_SD`.

    >>> unit_of(np.array([2.0, 1e-13]), np.array([5.0, 1.0]))
    array([2.e+00, 1.e-04])
    """
    return np.maximum(spread, LEAST_SPREAD / _DEAD_SD * np.maximum(1.0, np.abs(mean)))


def varies(spread: F64, mean: F64) -> Bool:
    """Where a column with this spread and mean is more than a constant plus rounding.

    >>> varies(np.array([1e-13, 1e-3, 1e-3]), np.array([0.0, 0.0, 1e7]))
    array([False,  True, False])
    """
    more: Bool = spread > LEAST_SPREAD * np.maximum(1.0, np.abs(mean))
    return more


def grouped_grams(z: F64, weight: F64, group: I64, n_groups: int) -> F64:
    """Weighted Gram matrices ``sum w z z'`` per group, shape (n_groups, q, q); z (n, q), weight and group (n,).

    Rows with a group outside [0, n_groups) are left out; a group without rows is zero.

    >>> grouped_grams(np.array([[1.0, 2.0], [1.0, 3.0]]), np.array([1.0, 0.5]), np.array([0, 0]), 1)[0]
    array([[1.5, 3.5],
           [3.5, 8.5]])
    """
    grams = np.zeros((n_groups, z.shape[1], z.shape[1]))
    inside = np.flatnonzero((group >= 0) & (group < n_groups))
    order = inside[np.argsort(group[inside], kind="stable")]
    ordered = group[order]
    rows = z[order]
    weighted = rows * weight[order][:, None]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], ordered.size), strict=True):
        np.matmul(weighted[start:end].T, rows[start:end], out=grams[ordered[start]])
    return grams


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What a stack of Grams says about its columns [x, y]: weights, means, sds and correlations.

    rows (...,) is the sum of weights; mean and sd (..., p + 1); correlation (..., p + 1, p + 1). A column that
    does not vary has sd 0 and correlation 0 with everything: it is dead.
    """

    rows: F64
    mean: F64
    sd: F64
    correlation: F64

    def without(self, dead: Bool) -> "Moments":
        """The same with these columns of x (..., p) dead as well."""
        live = np.concatenate((~dead, np.ones_like(dead[..., :1])), axis=-1)
        return Moments(
            rows=self.rows,
            mean=self.mean,
            sd=np.where(live, self.sd, 0.0),
            correlation=np.where(live[..., :, None] & live[..., None, :], self.correlation, 0.0),
        )


def moments(grams: F64, dead_variance: float = _DEAD_VARIANCE) -> Moments:
    """Means, sds and correlations of Grams of shape (..., q, q); zeros where there are no rows.

    Columns are in units of their usual spread (`unit_of`). One whose variance is below `dead_variance` of its second
    moment, which the precision of the Grams decides, or whose sd is a hundred-thousandth of its unit, is dead.
    """
    rows = grams[..., 0, 0]
    scale = inverse_or_zero(np.where(rows > _NO_ROWS, rows, 0.0))
    mean: F64 = grams[..., 0, 1:] * scale[..., None]
    covariance: F64 = grams[..., 1:, 1:] * scale[..., None, None]
    second = np.diagonal(covariance, axis1=-2, axis2=-1).copy()
    covariance -= mean[..., :, None] * mean[..., None, :]
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    sd: F64 = np.sqrt(np.where(variance > np.maximum(dead_variance * second, _DEAD_SD**2), variance, 0.0))
    inverse = inverse_or_zero(sd)
    covariance *= inverse[..., :, None]
    covariance *= inverse[..., None, :]
    return Moments(rows=rows, mean=mean, sd=sd, correlation=covariance)


def shrink_to_prior(correlation: F64, rows: F64, columns: I64, prior: F64, prior_rows: float) -> F64:
    """Coefficients b (..., k) in standard units: ``argmin rows * (b'Rb - 2 r'b) + prior_rows * |b - prior|^2``.

    `correlation` (..., p + 1, p + 1) of [x, y]; `rows` (...,) effective rows behind it; `columns` (k,) of x; `prior`
    (..., k). No rows give the prior, very many give least squares. Raises ValueError unless prior_rows > 0,
    since collinear features would then have no single answer.
    """
    if not prior_rows > 0.0:
        message = f"prior_rows is {prior_rows}, wanted more than 0"
        raise ValueError(message)
    matrix: F64 = correlation[..., columns[:, None], columns] * rows[..., None, None]
    matrix[..., np.arange(columns.size), np.arange(columns.size)] += prior_rows
    target: F64 = correlation[..., columns, -1] * rows[..., None] + prior_rows * prior
    return np.asarray(np.linalg.solve(matrix, target[..., None])[..., 0], dtype=np.float64)


def raw_coefficients(standard: F64, of: Moments, columns: I64) -> tuple[F64, F64]:
    """Slopes (..., k) on raw columns and the intercept (...,) that makes the mean row's forecast zero.

    The mean of y is not learned: a coin's average return over a window is no edge.
    """
    slopes = standard * of.sd[..., -1:] * inverse_or_zero(of.sd[..., columns])
    return slopes, -np.sum(slopes * of.mean[..., columns], axis=-1)


def inverse_or_zero(values: F64) -> F64:
    """``1 / v``, and 0 where v is 0."""
    live = values > 0.0
    inverse: F64 = np.where(live, 1.0 / np.where(live, values, 1.0), 0.0)
    return inverse
