"""Pair Grams, pool priors and their bytes, against slow sums over rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from huracan.domain.time import DAY_MS
from huracan.errors import SchemaError
from huracan.training import PairGrams, PoolPrior, pair_grams, pool_prior, prepare
from huracan.training.design import align
from huracan.training.engines import ENGINES
from huracan.training.gram import gram_rows, grams_by, windows
from huracan.training.packing import pack

WEEK_MS = 7 * DAY_MS


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("linear", min_regime_rows=50)


@pytest.fixture(scope="module")
def members(make_pair):
    spot = ("funding_last", "funding_mean_4320")
    return [
        make_pair(seed=1, days=80, planted={"drift_t_1440": 15.0}),
        make_pair(seed=2, days=80, sd_hour_bps=300.0, planted={"drift_t_1440": 60.0}),
        make_pair(seed=3, days=50, start_day=20484, absent=spot),
    ]


@pytest.fixture(scope="module")
def grams(members, recipe):
    return [pair_grams(one.features, one.labels, recipe, cutoff_ms=one.cutoff_ms) for one in members]


def test_windows_equal_sums_over_the_rows_of_each_window():
    rng = np.random.default_rng(0)
    by_day = rng.normal(size=(12, 4, 3, 3))
    upto = np.array([3, 7, 12])
    got = windows(by_day, np.arange(by_day.shape[-1]), upto, 5)
    for position, end in enumerate(upto):
        np.testing.assert_allclose(got[position], by_day[max(end - 5, 0) : end].sum(axis=0), atol=1e-12)


def test_weekly_increments_add_up_to_the_gram_of_all_closed_labels(members, grams, recipe):
    one = members[0]
    design = prepare(one.features, recipe.training, cutoff_ms=one.cutoff_ms)
    rows = gram_rows(design, align(design, one.labels, recipe.training), grams[0].names)
    whole = grams_by(rows, np.zeros(rows.weight.size, dtype=np.int64), 0, 1)[0]
    np.testing.assert_allclose(grams[0].full().sum(axis=0), whole, rtol=1e-5, atol=1e-2)
    assert len(grams[0].to_bytes()) < 500_000


def test_bytes_read_back_to_the_same_record(grams, recipe):
    again = PairGrams.from_bytes(grams[0].to_bytes())
    assert again.to_bytes() == grams[0].to_bytes()
    assert again.names == grams[0].names
    prior = pool_prior(grams, recipe)
    read = PoolPrior.from_bytes(prior.to_bytes())
    assert read.to_bytes() == prior.to_bytes()
    np.testing.assert_array_equal(read.coef, prior.coef)


def test_damaged_bytes_are_a_schema_error(grams, recipe):
    data = grams[0].to_bytes()
    prior = pool_prior(grams, recipe)
    head = {"names": ["a"], "horizon_minutes": 60, "first_week": 1}
    for bad in (
        b"",
        data[:-1],
        prior.to_bytes(),
        pack("pair-grams", head, {"increments": np.zeros((2, 4, 5), dtype=np.float32)}),
        pack("pair-grams", head, {"increments": np.zeros((2, 4, 6))}),
        pack("pair-grams", head, {"increments": np.full((2, 4, 6), np.nan, dtype=np.float32)}),
    ):
        with pytest.raises(SchemaError):
            PairGrams.from_bytes(bad)
    shapes = {"coef": np.zeros((1, 1, 5, 2)), "inner": np.zeros((1, 1, 5, 3))}
    with pytest.raises(SchemaError):
        PoolPrior.from_bytes(pack("pool-prior", {"engines": ["x"], "names": ["a", "b"], "first_week": 0}, shapes))


def slow_pool(members, recipe, engine, week, keep):
    """The pool's coefficients for all regimes together, from rows: each member in its own standard units."""
    wants = ENGINES[engine].wants
    xs, ys, ws = [], [], []
    for one in members:
        design = prepare(one.features, recipe.training, cutoff_ms=one.cutoff_ms)
        if not set(wants) <= set(design.names):
            continue
        labels = align(design, one.labels, recipe.training)
        rows = design.usable & (labels.weight > 0) & (labels.closed_ms <= week * WEEK_MS) & keep(labels, design)
        if not rows.any():
            continue
        x, y, w = design.clipped(design.columns(wants))[rows], labels.y[rows], labels.weight[rows]
        mean, spread = np.average(x, axis=0, weights=w), np.sqrt(np.cov(x.T, aweights=w, ddof=0).diagonal())
        xs.append((x - mean) / spread)
        middle = np.average(y, weights=w)
        ys.append((y - middle) / np.sqrt(np.average((y - middle) ** 2, weights=w)))
        ws.append(w)
    model = Ridge(alpha=recipe.training.pool_prior_rows, fit_intercept=False, solver="cholesky")
    return model.fit(np.concatenate(xs), np.concatenate(ys), sample_weight=np.concatenate(ws)).coef_


