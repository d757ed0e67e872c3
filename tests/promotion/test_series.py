"""From daily frames to observations: holes are void, long horizons come in blocks, champions are matched by day."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huracan.errors import SchemaError
from huracan.promotion.series import difference, observation_at, observations


def test_days_left_out_are_void_and_days_without_position_are_zero_observations(make):
    frame = make.daily([1.0, 2.0, 3.0, 4.0], exposure=[0.5, 0.0, 0.5, 0.5])
    series = observations(frame.filter(pl.col("day") != make.day + 2), 1)
    assert series.days.tolist() == [make.day + i for i in range(4)]
    assert series.valid.tolist() == [True, True, False, True]
    assert series.net.tolist() == [1.0, 2.0, 0.0, 4.0]
    assert series.has_position.tolist() == [True, False, False, True]


def test_stress_adds_half_of_fees_spread_and_impact_but_not_funding(make):
    frame = make.daily([10.0], cost=2.0).with_columns(
        spread_bps=pl.lit(1.0), impact_bps=pl.lit(1.0), funding_bps=pl.lit(7.0)
    )
    assert observations(frame, 1).stressed.tolist() == [8.0]


def test_not_a_number_is_void(make):
    series = observations(make.daily([1.0, np.nan]), 1)
    assert series.valid.tolist() == [True, False]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 5), n=st.integers(0, 40), block=st.integers(1, 7))
def test_blocks_are_aligned_whole_and_add_up(make, start, n, block):
    frame = make.daily(np.arange(n, dtype=float), start=start)
    series = observations(frame, block)
    assert all((day + 1) % block == 0 for day in series.days.tolist())
    wanted = {
        last: sum(day - start for day in range(last - block + 1, last + 1))
        for last in range(start, start + n)
        if (last + 1) % block == 0 and last - block + 1 >= start
    }
    assert dict(zip(series.days.tolist(), series.net.tolist(), strict=True)) == wanted


def test_a_block_with_a_void_day_is_void(make):
    start = make.day - make.day % 3
    series = observations(make.daily([1.0] * 6, start=start, valid=[True, False, True, True, True, True]), 3)
    assert series.valid.tolist() == [False, True]


def test_differences_need_both_sides_of_the_day(make):
    own = observations(make.daily([5.0, 6.0, 7.0]), 1)
    other = observations(make.daily([1.0, 2.0, 9.0], start=make.day + 1, valid=[True, False, True]), 1)
    values, both = difference(own, other)
    assert (values.tolist(), both.tolist()) == ([0.0, 5.0, 0.0], [False, True, False])
    assert difference(own, None)[0] is own.net
    assert observation_at(own, values, both, 1).difference_bps == 5.0
    assert not observation_at(own, values, both, 2).valid


def test_a_day_named_twice_and_a_foreign_frame_are_refused(make):
    frame = make.daily([1.0, 2.0])
    with pytest.raises(ValueError, match="a day twice"):
        observations(pl.concat([frame, frame]), 1)
    with pytest.raises(SchemaError):
        make.cut(make.evidence([1.0]), 1).__class__(
            pool="p", tier="A", market="um", horizon="1h", recipe=make.recipe(), members=("A",),
            daily=frame.drop("valid"), net_cap=0.1, gross_cap=0.1,
        )  # fmt: skip


def test_no_days_and_too_few_days_for_a_block_give_no_observation(make):
    assert observations(make.daily([]), 1).days.size == 0
    assert observations(make.daily([1.0], start=3), 3).days.size == 0
