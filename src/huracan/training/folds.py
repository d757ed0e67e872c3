"""Walk-forward folds on UTC days, purged by columns: a model knows only labels that had closed when it was fitted.

Days are the same for every pair, so sums over pairs never mix past and future.
"""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.recipe import TrainingPolicy
from huracan.domain.time import DAY_MS

NEVER = int(np.iinfo(np.int64).max)
"""Closing time of a decision without a label."""

_NO_DAY = NEVER // DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Refit blocks of one pair and horizon.

    starts (B,): first UTC day of each test block, ascending; its model knows labels closed before that day began. A
    label that ends at that very instant is purged: on long bars its exit is the price at which the block's first
    decision fills. last_day: last test day. block (n,): test block of each decision, -1 outside. closing_day (n,):
    first UTC day that begins after a decision's label has closed.
    """

    starts: I64
    last_day: int
    block: I64
    closing_day: I64
    lookback_days: int

    def train_rows(self, block: int) -> I64:
        """Decisions whose label closed in the `lookback_days` before the block; ascending."""
        return self._closed_before(int(self.starts[block]))

    def test_rows(self, block: int) -> I64:
        """Decisions that the block's model forecasts; ascending."""
        return np.flatnonzero(self.block == block)

    def live_rows(self, cutoff_ms: int) -> I64:
        """Training rows of the model fitted at the cut-off (give `label_end` NEVER unless it lies before it)."""
        return self._closed_before(first_day_after(cutoff_ms))

    def _closed_before(self, day: int) -> I64:
        return np.flatnonzero((self.closing_day <= day) & (self.closing_day > day - self.lookback_days))


def first_day_after(time_ms: int) -> int:
    """Number of the first UTC day that begins at or after the instant.

    >>> first_day_after(0), first_day_after(1), first_day_after(DAY_MS)
    (0, 1, 1)
    """
    return -(-time_ms // DAY_MS)


def closing_days(closed_ms: I64, embargo_ms: int = 0) -> I64:
    """First UTC day that begins after each label has closed; a day no clock reaches for NEVER.

    >>> closing_days(np.array([5 * DAY_MS - 1, 5 * DAY_MS])).tolist()
    [5, 6]
    """
    known = np.minimum(closed_ms, NEVER - DAY_MS - embargo_ms) + embargo_ms
    return np.where(closed_ms == NEVER, _NO_DAY, known // DAY_MS + 1)


def refit_starts(first_test_day: int, last_day: int, every_days: int) -> I64:
    """Days on which a model is refitted: the first test day, then every day divisible by `every_days`.

    >>> refit_starts(5, 20, 7).tolist()
    [5, 7, 14]
    """
    aligned = np.arange(-(-first_test_day // every_days) * every_days, last_day + 1, every_days, dtype=np.int64)
    if first_test_day > last_day:
        return aligned
    return np.union1d(np.array([first_test_day], dtype=np.int64), aligned)


def walk_forward(
    decision_time: I64,
    label_end: I64,
    first_day: int,
    last_day: int,
    policy: TrainingPolicy,
    *,
    refit_days: int = 1,
    embargo_ms: int = 0,
) -> Folds:
    """Folds of the decisions: test days run from `first_day + first_window_days` to `last_day`.

    `first_day` is the first whole UTC day with warm features. A train row of a block satisfies
    ``label_end + embargo < start of the block``; the embargo is 0 because training always precedes its test, so no
    feature of a train row looks into it. The window rolls: labels that closed more than `lookback_days` before the
    block are left out. No block when the history is too short.
    """
    first_test_day = first_day + policy.first_window_days
    starts = refit_starts(first_test_day, last_day, refit_days)
    day = decision_time // DAY_MS
    block = np.searchsorted(starts, day, side="right") - 1
    block[(day > last_day) | (starts.size == 0)] = -1
    return Folds(
        starts=starts,
        last_day=last_day,
        block=block,
        closing_day=closing_days(label_end, embargo_ms),
        lookback_days=policy.lookback_days,
    )
