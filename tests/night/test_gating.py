"""The regime gate of a night: limits work where they are set, belong to the recipe's identity, and are told."""

from dataclasses import asdict

import numpy as np
import pytest
from plans import make_plan

from huracan.app.night_config import night_rules
from huracan.domain.codec import from_json, to_json
from huracan.domain.night_records import GateLimits, RegimeVotes
from huracan.domain.results import CellScores
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.night.custom.injected import Injected
from huracan.night.jobs.gating import gate_config, gate_limits, gate_note, regime_gate
from huracan.night.plan import NightPlan
from huracan.regimes.gate import gate_path
from huracan.settings import load_settings


def rules_of(*overrides):
    return night_rules(load_settings(None, [f"regime_gate.{text}" for text in overrides], {}), None, Injected())


def plan_of(*overrides):
    rules = rules_of(*overrides)
    return from_json(NightPlan, to_json(make_plan(gate=rules.gate, recipes=rules.recipes)))


def walked(plan, mean, days=60):
    """The gate over one engine that wins seven of ten outcomes, and what it earns on average."""
    time = 20_000 * DAY_MS + np.arange(days * 24) * HOUR_MS
    net = np.where(np.arange(time.size) % 10 < 7, 10.0, -10.0)
    net += np.random.default_rng(0).normal(0, 1, time.size)
    net += mean - net.mean()
    scores = CellScores(net_bps=net[:, None], closed_ms=time + HOUR_MS, cost_bps=np.ones(time.size))
    regime = np.zeros(time.size, np.int64)
    return gate_path(
        scores, time, regime, time // DAY_MS, engines=("a",), config=gate_config(plan), cutoff_ms=int(time[-1]) + DAY_MS
    )


@pytest.mark.parametrize(
    ("given", "is_open"),
    [((), True), (("min_win_rate=0.6",), True), (("min_win_rate=0.9",), False), (("min_sharpe=1",), True), (("min_sharpe=1e6",), False)],
)  # fmt: skip
def test_a_limit_that_is_set_closes_what_falls_short_of_it(given, is_open):
    assert bool(walked(plan_of(*given), mean=3.0).live[0, 0]) == is_open


@pytest.mark.parametrize("given", [(), ("min_win_rate=0.1",), ("min_sharpe=-100",), ("use_limits=true",)])
def test_no_limit_opens_what_the_net_edge_closes(given):
    assert not walked(plan_of(*given), mean=-3.0).live[0, 0]


def test_a_recipe_under_other_rules_of_the_gate_is_another_recipe():
    shipped = [recipe.id for recipe in rules_of().recipes]
    changed = [rules_of(text) for text in ("min_win_rate=0.55", "min_win_rate=0.6", "min_sample_size=20")]
    ids = [tuple(recipe.id for recipe in rules.recipes) for rules in changed]
    assert len({tuple(shipped), *ids}) == 4
    assert asdict(changed[0].recipes[0])["gate"] == (("min_win_rate", 0.55),)
    assert [recipe.id for recipe in rules_of("use_limits=false").recipes] == shipped
    assert plan_of("min_sharpe=2").recipes[0].id == rules_of("min_sharpe=2").recipes[0].id


def test_the_report_says_which_limits_are_on():
    assert "min_win_rate and min_sharpe are not set" in gate_note(plan_of())
    limited = plan_of("min_win_rate=0.6", "hysteresis=0.1")
    assert "on top: min_win_rate 0.6" in gate_note(limited)
    limits = gate_limits(limited)
    assert (limits.min_win_rate, limits.min_sharpe, limits.hysteresis) == (0.6, None, 0.1)
    assert from_json(GateLimits, to_json(limits)) == limits


def test_the_map_says_what_the_gate_knew_of_every_engine():
    gate = walked(plan_of(), mean=3.0)
    votes = regime_gate(plan_of(), "BTC", ("a",), gate.live, gate.evidence)
    assert votes.regimes["trend"] == RegimeVotes(enabled_engines=("a",), engine_count=1)
    assert votes.performance.keys() == {"trend_a"}
    seen = votes.performance["trend_a"]
    assert seen.avg_return_bps == pytest.approx(3.0)
    assert seen.sharpe_ratio > 10
