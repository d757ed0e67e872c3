"""The e-process and the detector against the slow reference, and the two properties that make them evidence."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.stats.evalues import (
    FRACTIONS,
    NEW_WEALTH,
    RUIN,
    detector_step,
    detector_value,
    e_process_path,
    e_process_step,
    e_value,
    log_e_value,
    stake,
)

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
BOUNDED = st.lists(st.floats(-1.0, 3.0), min_size=1, max_size=40)


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_e_values_equal_the_reference_night_by_night(case):
    wealth, path = NEW_WEALTH, []
    for d in case["differences_bps"]:
        wealth = e_process_step(wealth, d, case["bound_bps"])
        path.append(e_value(wealth))
    np.testing.assert_allclose(path, case["e_path"], rtol=1e-12)
    np.testing.assert_allclose(
        e_process_path(np.array(case["differences_bps"]), case["bound_bps"]), case["e_path"], rtol=1e-12
    )


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_detector_readings_equal_the_reference_night_by_night(case):
    levels, path = (0.0,) * len(FRACTIONS), []
    for d in case["differences_bps"]:
        levels = detector_step(levels, d, case["bound_bps"])
        path.append(detector_value(levels))
    np.testing.assert_allclose(path, case["sr_path"], rtol=1e-12)


def plain_e(values, bound):
    wealth = [1.0] * len(FRACTIONS)
    for d in values:
        wealth = [w * max(0.0, 1 + f * min(d / bound, 0.6)) for w, f in zip(wealth, FRACTIONS, strict=True)]
    return sum(wealth) / len(wealth)


@given(values=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=60), bound=st.floats(0.5, 50.0))
def test_logarithms_change_nothing_even_after_ruin(values, bound):
    wealth = NEW_WEALTH
    for d in values:
        wealth = e_process_step(wealth, d * bound, bound)
    assert e_value(wealth) == pytest.approx(plain_e([d * bound for d in values], bound), rel=1e-9, abs=1e-300)


@given(values=BOUNDED)
def test_gains_beyond_the_cap_add_nothing(values):
    capped = [min(d, 0.6) for d in values]
    assert e_process_path(np.array(values), 1.0)[-1] == e_process_path(np.array(capped), 1.0)[-1]


@given(loss=st.floats(0.0, 5.0), more=st.floats(0.01, 5.0))
def test_losses_are_never_capped(loss, more):
    small, large = (e_value(e_process_step(NEW_WEALTH, -d, 1.0)) for d in (loss, loss + more))
    assert large < small or small == large == 0.0


def test_a_bet_that_lost_everything_never_comes_back():
    wealth = e_process_step(NEW_WEALTH, -2.0, 1.0)
    assert [w == RUIN for w in wealth] == [False, False, False, True, True]
    for _ in range(50):
        wealth = e_process_step(wealth, 1.0, 1.0)
    assert wealth[-1] == RUIN
    assert log_e_value((RUIN,) * 5) == RUIN
    assert e_value((RUIN,) * 5) == 0.0


def nulls(rng, worlds, nights):
    """Three zero-mean differences bounded by one: uniform, crash-skewed, and with volatility that depends on the past."""
    uniform = rng.uniform(-1, 1, (worlds, nights))
    crash = rng.random((worlds, nights)) < 0.015
    skewed = np.where(crash, -0.985, 0.015)
    clustered = np.empty((worlds, nights))
    scale = np.full(worlds, 0.5)
    for night in range(nights):
        clustered[:, night] = scale * rng.choice([-1.0, 1.0], worlds)
        scale = np.clip(0.3 + 0.9 * np.where(clustered[:, night] < 0, scale, 0.2), 0.0, 1.0)
    return {"uniform": uniform, "crash-skewed": skewed, "clustered": clustered}


@pytest.mark.parametrize("kind", ["uniform", "crash-skewed", "clustered"])
def test_mean_e_value_of_a_bounded_null_is_at_most_one(kind):
    values = nulls(np.random.default_rng(7), 4_000, 60)[kind]
    e = np.array([e_process_path(row, 1.0)[-1] for row in values])
    assert e.mean() <= 1.0 + 3.0 * e.std(ddof=1) / math.sqrt(e.size)


@pytest.mark.parametrize("kind", ["uniform", "crash-skewed"])
def test_the_chance_of_ever_reaching_twenty_is_at_most_a_twentieth(kind):
    values = nulls(np.random.default_rng(11), 2_000, 120)[kind]
    reached = np.mean([e_process_path(row, 1.0).max() >= 20.0 for row in values])
    assert reached <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / 2_000)


def test_a_start_above_one_multiplies_the_whole_path():
    values = np.array([0.3, -0.2, 0.5])
    np.testing.assert_allclose(e_process_path(values, 1.0, start=3.0), 3.0 * e_process_path(values, 1.0))
    assert e_value(stake(3.0)) == pytest.approx(3.0)


def test_a_champion_that_earns_raises_no_alarm_and_one_that_loses_does():
    good = bad = (0.0,) * len(FRACTIONS)
    for _ in range(200):
        good, bad = detector_step(good, 0.03, 1.0), detector_step(bad, -0.06, 1.0)
    assert detector_value(good) < 1_000.0 < detector_value(bad)


def test_numbers_stay_finite_whatever_happens():
    wealth, levels = stake(1.0), (0.0,) * len(FRACTIONS)
    for _ in range(3_000):
        wealth, levels = e_process_step(wealth, 1.0, 1.0), detector_step(levels, -1.0, 1.0)
    assert e_value(wealth) == 1e300
    assert math.isfinite(detector_value(levels))
    assert e_process_path(np.ones(3_000), 1.0)[-1] == 1e300


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_a_bound_that_bounds_nothing_is_refused(bound):
    for call in (e_process_step, detector_step):
        with pytest.raises(ValueError, match="bound"):
            call(NEW_WEALTH, 1.0, bound)


def test_a_day_without_a_number_and_an_empty_stake_are_refused():
    with pytest.raises(ValueError, match="void the day"):
        e_process_step(NEW_WEALTH, math.nan, 1.0)
    with pytest.raises(ValueError, match="stake"):
        stake(0.0)
