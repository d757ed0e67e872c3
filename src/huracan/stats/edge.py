"""EDGE, the bid-ask spread as bars of trades give it away: Ardia, Guidotti, Kroencke 2024, doi
10.1016/j.jfineco.2024.103916.

Trades at the bid and at the ask make returns within and between bars vary together. Two such covariances each estimate
the squared spread, from other prices of a bar. Their mean is weighted so that the noisier one counts less.
"""

import math
from typing import Final

import numpy as np

from huracan.domain.arrays import F64

_MIN_BARS: Final = 3
_MIN_ACTIVE: Final = 2


def edge_spread(open_: F64, high: F64, low: F64, close: F64) -> float:
    """Effective spread as a fraction of price, from prices (n,) in the order of time.

    It carries the sign of the estimated square, so that noise averages out over samples. A bar without a price (NaN)
    takes part in no moment that needs the price. NaN below three bars, below two in which the price moved, and where
    all opens, or all closes, are both the high and the low of their bar.

    >>> bid, ask = np.full(6, 99.9), np.full(6, 100.1)
    >>> opens, closes = np.array([99.9, 100.1] * 3), np.array([100.1, 100.1, 99.9, 99.9, 100.1, 99.9])
    >>> round(edge_spread(opens, ask, bid, closes), 5)
    0.00277
    """
    if len(open_) < _MIN_BARS:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # a price of zero or below is no price; what it gives is NaN
        logs = (np.log(np.asarray(prices, dtype=np.float64)) for prices in (open_, high, low, close))
        squares = _squared_spreads(*logs)
        return math.nan if squares is None else _signed_root(*squares)


def _squared_spreads(open_: F64, high: F64, low: F64, close: F64) -> tuple[F64, F64] | None:
    """Two estimates of the squared spread for each bar but the first, from log prices; None where there are none.

    `moved` is the paper's indicator tau: 0 for a bar without range that stands at the close before it.
    """
    mid = (high + low) / 2.0
    mid_before, close_before, mid_now, open_now = mid[:-1], close[:-1], mid[1:], open_[1:]
    moved = np.maximum(_differ(high[1:], low[1:]), _differ(low[1:], close_before))
    open_inside = _mean(moved * _differ(open_now, high[1:])) + _mean(moved * _differ(open_now, low[1:]))
    close_inside = _mean(moved * _differ(close_before, high[:-1])) + _mean(moved * _differ(close_before, low[:-1]))
    if np.nansum(moved) < _MIN_ACTIVE or open_inside == 0.0 or close_inside == 0.0:
        return None
    share_moved = _mean(moved)

    def centred(returns: F64) -> F64:
        return returns - _mean(returns) / share_moved * moved

    mid_to_open, mid_to_close, close_to_open = open_now - mid_before, close_before - mid_before, open_now - close_before
    open_to_mid, close_to_mid = centred(mid_now - open_now), centred(mid_now - close_before)
    by_open, by_close = -4.0 / open_inside, -4.0 / close_inside
    # The order of these products is part of the result: golden bundles hold its last bit.
    return (
        by_open * open_to_mid * mid_to_open + by_close * close_to_mid * mid_to_close,
        by_open * open_to_mid * close_to_open + by_close * centred(close_to_open) * mid_to_close,
    )


def _signed_root(first: F64, second: F64) -> float:
    """Root of the mean of two estimates, each weighted by the other's variance, with the sign of the square."""
    mean_first, mean_second = _mean(first), _mean(second)
    noise_first = _mean(first**2) - mean_first**2  # `**` and not a product of two: the last bit differs now and then
    noise_second = _mean(second**2) - mean_second**2
    noise = noise_first + noise_second
    if noise > 0.0:
        square = (noise_second * mean_first + noise_first * mean_second) / noise
    else:
        square = (mean_first + mean_second) / 2.0
    return math.copysign(math.sqrt(abs(square)), square)


def _differ(a: F64, b: F64) -> F64:
    """1.0 where two prices differ, 0.0 where they are the same, NaN where either is not known."""
    return np.where(np.isnan(a) | np.isnan(b), np.nan, a != b)


def _mean(values: F64) -> float:
    """Mean of the known values, summed pairwise over all places; NaN where none is known."""
    known = ~np.isnan(values)
    count = int(np.count_nonzero(known))
    return float(np.where(known, values, 0.0).sum()) / count if count else math.nan
