"""Rolling statistics without subtraction: sums, extremes, moments and EWMAs, read out at chosen bars.

A window's bars are split at a fixed block border: the older part comes from a suffix table of the block before, the
newer part from a running prefix (Gil and Werman 1993; van Herk 1992). Nothing is ever taken away from a sum, so no
error builds up, a NaN lives exactly as long as its window, and the cost is two additions a bar. Large arrays are made
by numpy, outside the kernels: it asks for large pages, and touching small ones first costs as much as the arithmetic.
Everywhere: `place` (n,) is a bar's number inside its segment, `rows` (m,) the ascending bars to report. A window that
is not full yet reports what it has.
"""

import math
from typing import NamedTuple

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.stats.kernel import kernel


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
    fill_moves(level, place, rows, windows, out)
    return out


@kernel
def fill_moves(level: F64, place: I64, rows: I64, windows: I64, out: F64) -> None:
    """Write the same into out (w, m)."""
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


class SumTable(NamedTuple):
    """What windowed sums of c columns are put together from.

    length: bars of a block. starts (k + 1,): see `block_starts`. number (k,): a block's number inside its segment.
    before, after (c, n): sums of a block's bars up to each bar, and of those behind it. middle (w, c, k): sums of the
    whole blocks between a window's first, partial one and its last.
    """

    windows: I64
    length: int
    starts: I64
    number: I64
    before: F64
    after: F64
    middle: F64


@kernel
def _sums_inside(x: F64, starts: I64, after: F64) -> None:
    """Turn each x (c, n) into the sum of its block up to it; `after` (c, n) takes the sum of what stands behind it
    there.
    """
    for column in range(x.shape[0]):
        for block in range(starts.shape[0] - 1):
            begin, end = starts[block], starts[block + 1]
            total = 0.0
            for bar in range(end - 1, begin - 1, -1):
                after[column, bar] = total
                total += x[column, bar]
            total = 0.0
            for bar in range(begin, end):
                total += x[column, bar]
                x[column, bar] = total


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


@kernel
def sum_table(x: F64, windows: I64, place: I64, after: F64) -> SumTable:
    """The table of the columns x (c, n) for these windows (w,). It is made in x itself and in `after` (c, n)."""
    length = block_length(windows)
    starts = block_starts(place, length)
    _sums_inside(x, starts, after)
    number = place[starts[:-1]] // length
    totals = np.empty((number.shape[0], x.shape[0]))
    for block in range(number.shape[0]):
        for column in range(x.shape[0]):
            totals[block, column] = x[column, starts[block + 1] - 1]
    middle = np.empty((windows.shape[0], x.shape[0], number.shape[0]))
    for index in range(windows.shape[0]):
        middle[index] = _sums_before(totals, number, windows[index] // length - 1).T
    return SumTable(windows, length, starts, number, x, after, middle)


@kernel
def _read_run(older: F64, newer: F64, blocks: F64, starts: I64, first: int, out: F64) -> None:
    """Sums at the bars (m,) from `first` on: plain loops over runs of memory, which the compiler can vectorise."""
    size = newer.shape[0]
    for block in range(blocks.shape[0]):
        for bar in range(max(starts[block], first), min(starts[block + 1], first + size)):
            out[bar - first] = blocks[block]
    for at in range(size):
        out[at] = older[at] + (out[at] + newer[at])


@kernel
def read_sums(table: SumTable, rows: I64, out: F64) -> None:
    """Write the sums at these bars (m,) into the first m columns of out (w, c, ...)."""
    windows, length, starts, number, before, after, middle = table
    if rows.shape[0] == 0:
        return
    begin, end = rows[0], rows[-1] + 1
    first = np.searchsorted(starts, begin, side="right") - 1
    last = np.searchsorted(starts, end - 1, side="right")
    for index in range(windows.shape[0]):
        window = windows[index]
        run = end - begin == rows.shape[0] and number[first:last].min() >= window // length
        for column in range(before.shape[0]):
            if run:
                older, newer = after[column, begin - window : end - window], before[column, begin:end]
                _read_run(
                    older, newer, middle[index, column, first:last], starts[first : last + 1], begin, out[index, column]
                )
                continue
            row = 0
            for block in range(first, last):
                whole = middle[index, column, block]
                reaches = number[block] >= window // length  # the window begins inside an older block
                while row < rows.shape[0] and rows[row] < starts[block + 1]:
                    bar = rows[row]
                    earlier = after[column, bar - window] if reaches else 0.0
                    out[index, column, row] = earlier + (whole + before[column, bar])
                    row += 1


def window_sums(x: F64, windows: I64, place: I64, rows: I64) -> F64:
    """Sums of the columns x (c, n) over the last `windows` (w,) bars; shape (w, c, m)."""
    columns, after = np.empty((2, *x.shape))
    columns[:] = x
    out = np.empty((windows.size, x.shape[0], rows.size))
    read_sums(sum_table(columns, windows, place, after), rows, out)
    return out


def window_extremes(top: F64, bottom: F64, windows: I64, place: I64, rows: I64) -> tuple[F64, F64]:
    """Highest `top` and lowest `bottom` (n,) over the last `windows` (w,) bars; both shape (w, m)."""
    highest, lowest = np.empty((2, windows.size, rows.size))
    _fill_extremes(top, bottom, windows, place, rows, highest, lowest)
    return highest, lowest


@kernel
def _fill_extremes(top: F64, bottom: F64, windows: I64, place: I64, rows: I64, highest: F64, lowest: F64) -> None:
    n, n_windows = top.shape[0], windows.shape[0]
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


@kernel
def fill_zscores(level: F64, windows: I64, place: I64, rows: I64, floor: float, out: F64) -> None:
    """Write the level less its window mean, over its window standard deviation plus nothing below `floor`; shape (w,
    m).

    Deviations are taken from the level at the block border: a level far from zero costs no digits.
    """
    n, n_windows = level.shape[0], windows.shape[0]
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


@kernel
def decayed_means(x: F64, keep: F64, place: I64, rows: I64) -> F64:
    """Exponentially weighted means of the columns x (c, n), weights summing to one; shape (c, m).

    `keep` (c,): weight of a bar relative to the next one's. NaN is no observation; before the first one the mean is
    NaN.
    """
    n_columns, n = x.shape
    out = np.empty((n_columns, rows.shape[0]))
    total, weight = np.zeros(n_columns), np.zeros(n_columns)
    row = 0
    for bar in range(n):
        if place[bar] == 0:
            total[:] = 0.0
            weight[:] = 0.0
        for column in range(n_columns):
            value = x[column, bar]
            if not np.isnan(value):
                total[column] = keep[column] * total[column] + value
                weight[column] = keep[column] * weight[column] + 1.0
        if row < rows.shape[0] and rows[row] == bar:
            for column in range(n_columns):
                out[column, row] = total[column] / weight[column]
            row += 1
    return out
