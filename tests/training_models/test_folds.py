"""Walk-forward folds: purged by columns, aligned to UTC days."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.recipe import TrainingPolicy
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.training.folds import NEVER, closing_days, refit_starts, walk_forward

DAY0 = 20454


def decisions(days, step_ms):
    return DAY0 * DAY_MS + np.arange(days * DAY_MS // step_ms, dtype=np.int64) * step_ms


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    horizon_hours=st.integers(1, 60),
    refit_days=st.integers(1, 31),
    embargo_hours=st.integers(0, 30),
    lookback=st.integers(10, 60),
)
def test_no_train_label_overlaps_the_test_block(seed, horizon_hours, refit_days, embargo_hours, lookback):
    rng = np.random.default_rng(seed)
    time = decisions(60, 3 * HOUR_MS)
    end = time + horizon_hours * HOUR_MS + rng.integers(0, HOUR_MS, size=time.size)
    end[rng.random(time.size) < 0.1] = NEVER
    rules = TrainingPolicy(first_window_days=10, lookback_days=lookback)
    embargo = embargo_hours * HOUR_MS
    folds = walk_forward(time, end, DAY0, DAY0 + 59, rules, refit_days=refit_days, embargo_ms=embargo)
    for block, start in enumerate(folds.starts):
        train, test = folds.train_rows(block), folds.test_rows(block)
        start_ms = int(start) * DAY_MS
        assert (end[train] + embargo < start_ms).all()
        assert (end[train] >= start_ms - (lookback + 1) * DAY_MS - embargo).all()
        assert (time[test] >= start_ms).all()
        left_out = np.setdiff1d(np.flatnonzero(end < start_ms - embargo), train)
        assert (end[left_out] + embargo < start_ms - lookback * DAY_MS).all()
    tested = np.concatenate([folds.test_rows(block) for block in range(folds.starts.size)])
    np.testing.assert_array_equal(tested, np.flatnonzero(time >= (DAY0 + 10) * DAY_MS))


def test_every_pair_is_refitted_on_the_same_days():
    early, late = refit_starts(100, 400, 30), refit_starts(217, 400, 30)
    assert set(late[1:]) <= set(early)
    assert early.tolist()[:3] == [100, 120, 150]
    assert refit_starts(9, 8, 1).size == 0


def test_days_after_the_last_day_are_no_test_days():
    time = decisions(40, HOUR_MS)
    folds = walk_forward(time, time + HOUR_MS, DAY0, DAY0 + 35, TrainingPolicy())
    assert folds.block[time >= (DAY0 + 36) * DAY_MS].max() == -1
    assert folds.starts[-1] == DAY0 + 35


def test_a_short_history_has_no_fold():
    time = decisions(20, HOUR_MS)
    folds = walk_forward(time, time + HOUR_MS, DAY0, DAY0 + 19, TrainingPolicy())
    assert folds.starts.size == 0
    assert (folds.block == -1).all()


def test_the_live_window_holds_every_label_closed_before_the_cutoff():
    time = decisions(40, HOUR_MS)
    end = np.where(time + HOUR_MS <= time[-1], time + HOUR_MS, NEVER)
    folds = walk_forward(time, end, DAY0, DAY0 + 39, TrainingPolicy(lookback_days=35))
    live = folds.live_rows(int(time[-1]))
    assert live[-1] == time.size - 2
    assert end[live[0]] >= (DAY0 + 5) * DAY_MS
    assert end[live[0] - 1] < (DAY0 + 5) * DAY_MS


def test_a_label_closing_at_midnight_is_known_a_day_later_and_a_missing_one_never():
    days = closing_days(np.array([5 * DAY_MS - 1, 5 * DAY_MS, 5 * DAY_MS + 1, NEVER]))
    assert days[:3].tolist() == [5, 6, 6]
    assert days[3] > 10**6
