"""How much of a label's life it has to itself."""

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.stats.kernel import kernel


@kernel
def _sweep(start: I64, end: I64) -> F64:
    """Average uniqueness of intervals sorted by start, with ends sorted alike."""
    n = start.shape[0]
    out = np.empty(n)
    opens, closes = 0, 0
    alive, share = 0, 0.0
    now = start[0]
    share_at_open = np.empty(n)
    while closes < n:
        if opens < n and start[opens] <= end[closes]:
            if alive > 0:
                share += (start[opens] - now) / alive
            now = start[opens]
            share_at_open[opens] = share
            alive += 1
            opens += 1
        else:
            share += (end[closes] - now) / alive
            now = end[closes]
            out[closes] = (share - share_at_open[closes]) / (end[closes] - start[closes])
            alive -= 1
            closes += 1
    return out


def average_uniqueness(start: I64, end: I64) -> F64:
    """Mean of one over the number of intervals alive, over each interval's life; (n,) in (0, 1].

    Intervals [start, end) in any unit, both ascending, end > start; the order is that of label intervals of one
    horizon. Lopez de Prado, Advances in Financial Machine Learning, chapter 4.

    >>> average_uniqueness(np.array([0, 2]), np.array([4, 6]))
    array([0.75, 0.75])
    """
    return _sweep(start, end) if start.size else np.empty(0)
