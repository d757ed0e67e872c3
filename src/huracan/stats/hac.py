"""Standard errors of a mean that survive serial correlation (Newey, West 1987)."""

import numpy as np

from huracan.domain.arrays import F64


def default_lags(n: int) -> int:
    """Lags of the usual rule, ``floor(4 (n / 100) ** (2 / 9))``, below n.

    >>> default_lags(100), default_lags(365), default_lags(2)
    (4, 5, 1)
    """
    return max(0, min(n - 1, int(4.0 * (n / 100.0) ** (2.0 / 9.0))))


def hac_standard_error(values: F64, lags: int | None = None) -> float:
    """Newey-West standard error of the mean of `values` (n,), Bartlett weights; NaN for fewer than two values.

    Autocovariances divide by n, and no small-sample factor is applied.
    """
    x = np.asarray(values, dtype=np.float64)
    n = x.size
    if n < 2:
        return float("nan")
    reach = default_lags(n) if lags is None else min(lags, n - 1)
    centred = x - x.mean()
    variance = float(centred @ centred) / n
    for lag in range(1, reach + 1):
        weight = 1.0 - lag / (reach + 1.0)
        variance += 2.0 * weight * float(centred[lag:] @ centred[:-lag]) / n
    return float(np.sqrt(max(variance, 0.0) / n))
