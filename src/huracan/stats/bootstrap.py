"""Stationary bootstrap (Politis, Romano 1994): resample a daily series in blocks of random length."""

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.stats.kernel import kernel


@kernel
def max_drawdown(net: F64) -> float:
    """Largest fall of the running sum of `net` (n,) from its peak, in the unit of `net`; the start counts as a peak."""
    total, peak, worst = 0.0, 0.0, 0.0
    for value in net:
        total += value
        peak = max(peak, total)
        worst = max(worst, peak - total)
    return worst


@kernel
def _resampled_drawdowns(net: F64, starts: I64, restart: Bool, out: F64) -> None:
    n = net.shape[0]
    for path in range(out.shape[0]):
        total, peak, worst = 0.0, 0.0, 0.0
        at = 0
        for step in range(starts.shape[1]):
            at = starts[path, step] if step == 0 or restart[path, step] else (at + 1) % n
            total += net[at]
            peak = max(peak, total)
            worst = max(worst, peak - total)
        out[path] = worst


def bootstrap_drawdowns(net: F64, *, length: int, paths: int, mean_block: float, rng: np.random.Generator) -> F64:
    """Largest falls (paths,) of resampled paths of `length` days; blocks wrap around and last `mean_block` days on
    average.

    Raises ValueError for an empty or non-finite series.
    """
    values = np.ascontiguousarray(net, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"cannot resample {values.size} days of which some are not finite; wanted at least one, all finite"
        )
    starts = rng.integers(0, values.size, size=(paths, length))
    restart = rng.random((paths, length)) < 1.0 / max(1.0, mean_block)
    out = np.empty(paths)
    _resampled_drawdowns(values, starts, restart, out)
    return out


def drawdown_quantile(
    net: F64, *, quantile: float, length: int, rng: np.random.Generator, paths: int = 2_000, mean_block: float = 10.0
) -> float:
    """The fall that resampled paths of `length` days exceed with probability 1 - quantile, in the unit of `net`."""
    falls = bootstrap_drawdowns(net, length=length, paths=paths, mean_block=mean_block, rng=rng)
    return float(np.quantile(falls, quantile))
