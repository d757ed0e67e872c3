"""The gate walked forward: each fold day knows exactly the outcomes closed before it began."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.results import CellScores
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import DataError
from huracan.regimes.evidence import cell_evidence
from huracan.regimes.gate import RegimeGate, RegimeGateConfig, RegimeType, gate_path

ENGINES = ("a", "b")
FIRST = 20_454


def outcomes(days=12, seed=0, horizon_hours=4, mean=0.0):
    rng = np.random.default_rng(seed)
    time = FIRST * DAY_MS + np.arange(days * 24) * HOUR_MS
    net = rng.normal(mean, 40, (time.size, len(ENGINES)))
    net[rng.random(net.shape) < 0.2] = np.nan
    cells = CellScores(net_bps=net, closed_ms=time + horizon_hours * HOUR_MS, cost_bps=np.full(time.size, 12.0))
    return cells, time, rng.integers(-1, 4, time.size), time // DAY_MS


def walk(cells, time, regime, day, config=None, cutoff=None):
    config = config or RegimeGateConfig(use_limits=False, min_sample_size=5)
    return gate_path(
        cells,
        time,
        regime,
        day,
        engines=ENGINES,
        config=config,
        cutoff_ms=cutoff if cutoff is not None else int(time[-1]),
    )[:3]


def slow_path(cells, time, regime, day, config, cutoff):
    """Feed the contract class itself, cell by cell and day by day, with plain sums over the rows known so far."""
    gate, out, regimes = RegimeGate(config), [], list(RegimeType)
    moments = [*(int(d) * DAY_MS for d in np.unique(day)), cutoff]
    known_before = {}
    for step, moment in enumerate(moments):
        for engine, name in enumerate(ENGINES):
            for code, kind in enumerate(regimes):
                rows = np.isfinite(cells.net_bps[:, engine]) & (regime == code) & (cells.closed_ms < moment)
                if rows.sum() == known_before.get((engine, code), 0):
                    continue
                known_before[engine, code] = rows.sum()
                net = cells.net_bps[rows, engine]
                bucket = np.searchsorted(moments, cells.closed_ms[rows], side="right")
                gap = [np.sum(net[bucket == b] - net.mean()) for b in range(step + 1)]
                full = len(np.unique(bucket))
                variance = max(np.dot(gap, gap) + np.dot(gap[1:], gap[:-1]), 0) * full / max(full - 1, 1)
                sums = np.array([net[bucket == b].sum() for b in range(step + 1)])
                sharpe = sums.mean() / sums.std() * np.sqrt(365) if sums.std() > 0 else 0.0
                error = np.sqrt(variance) / net.size if full > 1 else np.nan
                gate.update_performance(
                    kind, name, np.mean(net > 0), sharpe, net.mean(), net.size, standard_error_bps=error
                )
        out.append([[gate.is_engine_enabled(kind, name) for kind in regimes] for name in ENGINES])
    return np.array(out, dtype=np.int64)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), horizon=st.sampled_from([1, 4, 24]), limits=st.booleans())
def test_the_path_equals_feeding_the_gate_by_hand(seed, horizon, limits):
    cells, time, regime, day = outcomes(seed=seed, horizon_hours=horizon, mean=-4.0)
    config = RegimeGateConfig(use_limits=limits, min_sample_size=5, min_win_rate=0.45, min_sharpe=-3.0)
    enabled, days, live = walk(cells, time, regime, day, config)
    wanted = slow_path(cells, time, regime, day, config, int(time[-1]))
    assert days.tolist() == np.unique(day).tolist()
    np.testing.assert_array_equal(enabled, wanted[:-1])
    np.testing.assert_array_equal(live, wanted[-1])


@pytest.mark.parametrize("changed_day", [4, 9])
def test_an_outcome_changes_no_day_before_it_closed(changed_day):
    cells, time, regime, day = outcomes(mean=-3.0)
    enabled, days, _ = walk(cells, time, regime, day)
    moved = cells.net_bps.copy()
    moved[cells.closed_ms > (FIRST + changed_day) * DAY_MS] += 500.0
    other = CellScores(net_bps=moved, closed_ms=cells.closed_ms, cost_bps=cells.cost_bps)
    changed, _, _ = walk(other, time, regime, day)
    np.testing.assert_array_equal(changed[days <= FIRST + changed_day], enabled[days <= FIRST + changed_day])
    assert (changed[days > FIRST + changed_day + 1] != enabled[days > FIRST + changed_day + 1]).any()


def test_the_first_day_stands_on_defaults():
    enabled, _, _ = walk(*outcomes())
    assert enabled[0].tolist() == [[1, 1, 1, 0]] * 2


def test_live_knows_what_closed_before_the_cut_off_and_nothing_later():
    cells, time, regime, day = outcomes(days=1, mean=-30.0)
    noon = FIRST * DAY_MS + DAY_MS // 2
    _, _, live = walk(cells, time, regime, day, cutoff=noon)
    known = cells.closed_ms < noon
    net = np.where(known[:, None], cells.net_bps, np.nan)
    assert (
        live.tolist()
        == walk(CellScores(net_bps=net, closed_ms=cells.closed_ms, cost_bps=cells.cost_bps), time, regime, day)[
            2
        ].tolist()
    )
    _, _, nothing = walk(cells, time, regime, day, cutoff=FIRST * DAY_MS)
    assert nothing.tolist() == [[1, 1, 1, 0]] * 2
    with pytest.raises(DataError, match="begins after the cut-off"):
        walk(cells, time, regime, day, cutoff=FIRST * DAY_MS - 1)


def test_a_losing_engine_is_closed_and_a_winning_one_stays_open():
    cells, time, _, day = outcomes(days=30)
    net = np.random.default_rng(1).normal([25.0, -25.0], 40, cells.net_bps.shape)
    scores = CellScores(net_bps=net, closed_ms=cells.closed_ms, cost_bps=cells.cost_bps)
    _, _, live = walk(scores, time, np.zeros(time.size, np.int64), day)
    assert live[:, 0].tolist() == [1, 0]


def test_outcomes_older_than_their_decision_are_refused():
    cells, time, regime, day = outcomes()
    with pytest.raises(DataError, match="closed before its decision"):
        walk(CellScores(net_bps=cells.net_bps, closed_ms=time - 1, cost_bps=cells.cost_bps), time, regime, day)


def test_overlapping_outcomes_do_not_shrink_the_error():
    """A day's outcome copied 24 times is one outcome: the error must not fall by the root of 24."""
    rng = np.random.default_rng(3)
    days = 200
    time = FIRST * DAY_MS + np.arange(days * 24) * HOUR_MS
    net = np.repeat(rng.normal(0, 50, days), 24)[:, None]
    cells = CellScores(net_bps=net, closed_ms=(time // DAY_MS) * DAY_MS + DAY_MS - 1, cost_bps=np.ones(time.size))
    moments = (FIRST + 1 + np.arange(days)) * DAY_MS
    evidence = cell_evidence(cells, np.zeros(time.size, np.int64), moments, 4)
    assert evidence.error_bps[-1, 0, 0] == pytest.approx(50 / np.sqrt(days), rel=0.25)
    assert evidence.count[-1, 0, 0] == days * 24
