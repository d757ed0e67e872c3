"""How much of a raw forecast to believe: the slope of what happened on what was forecast, from closed labels only.

Raw forecasts overstate three to ten times; trading them as they are pays costs for noise.
"""

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.recipe import TrainingPolicy

_NO_LABELS = 1e-9  # what rounding leaves of an emptied window
_NO_FORECAST = 1e-12  # bps squared: a millionth of a basis point is no forecast, and would make any slope
_ROUNDING = 1e-12  # share of a running sum that a difference of two cannot tell from nothing


def slopes(forecast: F64, y: F64, weight: F64, *, closing_day: I64, days: I64, policy: TrainingPolicy) -> F64:
    """Calibration slope of each engine as known at the start of each day; shape (F, E).

    forecast (n, E) in bps, NaN = abstained; y (n,) winsorised outcomes; weight (n,) uniqueness; closing_day (n,); days
    (F,) ascending. The slope goes through zero and is shrunk to `calibration_prior_slope` with the weight of
    `calibration_prior_labels` independent labels; never below zero, so a forecast that was wrong is not traded upside
    down. Labels that closed before the last `lookback_days` are forgotten.

    >>> one = np.ones(400)
    >>> closed, days = np.zeros(400, dtype=np.int64), np.array([5])
    >>> slopes(2 * one[:, None], one, one, closing_day=closed, days=days, policy=TrainingPolicy())
    array([[0.45]])
    """
    first = int(days[0]) - policy.lookback_days + 1
    n_days = int(days[-1]) - first + 1
    inside = (closing_day >= first) & (closing_day < first + n_days) & (weight > 0.0)
    upto = days - first + 1
    since = np.maximum(upto - policy.lookback_days, 0)
    found = np.empty((days.size, forecast.shape[1]))
    for engine in range(forecast.shape[1]):
        rows = inside & np.isfinite(forecast[:, engine])
        f, w, day = forecast[rows, engine], weight[rows], closing_day[rows] - first
        labels, squares, products = (
            _window(day, values, n_days, since, upto) for values in (w, w * f * f, w * f * y[rows])
        )
        so_far = _window(day, w * f * f, n_days, np.zeros_like(since), upto)
        known = (labels > _NO_LABELS) & (squares > _NO_FORECAST * labels) & (squares > _ROUNDING * so_far)
        own = np.where(known, products / np.where(known, squares, 1.0), 0.0)
        labels = np.where(known, labels, 0.0)
        prior = policy.calibration_prior_labels
        shrunk = (labels * own + prior * policy.calibration_prior_slope) / (labels + prior)
        found[:, engine] = np.maximum(shrunk, 0.0)
    return found


def _window(day: I64, values: F64, n_days: int, since: I64, upto: I64) -> F64:
    by_day = np.bincount(day, weights=values, minlength=n_days).astype(np.float64)
    total = np.concatenate((np.zeros(1), np.cumsum(by_day)))
    window: F64 = total[upto] - total[since]
    return window
