"""Drawdowns, and the quantile of resampled ones that trips the breaker."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.stats.bootstrap import _resampled_drawdowns, bootstrap_drawdowns, drawdown_quantile, max_drawdown


def slow_drawdown(values):
    totals = [0.0, *np.cumsum(values)]
    return max(max(totals[: i + 1]) - total for i, total in enumerate(totals))


@given(st.lists(st.floats(-100, 100), max_size=40))
def test_the_largest_fall_equals_the_obvious_search(values):
    array = np.array(values, dtype=np.float64)
    assert max_drawdown(array) == pytest.approx(slow_drawdown(values), abs=1e-6)
    assert max_drawdown.py_func(array) == max_drawdown(array)


def test_the_compiled_resampling_equals_its_plain_twin():
    rng = np.random.default_rng(0)
    net, starts, restart = rng.normal(size=30), rng.integers(0, 30, (6, 25)), rng.random((6, 25)) < 0.2
    fast, slow = np.empty(6), np.empty(6)
    _resampled_drawdowns(net, starts, restart, fast)
    _resampled_drawdowns.py_func(net, starts, restart, slow)
    np.testing.assert_array_equal(fast, slow)
    for path in range(6):
        at, values = 0, []
        for step in range(25):
            at = starts[path, step] if step == 0 or restart[path, step] else (at + 1) % 30
            values.append(net[at])
        assert fast[path] == pytest.approx(slow_drawdown(values))


def test_a_series_that_only_rises_never_falls_and_one_that_only_falls_falls_all_the_way():
    rng = np.random.default_rng(1)
    assert drawdown_quantile(np.ones(50), quantile=0.99, length=30, rng=rng) == 0.0
    assert drawdown_quantile(-np.ones(50), quantile=0.5, length=30, rng=rng) == 30.0


def test_long_blocks_keep_losing_streaks_together():
    streaky = np.tile(np.repeat([1.0, -1.0], 20), 5)
    falls = [
        bootstrap_drawdowns(streaky, length=200, paths=400, mean_block=block, rng=np.random.default_rng(2)).mean()
        for block in (1.0, 20.0)
    ]
    assert falls[1] > 1.3 * falls[0]


def test_the_same_seed_gives_the_same_quantile():
    net = np.random.default_rng(3).normal(size=100)
    first, second = (
        drawdown_quantile(net, quantile=0.99, length=365, rng=np.random.default_rng(4), paths=200) for _ in range(2)
    )
    assert first == second > max_drawdown(net) * 0.5


@pytest.mark.parametrize("net", [[], [1.0, np.nan]])
def test_nothing_to_resample_is_refused(net):
    with pytest.raises(ValueError, match="resample"):
        drawdown_quantile(np.array(net), quantile=0.99, length=10, rng=np.random.default_rng(0))
