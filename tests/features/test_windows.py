"""Window kernels against naive slices and against their plain-Python twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.features import inputs, market, price, windows

SPANS = np.array([1, 2, 5, 9])


def places(lengths):
    return np.concatenate([np.arange(n) for n in lengths]).astype(np.int64)


@st.composite
def series(draw):
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=3))
    place = places(lengths)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rows = np.flatnonzero(rng.random(place.size) < 0.7).astype(np.int64)
    return rng.normal(size=(place.size, 2)) * 10.0 ** rng.integers(-3, 4), place, rows


def window(x, place, row, span):
    return x[row + 1 - min(span, place[row] + 1) : row + 1]


def results(function, arguments):
    """What a kernel returns, or has written into its last argument, as a tuple of arrays."""
    arguments = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
    returned = function(*arguments)
    if returned is None:
        return (arguments[-1],)
    return returned if isinstance(returned, tuple) else (returned,)


def test_every_kernel_gives_the_same_compiled_and_plain():
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(series())
    def check(drawn):
        x, place, rows = drawn
        first, second = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1])
        a, b = np.abs(first), np.abs(second)
        calls = {
            windows._fill_sums: (x, SPANS, place, rows, np.empty((4, 2, rows.size))),
            windows.window_extremes: (first, second, SPANS, place, rows),
            windows.window_zscores: (first, SPANS, place, rows, 1e-6),
            windows.decayed_means: (x, np.array([0.5, 0.9]), place, rows),
            windows._fill_moves: (first, place, rows, SPANS, np.empty((4, rows.size))),
            price._averages: (first, place, rows, 3, np.full(10, 0.8), np.empty((10, rows.size))),
            price._move_columns: (first, place),
            price._volume_columns: (a, second > 0),
            price._shape_columns: (first, a + b + 1, b + 1, second > 0, place),
            price._signed_volume: (first, a, second > 0, place),
            market._market_moves: (first, second, place, rows, SPANS),
            market._step_products: (first, second, first, place, 3),
            inputs._path: (a + 1, a + b + 2, a + 0.5, a + 1.5, second > -1, np.cumsum(place == 0)),
            inputs.last_at_or_before: (np.sort(rows * 3), np.arange(40)),
        }
        for kernel, arguments in calls.items():
            with np.errstate(all="ignore"):
                compiled, plain = results(kernel, arguments), results(kernel.py_func, arguments)
            for one, other in zip(compiled, plain, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-300)

    check()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(series())
def test_windows_equal_slices(drawn):
    x, place, rows = drawn
    sums = windows.window_sums(x, SPANS, place, rows)
    first, second = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1])
    high, low = windows.window_extremes(first, second, SPANS, place, rows)
    score = windows.window_zscores(first, SPANS, place, rows, 1e-6)
    scale = np.abs(x).max()
    for index, span in enumerate(SPANS):
        for at, row in enumerate(rows):
            past = window(x, place, row, span)
            np.testing.assert_allclose(sums[index, :, at], past.sum(axis=0), rtol=1e-12, atol=1e-12 * scale)
            assert high[index, at] == past[:, 0].max()
            assert low[index, at] == past[:, 1].min()
            wanted = (x[row, 0] - past[:, 0].mean()) / max(past[:, 0].std(), 1e-6)
            assert score[index, at] == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_a_large_value_leaves_no_trace_once_it_has_left_the_window():
    x = np.full((200, 1), 1e-9)
    x[20] = 1e9
    rows = np.arange(200)
    sums = windows.window_sums(x, np.array([16]), rows, rows)[0, 0]
    assert sums[30] > 1e8
    np.testing.assert_allclose(sums[40:], 16e-9, rtol=1e-14)


def test_a_missing_value_lives_as_long_as_its_window():
    x = np.ones((60, 1))
    x[20] = np.nan
    rows = np.arange(60)
    missing = np.isnan(windows.window_sums(x, np.array([7]), rows, rows)[0, 0])
    assert np.flatnonzero(missing).tolist() == list(range(20, 27))


def test_decayed_means_skip_missing_values():
    x = np.array([[np.nan], [2.0], [np.nan], [4.0]])
    rows = np.arange(4)
    mean = windows.decayed_means(x, np.array([0.5]), rows, rows)[0]
    np.testing.assert_allclose(mean, [np.nan, 2.0, 2.0, (0.5 * 2 + 4) / 1.5])