@pytest.mark.parametrize("engine", ["trend", "funding"])
def test_the_pool_equals_a_slow_ridge_over_all_members_rows(members, grams, recipe, engine):
    prior = pool_prior(grams, recipe)
    wants = ENGINES[engine].wants
    for week in (prior.first_week + 5, prior.first_week + prior.coef.shape[0] - 1):
        got = prior.known_at(np.array([week * 7 + 3]), engine, wants)[0, 4]
        slow = slow_pool(members, recipe, engine, week, lambda labels, design: np.True_)
        np.testing.assert_allclose(got, slow, atol=2e-5)


def test_inner_coefficients_are_blind_to_their_own_week(members, grams, recipe):
    prior = pool_prior(grams, recipe)
    week = prior.first_week  # the second week of decisions
    got = prior.inner_at(week, "trend", ENGINES["trend"].wants)[4]

    def keep(labels, design):
        return (labels.closed_ms <= week * WEEK_MS) | (labels.closed_ms > (week + 2) * WEEK_MS)

    slow = slow_pool(members, recipe, "trend", prior.first_week + 3, keep)
    np.testing.assert_allclose(got, slow, atol=2e-5)
    later = week + 30
    np.testing.assert_array_equal(
        prior.inner_at(later, "trend", ("drift_t_1440",)),
        prior.known_at(np.array([later * 7]), "trend", ("drift_t_1440",))[0],
    )


def test_a_later_label_changes_no_earlier_week_of_the_pool(members, recipe, relabel):
    one = members[0]
    forward = one.labels.frame["forward_bps"].fill_null(0.0).to_numpy().copy()
    time = one.labels.frame["decision_time"].to_numpy()
    forward[time >= time[0] + 50 * DAY_MS] += 1000.0
    changed = relabel(time, forward, one.labels.horizon, int(time[1] - time[0]))
    priors = [
        pool_prior([pair_grams(one.features, labels, recipe, cutoff_ms=one.cutoff_ms)], recipe)
        for labels in (one.labels, changed)
    ]
    known = int((time[0] + 50 * DAY_MS) // WEEK_MS) - priors[0].first_week + 1
    np.testing.assert_array_equal(priors[0].coef[:known], priors[1].coef[:known])
    np.testing.assert_array_equal(priors[0].inner, priors[1].inner)
    assert (priors[0].coef[known + 1] != priors[1].coef[known + 1]).any()


def test_members_without_an_engines_columns_do_not_dilute_it(grams, recipe):
    with_spot, without = pool_prior(grams, recipe), pool_prior(grams[:2], recipe)
    days = np.array([(without.first_week + without.coef.shape[0] - 1) * 7])
    wants = ENGINES["funding"].wants
    np.testing.assert_array_equal(with_spot.known_at(days, "funding", wants), without.known_at(days, "funding", wants))


def test_old_weeks_roll_out_of_the_pool(grams, make_recipe):
    rolling = pool_prior(grams[:1], make_recipe("linear", lookback_days=35))
    tail = PairGrams(
        names=grams[0].names,
        horizon_minutes=60,
        first_week=grams[0].first_week + grams[0].increments.shape[0] - 5,
        increments=grams[0].increments[-5:],
    )
    alone = pool_prior([tail], make_recipe("linear", lookback_days=35))
    np.testing.assert_allclose(rolling.coef[-1], alone.coef[-1], atol=1e-9)


def test_an_empty_pool_knows_nothing(recipe):
    empty = PairGrams(names=("a",), horizon_minutes=60, first_week=0, increments=np.zeros((0, 4, 6), dtype=np.float32))
    for prior in (pool_prior([], recipe), pool_prior([empty], recipe)):
        assert not prior.known_at(np.array([20454]), "trend", ("drift_t_1440",)).any()
        assert not prior.inner_at(2922, "trend", ("drift_t_1440",)).any()
        assert not PoolPrior.from_bytes(prior.to_bytes()).engines


def test_nothing_is_known_before_the_pools_first_week(grams, recipe):
    prior = pool_prior(grams, recipe)
    assert not prior.known_at(np.array([0, prior.first_week * 7 - 1]), "trend", ENGINES["trend"].wants).any()
