"""Packed bars are small and give back every value, whatever it is."""

import math
import struct

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.packing import PACKED_SCHEMA, SIZES, pack_bars, unpack_bars
from huracan.domain.frames import BAR_SCHEMA

NAMES = [name for name in BAR_SCHEMA if name != "open_time"]
DECIMALS = st.builds(
    lambda whole, places: float(f"{whole}e-{places}"), st.integers(-(10**14), 10**14), st.integers(0, 12)
)
VALUES = st.one_of(
    DECIMALS,
    DECIMALS,
    st.none(),
    st.floats(),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308, 2.0**53, 0.1, 1 / 3]),
)


def bits(value):
    return None if value is None else struct.pack("<d", value)


def frame_of(rows):
    data = [(i, *row) for i, row in enumerate(rows)]
    return pl.DataFrame(data, schema=BAR_SCHEMA, orient="row")


def decimals(packed):
    """Of prices and each size, by row, as the module says they are stored."""
    return [tuple((scales >> 8 * place & 255) - 1 for place in range(6)) for scales in packed["scales"]]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=9, max_size=9), max_size=6))
def test_any_values_come_back_bit_for_bit(rows):
    frame = frame_of(rows).with_columns(vendor=pl.lit("v"))
    packed = pack_bars(frame)
    assert dict(packed.schema) == {**PACKED_SCHEMA, "vendor": pl.String}
    back = unpack_bars(packed)
    assert back.columns == frame.columns
    assert [[bits(v) for v in back[n]] for n in NAMES] == [[bits(v) for v in frame[n]] for n in NAMES]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.lists(VALUES, min_size=9, max_size=9), min_size=1, max_size=3), min_size=2, max_size=4))
def test_rows_packed_on_different_nights_are_read_together(nights):
    frames = [frame_of(rows) for rows in nights]
    back = unpack_bars(pl.concat([pack_bars(frame) for frame in frames]))
    whole = pl.concat(frames)
    assert [[bits(v) for v in back[n]] for n in NAMES] == [[bits(v) for v in whole[n]] for n in NAMES]


def test_the_fewest_decimals_are_chosen_and_prices_stand_relative_to_the_open():
    row = [(0, 7161.51, 7162.0, 7160.1, 7161.5, 0.125, None, 3.0, None, 0.0)]
    packed = pack_bars(pl.DataFrame(row, schema=BAR_SCHEMA, orient="row"))
    assert packed.select("open", "high", "low", "close").row(0) == (716151, 49, -141, -1)
    assert decimals(packed) == [(2, 3, 0, 0, 0, 0)]
    assert packed.select("quote_volume", "taker_base").row(0) == (None, None)


def test_a_late_value_of_more_decimals_is_not_missed():
    rows = [[1.5] * 9 for _ in range(200)]
    rows[150][0] = 1.0625
    assert {prices for prices, *_ in decimals(pack_bars(frame_of(rows)))} == {4}


@pytest.mark.parametrize("name", SIZES)
def test_numbers_too_long_for_a_decimal_keep_their_bits(name):
    frame = frame_of([[1.0] * 9]).with_columns(pl.lit(1 / 3).alias(name))
    packed = pack_bars(frame)
    assert decimals(packed)[0][1 + SIZES.index(name)] == -1
    assert packed[name].to_numpy().view(np.float64)[0] == 1 / 3


def test_no_rows_are_no_rows():
    assert unpack_bars(pack_bars(frame_of([]))).equals(frame_of([]))
