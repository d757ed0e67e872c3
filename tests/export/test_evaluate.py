"""The compiled evaluation against a slow oracle, in batches and row by row."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.stats.decide import vote
from huracan.stats.evaluate import compile_model, decide_row, decide_rows, evaluate, regime_codes


def oracle(model, row, regime):
    """One decision in plain Python, straight from the definitions (the vote has its own tests)."""
    edges = []
    for engine in range(len(model.engines)):
        if regime < 0:
            edges.append(math.nan)
            continue
        if model.tree_of[engine] >= 0:
            forest, raw = model.forests[model.tree_of[engine]], 0.0
            for root in forest.roots:
                node = root
                while node >= 0:
                    goes_left = row[forest.feature[node]] <= forest.threshold[node]
                    node = forest.left[node] if goes_left else forest.right[node]
                raw += forest.leaf_value[~node]
        else:
            raw = model.intercept[engine, regime]
            for j, value in enumerate(row):
                raw += model.coef[engine, regime, j] * min(max(value, model.clip_low[j]), model.clip_high[j])
        edges.append(model.slope[engine] * raw if model.enabled[engine, regime] else math.nan)
    d = model.decision
    arguments = np.array([edges]), model.weight[np.newaxis], np.array([d.cost_bps]), np.array([d.correlation_penalty])
    score, edge, confidence = (float(part[0]) for part in vote.py_func(*arguments, d.correlation_penalty_weight))
    side = 1 if edge > 0 else -1
    enters = (
        (side > 0 or d.allow_short)
        and score * side >= d.threshold
        and confidence >= d.min_confidence
        and abs(edge) > d.entry_cost_multiple * d.cost_bps
        and abs(edge) - d.cost_bps >= d.min_edge_after_cost_bps
    )
    if not enters:
        return edges, score, edge, confidence, 0, 0.0
    names = model.feature_names
    sigma = row[names.index("sigma_day_bps")] if "sigma_day_bps" in names else 0.0
    sd = max(sigma, d.sigma_floor_day_bps) * 1e-4 * math.sqrt(d.horizon_minutes / 1440)
    size = min(d.leverage_cap, d.per_trade_risk / (2 * sd), d.largest_position)
    size *= min(1.0, (abs(score) - d.threshold) / (1 - d.threshold) + 0.5)
    return edges, score, edge, confidence, side, side * size


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), trees=st.integers(0, 3), short=st.booleans())
def test_decisions_equal_the_slow_oracle(factory, seed, trees, short):
    model = factory.model(seed, engines=4, trees=trees, allow_short=short)
    x = factory.rows(12, seed)
    codes = regime_codes(model, x)
    decisions = evaluate(model, x, codes)
    for row in range(12):
        edges, score, edge, confidence, side, fraction = oracle(model, x[row], codes[row])
        np.testing.assert_allclose(decisions.edges[row], edges, rtol=1e-10)
        np.testing.assert_allclose(
            [
                decisions.score[row],
                decisions.edge_bps[row],
                decisions.confidence[row],
                decisions.position_fraction[row],
            ],
            [score, edge, confidence, fraction],
            rtol=1e-10,
        )
        assert decisions.side[row] == side


def test_compiled_and_plain_python_agree_bit_for_bit(factory):
    compiled = compile_model(factory.model(engines=3, trees=2))
    x = factory.rows(6)
    codes = np.array([0, 1, 2, 3, -1, 0])
    fast, slow = decide_rows(x, codes, *compiled.context), decide_rows.py_func(x, codes, *compiled.context)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(a, b)
    row = x[:1].copy()
    one, plain = (f(row, compiled.regime_column, *compiled.context) for f in (decide_row, decide_row.py_func))
    assert one[:7] == plain[:7]


def test_one_row_at_a_time_gives_the_same_bits_as_a_batch(factory):
    model = factory.model(engines=5, trees=2)
    compiled, x = compile_model(model), factory.rows(50)
    batch = evaluate(model, x, regime_codes(model, x))
    for row in range(50):
        code, silent, score, edge, confidence, side, fraction, edges = decide_row(
            x[row : row + 1].copy(), compiled.regime_column, *compiled.context
        )
        assert code == x[row, -1]
        assert silent == np.isnan(edges).sum()
        assert (score, edge, confidence, side, fraction) == (
            batch.score[row],
            batch.edge_bps[row],
            batch.confidence[row],
            batch.side[row],
            batch.position_fraction[row],
        )
        assert edges.tobytes() == batch.edges[row].tobytes()


def test_some_rows_enter_long_some_short_and_some_hold(factory):
    model, x = factory.model(3, engines=4), factory.rows(300)
    sides = evaluate(model, x, regime_codes(model, x)).side
    assert set(sides.tolist()) == {-1, 0, 1}


@pytest.mark.parametrize(("value", "code"), [(np.nan, -1), (np.inf, -1), (4.0, -2), (-1.0, -2), (0.5, -2), (1e300, -2)])
def test_a_row_whose_regime_is_not_one_of_the_four_says_so(factory, value, code):
    compiled, row = compile_model(factory.model()), factory.rows(1)
    row[0, -1] = value
    assert decide_row(row, compiled.regime_column, *compiled.context)[0] == code
    assert decide_row.py_func(row, compiled.regime_column, *compiled.context)[0] == code


def test_unknown_regimes_abstain_in_a_batch(factory):
    model, x = factory.model(), factory.rows(4)
    x[:, -1] = [0.0, 7.0, np.nan, 1.5]
    codes = regime_codes(model, x)
    assert codes.tolist() == [0, -1, -1, -1]
    decisions = evaluate(model, x, codes)
    assert np.isnan(decisions.edges[1:]).all()
    assert decisions.side[1:].tolist() == [0, 0, 0]


def test_a_model_without_a_regime_column_uses_the_pooled_arrays(factory):
    names = ("a", "b")
    model = factory.model(names=names, trees=0)
    x = factory.rows(3, names=names)
    assert regime_codes(model, x).tolist() == [0, 0, 0]
    compiled = compile_model(model)
    assert decide_row(x[:1].copy(), compiled.regime_column, *compiled.context)[0] == 0


def test_a_closed_gate_silences_an_engine(factory):
    model = factory.model(trees=0)
    closed = dataclasses.replace(model, enabled=np.zeros((3, 4), dtype=np.int64))
    x = factory.rows(5)
    decisions = evaluate(closed, x, regime_codes(closed, x))
    assert np.isnan(decisions.edges).all()
    assert not decisions.score.any()
    assert np.isfinite(decisions.raw).all()
