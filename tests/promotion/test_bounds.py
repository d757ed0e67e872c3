"""The bound of a day: the shipped table, worlds' own tables, small and large pools, earlier days."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.tiers import tier_of
from huracan.errors import ConfigError
from huracan.promotion.bounds import Exposure, bound_bps, shipped_stress_table, stress_bps

SHIPPED = shipped_stress_table()
WORLD = {"kind": "world", "factor_bps": 800.0, "idio_bps": 1200.0, "one_pair_bps": 2500.0, "note": "made up"}


def exposure(n=40, net=0.05, gross=0.1, tier="A", **changes):
    return Exposure(tier=tier, n_members=n, net_cap=net, gross_cap=gross, **changes)


def test_a_large_pool_follows_the_measured_law():
    assert stress_bps(SHIPPED, exposure(n=100)) == pytest.approx(2100 * 0.05 + 4400 / 10 * 0.1)


@pytest.mark.parametrize(
    ("tier", "long_bps", "short_bps"), [("A", 2713.2, 7310.0), ("B", 8388.0, 7918.6), ("C", 7323.6, 39313.6)]
)
def test_one_pair_loses_the_worst_day_of_its_tier_on_the_sides_it_may_take(tier, long_bps, short_bps):
    long_only = exposure(n=1, tier=tier, allow_short=False)
    assert stress_bps(SHIPPED, long_only) == pytest.approx(0.1 * long_bps)
    assert stress_bps(SHIPPED, exposure(n=1, tier=tier)) == pytest.approx(0.1 * max(long_bps, short_bps))


def test_between_one_and_twenty_seven_the_bound_is_interpolated_as_published():
    one, law = stress_bps(SHIPPED, exposure(n=1)), stress_bps(SHIPPED, exposure(n=27))
    edge = 1 / 27**0.5
    assert stress_bps(SHIPPED, exposure(n=9)) == pytest.approx(law + (one - law) * (1 / 3 - edge) / (1 - edge))


@given(st.integers(1, 60), st.sampled_from("ABC"))
def test_more_members_never_make_the_day_worse(n, tier):
    assert stress_bps(SHIPPED, exposure(n=n + 1, tier=tier)) <= stress_bps(SHIPPED, exposure(n=n, tier=tier)) + 1e-9


def test_the_shipped_table_says_what_it_rests_on():
    assert "2025-10-10" in SHIPPED["note"]
    assert "delisted" in SHIPPED["note"]
    assert SHIPPED["tiers"]["A"]["long_day"] == "AVAXUSDT 2025-10-10"


def test_a_world_declares_its_own_true_bound():
    assert stress_bps(WORLD, exposure(n=8)) == pytest.approx(0.05 * 800 + 0.1 * 1200)
    assert stress_bps(WORLD, exposure(n=1)) == pytest.approx(0.1 * 2500)


def test_six_sds_count_only_from_one_hundred_and_eighty_earlier_days():
    wild = np.random.default_rng(0).normal(0, 100.0, 180)
    stress = stress_bps(SHIPPED, exposure())
    assert bound_bps(SHIPPED, exposure(), wild[:179]) == stress == bound_bps(SHIPPED, exposure())
    assert bound_bps(SHIPPED, exposure(), wild) == pytest.approx(6 * wild.std(ddof=1))
    assert bound_bps(SHIPPED, exposure(), wild / 1_000) == stress


def test_an_observation_of_three_days_may_lose_three_worst_days():
    assert bound_bps(WORLD, exposure(), block_days=3) == 3 * bound_bps(WORLD, exposure())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "kind is None"),
        ({"kind": "world", "factor_bps": -1.0}, "factor_bps"),
        ({"kind": "world", "factor_bps": 1.0, "idio_bps": True}, "idio_bps"),
        ({"kind": "market", "tiers": {"B": {}}}, "no tier 'A'"),
        ({"kind": "market", "tiers": "none"}, "no tier 'A'"),
        ({"kind": "market", "tiers": {"A": {"long_bps": "much"}}}, "long_bps"),
    ],
)
def test_a_table_that_bounds_nothing_is_a_configuration_error(table, said):
    with pytest.raises(ConfigError, match=said):
        stress_bps(table, exposure())


@pytest.mark.parametrize(("n", "net", "gross"), [(0, 0.1, 0.1), (5, 0.2, 0.1), (5, 0.0, 0.0), (5, -0.1, 0.1)])
def test_impossible_caps_are_refused(n, net, gross):
    with pytest.raises(ValueError, match="net cap"):
        exposure(n=n, net=net, gross=gross)


def test_tiers_start_at_one_hundred_and_ten_million_pounds():
    assert [tier_of(volume) for volume in (100e6, 99.9e6, 10e6, 9.9e6)] == ["A", "B", "B", "C"]
