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
        columns, shape = np.ascontiguousarray(x.T), (SPANS.size, rows.size)
        table = windows.sum_table(columns.copy(), SPANS, place, np.empty(columns.shape))
        calls = {
            windows.sum_table: (columns, SPANS, place, np.empty(columns.shape)),
            windows.read_sums: (table, rows, np.zeros((4, 2, rows.size + 1))),
            windows._fill_extremes: (first, second, SPANS, place, rows, np.zeros(shape), np.empty(shape)),
            windows.fill_zscores: (first, SPANS, place, rows, 1e-6, np.empty(shape)),
            windows.decayed_means: (columns, np.array([0.5, 0.9]), place, rows),
            windows.fill_moves: (first, place, rows, SPANS, np.empty((4, rows.size))),
            price._move_columns: (first, place, np.empty((2, place.size))),
            price._volume_columns: (a, second > 0, np.empty((3, place.size))),
            price._shape_columns: (first, a + b + 1, b + 1, second > 0, place, np.empty((4, place.size))),
            price._signed_volume: (first, a, second > 0, place, np.empty((1, place.size))),
            market._market_moves: (first, second, place, rows, SPANS, np.empty(shape)),
            market._step_products: (first, second, first, place, 3, np.empty((2, place.size))),
            inputs._path: (a + 1, a + b + 2, a + 0.5, a + 1.5, second > -1, np.cumsum(place == 0)),
            inputs.last_at_or_before: (np.sort(rows * 3), np.arange(40)),
        }
        for kernel, arguments in calls.items():
            with np.errstate(all="ignore"):
                compiled, plain = results(kernel, arguments), results(kernel.py_func, arguments)
            for one, other in zip(compiled, plain, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-300)

    check()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(series())
def test_windows_equal_slices(drawn):
    x, place, rows = drawn
    sums = windows.window_sums(x.T, SPANS, place, rows)
    first, second = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1])
    high, low = windows.window_extremes(first, second, SPANS, place, rows)
    score = np.empty((SPANS.size, rows.size))
    windows.fill_zscores(first, SPANS, place, rows, 1e-6, score)
    scale = np.abs(x).max()
    for index, span in enumerate(SPANS):
        for at, row in enumerate(rows):
            past = window(x, place, row, span)
            np.testing.assert_allclose(sums[index, :, at], past.sum(axis=0), rtol=1e-12, atol=1e-12 * scale)
            assert high[index, at] == past[:, 0].max()
            assert low[index, at] == past[:, 1].min()
            wanted = (x[row, 0] - past[:, 0].mean()) / max(past[:, 0].std(), 1e-6)
            assert score[index, at] == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 7, 64])
def test_sums_read_a_chunk_at_a_time_are_those_read_at_once(chunk):
    place = places([37, 5, 60])
    x, rows = np.random.default_rng(1).normal(size=(2, place.size)), np.arange(place.size)
    spans = np.array([3, 6, 15])
    whole = windows.window_sums(x, spans, place, rows)
    table = windows.sum_table(x, spans, place, np.empty(x.shape))
    for first in range(0, rows.size, chunk):
        some, out = rows[first : first + chunk], np.full((3, 2, chunk), np.nan)
        windows.read_sums(table, some, out)
        np.testing.assert_array_equal(out[..., : some.size], whole[..., some])


def test_a_large_value_leaves_no_trace_once_it_has_left_the_window():
    x = np.full((1, 200), 1e-9)
    x[0, 20] = 1e9
    rows = np.arange(200)
    sums = windows.window_sums(x, np.array([16]), rows, rows)[0, 0]
    assert sums[30] > 1e8
    np.testing.assert_allclose(sums[40:], 16e-9, rtol=1e-14)


def test_a_missing_value_lives_as_long_as_its_window():
    x = np.ones((1, 60))
    x[0, 20] = np.nan
    rows = np.arange(60)
    missing = np.isnan(windows.window_sums(x, np.array([7]), rows, rows)[0, 0])
    assert np.flatnonzero(missing).tolist() == list(range(20, 27))


def test_decayed_means_skip_missing_values():
    x = np.array([[np.nan, 2.0, np.nan, 4.0]])
    rows = np.arange(4)
    mean = windows.decayed_means(x, np.array([0.5]), rows, rows)[0]
    np.testing.assert_allclose(mean, [np.nan, 2.0, 2.0, (0.5 * 2 + 4) / 1.5])
