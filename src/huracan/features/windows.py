"""Rolling statistics without subtraction: sums, extremes, moments and EWMAs, read out at chosen bars.

A window's bars are split at a fixed block border: the older part comes from a suffix table of the block before, the
newer part from a running prefix (Gil and Werman 1993; van Herk 1992). Nothing is ever taken away from a sum,
so no error builds up, a NaN lives exactly as long as its window, and the cost is two additions a bar.
Everywhere: `place` (n,) is a bar's number inside its segment, `rows` (m,) the ascending bars to report. A
window that is not full yet reports what it has.
"""

import math

import numpy as np
from numpy.typing import NDArray

from huracan.stats.kernel import kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def bars_in(minutes: int, interval_minutes: int) -> int:
    """Bars in a window, at least one.

    >>> bars_in(60, 15), bars_in(5, 60)
    (4, 1)
    """
    return max(1, minutes // interval_minutes)


def windows_in(minutes: tuple[int, ...], interval_minutes: int) -> I64:
    """The same for several windows."""
    return np.array([bars_in(m, interval_minutes) for m in minutes], dtype=np.int64)


def net_moves(level: F64, place: I64, rows: I64, windows: I64) -> F64:
    """Change of `level` (n,) over the last `windows` (w,) bars, the first from its open; (w, m), NaN when too young."""
    out = np.empty((windows.size, rows.size))
    _fill_moves(level, place, rows, windows, out)
    return out


@kernel
def _fill_moves(level: F64, place: I64, rows: I64, windows: I64, out: F64) -> None:
    for index in range(windows.shape[0]):
        window = windows[index]
        for row in range(rows.shape[0]):
            bar = rows[row]
            if place[bar] + 1 < window:
                out[index, row] = np.nan
            else:
                out[index, row] = level[bar] - level[bar - window] if place[bar] >= window else level[bar]


@kernel
def block_length(windows: I64) -> int:
    """The longest block that fits a whole number of times into each window."""
    length = 0
    for index in range(windows.shape[0]):
        length = math.gcd(length, windows[index])
    return length


@kernel
def block_starts(place: I64, length: int) -> I64:
    """First bar of every block (k + 1,), the last one the number of bars; a segment begins a block."""
    starts = np.empty(place.shape[0] + 1, np.int64)
    count, spot = 0, 0
    for bar in range(place.shape[0]):
        if place[bar] == 0 or spot == length:
            starts[count] = bar
            count, spot = count + 1, 0
        spot += 1
    starts[count] = place.shape[0]
    return starts[: count + 1]


@kernel
def _sums_inside(x: F64, starts: I64) -> tuple[F64, F64]:
    """Sums from each bar's block's first bar to it, and from it to the block's last; both (n, c)."""
    prefix, suffix = np.empty(x.shape), np.empty(x.shape)
    for block in range(starts.shape[0] - 1):
        begin, end = starts[block], starts[block + 1]
        for column in range(x.shape[1]):
            total = 0.0
            for bar in range(begin, end):
                total += x[bar, column]
                prefix[bar, column] = total
            total = 0.0
            for bar in range(end - 1, begin - 1, -1):
                total += x[bar, column]
                suffix[bar, column] = total
    return prefix, suffix


@kernel
def _sums_before(totals: F64, place: I64, count: int) -> F64:
    """Sums of the `count` blocks before each block in its segment, fewer where there are fewer; (k, c)."""
    out = np.zeros(totals.shape)
    suffix = np.zeros((count + 1, totals.shape[1]))
    prefix = np.zeros(totals.shape[1])
    spot = 0
    for block in range(totals.shape[0] if count else 0):
        if place[block] == 0:
            suffix[:] = 0.0
            prefix[:] = 0.0
            spot = 0
        elif spot == count:
            for back in range(count - 1, -1, -1):
                for column in range(totals.shape[1]):
                    suffix[back, column] = suffix[back + 1, column] + totals[block - count + back, column]
            prefix[:] = 0.0
            spot = 0
        for column in range(totals.shape[1]):
            out[block, column] = suffix[spot, column] + prefix[column]
            prefix[column] += totals[block, column]
        spot += 1
    return out


def window_sums(x: F64, windows: I64, place: I64, rows: I64) -> F64:
    """Sums of the columns of x (n, c) over the last `windows` (w,) bars; shape (w, c, m)."""
    out = np.empty((windows.size, x.shape[1], rows.size))  # from numpy, which asks for large pages
    _fill_sums(x, windows, place, rows, out)
    return out


@kernel
def _fill_sums(x: F64, windows: I64, place: I64, rows: I64, out: F64) -> None:
    n_windows, n_columns, _ = out.shape
    length = block_length(windows)
    starts = block_starts(place, length)
    prefix, suffix = _sums_inside(x, starts)
    number = place[starts[:-1]] // length
    totals = prefix[starts[1:] - 1]
    for index in range(n_windows):
        window = windows[index]
        blocks = window // length
        middle = _sums_before(totals, number, blocks - 1)
        row = 0
        for block in range(number.shape[0]):
            begin, last = row, starts[block] + length - 1
            while row < rows.shape[0] and rows[row] < starts[block + 1]:
                row += 1
            for column in range(n_columns):
                whole = middle[block, column]
                for at in range(begin, row):
                    bar = rows[at]
                    total = whole + prefix[bar, column]
                    cut = number[block] >= blocks and bar != last  # the window begins inside an older block
                    out[index, column, at] = suffix[bar + 1 - window, column] + total if cut else total


@kernel
def window_extremes(top: F64, bottom: F64, windows: I64, place: I64, rows: I64) -> tuple[F64, F64]:
    """Highest `top` and lowest `bottom` (n,) over the last `windows` (w,) bars; both shape (w, m)."""
    n, n_windows = top.shape[0], windows.shape[0]
    highest, lowest = np.zeros((n_windows, rows.shape[0])), np.zeros((n_windows, rows.shape[0]))
    for index in range(n_windows):
        window = windows[index]
        high_suffix, low_suffix = np.full(window + 1, -np.inf), np.full(window + 1, np.inf)
        high, low = -np.inf, np.inf
        row, spot = 0, -1
        for bar in range(n):
            spot = 0 if place[bar] == 0 or spot + 1 == window else spot + 1
            if spot == 0:
                high, low = -np.inf, np.inf
                if place[bar] == 0:
                    high_suffix[:] = -np.inf
                    low_suffix[:] = np.inf
                else:
                    for back in range(window - 1, -1, -1):
                        high_suffix[back] = max(high_suffix[back + 1], top[bar - window + back])
                        low_suffix[back] = min(low_suffix[back + 1], bottom[bar - window + back])
            high = max(high, top[bar])
            low = min(low, bottom[bar])
            if row < rows.shape[0] and rows[row] == bar:
                highest[index, row] = max(high, high_suffix[spot + 1])
                lowest[index, row] = min(low, low_suffix[spot + 1])
                row += 1
    return highest, lowest


@kernel
def window_zscores(level: F64, windows: I64, place: I64, rows: I64, floor: float) -> F64:
    """Level less its window mean, over its window standard deviation plus nothing below `floor`; shape (w, m).

    Deviations are taken from the level at the block border: a level far from zero costs no digits.
    """
    n, n_windows = level.shape[0], windows.shape[0]
    out = np.zeros((n_windows, rows.shape[0]))
    for index in range(n_windows):
        window = windows[index]
        first_suffix, second_suffix = np.zeros(window + 1), np.zeros(window + 1)
        anchor, first, second = 0.0, 0.0, 0.0
        row, spot = 0, -1
        for bar in range(n):
            spot = 0 if place[bar] == 0 or spot + 1 == window else spot + 1
            if spot == 0:
                anchor, first, second = level[bar], 0.0, 0.0
                if place[bar] == 0:
                    first_suffix[:] = 0.0
                    second_suffix[:] = 0.0
                else:
                    for back in range(window - 1, -1, -1):
                        gap = level[bar - window + back] - anchor
                        first_suffix[back] = first_suffix[back + 1] + gap
                        second_suffix[back] = second_suffix[back + 1] + gap * gap
            here = level[bar] - anchor
            first += here
            second += here * here
            if row < rows.shape[0] and rows[row] == bar:
                count = min(window, place[bar] + 1)
                mean = (first + first_suffix[spot + 1]) / count
                variance = (second + second_suffix[spot + 1]) / count - mean * mean
                out[index, row] = (here - mean) / np.sqrt(max(variance, floor * floor))
                row += 1
    return out


@kernel
def decayed_means(x: F64, keep: F64, place: I64, rows: I64) -> F64:
    """Exponentially weighted means of the columns of x (n, c), weights summing to one; shape (c, m).

    `keep` (c,): weight of a bar relative to the next one's. NaN is no observation; before the first one the mean is NaN.
    """
    n, n_columns = x.shape
    out = np.empty((n_columns, rows.shape[0]))
    total, weight = np.zeros(n_columns), np.zeros(n_columns)
    row = 0
    for bar in range(n):
        if place[bar] == 0:
            total[:] = 0.0
            weight[:] = 0.0
        for column in range(n_columns):
            value = x[bar, column]
            if not np.isnan(value):
                total[column] = keep[column] * total[column] + value
                weight[column] = keep[column] * weight[column] + 1.0
        if row < rows.shape[0] and rows[row] == bar:
            for column in range(n_columns):
                out[column, row] = total[column] / weight[column]
            row += 1
    return out
