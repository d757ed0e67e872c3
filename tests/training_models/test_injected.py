"""Somebody else's trainer: sees train rows only, may be wrong in every way, and never crashes the run."""

import asyncio

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from huracan.domain.model import TreeArrays
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.training import TrainingRefused, fit_injected
from huracan.training.exportable import checked, export_model
from huracan.training.lightgbm_arrays import to_arrays

pytestmark = pytest.mark.slow


class Line:
    def __init__(self, coef, intercept=0.0):
        self.coef_, self.intercept_ = coef, intercept


def least_squares(job):
    x = np.column_stack(list(job["features"].values()))
    model = LinearRegression().fit(x, job["labels"], sample_weight=job["weights"])
    return {"success": True, "model": model, "metrics": {"sharpe_ratio": 99.0, "win_rate": 1.0}, "edge_bps": 1e3}


def fit(pair, recipe, trainer):
    return asyncio.run(
        fit_injected(trainer, pair.features, pair.labels, recipe, coin="SOL", cutoff_ms=pair.cutoff_ms, seed=5)
    )


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("linear")


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(seed=1, days=75, planted={"ret_60": 20.0})


def test_it_is_called_once_per_fold_with_train_rows_only_and_once_for_the_final_fit(pair, recipe):
    jobs = []

    def trainer(job):
        jobs.append(job)
        return least_squares(job)

    trained = fit(pair, recipe, trainer)
    closes = dict(zip(pair.labels.frame["decision_time"], pair.labels.frame["exit_time"], strict=True))
    truth = dict(zip(pair.labels.frame["decision_time"], pair.labels.frame["forward_bps"], strict=True))
    assert [job["folds"]["final"] for job in jobs] == [*[False] * (len(jobs) - 1), True]
    assert len(jobs) == jobs[0]["folds"]["count"]
    for job in jobs[:-1]:
        start_ms = job["folds"]["test_days"][0] * DAY_MS
        assert all(closes[time] <= start_ms for time in job["decision_time"])
    for job in jobs:
        assert [truth[time] for time in job["decision_time"]] == job["labels"].tolist()
        assert set(job) == {
            *("coin", "horizon", "regime", "engine_type", "job_id", "features", "labels", "folds", "seed"),
            *("decision_time", "weights"),
        }
        assert all(len(values) == len(job["labels"]) for values in job["features"].values())
        assert all(np.isfinite(values).all() for values in job["features"].values())
    assert len({job["job_id"] for job in jobs}) == len(jobs)
    assert jobs[-1]["decision_time"].max() > jobs[-2]["decision_time"].max()
    assert trained.engines == ("injected",)
    assert trained.forecasts["injected"].is_finite().all()


def test_its_arrays_forecast_what_its_model_predicts(pair, recipe):
    trained = fit(pair, recipe, least_squares)
    models = []
    fit(pair, recipe, lambda job: models.append(least_squares(job)["model"]) or {"success": True, "model": models[-1]})
    x = pair.features.frame.tail(20).select(trained.feature_names).to_numpy()
    ours = np.clip(x, trained.clip_low, trained.clip_high) @ trained.coef[0, 2] + trained.intercept[0, 2]
    np.testing.assert_allclose(ours, models[-1].predict(x), rtol=1e-9)
    assert np.isfinite(trained.clip_high).all()


def test_an_async_trainer_is_awaited(pair, recipe):
    async def trainer(job):
        await asyncio.sleep(0)
        return least_squares(job)

    assert fit(pair, recipe, trainer).edges.equals(fit(pair, recipe, least_squares).edges)


def test_a_trainer_that_changes_its_arrays_changes_nothing_of_ours(pair, recipe):
    def vandal(job):
        result = least_squares(job)
        for values in (*job["features"].values(), job["labels"], job["weights"], job["decision_time"]):
            values[:] = 0
        return result

    assert fit(pair, recipe, vandal).edges.equals(fit(pair, recipe, least_squares).edges)


def test_calibration_starts_at_the_prior_slope_and_learns(make_pair, recipe):
    pair = make_pair(seed=1, days=75, planted={"ret_60": 80.0})
    trained = fit(pair, recipe, least_squares)
    first = trained.edges["fold_day"] == trained.edges["fold_day"][0]
    ratio = trained.edges.filter(first)["injected"] / trained.forecasts.filter(first)["injected"]
    np.testing.assert_allclose(ratio, 0.25)
    assert trained.slope[0] > 0.5


def test_a_lightgbm_model_goes_live_as_trees(pair, recipe):
    boosters = []

    def trainer(job):
        model = lightgbm.LGBMRegressor(n_estimators=5, num_leaves=5, n_jobs=1, verbosity=-1, random_state=1)
        model.fit(np.column_stack(list(job["features"].values())), job["labels"])
        boosters.append(model.booster_)
        return {"success": True, "model": model.booster_}

    trained = fit(pair, recipe, trainer)
    assert trained.tree_of.tolist() == [0]
    np.testing.assert_array_equal(trained.forests[0].leaf_value, to_arrays(boosters[-1]).leaf_value)


