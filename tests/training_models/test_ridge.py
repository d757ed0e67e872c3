"""Ridge from Gram matrices against scikit-learn and plain sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from huracan.stats.ridge import grouped_grams, moments, raw_coefficients, shrink_to_prior


def rows_of(seed, n=400, p=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p) * 3
    y = x @ rng.normal(size=p) + rng.normal(size=n) * 5 + 2
    return x, y, rng.uniform(0.1, 1.0, size=n)


def gram_of(x, y, w):
    z = np.column_stack([np.ones(len(x)), x, y])
    return grouped_grams(z, w, np.zeros(len(x), dtype=np.int64), 1)[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), groups=st.integers(1, 6))
def test_grouped_grams_equal_a_loop_over_rows(seed, groups):
    rng = np.random.default_rng(seed)
    z, w, g = rng.normal(size=(40, 4)), rng.uniform(size=40), rng.integers(-1, groups + 1, size=40)
    slow = np.zeros((groups, 4, 4))
    for row, weight, group in zip(z, w, g, strict=True):
        if 0 <= group < groups:
            slow[group] += weight * np.outer(row, row)
    np.testing.assert_allclose(grouped_grams(z, w, g, groups), slow, atol=1e-12)


def test_moments_are_the_weighted_ones_of_numpy():
    x, y, w = rows_of(1)
    of = moments(gram_of(x, y, w))
    both = np.column_stack([x, y])
    covariance = np.cov(both.T, aweights=w, ddof=0)
    np.testing.assert_allclose(of.mean, np.average(both, axis=0, weights=w), atol=1e-10)
    np.testing.assert_allclose(of.sd, np.sqrt(np.diag(covariance)), atol=1e-10)
    np.testing.assert_allclose(of.correlation, covariance / np.outer(of.sd, of.sd), atol=1e-10)
    assert of.rows == pytest.approx(w.sum())


@pytest.mark.parametrize("alpha", [0.5, 50.0, 8000.0])
def test_coefficients_equal_a_scikit_learn_pipeline(alpha):
    x, y, w = rows_of(2)
    prior = np.array([0.1, -0.2, 0.0, 0.3, 0.05])
    of = moments(gram_of(x, y, w))
    columns = np.arange(5)
    standard = shrink_to_prior(of.correlation, of.rows, columns, prior, alpha)
    slopes, intercept = raw_coefficients(standard, of, columns)
    scaler = StandardScaler().fit(x, sample_weight=w)
    xs, sd = scaler.transform(x), of.sd[-1]
    model = Ridge(alpha=alpha, solver="cholesky").fit(xs, y - sd * xs @ prior, sample_weight=w)
    expected = (model.coef_ + sd * prior) / scaler.scale_
    np.testing.assert_allclose(slopes, expected, rtol=1e-8, atol=1e-10)
    assert intercept == pytest.approx(-expected @ scaler.mean_, rel=1e-8)


def test_no_rows_give_the_prior_and_very_many_give_least_squares():
    x, y, w = rows_of(3)
    of = moments(gram_of(x, y, w))
    columns, prior = np.arange(5), np.linspace(-1, 1, 5)
    none = shrink_to_prior(of.correlation, np.array(0.0), columns, prior, 100.0)
    np.testing.assert_array_equal(none, prior)
    many = shrink_to_prior(of.correlation, np.array(1e14), columns, prior, 100.0)
    centred = (x - np.average(x, axis=0, weights=w)) * np.sqrt(w)[:, None]
    own = np.linalg.lstsq(centred, (y - np.average(y, weights=w)) * np.sqrt(w), rcond=None)[0]
    np.testing.assert_allclose(raw_coefficients(many, of, columns)[0], own, rtol=1e-7, atol=1e-8)


def test_a_constant_column_gets_no_weight_even_from_the_prior():
    x, y, w = rows_of(4)
    x[:, 2] = 0.1
    of = moments(gram_of(x, y, w))
    standard = shrink_to_prior(of.correlation, of.rows, np.arange(5), np.ones(5), 10.0)
    slopes, _ = raw_coefficients(standard, of, np.arange(5))
    assert slopes[2] == 0.0
    assert np.isfinite(slopes).all()


def test_an_empty_window_has_zero_moments():
    of = moments(np.zeros((2, 4, 4)))
    assert not of.rows.any()
    assert not of.correlation.any()


@pytest.mark.parametrize("rows", [0.0, -1.0, float("nan")])
def test_shrinking_by_nothing_is_refused(rows):
    with pytest.raises(ValueError, match="prior_rows"):
        shrink_to_prior(np.eye(3), np.array(1.0), np.arange(2), np.zeros(2), rows)


def test_a_change_of_units_of_x_and_y_changes_no_forecast():
    x, y, w = rows_of(5)
    plain, scaled = moments(gram_of(x, y, w)), moments(gram_of(x * 1e3 + 7, y * 10, w))
    columns, prior = np.arange(5), np.zeros(5)
    for_plain = raw_coefficients(shrink_to_prior(plain.correlation, plain.rows, columns, prior, 80.0), plain, columns)
    for_scaled = raw_coefficients(
        shrink_to_prior(scaled.correlation, scaled.rows, columns, prior, 80.0), scaled, columns
    )
    forecast = x @ for_plain[0] + for_plain[1]
    np.testing.assert_allclose((x * 1e3 + 7) @ for_scaled[0] + for_scaled[1], 10 * forecast, rtol=1e-6, atol=1e-8)
    assert np.average(forecast, weights=w) == pytest.approx(0.0, abs=1e-9)
