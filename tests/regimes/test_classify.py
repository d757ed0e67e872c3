"""The classifier: causal ranks, hysteresis, minimum dwell, and the order illiquid > panic > trend > range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import REGIME_CODE
from huracan.regimes.classify import ILLIQUID, PANIC, RANGE, TREND, RegimeInputs, _classify, classify_hours
from huracan.regimes.thresholds import RegimeThresholds

THRESHOLDS = RegimeThresholds()
SMALL = RegimeThresholds(quantile_hours=20, least_hours=5, dwell_hours=3)


def hours(n=60, seed=0, **changes):
    """Inputs of a calm market: ranks are noise, nothing is in a slump."""
    rng = np.random.default_rng(seed)
    values = {name: rng.random(n) for name in ("illiquidity", "volatility", "efficiency", "drift_t")}
    values |= {"drawdown": np.full(n, -0.5), "fresh": np.arange(n) == 0}
    return RegimeInputs(**(values | changes))


def slow_classify(inputs, thresholds):
    """The thresholds of PROMOTION.md, hour by hour, on lists."""
    out, state, age, past = [], None, 0, []
    names = ("illiquidity", "volatility", "efficiency", "drift_t")
    for hour in range(len(inputs.drawdown)):
        if inputs.fresh[hour]:
            state, past = None, []
        if np.isnan(inputs.drawdown[hour]):
            past = []
            out.append(-1)
            continue
        now = {name: getattr(inputs, name)[hour] for name in names}
        window = past[-thresholds.quantile_hours :]

        def rank(name, now=now, window=window):
            return (
                sum(row[name] < now[name] for row in window) / len(window)
                if len(window) >= thresholds.least_hours
                else 0
            )

        def above(kind, share, state=state):
            return share > getattr(thresholds, f"{kind}_{'leave' if state == kind else 'enter'}")

        slump = thresholds.panic_drawdown_leave if state == "panic" else thresholds.panic_drawdown_enter
        wanted = "range"
        if above("trend", max(rank("efficiency"), rank("drift_t"))):
            wanted = "trend"
        if above("panic", rank("volatility")) and inputs.drawdown[hour] < slump:
            wanted = "panic"
        if above("illiquid", rank("illiquidity")):
            wanted = "illiquid"
        age += 1
        order = {None: -1, "trend": 0, "range": 0, "panic": 1, "illiquid": 2}
        urgent = order[wanted] > max(0, order[state])
        if state is None or urgent or (wanted != state and age >= thresholds.dwell_hours):
            state, age = wanted, 0
        past.append(now)
        out.append(REGIME_CODE[state])
    return np.array(out)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 90))
def test_codes_equal_the_slow_rules_and_the_plain_twin(seed, n):
    rng = np.random.default_rng(seed)
    drawdown = -3 * rng.random(n)
    drawdown[rng.random(n) < 0.05] = np.nan
    inputs = hours(n, seed, drawdown=drawdown, fresh=(np.arange(n) == 0) | (rng.random(n) < 0.03))
    codes = classify_hours(inputs, SMALL)
    assert codes.tolist() == slow_classify(inputs, SMALL).tolist()
    levels = np.vstack([inputs.illiquidity, inputs.volatility, inputs.efficiency, inputs.drift_t])
    limits = np.array([0.9, 0.8, 0.9, 0.8, -2.0, -1.0, 0.7, 0.6])
    assert _classify.py_func(levels, drawdown, inputs.fresh, np.array([20, 5, 3]), limits).tolist() == codes.tolist()


def test_codes_are_those_of_the_domain():
    assert {"trend": TREND, "range": RANGE, "panic": PANIC, "illiquid": ILLIQUID} == REGIME_CODE


@pytest.mark.parametrize("hour", [30, 45])
def test_a_future_hour_changes_no_earlier_regime(hour):
    inputs = hours(60, 3)
    levels = {name: getattr(inputs, name).copy() for name in ("illiquidity", "volatility", "efficiency", "drift_t")}
    for values in levels.values():
        values[hour:] *= 1000
    changed = classify_hours(hours(60, 3, **levels), SMALL)
    assert changed[:hour].tolist() == classify_hours(inputs, SMALL)[:hour].tolist()


def spike(at, value=9.0, n=60):
    values = np.linspace(0, 1e-3, n)[::-1].copy()
    values[at] = value
    return values


def test_panic_needs_both_volatility_and_a_slump():
    wild, slump = spike(slice(40, 42)), np.where(np.arange(60) >= 40, -3.0, -0.1)
    flat = {"illiquidity": np.zeros(60), "efficiency": np.zeros(60), "drift_t": np.zeros(60)}
    assert classify_hours(hours(volatility=wild, drawdown=slump, **flat), SMALL)[40] == PANIC
    assert PANIC not in classify_hours(hours(volatility=wild, drawdown=np.full(60, -0.1), **flat), SMALL)
    assert PANIC not in classify_hours(hours(volatility=np.zeros(60), drawdown=slump, **flat), SMALL)


def test_illiquidity_outranks_panic_and_panic_outranks_trend():
    at = slice(40, 44)
    everything = {
        "volatility": spike(at),
        "drawdown": np.where(np.arange(60) >= 40, -3.0, -0.1),
        "efficiency": spike(at),
        "drift_t": np.zeros(60),
    }
    assert classify_hours(hours(illiquidity=spike(at), **everything), SMALL)[40] == ILLIQUID
    assert classify_hours(hours(illiquidity=np.zeros(60), **everything), SMALL)[40] == PANIC
    no_trades = spike(at, np.inf)
    assert classify_hours(hours(illiquidity=no_trades, **everything), SMALL)[40] == ILLIQUID


def test_panic_cuts_a_stay_short_but_calm_waits_for_its_end():
    flat = {"illiquidity": np.zeros(60), "efficiency": np.zeros(60), "drift_t": np.zeros(60)}
    slump = np.where(np.isin(np.arange(60), [40]), -3.0, -0.1)
    codes = classify_hours(
        hours(volatility=spike(40), drawdown=slump, **flat), RegimeThresholds(least_hours=5, dwell_hours=6)
    )
    assert codes[39:48].tolist() == [RANGE, *[PANIC] * 6, RANGE, RANGE]


def test_hysteresis_keeps_a_trend_that_barely_fades():
    rank = np.linspace(0, 1, 60)
    efficiency = np.concatenate([rank[:40], [0.6, 0.45, 0.45, 0.45, 0.45, 0.45, 0.1, 0.1, 0.1, 0.1]])
    n = efficiency.size
    flat = {name: np.zeros(n) for name in ("illiquidity", "volatility", "drift_t")}
    sticky = classify_hours(hours(n, efficiency=efficiency, **flat), RegimeThresholds(dwell_hours=1))
    loose = classify_hours(hours(n, efficiency=efficiency, **flat), RegimeThresholds(dwell_hours=1, trend_leave=0.7))
    assert sticky[40] == TREND
    assert (sticky == TREND).sum() >= (loose == TREND).sum()
    assert sticky[-1] == RANGE


def test_until_enough_hours_are_seen_the_market_ranges():
    codes = classify_hours(hours(30), THRESHOLDS)
    assert (codes[: THRESHOLDS.least_hours] == RANGE).all()


def test_a_new_segment_forgets_the_old_one():
    inputs = hours(60, 5, fresh=np.isin(np.arange(60), [0, 30]))
    alone = RegimeInputs(**{name: getattr(inputs, name)[30:] for name in RegimeInputs.__slots__})
    assert classify_hours(inputs, SMALL)[30:].tolist() == classify_hours(alone, SMALL).tolist()


def test_hysteresis_and_dwell_make_for_fewer_switches():
    inputs = hours(2000, 7)
    jumpy = RegimeThresholds(dwell_hours=1, illiquid_leave=0.9, panic_leave=0.9, trend_leave=0.7)
    switches = [np.count_nonzero(np.diff(classify_hours(inputs, thresholds))) for thresholds in (THRESHOLDS, jumpy)]
    assert switches[0] < 0.7 * switches[1]
