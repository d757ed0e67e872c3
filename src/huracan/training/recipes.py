"""The recipes that ship: which engines compete under which name."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from huracan.domain.recipe import ConsensusRules, CostRules, EngineUse, Recipe, SizingRules, TrainingRules
from huracan.errors import ConfigError
from huracan.training.engines import ENGINES

LINEAR_ENGINES: Final = tuple(name for name, spec in ENGINES.items() if spec.estimator == "ridge")

BOOSTED_ENGINES: Final = ("trees", "trend", "range", "leader", "flow")
"""Trees see every feature, so only one linear engine per source of information stands beside them: the coin's own
drift, its own stretch, the market, order flow. The others would vote a second time on what the trees already weigh.
"""

ENGINES_OF: Final = MappingProxyType({"linear": LINEAR_ENGINES, "boosted": BOOSTED_ENGINES})
"""Built-in recipe names and their engines."""


def built_in_recipes(
    names: Sequence[str],
    *,
    feature_recipe: str,
    training: TrainingRules | None = None,
    consensus: ConsensusRules | None = None,
    costs: CostRules | None = None,
    sizing: SizingRules | None = None,
    decision_interval_minutes: int = 60,
    execution_latency_s: int = 30,
    gate: tuple[tuple[str, float], ...] = (),
) -> tuple[Recipe, ...]:
    """The named recipes with these rules, in the order asked for; raises ConfigError for an unknown or doubled name.

    >>> [recipe.name for recipe in built_in_recipes(["boosted", "linear"], feature_recipe="core-1")]
    ['boosted', 'linear']
    """
    if len(set(names)) != len(names):
        message = f"recipes {list(names)} name one twice"
        raise ConfigError(message)
    return tuple(
        Recipe(
            name=name,
            engines=tuple(map(_use, _engines_of(name))),
            feature_recipe=feature_recipe,
            training=training or TrainingRules(),
            consensus=consensus or ConsensusRules(),
            costs=costs or CostRules(),
            sizing=sizing or SizingRules(),
            decision_interval_minutes=decision_interval_minutes,
            execution_latency_s=execution_latency_s,
            gate=gate,
        )
        for name in names
    )


def _engines_of(name: str) -> tuple[str, ...]:
    if name not in ENGINES_OF:
        message = f"recipe {name!r} is unknown; built in are {sorted(ENGINES_OF)}"
        raise ConfigError(message)
    return ENGINES_OF[name]


def _use(name: str) -> EngineUse:
    spec = ENGINES[name]
    return EngineUse(name=name, version=spec.version, estimator=spec.estimator, parameters=spec.parameters)
