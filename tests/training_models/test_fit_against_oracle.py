"""`fit_pair` against an obvious implementation: one scikit-learn pipeline per fold, engine and regime."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from huracan.domain.time import DAY_MS
from huracan.stats.decide import linear_forecasts
from huracan.training import fit_pair, pair_grams, pool_prior
from huracan.training.engines import ENGINES

LOOKBACK, MIN_ROWS, ALPHA = 45, 150, 900.0


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("linear", lookback_days=LOOKBACK, min_regime_rows=MIN_ROWS, pair_prior_rows=ALPHA)


@pytest.fixture(scope="module")
def case(make_pair, recipe):
    pair = make_pair(seed=5, days=85, horizon="4h", planted={"zscore_1440": -25.0}, absent=("rsi_60",))
    others = [make_pair(seed=s, days=85, horizon="4h", planted={"zscore_1440": -25.0}) for s in (6, 7)]
    prior = pool_prior(
        [pair_grams(one.features, one.labels, recipe, cutoff_ms=one.cutoff_ms) for one in (pair, *others)], recipe
    )
    trained = fit_pair(pair.features, pair.labels, recipe, prior, cutoff_ms=pair.cutoff_ms, seed=0)
    return pair, prior, trained


def slow_model(pair, prior, engine, regime, day, live=False):
    """Coefficients, mean row and clip bounds of one model, from data frames and scikit-learn alone."""
    frame = pair.features.frame.join(pair.labels.frame, on="decision_time").filter("valid")
    wants = [name for name in ENGINES[engine].wants if name in pair.features.names]
    first_test = int(frame["decision_time"][0]) // DAY_MS + 30
    decided = frame["decision_time"].to_numpy() // DAY_MS
    blocks = [first_test, *(d for d in range(first_test + 1, day + 1) if d % 30 == 0)]
    x = frame.select(wants).to_numpy()
    bounds = {}
    for start in blocks:
        rows = x[(decided < start) & (decided >= start - LOOKBACK)]
        bounds[start] = (
            np.quantile(rows, 0.005, axis=0, method="lower"),
            np.quantile(rows, 0.995, axis=0, method="higher"),
        )
    own = np.array([max((b for b in blocks if b <= max(d, first_test)), default=first_test) for d in decided])
    clipped = np.array([np.clip(row, *bounds[b]) for row, b in zip(x, own, strict=True)])
    closed = np.where(frame["forward_bps"].is_null(), np.inf, frame["exit_time"].fill_null(0).to_numpy())
    known_ms = pair.cutoff_ms if live else day * DAY_MS
    limit = 4.0 * frame["sigma_day_bps"].to_numpy() * np.sqrt(4 / 24)
    y = np.clip(frame["forward_bps"].fill_null(0.0).to_numpy(), -limit, limit)
    w = frame["weight"].fill_null(0.0).to_numpy()
    rows = (closed <= known_ms) & (np.ceil(closed / DAY_MS) > day - LOOKBACK)
    cell = rows & (frame["regime"].to_numpy() == regime)
    code = regime
    if w[cell].sum() < MIN_ROWS:
        cell, code = rows, 4
    scaler = StandardScaler().fit(clipped[cell], sample_weight=w[cell])
    xs = scaler.transform(clipped[cell])
    sd = np.sqrt(np.cov(y[cell], aweights=w[cell], ddof=0))
    b0 = prior.known_at(np.array([day]), engine, tuple(wants))[0, code]
    model = Ridge(alpha=ALPHA, solver="cholesky").fit(xs, y[cell] - sd * xs @ b0, sample_weight=w[cell])
    return wants, (model.coef_ + sd * b0) / scaler.scale_, scaler.mean_, bounds[blocks[-1]]


@pytest.mark.parametrize("engine", ["range", "trend", "funding"])
@pytest.mark.parametrize("offset", [0, 13, 51])
def test_out_of_fold_forecasts_equal_a_pipeline_per_fold(case, engine, offset):
    pair, prior, trained = case
    day = int(trained.forecasts["fold_day"][0]) + offset
    rows = trained.forecasts.filter(trained.forecasts["fold_day"] == day)
    features = pair.features.frame.join(rows.select("decision_time"), on="decision_time", how="semi")
    for regime in np.unique(rows["regime"].to_numpy()):
        wants, coef, mean, (low, high) = slow_model(pair, prior, engine, regime, day)
        mine = rows["regime"].to_numpy() == regime
        slow = (np.clip(features.select(wants).to_numpy()[mine], low, high) - mean) @ coef
        np.testing.assert_allclose(rows[engine].to_numpy()[mine], slow, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("engine", ["leader", "flow"])
def test_live_arrays_equal_a_pipeline_on_every_label_closed_at_the_cutoff(case, engine):
    pair, prior, trained = case
    day = -(-pair.cutoff_ms // DAY_MS)
    position = trained.engines.index(engine)
    for regime in range(4):
        wants, coef, mean, (low, high) = slow_model(pair, prior, engine, regime, day, live=True)
        place = [trained.feature_names.index(name) for name in wants]
        np.testing.assert_allclose(trained.coef[position, regime, place], coef, rtol=1e-8, atol=1e-10)
        assert trained.intercept[position, regime] == pytest.approx(-coef @ mean, rel=1e-8, abs=1e-8)
        np.testing.assert_array_equal(trained.clip_low[place], low)
        np.testing.assert_array_equal(trained.clip_high[place], high)
        assert np.count_nonzero(trained.coef[position, regime]) == len(wants)


def test_edges_are_forecasts_times_one_slope_a_day_from_closed_labels(case):
    pair, _, trained = case
    last = int(trained.forecasts["fold_day"][-1])
    both = trained.forecasts.join(pair.labels.frame, on="decision_time").join(
        pair.features.frame.select("decision_time", "sigma_day_bps"), on="decision_time"
    )
    closed = both.filter(
        (both["exit_time"].fill_null(2**62) <= last * DAY_MS) & (both["exit_time"] > (last - LOOKBACK) * DAY_MS)
    )
    limit = 4.0 * closed["sigma_day_bps"] * np.sqrt(4 / 24)
    y = closed["forward_bps"].clip(-limit, limit)
    for name in trained.engines:
        f, w = closed[name].to_numpy(), closed["weight"].to_numpy()
        # The first window's inner folds have rolled out of the lookback by the last day.
        n = w.sum()
        slope = max(0.0, (n * (w * f * y.to_numpy()).sum() / (w * f * f).sum() + 100 * 0.25) / (n + 100))
        today = trained.edges["fold_day"] == last
        np.testing.assert_allclose(
            trained.edges.filter(today)[name], trained.forecasts.filter(today)[name] * slope, rtol=1e-9, atol=1e-12
        )


def test_the_live_arrays_forecast_through_the_same_kernel(case):
    pair, _, trained = case
    rows = pair.features.frame.tail(5)
    x = np.ascontiguousarray(rows.select(trained.feature_names).to_numpy())
    regime = rows["regime"].to_numpy().astype(np.int64)
    arrays = (trained.coef[None], trained.intercept[None], trained.clip_low[None], trained.clip_high[None])
    first = np.zeros(5, dtype=np.int64)
    fast = linear_forecasts(x, first, regime, *arrays)
    np.testing.assert_array_equal(fast, linear_forecasts.py_func(x, first, regime, *arrays))
    clipped = np.clip(x, trained.clip_low, trained.clip_high)
    slow = np.einsum("np,epn->ne", clipped, trained.coef[:, regime].transpose(0, 2, 1)) + trained.intercept[:, regime].T
    np.testing.assert_allclose(fast, slow, rtol=1e-10, atol=1e-10)
