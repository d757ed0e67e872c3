"""The coin filter lets planted coins through and worthless ones not, and does not trust a handful of trades."""

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import TRADE_SCHEMA
from huracan.promotion.coins import coin_filter


def trades(net):
    net = np.asarray(net, dtype=np.float64)
    columns = {name: np.zeros(net.size, dtype=int) for name in TRADE_SCHEMA}
    columns["net_bps"] = net
    columns["reason"] = ["closed"] * net.size
    return pl.DataFrame(columns).cast(TRADE_SCHEMA)


def pool(rng, edges, n=150, sd=120.0):
    return {f"C{i}": trades(rng.standard_t(4, n) * sd / 2**0.5 + edge) for i, edge in enumerate(edges)}


def test_half_planted_pools_keep_most_planted_and_few_worthless_coins():
    rng, kept_good, kept_bad = np.random.default_rng(0), 0, 0
    for _ in range(10):
        edges = coin_filter(pool(rng, [40.0] * 10 + [0.0] * 10), 5.0)
        kept_good += sum(edges[f"C{i}"].passed for i in range(10))
        kept_bad += sum(edges[f"C{i}"].passed for i in range(10, 20))
    assert kept_good >= 80
    assert kept_bad <= 8


def test_worthless_pools_let_nobody_through():
    edges = coin_filter(pool(np.random.default_rng(1), [0.0] * 20), 5.0)
    assert not any(edge.passed for edge in edges.values())


def test_the_lower_point_lies_below_the_shrunken_one_and_decides():
    edges = coin_filter(pool(np.random.default_rng(2), [30.0] * 8), 5.0)
    for edge in edges.values():
        assert edge.lower_bps < edge.shrunk_bps
        assert edge.passed == (edge.lower_bps >= edge.wanted_bps == 5.0)


def test_fewer_than_ten_round_trips_fail_whatever_they_earned():
    coins = pool(np.random.default_rng(3), [30.0] * 5)
    edges = coin_filter({**coins, "NEW": trades([500.0] * 9), "NONE": trades([])}, 5.0)
    assert (edges["NEW"].n, edges["NEW"].passed, edges["NEW"].lower_bps) == (9, False, None)
    assert edges["NEW"].measured_bps == 500.0
    assert (edges["NONE"].n, edges["NONE"].measured_bps, edges["NONE"].passed) == (0, None, False)
    assert {k: edges[k] for k in coins} == coin_filter(coins, 5.0)


def test_a_dozen_lucky_trades_do_not_beat_a_pool_that_earns_nothing():
    coins = pool(np.random.default_rng(4), [0.0] * 12)
    coins["LUCKY"] = trades(60.0 + np.random.default_rng(5).normal(0, 20.0, 12))
    assert not coin_filter(coins, 5.0)["LUCKY"].passed


def test_a_worthless_coin_with_few_trades_is_not_carried_by_a_pool_that_earns_much():
    rng, carried = np.random.default_rng(6), 0
    for _ in range(20):
        coins = pool(rng, [400.0] * 10, n=60, sd=500.0)
        coins |= {f"NULL{i}": trades(rng.normal(0.0, 350.0, 12)) for i in range(6)}
        edges = coin_filter(coins, 5.0)
        assert sum(edges[f"C{i}"].passed for i in range(10)) >= 9
        carried += sum(edges[f"NULL{i}"].passed for i in range(6))
    assert carried <= 10  # 120 worthless coins at a one-sided 5%


def test_identical_trades_do_not_claim_certainty():
    edge = coin_filter({"A": trades([6.0] * 20)}, 5.0)["A"]
    assert edge.lower_bps == pytest.approx(6.0 - 1.6449 * 0.1, abs=5e-3)


def test_nobody_to_filter_and_only_beginners():
    assert coin_filter({}, 5.0) == {}
    assert not coin_filter({"A": trades([1.0])}, 5.0)["A"].passed
