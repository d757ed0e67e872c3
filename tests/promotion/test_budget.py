"""Slots: who is primary, who is secondary, who waits; gammas never add up to more than one."""

import math

import pytest

from huracan.promotion.alpha_budget import (
    OTHER_GAMMA,
    PRIMARY_GAMMA,
    SECONDARY_GAMMA,
    PoolSize,
    Seats,
    cohort_of,
    pick_slot,
    seats,
)


def fact(market, tier, members):
    return PoolSize(pool=f"{market}-{tier}", market=market, tier=tier, members=members)


NAMED = (("um-A", "linear"), ("um-A", "boosted"), ("um-B", "linear"))
HELD = Seats(primary_pool="um-A", next_pool="um-B")


def pick(used=(), *, pool="um-A", horizon="1h", recipe="linear", first=True, **more):
    return pick_slot(set(used), HELD, pool=pool, horizon=horizon, recipe_name=recipe, first_admission=first, **more)


def test_the_primary_pool_is_the_highest_tier_with_eight_members_in_the_larger_market():
    pools = [fact("um", "A", 7), fact("um", "B", 20), fact("um", "C", 3), fact("spot", "A", 12)]
    assert seats(pools) == Seats(primary_pool="um-B", next_pool="um-C")
    assert seats([fact("um", "A", 8), fact("um", "C", 2)]) == Seats(primary_pool="um-A", next_pool="um-C")
    assert seats([fact("um", "C", 9)]) == Seats(primary_pool="um-C", next_pool=None)


def test_small_markets_have_no_primary_pool():
    assert seats([fact("um", "A", 7)]) == Seats(primary_pool=None, next_pool=None) == seats([])


def test_the_members_of_a_pool_are_those_of_its_widest_horizon():
    assert seats([fact("um", "A", 6), fact("um", "A", 9)]).primary_pool == "um-A"


def test_named_lineages_get_the_large_shares():
    assert (pick().name, pick().gamma) == ("primary/1h", PRIMARY_GAMMA)
    assert pick(recipe="boosted", horizon="4h").gamma == SECONDARY_GAMMA
    assert pick(pool="um-B", horizon="1d").name == "secondary/next_tier/1d"


def test_everything_else_and_every_reopening_draws_from_the_others():
    for slot in (
        pick(pool="um-C"),
        pick(horizon="2h"),
        pick(recipe="blend"),
        pick(pool="um-B", recipe="boosted"),
        pick(first=False),
        pick(used=["primary/1h"]),
    ):
        assert (slot.name, slot.gamma) == ("other/1", OTHER_GAMMA)


def test_an_owner_recipe_can_hold_the_primary_slots():
    assert pick(recipe="mine", primary_recipe="mine").name == "primary/1h"
    assert pick(recipe="linear", primary_recipe="mine").gamma == PRIMARY_GAMMA


def test_when_all_others_are_gone_a_lineage_waits():
    used = [f"other/{n}" for n in range(1, 31)]
    assert pick(used, pool="um-C") is None
    assert pick(used[:-1], pool="um-C").name == "other/30"
    assert pick(used).name == "primary/1h"


def test_a_cohort_spends_exactly_its_budget():
    used, total = set(), []
    wishes = [(pool, horizon, recipe) for pool, recipe in NAMED for horizon in ("1h", "4h", "1d")]
    for pool, horizon, recipe in wishes + [("um-C", "1h", "linear")] * 40:
        slot = pick(used, pool=pool, horizon=horizon, recipe=recipe)
        if slot is not None:
            assert slot.name not in used
            used.add(slot.name)
            total.append(slot.gamma)
    assert len(total) == 39
    assert math.fsum(total) == pytest.approx(1.0, abs=1e-12)


def test_cohorts_are_calendar_years_of_the_data_day():
    assert [cohort_of(day) for day in (20453, 20454, 20454 + 364, 20454 + 365)] == [2025, 2026, 2026, 2027]
