"""Which features there are on which day: one that has stopped is left out of the fits of that day, its history is
kept.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64, Bool

RECENT_DAYS: Final = 7
"""Days that decide whether a feature has stopped: longer than the three days that a feature warms up after a gap."""

ALWAYS: Final = frozenset({"regime", "sigma_day_bps"})
"""Features without which nothing can be sized or distinguished: where they are missing, the decision is no decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Features that had stopped before each UTC day, known from rows before that day alone.

    `first_day` is the day of the first row, `stopped` (D, p) begins there. Days behind the last one keep its answer.
    """

    first_day: int
    stopped: Bool

    @property
    def whole(self) -> bool:
        """True where no feature stops on any day."""
        return not self.stopped.any()

    def stopped_at(self, days: I64) -> Bool:
        """Features (F, p) that had stopped before each of these days."""
        place = np.clip(days - self.first_day, 0, self.stopped.shape[0] - 1)
        at: Bool = self.stopped[place]
        return at


def presence(x: F64, warm: Bool, day: I64, last_day: int) -> Presence:
    """When each column of x (n, p) stopped: missing from more than half of the warm rows of the last `RECENT_DAYS`
    days.

    warm and day (n,), days ascending. Days without a warm row before them keep the answer of the day before.
    """
    first_day = int(day[0])
    n_days = last_day - first_day + 1
    stopped = np.zeros((n_days, x.shape[1]), dtype=np.bool_)
    holed = np.flatnonzero(~np.isfinite(x[warm]).all(axis=0))
    if not holed.size:
        return Presence(first_day=first_day, stopped=stopped)
    offset = day[warm] - first_day
    rows = _recent(np.bincount(offset, minlength=n_days)[:n_days].astype(np.int64))
    asked = np.maximum.accumulate(np.where(rows > 0, np.arange(n_days), 0))
    for column in holed:
        missing = ~np.isfinite(x[warm, column])
        gone = _recent(np.bincount(offset[missing], minlength=n_days)[:n_days].astype(np.int64))
        stopped[:, column] = (2 * gone > rows)[asked]
    return Presence(first_day=first_day, stopped=stopped)


def _recent(by_day: I64) -> I64:
    """Sums over the `RECENT_DAYS` days before each day."""
    total = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(by_day)))
    days = np.arange(by_day.size)
    recent: I64 = total[days] - total[np.maximum(days - RECENT_DAYS, 0)]
    return recent
