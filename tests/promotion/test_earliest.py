"""The earliest night on which something could be promoted, against the ledger's own code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdicts import MAKE

from huracan.domain.time import DAY_MS, day_iso, parse_iso
from huracan.promotion import LedgerState, evaluate_night
from huracan.promotion.earliest import _observation_day

LOOKED_AT = (("2020-01-01", "2030-01-01"),)


def day_number(text):
    return parse_iso(text) // DAY_MS


def first_promotion(history, future, *, horizon="1h", seen=LOOKED_AT):
    """The outlook on the first night, and the day of the first promotion where `future` follows `history`."""
    recipe = MAKE.recipe(seen=seen)
    first = len(history)
    verdict = evaluate_night(
        LedgerState(), [MAKE.evidence(history, recipe=recipe, horizon=horizon)], MAKE.tonight(first)
    )
    outlook = verdict.table[0].outlook
    whole = [MAKE.evidence(np.r_[history, future], recipe=recipe, horizon=horizon)]
    later = evaluate_night(verdict.state, whole, MAKE.tonight(first + len(future)))
    days = [event.day for event in later.state.champions if event.reason == "promoted"]
    return outlook, min(days, default=None)


@pytest.mark.slow
def test_a_recipe_whose_walked_days_were_all_looked_at_needs_sixty_nights_and_no_fewer():
    outlook, promoted = first_promotion(MAKE.planted(85, 0.5), np.full(90, 100.0))
    assert (outlook.waits_for, outlook.observations_missing, outlook.nights) == ("days", 60, 1)
    assert outlook.looked_at_days == 85
    assert outlook.earliest_day == day_iso(MAKE.day + 84 + 60)
    assert promoted == MAKE.day + 84 + 60


def test_days_of_the_past_that_count_bring_the_earliest_night_nearer():
    outlook, promoted = first_promotion(np.full(40, 60.0), np.full(40, 100.0), seen=())
    assert (outlook.observations_missing, outlook.looked_at_days) == (20, 0)
    assert promoted == day_number(outlook.earliest_day) == MAKE.day + 59


def test_a_horizon_over_a_day_waits_for_whole_blocks():
    outlook, _ = first_promotion(MAKE.planted(90, 0.5), np.full(3, 1.0), horizon="3d")
    assert outlook.block_days == 3
    assert (day_number(outlook.earliest_day) + 1) % 3 == 0
    assert 178 <= day_number(outlook.earliest_day) - (MAKE.day + 89) <= 180


@pytest.mark.parametrize(("last", "count", "block", "day"), [(10, 1, 1, 11), (10, 1, 3, 11), (11, 1, 3, 14), (12, 2, 3, 17)])  # fmt: skip
def test_an_observation_of_several_days_ends_where_the_day_number_says(last, count, block, day):
    assert _observation_day(last, count, block) == day


def test_a_drawdown_beyond_the_limit_is_never_mended_by_later_days():
    fallen = np.r_[np.full(30, -60.0), np.full(55, 60.0)]
    outlook, promoted = first_promotion(fallen, np.full(120, 100.0), seen=())
    assert (outlook.earliest_day, outlook.waits_for) == (None, "drawdown")
    assert promoted is None


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    history=st.integers(20, 80),
    sharpe=st.floats(-0.3, 1.5),
    seed=st.integers(0, 10_000),
    looked_at=st.booleans(),
)
def test_nothing_is_ever_promoted_before_its_earliest_night(history, sharpe, seed, looked_at):
    past = MAKE.planted(history, sharpe, seed=seed)
    outlook, promoted = first_promotion(past, np.full(70, 150.0), seen=LOOKED_AT if looked_at else ())
    if promoted is not None and promoted > MAKE.day + history - 1:
        assert outlook.earliest_day is not None
        assert promoted >= day_number(outlook.earliest_day)
