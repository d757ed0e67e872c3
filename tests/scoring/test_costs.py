"""What a round trip costs and what an engine's edge is worth after it."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.ids import Instrument
from huracan.domain.recipe import PRESETS, CostPolicy, Recipe
from huracan.domain.results import TrainedPair
from huracan.domain.time import HOUR_MS, Horizon
from huracan.errors import DataError
from huracan.labels import label_forward_returns
from huracan.scoring import CostUnknownError, break_even_quote, capacity_quote, edge_capacity, row_costs, score_cells
from huracan.scoring.cells import NEVER_MS
from huracan.scoring.costs import _full_sizes, fees_bps, impact_bps

START = 20454 * 24 * HOUR_MS


def test_round_trip_is_two_fees_two_half_spreads_and_impact_both_ways(bars_of, features_of, recipe_of):
    bars, recipe, horizon = bars_of(1), recipe_of(), Horizon.parse("4h")
    times = START + np.arange(3) * HOUR_MS
    features = features_of(bars, times, sigma=[300.0, 500.0, 800.0], spread=[1.0, 3.0, 2.0], volume=[1e6, 1e7, 1e8])
    sizing = recipe.sizing
    for row, (sigma, spread, volume) in enumerate(((300.0, 1.0, 1e6), (500.0, 3.0, 1e7), (800.0, 2.0, 1e8))):
        sd = max(sigma, sizing.sigma_floor_day_bps) * 1e-4 * (4 / 24) ** 0.5
        size = min(sizing.leverage_cap, sizing.per_trade_risk / (2 * sd), sizing.largest_position(horizon))
        impact = sigma * (10_000 * size / volume) ** 0.5
        assert row_costs(features, recipe, horizon)[row] == pytest.approx(2 * 5.0 + spread + 2 * impact)


def test_spot_pays_spot_fees_and_an_unknown_market_is_refused(bars_of, features_of, recipe_of):
    times = START + np.arange(1) * HOUR_MS
    recipe, horizon = recipe_of(), Horizon.parse("1h")
    spot, um = (row_costs(features_of(bars_of(1, market=m), times), recipe, horizon)[0] for m in ("spot", "um"))
    assert spot - um == pytest.approx(2 * (10.0 - 5.0))
    with pytest.raises(CostUnknownError, match="no fees"):
        fees_bps(CostPolicy(), "moon")


@pytest.mark.parametrize(
    ("column", "value"),
    [("spread", np.nan), ("spread", -1.0), ("volume", 0.0), ("volume", np.nan), ("spread", np.inf)],
)
def test_an_unknown_spread_or_volume_fails_closed(bars_of, features_of, recipe_of, column, value):
    times = START + np.arange(4) * HOUR_MS
    good = {"spread": 2.0, "volume": 1e8}[column]
    features = features_of(bars_of(1), times, **{column: [good, good, value, good]})
    with pytest.raises(CostUnknownError, match="1 valid rows") as refusal:
        row_costs(features, recipe_of(), Horizon.parse("1h"))
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, DataError)
    assert refusal.value.code == "SPREAD_UNKNOWN"


def test_a_null_spread_is_refused_but_rows_that_warm_up_need_none(bars_of, features_of, recipe_of):
    times = START + np.arange(2) * HOUR_MS
    features = features_of(bars_of(1), times, valid=np.array([False, True]))
    null_first = features.frame.with_columns(pl.when(pl.col("valid")).then(pl.col("spread_bps")).alias("spread_bps"))
    object.__setattr__(features, "frame", null_first)
    costs = row_costs(features, recipe_of(), Horizon.parse("1h"))
    assert np.isnan(costs[0])
    assert costs[1] > 10
    object.__setattr__(features, "frame", null_first.with_columns(pl.lit(None, pl.Float64).alias("spread_bps")))
    with pytest.raises(CostUnknownError, match="None"):
        row_costs(features, recipe_of(), Horizon.parse("1h"))


def test_compiled_sizes_and_impact_equal_their_plain_twins():
    sigma = np.array([np.nan, 100.0, 400.0, 900.0])
    arguments = (sigma, 0.25, 0.005, 2.0, 400.0, 0.2)
    np.testing.assert_array_equal(_full_sizes(*arguments)[1:], _full_sizes.py_func(*arguments)[1:])
    assert impact_bps(400.0, 1e8, 1e4, 1.0) == impact_bps.py_func(400.0, 1e8, 1e4, 1.0) == pytest.approx(4.0)


def test_capacity_earns_the_most_and_break_even_earns_nothing():
    edge, sigma, volume, y = 7.0, 350.0, 2e7, 1.3

    def profit(size):
        return size * (edge - 2 * y * sigma * np.sqrt(size / volume))

    best, nothing = capacity_quote(edge, sigma, volume, y), break_even_quote(edge, sigma, volume, y)
    assert profit(nothing) == pytest.approx(0.0, abs=1e-9)
    grid = np.linspace(1e-3, 1.0, 9_999) * nothing
    assert grid[np.argmax(profit(grid))] == pytest.approx(best, rel=1e-3)
    assert break_even_quote(-1.0, sigma, volume, y) == capacity_quote(5.0, sigma, 0.0, y) == 0.0
    assert break_even_quote(1.0, 0.0, volume, y) == np.inf


@given(
    edge=st.floats(-50, 5_000),
    sigma=st.floats(0, 3_000),
    volume=st.floats(0, 1e10),
    days=st.sampled_from([1 / 24, 1 / 6, 1.0, 7.0]),
)
def test_no_capacity_exceeds_a_tenth_of_what_is_traded_within_the_horizon(edge, sigma, volume, days):
    found = edge_capacity(edge_bps=edge, sigma_day_bps=sigma, volume_day_quote=volume, impact_y=1.0, horizon_days=days)
    law = capacity_quote(edge, sigma, volume, 1.0)
    limit = 0.1 * volume * min(days, 1.0)
    assert found.quote == pytest.approx(min(law, limit))
    assert found.volume_share == pytest.approx(0.1 * min(days, 1.0))
    assert (found.limited_by == "impact") == (law <= found.by_volume_quote)


def trained(times, edges):
    head = {"decision_time": times, "fold_day": times // (24 * HOUR_MS), "regime": np.zeros(len(times), np.int64)}
    names = tuple(f"e{j}" for j in range(edges.shape[1]))
    frame = pl.DataFrame({**head, **{name: edges[:, j] for j, name in enumerate(names)}})
    k = len(names)
    return TrainedPair(
        horizon=Horizon.parse("1h"),
        engines=names,
        feature_names=("x",),
        forecasts=frame,
        edges=frame,
        coef=np.zeros((k, 4, 1)),
        intercept=np.zeros((k, 4)),
        clip_low=np.zeros(1),
        clip_high=np.zeros(1),
        slope=np.ones(k),
        tree_of=np.full(k, -1),
    )


def test_cells_earn_the_signed_return_less_the_round_trip_and_know_when(bars_of):
    bars = bars_of(1, interval_minutes=1)
    times = START + np.arange(24) * HOUR_MS
    labels = label_forward_returns(bars, times, Horizon.parse("1h"))
    edges = np.tile([5.0, -5.0, 0.0, np.nan], (20, 1))
    cost = np.linspace(5, 15, 20)
    cells = score_cells(trained(times[4:], edges), labels, cost)
    forward = labels.frame["forward_bps"].to_numpy()[4:]
    np.testing.assert_allclose(cells.net_bps[:-1, 0], forward[:-1] - cost[:-1])
    np.testing.assert_allclose(cells.net_bps[:-1, 1], -forward[:-1] - cost[:-1])
    assert np.isnan(cells.net_bps[:, 2:]).all()
    assert np.isnan(cells.net_bps[-1]).all()
    assert cells.closed_ms[-1] == NEVER_MS
    np.testing.assert_array_equal(cells.closed_ms[:-1], labels.frame["exit_time"].to_numpy()[4:-1])


def test_cells_refuse_costs_or_labels_of_other_rows(bars_of):
    times = START + np.arange(4) * HOUR_MS
    labels = label_forward_returns(bars_of(1), times[:3], Horizon.parse("1h"))
    pair = trained(times, np.ones((4, 1)))
    with pytest.raises(DataError, match="align"):
        score_cells(pair, labels, np.ones(3))
    with pytest.raises(DataError, match="no label row"):
        score_cells(pair, labels, np.ones(4))


def test_every_preset_and_the_default_instrument_have_a_cost(bars_of, features_of):
    times = START + np.arange(1) * HOUR_MS
    for preset in PRESETS.values():
        recipe = Recipe(name="x", engines=(), feature_recipe="f", sizing=preset)
        assert row_costs(features_of(bars_of(1), times), recipe, Horizon.parse("1d"))[0] > 10
    assert Instrument(market="um", symbol="A", base="A", quote="USDT").market == "um"
