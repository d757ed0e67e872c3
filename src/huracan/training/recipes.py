"""Which engines compete under which name: the recipes that ship, and user-supplied ones."""

import re
from collections.abc import Collection, Sequence
from types import MappingProxyType
from typing import Final

from huracan.domain.recipe import (
    SHIPPED_SEEN,
    ConsensusPolicy,
    CostPolicy,
    EngineUse,
    Recipe,
    SizingPolicy,
    TrainingPolicy,
)
from huracan.errors import ConfigError
from huracan.training.engines import ENGINES, nearest, use_of

LINEAR_ENGINES: Final = tuple(name for name, spec in ENGINES.items() if spec.estimator == "ridge")

BOOSTED_ENGINES: Final = ("trees", "trend", "range", "leader", "flow")
"""Trees see every feature, so only one linear engine per source of information stands beside them: the coin's own
drift, its own stretch, the market, order flow. The others would vote a second time on what the trees already weigh.
"""

ENGINES_OF: Final = MappingProxyType({"linear": LINEAR_ENGINES, "boosted": BOOSTED_ENGINES})
"""Built-in recipe names and their engines."""

OWN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED: Final = frozenset({"injected"})
"""The recipe of injected code has this name."""

ALL_SEEN: Final = (("1970-01-01", "9999-12-31"),)
"""Every day counts as looked at before a recipe was registered; those after it count in full."""


def built_in_recipes(
    names: Sequence[str],
    *,
    feature_recipe: str,
    training: TrainingPolicy | None = None,
    consensus: ConsensusPolicy | None = None,
    costs: CostPolicy | None = None,
    sizing: SizingPolicy | None = None,
    decision_interval_minutes: int = 60,
    execution_latency_s: int = 30,
    gate: tuple[tuple[str, float], ...] = (),
    own: Sequence[tuple[str, tuple[str, ...]]] = (),
) -> tuple[Recipe, ...]:
    """The named recipes with these policies, in the order asked for; raises ConfigError for an unknown or doubled name.

    `own` are user-supplied: names that `names` may ask for as well, with the installed engines behind each. Nobody can
    know which days their maker looked at, so all days before their registration count as seen.

    >>> [recipe.name for recipe in built_in_recipes(["boosted", "linear"], feature_recipe="core-1")]
    ['boosted', 'linear']
    >>> built_in_recipes(["mine"], feature_recipe="core-1", own=[("mine", ("flow", "trees"))])[0].engines[1].name
    'trees'
    """
    if len(set(names)) != len(names):
        message = f"recipes {list(names)} name one twice"
        raise ConfigError(message)
    made = {name: _own_uses(name, engines) for name, engines in own}
    return tuple(
        Recipe(
            name=name,
            engines=made[name] if name in made else tuple(map(use_of, _engines_of(name, made))),
            seen=ALL_SEEN if name in made else SHIPPED_SEEN,
            feature_recipe=feature_recipe,
            training=training or TrainingPolicy(),
            consensus=consensus or ConsensusPolicy(),
            costs=costs or CostPolicy(),
            sizing=sizing or SizingPolicy(),
            decision_interval_minutes=decision_interval_minutes,
            execution_latency_s=execution_latency_s,
            gate=gate,
        )
        for name in names
    )


def _engines_of(name: str, own: Collection[str]) -> tuple[str, ...]:
    if name not in ENGINES_OF:
        message = (
            f"recipe {name!r} is unknown; built in are {sorted(ENGINES_OF)}: {nearest(name, {*ENGINES_OF, *own})}; one of "
            "your own is given with its engines, as {mine: [trend, trees]}"
        )
        raise ConfigError(message)
    return ENGINES_OF[name]


def _own_uses(name: str, engines: tuple[str, ...]) -> tuple[EngineUse, ...]:
    """The engines of a user-supplied recipe; raises ConfigError where its name or one of them will not do."""
    wrong = {
        "wanted a lower-case name of at most 32 letters, digits and underscores": not OWN_NAME.fullmatch(name),
        "that name is taken by a recipe that ships": name in {*ENGINES_OF, *RESERVED},
        f"it has {len(engines)} engines, wanted at least one": not engines,
        f"engines {list(engines)} name one twice": len(set(engines)) != len(engines),
    }
    for message, found in wrong.items():
        if found:
            raise ConfigError(f"training.recipes, {name!r}: {message}")
    try:
        return tuple(map(use_of, engines))
    except ConfigError as error:
        raise ConfigError(f"training.recipes, {name!r}: {error}") from error