def test_a_scikit_learn_style_booster_exports_its_booster():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    model = lightgbm.LGBMRegressor(n_estimators=5, num_leaves=5, n_jobs=1, verbosity=-1).fit(x, x[:, 0])
    model.predict = None  # its wrapper wants the column names it was never given
    assert export_model(model, x[:5]).forest is not None


def test_arrays_of_ones_own_making_go_live(pair, recipe):
    class Stump:
        def to_arrays(self):
            return {
                "feature": [1],
                "threshold": [0.5],
                "left": [-1],
                "right": [-2],
                "leaf_value": [-7.0, 7.0],
                "roots": [0],
            }

    trained = fit(pair, recipe, lambda job: {"success": True, "model": Stump()})
    assert set(trained.forecasts["injected"]) == {-7.0, 7.0}


SOUND = {
    "feature": np.array([0, 1]),
    "threshold": np.array([0.0, 1.0]),
    "left": np.array([1, -2]),
    "right": np.array([-1, -3]),
    "leaf_value": np.array([1.0, 2.0, 3.0]),
    "roots": np.array([0]),
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"feature": np.array([0, 3])}, "feature number"),
        ({"feature": np.array([0, -1])}, "feature number"),
        ({"feature": np.array([0.5, 1.0])}, "vector"),
        ({"threshold": np.array([0.0, np.nan])}, "not finite"),
        ({"leaf_value": np.array([1.0, np.inf, 3.0])}, "not finite"),
        ({"leaf_value": np.array([1.0, 2.0])}, "does not exist"),
        ({"left": np.array([0, -2])}, "before its parent"),
        ({"left": np.array([2, -2])}, "does not exist"),
        ({"left": np.array([1])}, "length"),
        ({"roots": np.array([5])}, "does not exist"),
        ({"roots": np.array([[0]])}, "vector"),
        ({"roots": "zero"}, "vector"),
        ({"more": 1}, "mapping"),
    ],
)
def test_malformed_forests_are_refused(change, why):
    assert checked(SOUND, 3).leaf_value.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(TrainingRefused, match=why) as refused:
        checked({**SOUND, **change}, 3)
    assert refused.value.code is SkipCode.NOT_EXPORTABLE


def test_ready_made_tree_arrays_are_checked_too():
    with pytest.raises(TrainingRefused, match="feature number"):
        checked(TreeArrays(**SOUND), 1)


def logistic(sample):
    return LogisticRegression().fit(sample, np.arange(len(sample)) % 2)


class Liar(Line):
    def predict(self, x):
        return x @ self.coef_ + 1.0


class Broken(Line):
    def predict(self, x):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda sample: object(), "neither"),
        (lambda sample: "a string", "neither"),
        (lambda sample: RandomForestRegressor(n_estimators=2).fit(sample, sample[:, 0]), "neither"),
        (lambda sample: Line(np.ones(2)), "2 values and intercept_ 1"),
        (lambda sample: Line(np.full(3, np.nan)), "finite"),
        (lambda sample: Line(["a", "b", "c"]), "not numbers"),
        (lambda sample: Line(np.ones(3), [1.0, 2.0]), "intercept_ 2"),
        (logistic, "is not what its arrays say"),
        (lambda sample: Liar(np.ones(3)), "is not what its arrays say"),
        (lambda sample: Broken(np.ones(3)), "failed on train rows"),
    ],
)
def test_models_that_cannot_be_written_as_arrays_are_refused(make, why):
    sample = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(TrainingRefused, match=why) as refused:
        export_model(make(sample), sample)
    assert refused.value.code is SkipCode.NOT_EXPORTABLE


def raising(job):
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("trainer", "why"),
    [
        (raising, "ZeroDivisionError: oops"),
        (lambda job: None, "NoneType"),
        (lambda job: [1, 2, 3, 4, 5], "returned a list"),
        (lambda job: {"success": False, "error": "no signal"}, "no signal"),
        (lambda job: {}, r"a dict with \[\], wanted success and model"),
        (lambda job: {"success": False}, "without a reason"),
        (lambda job: {"success": True}, "no model"),
        (lambda job: {"success": 1, "model": Line(np.ones(1))}, "gave up"),
        (lambda job: {"success": True, "model": 1, "metrics": [1.0]}, "metrics are a list"),
        (lambda job: {"success": True, "model": 1, "metrics": {"win_rate": float("nan")}}, "win_rate is nan"),
        (lambda job: {"success": True, "model": 1, "edge_bps": "rich"}, "edge_bps is 'rich'"),
    ],
)
def test_nonsense_is_refused_with_its_reason(pair, recipe, trainer, why):
    with pytest.raises(TrainingRefused, match=why) as refused:
        fit(pair, recipe, trainer)
    assert refused.value.code is SkipCode.TRAINING_FAILED
    assert "SOL 1h, fit 1 of" in refused.value.reason


def test_folds_without_enough_labels_wait_and_the_final_fit_still_comes(make_pair, recipe):
    sparse = make_pair(seed=2, days=80, interval_ms=HOUR_MS, horizon="2d")
    calls = []

    def trainer(job):
        calls.append(job["folds"])
        return least_squares(job)

    trained = fit(sparse, recipe, trainer)
    assert calls[0]["index"] > 0
    assert calls[-1]["final"]
    assert trained.forecasts["injected"].is_nan().any()
    assert trained.forecasts["injected"].is_finite().any()
