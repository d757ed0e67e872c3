"""All engines: the built-in mapping, and those that other distributions offer under ``huracan.engines``."""

from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

from huracan.domain.recipe import EngineUse
from huracan.errors import ConfigError
from huracan.training.engines.breakout import BREAKOUT
from huracan.training.engines.flow import FLOW
from huracan.training.engines.funding import FUNDING
from huracan.training.engines.leader import LEADER
from huracan.training.engines.momentum_reversal import MOMENTUM_REVERSAL
from huracan.training.engines.range import RANGE
from huracan.training.engines.spec import EngineSpec
from huracan.training.engines.trees import TREES
from huracan.training.engines.trend import TREND
from huracan.training.engines.volatility import VOLATILITY

ENTRY_POINT_GROUP: Final = "huracan.engines"

ENGINES: Final[MappingProxyType[str, EngineSpec]] = MappingProxyType(
    {spec.name: spec for spec in (TREND, RANGE, BREAKOUT, LEADER, VOLATILITY, MOMENTUM_REVERSAL, FLOW, FUNDING, TREES)}
)
"""Built-in engines by name."""


def problems(spec: object) -> list[str]:
    """What makes a value unfit as an engine; empty when it passes. The conformance suite asks the same.

    >>> problems("a string")
    ["'a string' is no EngineSpec"]
    """
    if not isinstance(spec, EngineSpec):
        return [f"{spec!r} is no EngineSpec"]
    checks = {
        f"name {spec.name!r} is no lower-case identifier": spec.name.isidentifier() and spec.name == spec.name.lower(),
        f"version is {spec.version}, wanted 1 or more": spec.version >= 1,
        f"estimator {spec.estimator!r} is unknown": spec.estimator in {"ridge", "lightgbm"},
        "a ridge engine must name its features": spec.estimator == "lightgbm" or bool(spec.wants),
        "a feature is named twice": len(set(spec.wants)) == len(spec.wants),
        "a required feature is not wanted": not spec.wants or set(spec.required) <= set(spec.wants),
        "`regime` selects a ridge model and cannot be its feature": spec.estimator == "lightgbm"
        or "regime" not in spec.wants,
        "parameters are not sorted by name, each once": [name for name, _ in spec.parameters]
        == sorted({name for name, _ in spec.parameters}),
    }
    return [message for message, passed in checks.items() if not passed]


@cache
def all_engines() -> MappingProxyType[str, EngineSpec]:
    """Built-in and installed engines by name; raises ConfigError for one that is unfit or takes a built-in's name."""
    found = dict(ENGINES)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        spec = entry.load()
        wrong = problems(spec)
        if not wrong and spec.name in found:
            wrong = [f"the name {spec.name!r} is taken"]
        if wrong:
            message = f"engine {entry.name!r} ({entry.value}): {'; '.join(wrong)}; fix or uninstall its distribution"
            raise ConfigError(message)
        found[spec.name] = spec
    return MappingProxyType(found)


def engine_of(use: EngineUse) -> EngineSpec:
    """The engine a recipe means; raises ConfigError when it is not installed or has another version or estimator."""
    spec = all_engines().get(use.name)
    if spec is None:
        message = f"recipe names engine {use.name!r}; installed are {sorted(all_engines())}"
        raise ConfigError(message)
    if (spec.version, spec.estimator) != (use.version, use.estimator):
        message = (
            f"recipe wants engine {use.name} version {use.version} by {use.estimator}, installed is version "
            f"{spec.version} by {spec.estimator}: make the recipe anew"
        )
        raise ConfigError(message)
    return spec


def parameters_of(spec: EngineSpec, use: EngineUse) -> dict[str, float]:
    """The engine's defaults with the recipe's values over them; raises ConfigError for a name it does not know."""
    merged = dict(spec.parameters)
    for name, value in use.parameters:
        if name not in merged:
            message = f"engine {spec.name} has no parameter {name!r}; it has {sorted(merged)}"
            raise ConfigError(message)
        merged[name] = value
    return merged
