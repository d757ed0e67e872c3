"""The confidence sequence covers the truth every night, and the forecast of nights is the formula of rule 15."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.stats.evalues import (
    FRACTIONS,
    GAIN_CAP,
    RUIN,
    confidence_sequence,
    e_process_path,
    growth_rate,
    log_wealths_above,
    nights_until_decidable,
)


def test_the_interval_is_everything_before_the_first_day():
    assert confidence_sequence(np.empty(0), 150.0, 0.1) == (-150.0, 150.0)


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.2, -0.1])
def test_the_true_mean_is_covered_at_every_night_at_once(mean):
    rng, misses, worlds = np.random.default_rng(5), 0, 150
    for _ in range(worlds):
        values = mean + np.clip(rng.standard_t(3, 80) * 0.1, -0.6, 0.6)
        nights = (10, 20, 40, 80)
        misses += any(
            not low <= mean <= high for low, high in (confidence_sequence(values[:n], 1.0, 0.1) for n in nights)
        )
    assert misses <= 0.10 * worlds + 3 * math.sqrt(0.09 * worlds)


def test_the_interval_shrinks_around_a_mean_that_is_there():
    values = 0.15 + np.random.default_rng(2).uniform(-0.2, 0.2, 400)
    low, high = confidence_sequence(values, 1.0, 0.1)
    assert 0.05 < low < 0.15 < high < 0.25


def test_zero_is_left_out_exactly_when_the_e_process_says_so():
    values = np.random.default_rng(9).uniform(-0.3, 0.5, 60)
    path = e_process_path(values, 1.0)
    for n in range(5, 60):
        low, _ = confidence_sequence(values[:n], 1.0, 0.1)
        assert (low > 1e-9) == (path[n - 1] >= 20.0) or abs(path[n - 1] - 20.0) < 1e-6


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=30), flip=st.booleans())
def test_the_interval_is_ordered_within_the_bound_and_mirrors(values, flip):
    array = np.array(values) * (-1.0 if flip else 1.0)
    low, high = confidence_sequence(array, 1.0, 0.1)
    assert -1.0 <= low <= high <= 1.0
    assert confidence_sequence(-array, 1.0, 0.1) == (-high, -low)


@given(values=st.lists(st.floats(-2, 2), min_size=0, max_size=50), mean=st.floats(-1, 1), scale=st.floats(0.5, 2.0))
def test_the_compiled_log_wealths_equal_plain_sums_of_logarithms(values, mean, scale):
    compiled, plain = np.empty(5), np.empty(5)
    arguments = (np.array(values), mean, scale, np.array(FRACTIONS), GAIN_CAP)
    log_wealths_above(*arguments, compiled)
    log_wealths_above.py_func(*arguments, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-12, atol=1e-12)
    for at, fraction in enumerate(FRACTIONS):
        factors = [max(0.0, 1 + fraction * min((v - mean) / scale, 0.6)) for v in values]
        wanted = RUIN if any(f == 0.0 for f in factors) else sum(math.log(f) for f in factors)
        assert compiled[at] == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_long_runs_neither_overflow_nor_vanish():
    out = np.empty(5)
    log_wealths_above(np.ones(2_000), 0.0, 1.0, np.array(FRACTIONS), GAIN_CAP, out)
    np.testing.assert_allclose(out, [2_000 * math.log(1 + f * 0.6) for f in FRACTIONS], rtol=1e-10)
    log_wealths_above(np.full(2_000, -0.5), 0.0, 1.0, np.array(FRACTIONS), GAIN_CAP, out)
    np.testing.assert_allclose(out, [2_000 * math.log(1 - f * 0.5) for f in FRACTIONS], rtol=1e-10)


def test_growth_and_nights_follow_the_formula():
    values = np.array([0.2, -0.1, 0.05, -0.2, 0.15])
    moved = values - values.mean() + 0.06
    wanted = max(np.mean([math.log(1 + f * min(v, 0.6)) for v in moved]) for f in FRACTIONS)
    assert growth_rate(values, 1.0, 0.06) == pytest.approx(wanted)
    nights = nights_until_decidable(values, 1.0, log_e=math.log(3.0), wanted_e=120.0, assumed_mean=0.06)
    assert nights == pytest.approx((math.log(120.0) - math.log(3.0)) / wanted)


def test_an_edge_that_is_not_there_is_never_decided_and_a_decided_one_needs_no_night():
    values = np.array([0.2, -0.1, 0.05])
    assert nights_until_decidable(values, 1.0, log_e=0.0, wanted_e=120.0, assumed_mean=0.0) is None
    assert nights_until_decidable(values, 1.0, log_e=0.0, wanted_e=120.0, assumed_mean=1e-9) is None
    assert nights_until_decidable(np.empty(0), 1.0, log_e=0.0, wanted_e=120.0, assumed_mean=1.0) is None
    assert nights_until_decidable(np.empty(0), 1.0, log_e=5.0, wanted_e=120.0, assumed_mean=0.0) == 0.0


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1])
def test_a_probability_outside_zero_and_one_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        confidence_sequence(np.zeros(3), 1.0, delta)
