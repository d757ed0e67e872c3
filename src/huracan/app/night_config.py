"""From the settings to the configuration of a night: presets, recipes, limits, the stress table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from huracan.domain.ids import content_hash
from huracan.domain.json import Json, JsonObject
from huracan.domain.recipe import PRESETS, ConsensusPolicy, CostPolicy, Recipe, SizingPolicy, TrainingPolicy
from huracan.domain.strict import strict_json
from huracan.domain.tiers import TIERS
from huracan.domain.time import HOUR_MS, MINUTE_MS
from huracan.errors import BundleFormatError, ConfigError
from huracan.features import ALL_NAMES, RECIPE_ID
from huracan.night.config import NightConfig
from huracan.night.custom.injected import Injected, injected_recipe
from huracan.promotion import shipped_stress_table
from huracan.sections import OwnRecipe
from huracan.settings import Settings, resolved_dict
from huracan.training import all_engines, built_in_recipes
from huracan.training.engines import EngineSpec, nearest
from huracan.training.jobs import compute_code_hash
from huracan.universe import UniverseConfig

_RUNNING = frozenset(
    {"dry_run", "training_backend", "backend_address", "max_concurrent_jobs", "num_workers", "job_timeout_s"}
)
"""Settings of a run that leave its models alone."""
_DECIDING = ("training", "consensus", "regime_gate", "costs", "promotion")
"""Sections of `deciding`, in its order."""
LARGEST_TABLE: Final = 1 << 20
_INTERVALS = {"1m": MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": HOUR_MS}


def night_rules(settings: Settings, as_of_ms: int | None, injected: Injected) -> NightConfig:
    """Everything the steps need to know of the configuration; raises ConfigError for what does not fit."""
    training = settings.training
    recipes = recipes_of(settings)
    if injected.changes_recipe:
        recipes = (injected_recipe(recipes[0], injected, settings.promotion.injected_seen_until),)
    return NightConfig(
        universe=UniverseConfig(
            quote_assets=training.quote_assets,
            market=training.market,
            min_liquidity_gbp=training.min_liquidity_gbp,
            max_spread_bps=training.max_spread_bps,
            max_coins=training.max_coins,
        ),
        horizons=training.horizons,
        recipes=recipes,
        history_days=max(training.history_days, training.lookback_days),
        min_history_days=training.min_history_days,
        interval_ms=_INTERVALS[training.base_interval],
        max_spread_bps=training.max_spread_bps,
        stale_after_minutes=training.stale_after_minutes,
        max_stale_share=training.max_stale_share,
        leak_exempt=training.leak_exempt,
        gate=_gate(settings),
        stress_table=stress_table(settings.promotion.stress_table),
        seed=training.seed,
        code_hash=compute_code_hash(),
        config_hash=content_hash(*deciding(settings)),
        deciding=named(deciding(settings)),
        dry_run=training.dry_run,
        as_of_ms=as_of_ms,
        panel_size=settings.promotion.panel_size,
        historical=settings.promotion.former_pairs and not injected.any,
        declared_spreads=tuple(zip(TIERS, settings.costs.tier_spread_bps or (), strict=False)),
    )


def deciding(settings: Settings) -> tuple[dict[str, Json], ...]:
    """What of the configuration can change a model or a verdict; where and how fast a night runs cannot."""
    training = {key: value for key, value in resolved_dict(settings)["training"].items() if key not in _RUNNING}
    sections = resolved_dict(settings)
    promotion = {**sections["promotion"], "stress_table": stress_table(settings.promotion.stress_table)}
    return training, sections["consensus"], sections["regime_gate"], sections["costs"], promotion


def named(sections: tuple[dict[str, Json], ...]) -> tuple[tuple[str, str], ...]:
    """Each deciding setting as JSON text by its dotted name; a stress table as its hash."""
    found = {
        f"{name}.{key}": value
        for name, section in zip(_DECIDING, sections, strict=True)
        for key, value in section.items()
    }
    table = "promotion.stress_table"
    found[table] = content_hash(found[table])[:12]
    return tuple((name, json.dumps(value, sort_keys=True)) for name, value in sorted(found.items()))


def recipes_of(settings: Settings) -> tuple[Recipe, ...]:
    """The enabled recipes, with the configured costs, preset and consensus.

    Raises ConfigError where a recipe, or an engine it names, is unknown, or an installed engine is broken.
    """
    used = {name for item in settings.training.recipes if isinstance(item, OwnRecipe) for name in item.engines}
    for name, spec in all_engines().items():
        wrong = unknown_features(spec) if name in used else ""
        if wrong:
            raise ConfigError(f"training.recipes: {wrong}")
    training, costs, consensus = settings.training, settings.costs, settings.consensus
    sizing: SizingPolicy = replace(
        PRESETS[training.risk_preset], min_edge_after_cost_bps=training.min_edge_after_cost_bps
    )
    fees = (
        ("spot", costs.spot_maker_bps, costs.spot_taker_bps),
        ("um", costs.um_maker_bps, costs.um_taker_bps),
    )
    return built_in_recipes(
        training.recipe_names,
        feature_recipe=RECIPE_ID,
        training=TrainingPolicy(lookback_days=training.lookback_days),
        consensus=ConsensusPolicy(
            adaptive_threshold=consensus.adaptive_threshold,
            min_consensus_score=consensus.min_consensus_score,
            correlation_penalty_weight=consensus.correlation_penalty_weight,
        ),
        costs=CostPolicy(fees_bps=fees, capital_quote=costs.capital_quote),
        sizing=sizing,
        decision_interval_minutes=training.decision_interval_minutes,
        execution_latency_s=training.execution_latency_s,
        gate=_gate_changes(settings),
        own=tuple((item.name, item.engines) for item in training.recipes if isinstance(item, OwnRecipe)),
    )


def stress_table(path: Path | None) -> JsonObject:
    """The shipped table of worst days, or a simulated world's own; raises ConfigError when it cannot be read."""
    if path is None:
        return shipped_stress_table()
    try:
        table = strict_json(path.read_bytes(), LARGEST_TABLE, what=path.name)
    except (OSError, BundleFormatError) as error:
        raise ConfigError(
            f"promotion.stress_table {path}: {error}; wanted the JSON file `exchange serve` names"
        ) from error
    if not isinstance(table, dict) or "kind" not in table:
        raise ConfigError(
            f"promotion.stress_table {path}: no 'kind' in it; wanted the JSON file `exchange serve` names"
        )
    return table


def _gate(settings: Settings) -> tuple[tuple[str, float], ...]:
    """What decides whether an engine may vote; a limit that is not on is not in it."""
    gate = settings.regime_gate
    rules = {
        "enable_all_by_default": float(gate.enable_all_by_default),
        "hysteresis": gate.hysteresis,
        "min_sample_size": float(gate.min_sample_size),
        **gate.limits,
    }
    return tuple(sorted(rules.items()))


def _gate_changes(settings: Settings) -> tuple[tuple[str, float], ...]:
    """The part of it that is not as shipped: it belongs to a recipe's identity."""
    shipped = _gate(Settings())
    return tuple(rule for rule in _gate(settings) if rule not in shipped)


def unknown_features(spec: EngineSpec) -> str:
    """What is wrong with the features an engine wants, in words; empty where all exist."""
    unknown = [name for name in spec.wants if name not in ALL_NAMES]
    return f"engine {spec.name} wants the feature {unknown[0]!r}: {nearest(unknown[0], ALL_NAMES)}" if unknown else ""
