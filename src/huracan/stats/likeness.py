"""Which series are copies of one another: return series whose correlation leaves no room for a second bet."""

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.stats.kernel import kernel


@kernel
def first_alike(returns: F64, alike: float, fewest: int) -> I64:
    """For each row of `returns` (n, days), the first row before it whose correlation with it exceeds `alike`; -1 =
    none.

    NaN marks a day that is not known. Only days known to both rows count, and at least `fewest` of them are needed. A
    row without any variation is like no other.
    """
    rows, days = returns.shape
    unit = np.zeros((rows, days))
    whole = np.ones(rows, np.bool_)
    for row in range(rows):
        _standardise(returns[row], unit[row])
        for day in range(days):
            whole[row] = whole[row] and not np.isnan(returns[row, day])
    found = np.full(rows, -1, np.int64)
    apart = 2.0 * (1.0 - alike)
    for row in range(1, rows):
        for other in range(row):
            if whole[row] and whole[other]:
                near = days >= fewest and _near(unit[row], unit[other], apart)
            else:
                near = _correlation(returns[row], returns[other], fewest) > alike
            if near:
                found[row] = other
                break
    return found


@kernel
def _standardise(values: F64, out: F64) -> None:
    """Values less their mean, of length 1; zeros where they do not vary or any is unknown."""
    mean = 0.0
    for value in values:
        mean += value / values.size
    square = 0.0
    for value in values:
        square += (value - mean) ** 2
    if square > 0.0:
        for place in range(values.size):
            out[place] = (values[place] - mean) / np.sqrt(square)


@kernel
def _near(one: F64, other: F64, apart: float) -> bool:
    """Whether two vectors of length 1 are closer than the square root of `apart`; most pairs are decided by one or two
    days.
    """
    distance, length = 0.0, 0.0
    for place in range(one.size):
        distance += (one[place] - other[place]) ** 2
        length += one[place] ** 2
        if distance >= apart:
            return False
    return length > 0.0


@kernel
def _correlation(one: F64, other: F64, fewest: int) -> float:
    """Correlation over the days known to both; -1 where they are fewer than `fewest`, or one does not vary."""
    count, mean, other_mean = 0, 0.0, 0.0
    for place in range(one.size):
        if not np.isnan(one[place]) and not np.isnan(other[place]):
            count += 1
            mean += one[place]
            other_mean += other[place]
    if count < fewest:
        return -1.0
    mean, other_mean = mean / count, other_mean / count
    square, other_square, product = 0.0, 0.0, 0.0
    for place in range(one.size):
        if not np.isnan(one[place]) and not np.isnan(other[place]):
            square += (one[place] - mean) ** 2
            other_square += (other[place] - other_mean) ** 2
            product += (one[place] - mean) * (other[place] - other_mean)
    if square <= 0.0 or other_square <= 0.0:
        return -1.0
    return float(product / np.sqrt(square * other_square))
