"""Forests as arrays equal LightGBM's own predictions; what arrays cannot say is refused; seeds decide everything."""

import lightgbm
import numpy as np
import pytest

from huracan.domain.records import SkipCode
from huracan.stats.decide import forest_forecasts
from huracan.training import TrainingRefused, fit_pair
from huracan.training.lightgbm_arrays import NO_TREES, to_arrays
from huracan.training.trees import forecasts

QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 3}


def data(n=600, p=7, missing=0.0):
    rng = np.random.default_rng(9)
    x = np.round(rng.normal(size=(n, p)), 2)  # ties on thresholds
    y = 30 * (x[:, 0] > 0.3) + 10 * x[:, 1] * x[:, 2] + rng.normal(size=n) + 50
    x[rng.random((n, p)) < missing] = np.nan
    return x, y


def grown(parameters, x, y, rounds=25):
    return lightgbm.train({**QUIET, **parameters}, lightgbm.Dataset(x, label=y), rounds)


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "regression"},
        {"objective": "regression_l1", "num_leaves": 7},
        {"objective": "huber", "boost_from_average": False},
        {"objective": "regression", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
        {"objective": "regression", "boosting": "dart", "num_leaves": 4},
        {"objective": "regression", "min_data_in_leaf": 10_000},
        {
            "objective": "regression",
            "boosting": "rf",
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "min_data_in_leaf": 9_999,
        },
    ],
)
def test_arrays_forecast_what_the_booster_predicts(parameters):
    x, y = data()
    booster = grown(parameters, x, y)
    forest = to_arrays(booster)
    np.testing.assert_allclose(forecasts(forest, x), booster.predict(x), rtol=1e-12, atol=1e-12)
    edges = np.nextafter(x[:50], np.inf)
    np.testing.assert_allclose(forecasts(forest, edges), booster.predict(edges), rtol=1e-12, atol=1e-12)
    arrays = (forest.feature, forest.threshold, forest.left, forest.right, forest.leaf_value, forest.roots)
    np.testing.assert_array_equal(forest_forecasts.py_func(x[:40], *arrays), forecasts(forest, x[:40]))


def test_a_forest_trained_with_gaps_is_exact_on_finite_rows_and_abstains_on_the_others():
    x, y = data(missing=0.1)
    booster = grown({"objective": "regression"}, x, y)
    finite = np.isfinite(x).all(axis=1)
    ours = forecasts(to_arrays(booster), x)
    np.testing.assert_allclose(ours[finite], booster.predict(x[finite]), rtol=1e-12, atol=1e-12)
    assert np.isnan(ours[~finite]).any()


def test_children_stand_behind_their_parents():
    x, y = data()
    forest = to_arrays(grown({"objective": "regression"}, x, y))
    nodes = np.arange(forest.feature.size)
    for child in (forest.left, forest.right):
        inside = child >= 0
        assert (child[inside] > nodes[inside]).all()
        assert (~child[~inside] < forest.leaf_value.size).all()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"objective": "binary"}, "objective"),
        ({"objective": "poisson"}, "objective"),
        ({"objective": "regression", "reg_sqrt": True}, "sqrt"),
        ({"objective": "regression", "linear_tree": True}, "linear"),
        ({"objective": "regression", "zero_as_missing": True}, "zeros"),
        ({"objective": "multiclass", "num_class": 3}, "outputs"),
    ],
)
def test_what_the_arrays_cannot_say_is_refused(parameters, why):
    x, y = data(missing=0.0 if "linear_tree" in parameters else 0.05)
    target = {"binary": y > 50, "multiclass": (np.arange(y.size) % 3)}.get(parameters["objective"], np.abs(y))
    with pytest.raises(TrainingRefused, match=why) as refused:
        to_arrays(grown(parameters, x, target.astype(float), rounds=3))
    assert refused.value.code is SkipCode.NOT_EXPORTABLE


def test_splits_on_categories_are_refused():
    x, y = data()
    x[:, 0] = np.arange(len(x)) % 7
    dataset = lightgbm.Dataset(x, label=y + 50 * (x[:, 0] % 2), categorical_feature=[0])
    with pytest.raises(TrainingRefused, match="categories"):
        to_arrays(lightgbm.train({**QUIET, "objective": "regression"}, dataset, 3))


def test_no_trees_forecast_zero():
    assert not forecasts(NO_TREES, np.ones((3, 2))).any()


def test_the_live_forest_is_carried_in_the_order_of_the_features(make_pair, make_recipe):
    pair = make_pair(seed=2, days=60)
    trained = fit_pair(pair.features, pair.labels, make_recipe("boosted"), None, cutoff_ms=pair.cutoff_ms, seed=4)
    assert trained.feature_names == pair.features.names
    position = trained.engines.index("trees")
    assert trained.tree_of.tolist() == [0 if name == "trees" else -1 for name in trained.engines]
    assert not trained.coef[position].any()
    forest = trained.forests[0]
    assert forest.roots.size > 10
    assert forest.feature.max() < len(trained.feature_names)
    x = np.ascontiguousarray(pair.features.frame.tail(200).select(trained.feature_names).to_numpy())
    live = forecasts(forest, x)
    assert np.isfinite(live).all()
    assert live.std() > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_forest(make_pair, make_recipe):
    pair = make_pair(seed=2, days=60)
    recipe = make_recipe("boosted")
    one, same, other = (
        fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=seed) for seed in (4, 4, 5)
    )
    assert one.edges.equals(same.edges)
    for name in ("feature", "threshold", "left", "right", "leaf_value", "roots"):
        np.testing.assert_array_equal(getattr(one.forests[0], name), getattr(same.forests[0], name))
    assert not np.array_equal(one.forests[0].leaf_value, other.forests[0].leaf_value)
    np.testing.assert_array_equal(one.coef, other.coef)


def test_a_history_longer_than_the_window_gets_fresh_bins(make_pair, make_recipe):
    pair = make_pair(seed=6, days=110)
    short = make_recipe("boosted", lookback_days=40)
    trained = fit_pair(pair.features, pair.labels, short, None, cutoff_ms=pair.cutoff_ms, seed=1)
    days = trained.forecasts.group_by("fold_day").agg(found=trained.forecasts["trees"].is_finite().any())
    assert trained.forecasts["trees"].is_finite().all()
    assert days.height == 77


def test_too_few_rows_for_two_leaves_forecast_zero(make_pair, make_recipe):
    pair = make_pair(seed=7, days=60, interval_ms=12 * 3_600_000)
    trained = fit_pair(pair.features, pair.labels, make_recipe("boosted"), None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert trained.forests[0].roots.size == 0
    assert (trained.forecasts["trees"] == 0.0).all()
