"""What a decision would have earned: from the first price it could really have had to the first one after its
horizon.
"""

from typing import Final, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.arrays import I64, Bool
from huracan.domain.frames import PATIENCE_MS, Bars, LabelledSet, traded_bars
from huracan.domain.time import MINUTE_MS, Horizon
from huracan.errors import DataError
from huracan.labels.uniqueness import average_uniqueness

Number = TypeVar("Number", np.int64, np.float64)

BPS: Final = 1e4


def label_forward_returns(bars: Bars, decision_times: I64, horizon: Horizon, latency_s: int = 30) -> LabelledSet:
    """Forward simple return in bps (no costs) of each decision, one row per decision time.

    Fill: open of the first real bar (traded, neither repaired nor halted) that opens at or after decision + latency,
    at most ten minutes later. Exit: the same from label_end = fill_time + horizon on. On bars longer than a minute the
    latency is below the resolution and the fill is the next bar's open. Columns of a leg that does not exist, or is
    not known yet, are null; `forward_bps` and `weight` (average uniqueness among known labels) need both legs.
    Raises DataError unless decision times ascend strictly and the latency is not negative.
    """
    times = np.asarray(decision_times, dtype=np.int64)
    if latency_s < 0 or (times.size and np.any(np.diff(times) <= 0)):
        raise DataError(
            f"{bars.instrument.id}: latency {latency_s} s and {times.size} decisions; wanted a latency >= 0 and "
            "strictly ascending decision times"
        )
    real = bars.frame.filter(pl.Series(traded_bars(bars.frame)))
    open_time, price = real["open_time"].to_numpy(), real["open"].to_numpy()
    latency_ms = latency_s * 1000 if bars.interval_ms <= MINUTE_MS else 0
    fill = _first_real(open_time, times + latency_ms)
    filled = fill >= 0
    fill_time = _pick(open_time, fill)
    label_end = fill_time + horizon.ms
    leave = np.where(filled, _first_real(open_time, label_end), -1)
    known = filled & (leave >= 0)
    fill_price, exit_price = _pick(price, fill), _pick(price, leave)
    weight = np.zeros(times.size)
    weight[known] = average_uniqueness(fill_time[known], label_end[known])
    forward = np.where(known, exit_price / np.where(known, fill_price, 1.0) - 1.0, 0.0) * BPS
    frame = pl.DataFrame(
        {
            "decision_time": times,
            "fill_time": _null_unless(filled, fill_time),
            "label_end": _null_unless(filled, label_end),
            "exit_time": _null_unless(known, _pick(open_time, leave)),
            "fill_price": _null_unless(filled, fill_price),
            "exit_price": _null_unless(known, exit_price),
            "forward_bps": _null_unless(known, forward),
            "weight": _null_unless(known, weight),
        }
    )
    return LabelledSet(horizon=horizon, frame=frame)


def _first_real(open_time: I64, wanted: I64) -> I64:
    """Index of the first bar at or after each wanted time, -1 when none comes within ten minutes."""
    index = np.searchsorted(open_time, wanted)
    if open_time.size == 0:
        return np.full(wanted.size, -1, dtype=np.int64)
    inside = index < open_time.size
    wait = open_time[np.minimum(index, open_time.size - 1)] - wanted
    return np.where(inside & (wait <= PATIENCE_MS), index, -1).astype(np.int64)


def _pick(values: NDArray[Number], index: I64) -> NDArray[Number]:
    if values.size == 0:
        return np.zeros(index.size, dtype=values.dtype)
    return values[np.maximum(index, 0)]


def _null_unless(known: Bool, values: NDArray[Number]) -> pl.Series:
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()
