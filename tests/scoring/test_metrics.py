"""The numbers of a scorecard by plain formulas; what is undefined is None."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import DAILY_SCHEMA, TRADE_SCHEMA, empty
from huracan.scoring import edge_capacity, round_trip_costs, scorecard_metrics
from huracan.scoring.book import COST_COLUMNS
from huracan.scoring.metrics import hit_rate, max_drawdown, profit_factor, sharpe_ratio, sortino_ratio

DAY = 86_400_000
series = st.lists(st.floats(-500, 500), min_size=0, max_size=40)


def daily_of(net, valid=None):
    n = len(net)
    columns = dict.fromkeys(DAILY_SCHEMA, np.zeros(n))
    return pl.DataFrame(
        {
            **columns,
            "day": np.arange(n),
            "net_bps": np.asarray(net, float),
            "turnover": np.full(n, 0.4),
            "exposure": np.full(n, 0.1),
            "valid": np.ones(n, bool) if valid is None else valid,
        },
        schema=DAILY_SCHEMA,
    )


def trades_of(net, exit_days, position=0.1):
    n = len(net)
    return pl.DataFrame(
        {
            "entry_time": np.zeros(n, np.int64),
            "exit_time": np.asarray(exit_days, np.int64) * DAY + 5,
            "side": np.ones(n, np.int64),
            "position": np.broadcast_to(np.asarray(position, float), n),
            "entry_price": np.ones(n),
            "exit_price": np.ones(n),
            "gross_bps": np.asarray(net, float) + 13,
            "rebalance_bps": np.full(n, -1.0),
            "cost_bps": np.full(n, 12.0),
            "net_bps": np.asarray(net, float),
            "rolls": np.zeros(n, np.int64),
            "forecast_bps": np.zeros(n),
            "score": np.zeros(n),
            "regime": np.zeros(n, np.int64),
            "reason": ["closed"] * n,
        },
        schema=TRADE_SCHEMA,
    )


FEES = (2.0, 5.0)


@settings(max_examples=60, deadline=None)
@given(net=series)
def test_ratios_equal_plain_formulas_and_are_never_nan(net):
    values = np.array(net)
    seen = (sharpe_ratio(values), sortino_ratio(values), max_drawdown(values))
    assert all(value is None or math.isfinite(value) for value in seen)
    if len(net) >= 2 and values.std(ddof=1) > 1e-9:
        assert seen[0] == pytest.approx(values.mean() / values.std(ddof=1) * math.sqrt(365))
    losses = [min(value, 0.0) ** 2 for value in net]
    if len(net) >= 2 and sum(losses) > 1e-9:
        assert seen[1] == pytest.approx(values.mean() * math.sqrt(365) / math.sqrt(sum(losses) / len(net)))
    capital, peak, worst = 1.0, 1.0, 0.0
    for value in net:
        capital *= 1 + value * 1e-4
        peak = max(peak, capital)
        worst = max(worst, 1 - capital / peak)
    assert seen[2] == (pytest.approx(worst) if net else None)


def test_undefined_numbers_are_none():
    assert sharpe_ratio(np.array([1.0])) is None
    assert sharpe_ratio(np.zeros(5)) is None
    assert sortino_ratio(np.array([1.0, 2.0])) is None
    assert hit_rate(np.empty(0)) is None
    assert profit_factor(np.array([1.0])) is None
    assert profit_factor(np.array([3.0, -1.5])) == 2.0
    assert max_drawdown(np.array([-20_000.0])) == 1.0


def test_void_days_do_not_count_and_the_best_day_can_be_left_out():
    net = [10.0, -5.0, 100.0, 999.0, 5.0]
    daily = daily_of(net, np.array([True, True, True, False, True]))
    trades = trades_of([50.0, -20.0, 400.0], [0, 1, 2])
    found = edge_capacity(edge_bps=9.0, sigma_day_bps=450.0, volume_day_quote=1e8, impact_y=1.0, horizon_days=1.0)
    metrics = scorecard_metrics(daily, trades, found)
    assert metrics["days"] == 4
    assert metrics["net_bps_a_day"] == pytest.approx(27.5)
    assert metrics["hit_rate"] == metrics["win_rate"] == pytest.approx(2 / 3)
    assert metrics["turnover"] == pytest.approx(0.4)
    assert metrics["capacity_estimate"] == found.quote == pytest.approx(4444.44, abs=0.01)
    assert metrics["capacity"]["limited_by"] == "impact"
    assert metrics["capacity"]["volume_day_quote"] == 1e8
    rest = metrics["without_best_day"]
    assert rest["days"] == 3
    assert rest["sharpe_ratio"] == sharpe_ratio(np.array([10.0, -5.0, 5.0]))
    assert rest["round_trips"] == 2
    assert rest["profit_factor"] == pytest.approx(2.5)


def test_profit_factor_counts_money_and_not_notional():
    trades = trades_of([100.0, -100.0], [0, 1], position=[0.3, 0.1])
    assert scorecard_metrics(daily_of([1.0, 2.0]), trades, None)["profit_factor"] == pytest.approx(3.0)


def test_an_empty_scorecard_has_no_numbers():
    metrics = scorecard_metrics(empty(DAILY_SCHEMA), empty(TRADE_SCHEMA), None)
    assert metrics["sharpe_ratio"] is None
    assert metrics["turnover"] is None
    assert metrics["without_best_day"]["max_drawdown"] is None
    costs = round_trip_costs(empty(TRADE_SCHEMA).with_columns(pl.lit(0.0).alias(name) for name in COST_COLUMNS), FEES)
    assert costs["round_trips"] == 0
    assert costs["net"] is None


def test_round_trip_costs_are_means_and_quantiles_of_notional():
    parts = {"fees_bps": 10.0, "spread_bps": 1.5, "impact_bps": 0.4, "funding_bps": 0.1}
    trips = trades_of([8.0, -2.0, 30.0], [0, 1, 2]).with_columns(pl.lit(v).alias(k) for k, v in parts.items())
    costs = round_trip_costs(trips, FEES)
    assert (costs["fees"], costs["spread"], costs["slippage"], costs["funding"]) == pytest.approx((10.0, 1.5, 0.4, 0.1))
    assert costs["net"] == pytest.approx(12.0)
    assert costs["break_even"] == pytest.approx(24.0 - 0.1)
    assert (costs["maker"], costs["taker"], costs["maker_fill_share"]) == (0.0, 10.0, 0.0)
    assert (costs["fees_if_maker"], costs["maker_rate"], costs["taker_rate"]) == (4.0, 2.0, 5.0)
    assert costs["gross"] + costs["rebalance"] - costs["cost"] == pytest.approx(costs["net"])
    assert costs["p50"] == pytest.approx(12.0)
    assert costs["net_p10"] == pytest.approx(np.quantile([8, -2, 30], 0.1))
    assert set(round_trip_costs(trips.clear(), FEES)) == set(costs)
