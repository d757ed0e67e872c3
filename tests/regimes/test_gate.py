"""The regime gate: manual word before evidence before defaults, and none of the traps of the attempt before."""

import json

import pytest

from huracan.errors import ConfigError, DataError
from huracan.regimes.gate import RegimeGate, RegimeGateConfig, RegimePerformance, RegimeType

GOOD = {"win_rate": 0.6, "sharpe_ratio": 1.5, "avg_return_bps": 12.0, "sample_size": 80}
BAD = {"win_rate": 0.4, "sharpe_ratio": -2.0, "avg_return_bps": -9.0, "sample_size": 80}


def net_gate(**changes):
    return RegimeGate(RegimeGateConfig(use_limits=False, **changes))


def feed(gate, mean, error, regime="trend", size=80, win=0.4):
    gate.update_performance(regime, "x", win, 0.0, mean, size, standard_error_bps=error)
    return gate.is_engine_enabled(regime, "x")


def test_the_documented_limits_hold_for_a_direct_user():
    gate = RegimeGate(RegimeGateConfig(min_win_rate=0.55, min_sharpe=1.0, min_sample_size=50))
    gate.update_performance(RegimeType.TREND, "trend", 0.6, 1.5, 12.0, 80)
    gate.update_performance(RegimeType.RANGE, "trend", 0.54, 1.5, 12.0, 80)
    gate.update_performance(RegimeType.PANIC, "trend", 0.6, 0.9, 12.0, 80)
    assert gate.get_enabled_engines(RegimeType.TREND) == {"trend"}
    assert gate.get_enabled_engines(RegimeType.RANGE) == set()
    assert gate.get_enabled_engines(RegimeType.PANIC) == set()
    gate.update_performance(RegimeType.TREND, "trend", 0.54, 1.5, 12.0, 90)
    assert not gate.is_engine_enabled(RegimeType.TREND, "trend")


def test_names_of_regimes_are_lower_case_and_may_be_given_as_text():
    assert [regime.value for regime in RegimeType] == ["trend", "range", "panic", "illiquid"]
    assert RegimeGate().is_engine_enabled("trend", "x")
    with pytest.raises(DataError, match="no regime"):
        RegimeGate().is_engine_enabled("sideways", "x")


def test_too_little_evidence_leaves_the_default():
    gate = RegimeGate()
    gate.update_performance("trend", "x", **{**BAD, "sample_size": 49})
    assert gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", **BAD)
    assert not gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", **{**BAD, "sample_size": 10})
    assert gate.is_engine_enabled("trend", "x")


def test_illiquid_is_closed_until_evidence_opens_it():
    gate = RegimeGate()
    gate.set_default_engines({"x"})
    assert not gate.is_engine_enabled("illiquid", "x")
    gate.update_performance("illiquid", "x", **GOOD)
    assert gate.is_engine_enabled("illiquid", "x")
    money = net_gate()
    assert not feed(money, -1.0, 5.0, "illiquid")  # not clearly bad is not enough where closed is the default
    assert feed(money, 1.0, 5.0, "illiquid")


def test_disabling_by_hand_works_without_data_and_survives_updates():
    gate = RegimeGate()
    gate.disable_engine_for_regime("trend", "x")
    assert not gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", **GOOD)
    assert not gate.is_engine_enabled("trend", "x")
    assert gate.is_engine_enabled("range", "x")
    gate.enable_engine_for_regime("trend", "x")
    gate.update_performance("trend", "x", **BAD)
    assert gate.is_engine_enabled("trend", "x")


def test_enabling_by_hand_opens_even_illiquid():
    gate = RegimeGate()
    gate.enable_engine_for_regime("illiquid", "x")
    assert gate.get_enabled_engines("illiquid") == {"x"}


