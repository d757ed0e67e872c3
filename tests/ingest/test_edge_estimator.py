"""Our EDGE beside its authors' own code, number for number: on trades, on a coarse grid, with holes and with nonsense."""

import math
import warnings

import numpy as np
import pytest
from bidask import edge as authors_edge
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from huracan.stats.edge import edge_spread

pytestmark = pytest.mark.slow

GRID = st.sampled_from([1.0, 2.0, 3.0])
HOLES = st.sampled_from([1.0, 2.0, 3.0, math.nan])
NONSENSE = st.one_of(HOLES, st.sampled_from([0.0, -1.0, math.inf]), st.floats(1e-300, 1e300))


def prices(values):
    return st.integers(0, 60).flatmap(lambda n: arrays(np.float64, (4, n), elements=values))


@st.composite
def traded(draw):
    """Bars of ten trades at bid or ask around a random walk, some of them gone."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, spread = draw(st.integers(0, 1500)), draw(st.floats(0, 0.05))
    mid = np.exp(np.cumsum(rng.normal(0, draw(st.floats(0, 0.01)), (n, 10)).ravel()))
    trades = (mid * (1 + rng.choice([-0.5, 0.5], mid.size) * spread)).reshape(n, 10)
    bars = np.stack([trades[:, 0], trades.max(axis=1), trades.min(axis=1), trades[:, -1]])
    bars[rng.random(bars.shape) < draw(st.sampled_from([0.0, 0.0, 0.1]))] = np.nan
    return bars


def theirs(bars):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return authors_edge(*bars, sign=True)


@pytest.mark.parametrize(
    "bars",
    [traded(), prices(GRID), prices(HOLES), prices(NONSENSE)],
    ids=["trades", "coarse grid", "holes", "nonsense"],
)
def test_every_estimate_equals_that_of_the_authors_code_to_the_last_bit(bars):
    @settings(max_examples=60, deadline=None)
    @given(bars)
    def equal(sample):
        np.testing.assert_equal(edge_spread(*sample) + 0.0, theirs(sample) + 0.0)  # the sign of a zero aside

    equal()


def test_bars_of_which_each_stands_still_have_no_spread():
    assert math.isnan(edge_spread(*np.full((4, 50), 7.0)))


def test_the_scale_of_the_price_does_not_count():
    rng = np.random.default_rng(3)
    trades = np.exp(np.cumsum(rng.normal(0, 1e-3, (400, 6)), axis=None).reshape(400, 6))
    bars = np.stack([trades[:, 0], trades.max(axis=1), trades.min(axis=1), trades[:, -1]])
    assert edge_spread(*(bars * 1e-7)) == pytest.approx(edge_spread(*bars), rel=1e-6)
