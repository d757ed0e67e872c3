"""Which regime a coin is in, hour by hour, from its own past only (illiquid > panic > trend > range).

A level is measured by its rank among the coin's trailing hours: the share of them that lay strictly below it. The
present hour is not among them. A regime ends at a lower rank than it begins at, and lasts some hours unless panic
or illiquidity cut it short. The state is a pure function of the bars, so a live process that reads the
same bars stands in the same regime as training did.
"""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.regimes.thresholds import RegimeThresholds
from huracan.stats.kernel import kernel

TREND, RANGE, PANIC, ILLIQUID = 0, 1, 2, 3
UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeInputs:
    """What an hour looks like; each shape (h,), NaN while warming up.

    illiquidity: log price impact per quote volume (inf: nothing traded). volatility: fast EWMA variance. drawdown: from
    the one-day high, in daily sigmas, <= 0. efficiency, drift_t: absolute values. fresh: first hour of a segment.
    """

    illiquidity: F64
    volatility: F64
    drawdown: F64
    efficiency: F64
    drift_t: F64
    fresh: Bool


@kernel
def _rank(values: F64, start: int, hour: int, least: int) -> float:
    """Share of values[start:hour] strictly below values[hour]; 0 while there are fewer than `least`."""
    count = hour - start
    if count < least:
        return 0.0
    below = 0
    here = values[hour]
    for value in values[start:hour]:
        below += value < here
    return below / count


@kernel
def _classify(levels: F64, drawdown: F64, fresh: Bool, sizes: I64, limits: F64) -> I64:
    """Codes (h,). levels (4, h): illiquidity, volatility, efficiency, drift. sizes: window, least, dwell.

    limits: illiquid, panic, drawdown, trend, each to enter and to leave.
    """
    n = drawdown.shape[0]
    out = np.full(n, UNKNOWN, np.int64)
    state, age, begin = UNKNOWN, 0, 0
    for hour in range(n):
        if fresh[hour]:
            state, begin = UNKNOWN, hour
        if np.isnan(drawdown[hour]):
            begin = hour + 1
            continue
        start = max(begin, hour - sizes[0])
        dry = _rank(levels[0], start, hour, sizes[1])
        straight = max(_rank(levels[2], start, hour, sizes[1]), _rank(levels[3], start, hour, sizes[1]))
        wanted = RANGE
        if straight > (limits[7] if state == TREND else limits[6]):
            wanted = TREND
        inside = state == PANIC
        if drawdown[hour] < (limits[5] if inside else limits[4]):  # which is rare, and a rank is not cheap
            wild = _rank(levels[1], start, hour, sizes[1])
            if wild > (limits[3] if inside else limits[2]):
                wanted = PANIC
        if dry > (limits[1] if state == ILLIQUID else limits[0]):
            wanted = ILLIQUID
        age += 1
        urgent = wanted >= PANIC and wanted > state
        if state == UNKNOWN or urgent or (wanted != state and age >= sizes[2]):
            state, age = wanted, 0
        out[hour] = state
    return out


def classify_hours(inputs: RegimeInputs, thresholds: RegimeThresholds) -> I64:
    """Regime code of every hour (see `huracan.domain.frames.REGIMES`), shape (h,); -1 while warming up.

    >>> flat = np.zeros(3)
    >>> hours = RegimeInputs(illiquidity=flat, volatility=flat, drawdown=flat, efficiency=flat, drift_t=flat,
    ...                      fresh=np.array([True, False, False]))
    >>> classify_hours(hours, RegimeThresholds())
    array([1, 1, 1])
    """
    levels = np.ascontiguousarray(
        np.vstack([inputs.illiquidity, inputs.volatility, inputs.efficiency, inputs.drift_t]), dtype=np.float64
    )
    sizes = np.array([thresholds.quantile_hours, thresholds.least_hours, thresholds.dwell_hours], dtype=np.int64)
    limits = np.array(
        [
            thresholds.illiquid_enter,
            thresholds.illiquid_leave,
            thresholds.panic_enter,
            thresholds.panic_leave,
            thresholds.panic_drawdown_enter,
            thresholds.panic_drawdown_leave,
            thresholds.trend_enter,
            thresholds.trend_leave,
        ]
    )
    return _classify(levels, inputs.drawdown, inputs.fresh, sizes, limits)
