"""A feature whose source stops takes its own engine along, and nobody else's rows."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from records import cell, trained
from sklearn.linear_model import LinearRegression

from huracan.domain.model import ChampionModel, DecisionParameters
from huracan.domain.recipe import EngineUse
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS
from huracan.night.left_out import stopped_notes
from huracan.scoring.costs import row_costs
from huracan.stats.evaluate import evaluate, regime_codes
from huracan.training import TrainingRefused, fit_injected, fit_pair, prepare
from huracan.training.presence import RECENT_DAYS, presence

GONE_DAYS = 40


def stopped(pair, name="taker_imbalance_240", days=GONE_DAYS, value=float("nan"), *, invalid=True):
    """The pair whose feature ends `days` before the cut-off; built features call such rows invalid."""
    gone = pl.col("decision_time") > pair.cutoff_ms - days * DAY_MS
    frame = pair.features.frame.with_columns(pl.when(gone).then(value).otherwise(pl.col(name)).alias(name))
    if invalid:
        frame = frame.with_columns(valid=pl.col("valid") & ~gone)
    return replace(pair, features=replace(pair.features, frame=frame))


def fit(pair, recipe, cutoff_ms=None):
    return fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=cutoff_ms or pair.cutoff_ms, seed=1)


def since(trained, pair, days):
    return trained.forecasts.filter(pl.col("decision_time") > pair.cutoff_ms - days * DAY_MS)


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(seed=3, days=90, horizon="4h", planted={"ret_60": 20.0})


@pytest.mark.parametrize("name", ["linear", pytest.param("boosted", marks=pytest.mark.slow)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("invalid", [True, False])
def test_a_feature_that_stopped_takes_its_engine_along_and_no_other(pair, make_recipe, name, value, invalid):
    recipe = make_recipe(name)
    whole, trained = fit(pair, recipe), fit(stopped(pair, value=value, invalid=invalid), recipe)
    lately = since(trained, pair, GONE_DAYS - RECENT_DAYS)
    for engine in trained.engines:
        assert lately[engine].is_finite().all() == (engine != "flow"), engine
    assert trained.n_effective > 0.95 * whole.n_effective
    assert "feature taker_imbalance_240 has stopped and is left out" in trained.notes
    assert trained.stopped == ("taker_imbalance_240",)
    assert "flow abstains tonight without taker_imbalance_240" in trained.notes
    assert "taker_imbalance_240" not in trained.feature_names
    assert not trained.coef[trained.engines.index("flow")].any()
    before = pl.col("decision_time") <= pair.cutoff_ms - GONE_DAYS * DAY_MS
    assert trained.forecasts.filter(before).equals(whole.forecasts.filter(before))


def test_an_optional_feature_that_stopped_costs_its_engine_a_column(pair, make_recipe):
    trained = fit(stopped(pair, "beta"), make_recipe("linear"))
    assert since(trained, pair, GONE_DAYS - RECENT_DAYS)["leader"].is_finite().all()
    assert trained.coef[trained.engines.index("leader")].any()
    assert "beta" not in trained.feature_names


@pytest.mark.slow
def test_its_live_model_speaks_on_the_features_that_are_left(pair, make_recipe):
    halved = stopped(pair)
    trained = fit(halved, make_recipe("boosted"))
    n = len(trained.engines)
    row = halved.features.frame.tail(1).select(trained.feature_names).to_numpy().astype(np.float64)
    assert np.isfinite(row).all()
    model = ChampionModel(
        feature_names=trained.feature_names,
        engines=trained.engines,
        coef=trained.coef,
        intercept=trained.intercept,
        clip_low=trained.clip_low,
        clip_high=trained.clip_high,
        enabled=np.ones((n, 4), dtype=np.int64),
        slope=np.ones(n),
        weight=np.full(n, 1.0 / n),
        tree_of=trained.tree_of,
        forests=trained.forests,
        decision=DecisionParameters(
            horizon_minutes=240,
            threshold=0.1,
            cost_bps=5.0,
            min_edge_after_cost_bps=5.0,
            entry_cost_multiple=1.0,
            min_confidence=0.1,
            per_trade_risk=0.01,
            leverage_cap=1.0,
            sigma_floor_day_bps=100.0,
            largest_position=1.0,
            correlation_penalty=0.0,
            correlation_penalty_weight=0.0,
            allow_short=True,
        ),
    )
    raw = evaluate(model, row, regime_codes(model, row)).raw[0]
    assert raw[trained.engines.index("flow")] == 0.0
    assert np.isfinite(raw).all()
    assert (np.delete(raw, trained.engines.index("flow")) != 0.0).all()


def test_what_was_forecast_before_a_feature_stopped_stays(pair, make_recipe):
    halved, recipe = stopped(pair), make_recipe("linear")
    then = pair.cutoff_ms - 20 * DAY_MS
    full, early = fit(halved, recipe), fit(halved, recipe, cutoff_ms=then)
    assert early.forecasts.equals(full.forecasts.head(early.forecasts.height))
    assert early.edges.equals(full.edges.head(early.edges.height))


@pytest.mark.slow
def test_a_feature_that_comes_back_is_used_again(pair, make_recipe):
    gone = pl.col("decision_time").is_between(pair.cutoff_ms - 40 * DAY_MS, pair.cutoff_ms - 20 * DAY_MS)
    frame = pair.features.frame.with_columns(
        pl.when(gone).then(float("nan")).otherwise(pl.col("taker_imbalance_240")).alias("taker_imbalance_240")
    )
    back = replace(pair, features=replace(pair.features, frame=frame))
    for name in ("linear", "boosted"):
        trained = fit(back, make_recipe(name))
        assert since(trained, pair, 20 - RECENT_DAYS)["flow"].is_finite().all()
        assert "taker_imbalance_240" in trained.feature_names
        assert np.isfinite(trained.clip_low).all()
        assert np.isfinite(trained.clip_high).all()
    assert since(trained, pair, 20 - RECENT_DAYS)["trees"].is_finite().all()


def test_the_only_engine_without_its_feature_is_refused(pair, make_recipe):
    alone = replace(make_recipe("linear"), engines=(EngineUse(name="flow"),))
    with pytest.raises(TrainingRefused, match="taker_imbalance_240 has stopped") as refused:
        fit(stopped(pair), alone)
    assert refused.value.code is SkipCode.BAD_FEATURES


@pytest.mark.parametrize("name", ["regime", "sigma_day_bps"])
def test_no_model_is_made_without_regime_or_volatility(pair, make_recipe, name):
    with pytest.raises(TrainingRefused, match=f"{name} is missing from most decisions") as refused:
        fit(stopped(pair, name, invalid=False), make_recipe("linear"))
    assert (refused.value.code, refused.value.measured) == (SkipCode.BAD_FEATURES, name)


def test_costs_are_known_where_decisions_are_made(pair, make_recipe):
    halved = stopped(pair)
    costs = row_costs(halved.features, make_recipe("linear"), pair.labels.horizon)
    assert np.isfinite(costs[pair.features.frame["valid"].to_numpy()]).all()
    assert np.isnan(costs[: 3 * 24]).all()


@pytest.mark.slow
def test_a_trainer_of_somebody_else_never_sees_a_feature_that_stopped(pair, make_recipe):
    halved, jobs = stopped(pair), []

    def trainer(job):
        jobs.append(job)
        x = np.column_stack(list(job["features"].values()))
        return {"success": True, "model": LinearRegression().fit(x, job["labels"], sample_weight=job["weights"])}

    trained = asyncio.run(
        fit_injected(
            trainer,
            halved.features,
            pair.labels,
            make_recipe("linear"),
            coin="SOL",
            cutoff_ms=pair.cutoff_ms,
            seed=5,
        )
    )
    assert "taker_imbalance_240" in jobs[0]["features"]
    assert "taker_imbalance_240" not in jobs[-1]["features"]
    assert all(np.isfinite(values).all() for job in jobs for values in job["features"].values())
    assert "taker_imbalance_240" not in trained.feature_names
    assert "feature taker_imbalance_240 has stopped and is left out" in trained.notes


def test_presence_counts_the_warm_rows_of_the_last_days_only():
    day = np.repeat(np.arange(100, 130), 4)
    x, warm = np.ones((day.size, 2)), np.ones(day.size, dtype=bool)
    x[day >= 110, 0] = np.nan
    warm[(day >= 120) & (day < 124)] = False
    there = presence(x, warm, day, 135)
    gone = there.stopped_at(np.arange(100, 140))[:, 0]
    for offset, today in enumerate(range(100, 136)):
        recent = warm & (day < today) & (day >= today - RECENT_DAYS)
        if recent.any():
            assert gone[offset] == (np.isnan(x[recent, 0]).mean() > 0.5), today
        else:
            assert gone[offset] == (gone[offset - 1] if offset else False)
    assert gone[36:].all()
    assert not there.stopped_at(np.arange(100, 140))[:, 1].any()
    assert not there.whole


def test_a_short_gap_stops_nothing(pair, make_recipe):
    """Features warm up for three days after a gap: that is not the end of a source."""
    gap = pl.col("decision_time").is_between(pair.cutoff_ms - 30 * DAY_MS, pair.cutoff_ms - 27 * DAY_MS)
    frame = pair.features.frame.with_columns(
        pl.when(gap).then(float("nan")).otherwise(pl.col("ret_4320")).alias("ret_4320")
    )
    design = prepare(replace(pair.features, frame=frame), make_recipe("linear").training, cutoff_ms=pair.cutoff_ms)
    assert design.presence.whole


def test_the_summary_says_which_feature_stopped_for_which_pairs():
    night = SimpleNamespace(
        trained={
            "SOL": trained("SOL", cell(stopped=("beta",)), cell(horizon="4h", stopped=("beta",))),
            "ADA": trained("ADA", cell(stopped=("beta", "funding_last"))),
            "BTC": trained("BTC", cell()),
        }
    )
    assert stopped_notes(night) == (
        "feature beta has stopped for 2 pairs (ADA, SOL): their models do without it",
        "feature funding_last has stopped for 1 pair (ADA): their models do without it",
    )
