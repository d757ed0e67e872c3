"""Where there is nothing, nothing is found; where something is planted, it is found and believed in proportion."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.training import fit_pair, pair_grams, pool_prior


def joined(pair, trained):
    return trained.edges.join(pair.labels.frame.select("decision_time", "forward_bps", "weight"), on="decision_time")


def rank_ic(frame, engine):
    rows = frame.select(engine, "forward_bps", "weight").filter(pl.all_horizontal(pl.all().is_finite()))
    if rows[engine].n_unique() < 2:
        return 0.0, 1.0
    ic = np.corrcoef(rankdata(rows[engine]), rankdata(rows["forward_bps"]))[0, 1]
    return ic, 3.0 / np.sqrt(rows["weight"].sum())


@pytest.mark.parametrize("name", ["linear", "boosted"])
def test_rotated_labels_are_not_predicted(make_pair, make_recipe, relabel, name):
    pair = make_pair(seed=11, days=70, horizon="1h", planted={"ret_60": 30.0, "zscore_1440": -20.0})
    time = pair.labels.frame["decision_time"].to_numpy()
    forward = pair.labels.frame["forward_bps"].fill_null(0.0).to_numpy()
    rotated = relabel(time, np.roll(forward, forward.size // 5), pair.labels.horizon, HOUR_MS)
    trained = fit_pair(pair.features, rotated, make_recipe(name), None, cutoff_ms=pair.cutoff_ms, seed=1)
    frame = trained.forecasts.join(rotated.frame.select("decision_time", "forward_bps", "weight"), on="decision_time")
    beyond = [engine for engine in trained.engines if abs(rank_ic(frame, engine)[0]) > rank_ic(frame, engine)[1]]
    assert not beyond


def test_a_planted_linear_edge_is_found_and_its_slope_says_how_much_to_believe(make_pair, make_recipe):
    recipe = make_recipe("linear")
    pairs = [make_pair(seed=seed, days=75, planted={"drift_t_1440": 25.0}) for seed in range(20, 25)]
    grams = [pair_grams(one.features, one.labels, recipe, cutoff_ms=one.cutoff_ms) for one in pairs]
    pair = pairs[0]
    alone = fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    pooled = fit_pair(pair.features, pair.labels, recipe, pool_prior(grams, recipe), cutoff_ms=pair.cutoff_ms, seed=1)
    truth = pair.features.frame.select("decision_time", truth=25.0 * pl.col("drift_t_1440"))
    for trained in (alone, pooled):
        edge = trained.edges.join(truth, on="decision_time")
        assert np.corrcoef(edge["trend"], edge["truth"])[0, 1] > 0.85
        late = edge.tail(480)
        ratio = (late["trend"] * late["truth"]).sum() / (late["truth"] ** 2).sum()
        assert 0.5 < ratio < 1.2
        assert rank_ic(joined(pair, trained), "trend")[0] > 0.15
    trend = pooled.engines.index("trend")
    assert 0.5 < pooled.slope[trend] < 2.0
    assert alone.slope[trend] > 1.5  # shrunk to zero, its forecasts are too small, and calibration knows


def test_a_planted_threshold_is_found_by_trees(make_pair, make_recipe):
    pair = make_pair(seed=31, days=75)
    time = pair.labels.frame["decision_time"].to_numpy()
    step = (pair.features.frame["ret_15"].fill_nan(0.0).abs() > 1.0).to_numpy() * 60.0
    frame = pair.labels.frame.with_columns(forward_bps=pl.col("forward_bps") + step)
    labels = type(pair.labels)(horizon=pair.labels.horizon, frame=frame)
    trained = fit_pair(pair.features, labels, make_recipe("boosted"), None, cutoff_ms=pair.cutoff_ms, seed=1)
    found = trained.edges.join(pl.DataFrame({"decision_time": time, "step": step}), on="decision_time")
    assert np.corrcoef(found["trees"], found["step"])[0, 1] > 0.6


def test_a_drift_is_no_edge(make_pair, make_recipe, relabel):
    pair = make_pair(seed=41, days=60)
    time = pair.labels.frame["decision_time"].to_numpy()
    forward = pair.labels.frame["forward_bps"].fill_null(0.0).to_numpy()
    recipe = make_recipe("boosted")
    plain, drifting = (
        fit_pair(
            pair.features,
            relabel(time, forward + drift, pair.labels.horizon, HOUR_MS),
            recipe,
            None,
            cutoff_ms=pair.cutoff_ms,
            seed=1,
        )
        for drift in (0.0, 15.0)
    )
    for engine in ("trend", "range", "trees"):
        difference = (drifting.forecasts[engine] - plain.forecasts[engine]).mean()
        assert abs(difference) < 1.0


def test_overlapping_labels_count_once(make_pair, make_recipe):
    pair = make_pair(seed=51, days=75, horizon="1d")
    trained = fit_pair(pair.features, pair.labels, make_recipe("linear"), None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert trained.n_effective == pytest.approx(71, abs=1.5)
    assert any("illiquid" in note for note in trained.notes)
    assert len([note for note in trained.notes if "pooled-regime" in note]) == 4


def test_quarter_hour_decisions_train_too(make_pair, make_recipe):
    pair = make_pair(seed=61, days=36, interval_ms=15 * 60_000, planted={"drift_t_1440": 25.0})
    trained = fit_pair(pair.features, pair.labels, make_recipe("linear"), None, cutoff_ms=pair.cutoff_ms, seed=1)
    days = trained.forecasts["fold_day"].value_counts()["count"]
    assert set(days) == {96}
    assert (trained.forecasts["decision_time"] % DAY_MS // (15 * 60_000)).n_unique() == 96