def test_default_engines_are_the_ones_that_vote_without_evidence():
    gate = RegimeGate(RegimeGateConfig(enable_all_by_default=False))
    assert not gate.is_engine_enabled("trend", "x")
    gate.set_default_engines({"x"})
    assert gate.is_engine_enabled("trend", "x")
    open_gate = RegimeGate()
    open_gate.set_default_engines({"x"})
    assert not open_gate.is_engine_enabled("trend", "y")
    assert open_gate.get_all_enabled_engines()[RegimeType.RANGE] == {"x"}


def test_a_profitable_engine_with_few_wins_passes_the_gate_on_net_edge():
    assert feed(net_gate(), 8.0, 3.0, win=0.35)
    limited = RegimeGate()
    limited.update_performance("trend", "x", 0.35, 2.0, 8.0, 80)
    assert not limited.is_engine_enabled("trend", "x")


def test_the_gate_on_net_edge_closes_on_a_clear_loss_and_opens_on_a_gain():
    gate = net_gate()
    assert feed(gate, -2.0, 3.0)
    assert not feed(gate, -4.0, 3.0)
    assert not feed(gate, -2.0, 3.0)  # hysteresis: what left it open before does not open it again
    assert feed(gate, 0.5, 3.0)
    assert feed(gate, -2.0, 3.0)


def test_without_a_standard_error_the_sharpe_ratio_tells_it():
    gate = net_gate()
    gate.update_performance("trend", "x", 0.4, -1.0, -3.0, 80)  # t = -1 / sqrt(365) * sqrt(80) = -0.47
    assert gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", 0.4, -4.0, -3.0, 80)
    assert not gate.is_engine_enabled("trend", "x")


def test_an_open_engine_may_fall_short_of_a_limit_by_the_hysteresis():
    gate = RegimeGate(RegimeGateConfig(hysteresis=0.1, enable_all_by_default=False))
    nearly = {**GOOD, "win_rate": 0.52}
    gate.update_performance("trend", "x", **nearly)
    assert not gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", **GOOD)
    gate.update_performance("trend", "x", **nearly)
    assert gate.is_engine_enabled("trend", "x")
    gate.update_performance("trend", "x", **{**GOOD, "win_rate": 0.49})
    assert not gate.is_engine_enabled("trend", "x")


def test_the_regime_map_is_json_and_counts_engines():
    gate = RegimeGate()
    gate.update_performance("trend", "b", **GOOD)
    gate.update_performance("trend", "a", **GOOD)
    gate.update_performance("panic", "a", **BAD)
    account = json.loads(json.dumps(gate.get_regime_map("BTC")))
    assert account["coin"] == "BTC"
    assert account["regimes"]["trend"] == {"enabled_engines": ["a", "b"], "engine_count": 2}
    assert account["regimes"]["panic"] == {"enabled_engines": ["b"], "engine_count": 1}
    assert account["regimes"]["illiquid"]["engine_count"] == 0
    assert account["performance"]["trend_a"] == GOOD
    assert set(account["performance"]) == {"trend_a", "trend_b", "panic_a"}


def test_performance_keeps_the_documented_order_of_fields():
    seen = RegimePerformance(RegimeType.TREND, "x", 0.6, 1.5, 12.0, 80)
    assert (seen.regime, seen.engine_type, seen.win_rate, seen.sample_size) == (RegimeType.TREND, "x", 0.6, 80)
    assert seen.last_updated is None


@pytest.mark.parametrize(
    "wrong",
    [{"win_rate": 1.2}, {"win_rate": float("nan")}, {"sharpe_ratio": float("inf")}, {"sample_size": -1}],
)
def test_impossible_evidence_is_refused(wrong):
    with pytest.raises(DataError, match="wanted finite numbers"):
        RegimeGate().update_performance("trend", "x", **{**GOOD, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"min_win_rate": 55}, {"min_sample_size": 0}, {"hysteresis": 1.0}, {"close_errors": -1}]
)
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ConfigError, match="regime gate"):
        RegimeGateConfig(**wrong)
