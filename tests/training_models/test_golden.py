"""Golden outputs: whoever changes a forecast raises the version of the engine (or of TrainingPolicy) and these numbers with it."""

import numpy as np
import pytest

from huracan.domain.recipe import TrainingPolicy
from huracan.training import ENGINES, fit_pair, pair_grams, pool_prior

GOLDEN = {
    ("breakout", 1, 1): [4.23828131, -0.49122417, 0.0],
    ("flow", 1, 1): [3.2665011, -0.508374032, 0.447274381],
    ("funding", 1, 1): [5.05670546, -1.95209045, 2.32148206],
    ("leader", 1, 1): [4.2635948, 3.0189783, 0.0],
    ("momentum_reversal", 1, 1): [2.46393065, 3.65819084, 0.0],
    ("range", 1, 1): [5.2117636, 3.55200737, 0.0],
    ("trees", 1, 1): [13.6042177, 7.10684678, 0.881902832],
    ("trend", 1, 1): [7.0632304, -1.50954396, 5.37369768],
    ("volatility", 1, 1): [2.5847182, 0.52474224, 0.0],
}


@pytest.fixture(scope="module")
def trained(make_pair, make_recipe):
    pairs = [make_pair(seed=seed, days=50, horizon="4h", planted={"drift_t_1440": 20.0}) for seed in (70, 71)]
    found = {}
    for name in ("linear", "boosted"):
        recipe = make_recipe(name, min_regime_rows=100)
        grams = [pair_grams(one.features, one.labels, recipe, cutoff_ms=one.cutoff_ms) for one in pairs]
        prior = pool_prior(grams, recipe)
        one = pairs[0]
        found[name] = fit_pair(one.features, one.labels, recipe, prior, cutoff_ms=one.cutoff_ms, seed=1)
    return found


def summary(trained, engine):
    forecast = trained.forecasts[engine].to_numpy()
    return [float(forecast.std()), float(forecast[-1]), float(trained.slope[trained.engines.index(engine)])]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_engine_of_this_version_forecasts_these_numbers(trained, engine):
    recipe = "linear" if ENGINES[engine].estimator == "ridge" else "boosted"
    key = (engine, ENGINES[engine].version, TrainingPolicy().version)
    np.testing.assert_allclose(summary(trained[recipe], engine), GOLDEN[key], rtol=1e-6)
