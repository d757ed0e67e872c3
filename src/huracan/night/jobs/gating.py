"""The regime gate of a night: from the plan's limits to the gate, and how reports have it."""

import math
from collections.abc import Sequence
from typing import Final

from huracan.domain.arrays import I64
from huracan.domain.bundle import EVERY_REGIME
from huracan.domain.frames import REGIMES
from huracan.domain.model import ChampionModel
from huracan.domain.night_records import EnginePerformance, GateLimits, RegimeGate, RegimeVotes
from huracan.night.plan import NightPlan
from huracan.regimes.evidence import CellEvidence
from huracan.regimes.gate import RegimeGateConfig
from huracan.stats.evaluate import REGIME_FEATURE

LIMITS: Final = ("min_win_rate", "min_sharpe")
"""Names in the plan's gate that are there only where the user set them."""


def gate_config(plan: NightPlan) -> RegimeGateConfig:
    """The night's gate: on net edge with its uncertainty, and on the limits that were set."""
    rules = dict(plan.gate)
    return RegimeGateConfig(
        min_win_rate=rules.get("min_win_rate", 0.0),
        min_sharpe=rules.get("min_sharpe", -math.inf),
        min_sample_size=int(rules["min_sample_size"]),
        enable_all_by_default=bool(rules["enable_all_by_default"]),
        hysteresis=rules.get("hysteresis", 0.0),
        use_limits=any(name in rules for name in LIMITS),
    )


def gate_limits(plan: NightPlan) -> GateLimits:
    """What must hold for an engine to vote in a regime."""
    limits, config = dict(plan.gate), gate_config(plan)
    return GateLimits(
        min_win_rate=limits.get("min_win_rate"),
        min_sharpe=limits.get("min_sharpe"),
        min_sample_size=config.min_sample_size,
        enable_all_by_default=config.enable_all_by_default,
        hysteresis=config.hysteresis,
        closes_below_standard_errors=config.close_errors,
        reopens_above_bps=config.reopen_edge_bps,
    )


def gate_note(plan: NightPlan) -> str:
    """The gate in one sentence."""
    known, outcomes = dict(plan.gate), gate_limits(plan).min_sample_size
    on = [f"{name} {known[name]:g}" for name in LIMITS if name in known]
    limits = f"on top: {' and '.join(on)}" if on else f"no limit on top ({' and '.join(LIMITS)} are not set)"
    return (
        f"regime gate: an engine votes in a regime unless its mean net edge of at least {outcomes} outcomes is clearly "
        f"below zero, {limits}"
    )


def regime_gate(plan: NightPlan, coin: str, engines: Sequence[str], enabled: I64, evidence: CellEvidence) -> RegimeGate:
    """Which engines may vote in which regime at the cut-off (`enabled` (E, R)), and what the gate knew of each then."""
    performance: dict[str, EnginePerformance] = {}
    for code, name in enumerate(REGIMES):
        for place, engine in enumerate(engines):
            seen = evidence.at_the_end(place, code)
            if seen is not None:
                performance[f"{name}_{engine}"] = EnginePerformance(
                    win_rate=seen["win_rate"],
                    sharpe_ratio=seen["sharpe_ratio"],
                    avg_return_bps=seen["avg_return_bps"],
                    sample_size=seen["sample_size"],
                )
    voting = {
        name: tuple(one for e, one in enumerate(engines) if enabled[e, code]) for code, name in enumerate(REGIMES)
    }
    return RegimeGate(
        coin=coin,
        regimes={name: RegimeVotes(enabled_engines=names, engine_count=len(names)) for name, names in voting.items()},
        performance=performance,
        gate=gate_limits(plan),
    )


def regime_name(model: ChampionModel, codes: I64) -> str:
    """The regime of the last of these decisions, as every manifest, ranking, result and report has it.

    ``all`` where the model does not look at the regime, ``unknown`` where that decision has none.
    """
    if REGIME_FEATURE not in model.feature_names:
        return EVERY_REGIME
    code = int(codes[-1]) if codes.size else -1
    return REGIMES[code] if code >= 0 else "unknown"
