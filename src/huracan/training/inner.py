"""Inner folds of the first training window: they calibrate the first forecasts, before any out-of-fold label has
closed.
"""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.time import DAY_MS
from huracan.training.design import Design, Labels
from huracan.training.folds import NEVER
from huracan.training.gram import WEEK_DAYS

DECORRELATION_MS = DAY_MS
"""Features with look-backs of up to three days share most of their value for about one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerFold:
    """Calendar weeks of the first training window: rows to forecast, rows to train on; `week` is the first week's
    number.
    """

    week: int
    train: I64
    test: I64


def inner_folds(design: Design, labels: Labels, *, weeks: int, horizon_ms: int) -> tuple[InnerFold, ...]:
    """The first training window cut at calendar weeks, `weeks` at a time.

    Train rows closed before the first test day and either closed before the weeks began, or were decided at least
    ``max(horizon, one day)`` after they ended: training follows the test here, so features look back into it. They are
    also filled after the last outcome of the weeks, so no price serves both sides.
    """
    first_test_ms = design.first_test_day * DAY_MS
    known = labels.closed_ms < first_test_ms
    embargo_ms = max(horizon_ms, DECORRELATION_MS)
    first_week = int(design.day[0]) // WEEK_DAYS
    folds = []
    for week in range(first_week, design.first_test_day // WEEK_DAYS + 1, weeks):
        begin_ms = week * WEEK_DAYS * DAY_MS
        end_ms = min(begin_ms + weeks * WEEK_DAYS * DAY_MS, first_test_ms)
        test = (design.decision_time >= begin_ms) & (design.decision_time < end_ms)
        closed = labels.closed_ms[test & (labels.closed_ms < NEVER)]
        follows = (design.decision_time >= end_ms + embargo_ms) & (labels.start_ms > closed.max(initial=0))
        train = known & ((labels.closed_ms < begin_ms) | follows)
        if test.any():
            folds.append(InnerFold(week=week, train=np.flatnonzero(train), test=np.flatnonzero(test)))
    return tuple(folds)
