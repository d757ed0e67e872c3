"""The drawdown breaker: rarely where the edge is as it was, soon where it is gone, at once after a day beyond the bound."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from huracan.promotion.champions import breaker_limit, suspends

_FILE = Path(__file__).parents[2] / "benchmarks" / "breaker.py"


@pytest.fixture(scope="module")
def measured():
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("breaker_benchmark", _FILE)
    module = sys.modules["breaker_benchmark"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def day(net, drawdown=None, *, limit=1_000.0, bound=100.0, breaches=0, suspended=False):
    drawdown = max(0.0, -(net or 0.0)) if drawdown is None else drawdown
    return suspends(net, drawdown, limit_bps=limit, bound_bps=bound, breaches=breaches, suspended=suspended)


def test_the_limit_does_not_depend_on_the_edge_of_the_days_before():
    days = np.random.default_rng(1).standard_t(3, size=200)
    limits = [breaker_limit(days + edge, np.random.default_rng(2)) for edge in (-1.0, 0.0, 0.5, 5.0)]
    assert limits == pytest.approx([limits[0]] * 4)
    assert breaker_limit(np.full(90, 3.0), np.random.default_rng(2)) is None


def test_a_drawdown_beyond_the_limit_suspends_until_half_of_it_is_regained():
    assert not day(-10.0, 1_000.0)
    assert day(-10.0, 1_001.0)
    assert day(+10.0, 501.0, suspended=True)
    assert day(+10.0, 101.0, suspended=True)
    assert not day(+10.0, 100.0, suspended=True)  # one bound
    assert day(+10.0, 60.0, limit=100.0, suspended=True)
    assert not day(+10.0, 50.0, limit=100.0, suspended=True)


@pytest.mark.parametrize("limit", [1_000.0, None])
def test_a_day_below_two_bounds_suspends_at_once_and_so_does_a_third_below_one(limit):
    assert not day(-200.0, limit=limit)
    assert day(-200.1, limit=limit)
    assert not day(-150.0, limit=limit, breaches=2)
    assert day(-150.0, limit=limit, breaches=3)
    assert not day(-50.0, limit=limit, breaches=3)
    assert day(0.0, 200.1, limit=limit, suspended=True)  # the days after a crash


def test_a_void_day_neither_suspends_nor_ends_a_suspension():
    assert not day(None, 0.0)
    assert day(None, 400.0, suspended=True)


@pytest.mark.slow
def test_champions_with_a_constant_edge_trip_in_less_than_one_year_of_twenty(measured):
    """Planted edges, promoted by the product's own e-process; the rule of before tripped for every second of them."""
    rows = measured.champion_years(9.5, 0.5, 120, seed=3)
    assert len(rows) > 100
    rng = np.random.default_rng(4)
    limited = [(row.after, *measured.limits(row, rng)) for row in rows]
    before = sum(measured.old_trip(after, old) is not None for after, old, _ in limited)
    now = sum(measured.new_trip(after, new, 9.5) is not None for after, _, new in limited)
    assert before >= 0.3 * len(rows)
    assert now <= 0.05 * len(rows)


@pytest.mark.slow
def test_ruin_is_noticed(measured):
    rows = measured.champion_years(9.5, 0.5, 60, seed=5)
    rng = np.random.default_rng(6)
    limited = [(row.after, measured.limits(row, rng)[1]) for row in rows]
    changes = measured.events(0.5, 9.5)
    for name, least in (
        ("edge reversed to -.2", 0.9),
        ("edge reversed to -.5", 1.0),
        ("one day of -2.1 B", 1.0),
        ("three days of -1.1 B in a month", 1.0),
    ):
        hit = sum(measured.new_trip(changes[name](after), limit, 9.5) is not None for after, limit in limited)
        assert hit >= least * len(rows), name
