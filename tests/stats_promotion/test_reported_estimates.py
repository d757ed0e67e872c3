"""Numbers that are reported and decide nothing: HAC errors, shrinkage, deflated Sharpe; against published or hand-made values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.stats.deflated import deflated_sharpe, expected_best_sharpe, probabilistic_sharpe
from huracan.stats.hac import default_lags, hac_standard_error
from huracan.stats.shrinkage import shrink

# Thirteen BCG vaccine trials: log relative risks and their variances, as analysed with metafor (method "DL").
BCG = np.array(
    [-0.8893, -1.5854, -1.3481, -1.4416, -0.2175, -0.7861, -1.6209, 0.0120, -0.4694, -1.3713, -0.3394, 0.4459, -0.0173]
)
BCG_VARIANCE = np.array(
    [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230, 0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]
)


def test_newey_west_by_hand():
    # mean 2; deviations -1, 1, -1, 1: gamma0 = 1, gamma1 = -3/4; one lag with weight 1/2 gives 1 - 3/4.
    assert hac_standard_error(np.array([1.0, 3.0, 1.0, 3.0]), lags=1) == pytest.approx(math.sqrt(0.25 / 4))
    assert hac_standard_error(np.array([1.0, 3.0, 1.0, 3.0]), lags=0) == pytest.approx(0.5)


def test_positive_correlation_widens_the_error():
    rng = np.random.default_rng(1)
    shocks = rng.standard_normal(2_000)
    slow = np.convolve(shocks, np.ones(5) / 5, mode="valid")
    assert hac_standard_error(slow, lags=20) > 1.7 * hac_standard_error(slow, lags=0)


def test_lags_never_exceed_the_sample_and_two_values_are_the_least():
    assert default_lags(1) == 0
    assert hac_standard_error(np.array([1.0, 2.0]), lags=9) >= 0.0
    assert math.isnan(hac_standard_error(np.array([1.0])))


def test_shrinkage_reproduces_the_published_vaccine_analysis():
    result = shrink(BCG, np.sqrt(BCG_VARIANCE))
    assert result.prior_variance == pytest.approx(0.3088, abs=2e-3)
    assert result.prior_mean == pytest.approx(-0.7141, abs=1e-3)
    assert result.prior_mean_se == pytest.approx(0.1787, abs=1e-3)


def test_groups_that_differ_no_more_than_noise_share_one_mean():
    schools = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    result = shrink(schools, errors)
    assert result.prior_variance == 0.0
    assert result.prior_mean == pytest.approx(7.69, abs=0.01)
    assert result.prior_mean_se == pytest.approx(4.07, abs=0.01)
    np.testing.assert_allclose(result.mean, result.prior_mean)
    np.testing.assert_allclose(result.sd, result.prior_mean_se)


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 20)), min_size=1, max_size=20),
)
def test_shrunk_means_lie_between_the_own_and_the_common_mean(pairs):
    means, errors = (np.array(column) for column in zip(*pairs, strict=True))
    result = shrink(means, errors)
    low, high = np.minimum(means, result.prior_mean), np.maximum(means, result.prior_mean)
    assert (result.mean >= low - 1e-9).all()
    assert (result.mean <= high + 1e-9).all()
    assert (result.sd > 0).all()


def test_a_lone_mean_stays_where_it_is():
    result = shrink(np.array([3.0]), np.array([2.0]))
    assert (result.mean[0], result.sd[0]) == (pytest.approx(3.0), pytest.approx(2.0))


@pytest.mark.parametrize(
    ("means", "errors"),
    [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([math.nan], [1.0]), ([1.0], [math.inf])],
)
def test_unusable_means_are_refused(means, errors):
    with pytest.raises(ValueError, match="must be"):
        shrink(np.array(means), np.array(errors))


def test_the_deflated_sharpe_ratio_of_the_paper():
    # Bailey, Lopez de Prado 2014: five years of days, annual Sharpe 2.5, 100 trials with variance 1/2, skew -3, kurtosis 10.
    benchmark = expected_best_sharpe(100, 0.5 / 250)
    assert benchmark == pytest.approx(0.1132, abs=2e-4)
    assert probabilistic_sharpe(2.5 / math.sqrt(250), benchmark, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-4)


def test_kurtosis_is_never_excess_kurtosis():
    # Hand-made: +1 and -1 with mean .1: kurtosis of a fair coin is 1, so the variance term is 1 - 0 + 0.
    values = np.tile([1.1, -0.9], 50)
    wanted = 0.5 * (1 + math.erf(0.1 * math.sqrt(99) / math.sqrt(2)))
    assert deflated_sharpe(values, 1, 0.0) == pytest.approx(wanted, abs=1e-12)
    # A normal sample has kurtosis 3: (3 - 1) / 4 SR^2 = SR^2 / 2, which excess kurtosis would turn into -SR^2 / 4.
    assert probabilistic_sharpe(1.0, 0.0, 4, 0.0, 3.0) == pytest.approx(0.5 * (1 + math.erf(math.sqrt(2 / 2))))


def test_more_trials_make_the_same_result_less_likely():
    values = np.random.default_rng(4).normal(0.1, 1.0, 400)
    chances = [deflated_sharpe(values, trials, 0.003) for trials in (1, 10, 1_000)]
    assert chances == sorted(chances, reverse=True)
    assert expected_best_sharpe(1, 1.0) == 0.0


def test_no_variation_gives_no_answer():
    assert deflated_sharpe(np.full(10, 0.1), 5, 0.1) is None
    assert deflated_sharpe(np.array([1.0]), 5, 0.1) is None
    assert probabilistic_sharpe(3.0, 0.0, 100, 5.0, 3.0) is None
