"""All engines: the built-in mapping, and those that other distributions offer under ``huracan.engines``."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from math import isfinite
from types import MappingProxyType
from typing import Final, get_args

from huracan.domain.ids import content_hash
from huracan.domain.recipe import EngineUse
from huracan.errors import ConfigError
from huracan.training.engines.breakout import BREAKOUT
from huracan.training.engines.flow import FLOW
from huracan.training.engines.funding import FUNDING
from huracan.training.engines.leader import LEADER
from huracan.training.engines.momentum_reversal import MOMENTUM_REVERSAL
from huracan.training.engines.range import RANGE
from huracan.training.engines.spec import EngineSpec, Estimator
from huracan.training.engines.trees import TREES
from huracan.training.engines.trend import TREND
from huracan.training.engines.volatility import VOLATILITY

ENTRY_POINT_GROUP: Final = "huracan.engines"

ENGINES: Final[MappingProxyType[str, EngineSpec]] = MappingProxyType(
    {spec.name: spec for spec in (TREND, RANGE, BREAKOUT, LEADER, VOLATILITY, MOMENTUM_REVERSAL, FLOW, FUNDING, TREES)}
)
"""Built-in engines by name."""


EXAMPLE: Final = (
    'EngineSpec(name="carry", version=1, estimator="ridge", idea="who pays to hold", wants=("funding_last",'
    ' "funding_mean_4320"))'
)
"""A right engine, as errors show it."""


def problems(spec: object) -> list[str]:
    """What makes a value unfit as an engine; empty when it passes. The conformance suite asks the same.

    >>> problems("a string")
    ["'a string' is no EngineSpec"]
    """
    if type(spec) is not EngineSpec:  # a subclass could change what no hash of the specification sees
        return [f"{spec!r} is no EngineSpec"]
    wrong = _wrong_types(spec)
    if wrong:
        return wrong
    needed, given = {name for name, _ in TREES.parameters}, dict(spec.parameters)
    shares = {name: given.get(name, 1.0) for name in ("bagging_share", "feature_share", "leaf_share")}
    checks = {
        f"name {spec.name!r} is no lower-case identifier": spec.name.isidentifier() and spec.name == spec.name.lower(),
        f"version is {spec.version}, wanted 1 or more": spec.version >= 1,
        f"estimator {spec.estimator!r} is unknown, wanted one of {get_args(Estimator)}": spec.estimator
        in get_args(Estimator),
        "a ridge engine must name its features": spec.estimator == "lightgbm" or bool(spec.wants),
        "a feature is named twice": len(set(spec.wants)) == len(spec.wants),
        "a required feature is not wanted": not spec.wants or set(spec.required) <= set(spec.wants),
        "`regime` selects a ridge model and cannot be its feature": spec.estimator == "lightgbm"
        or "regime" not in spec.wants,
        "parameters are not sorted by name, each once": [name for name, _ in spec.parameters]
        == sorted({name for name, _ in spec.parameters}),
        f"a lightgbm engine needs the parameters {sorted(needed)}, as `trees` has them": spec.estimator != "lightgbm"
        or needed <= set(given),
        "a parameter is not above 0": all(value > 0.0 for value in given.values()),
        f"a share is above 1: {shares}": all(value <= 1.0 for value in shares.values()),
    }
    return [message for message, passed in checks.items() if not passed]


def _wrong_types(spec: EngineSpec) -> list[str]:
    """Fields that hold something else than they say: nothing checks a dataclass when it is made."""
    pairs = isinstance(spec.parameters, tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in spec.parameters)
    checks = {
        "name": isinstance(spec.name, str),
        "version": isinstance(spec.version, int) and not isinstance(spec.version, bool),
        "estimator": isinstance(spec.estimator, str),
        "idea": isinstance(spec.idea, str),
        "wants": isinstance(spec.wants, tuple) and all(isinstance(name, str) for name in spec.wants),
        "required": isinstance(spec.required, tuple) and all(isinstance(name, str) for name in spec.required),
        "parameters": pairs and all(isinstance(k, str) and _is_number(v) for k, v in spec.parameters),
    }
    return [f"{name} is {getattr(spec, name)!r}" for name, sound in checks.items() if not sound]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An engine another distribution offers: its entry point, the distribution, and the specification or what is
    wrong.
    """

    entry: str
    distribution: str
    spec: EngineSpec | None
    wrong: str = ""


def installed_engines() -> tuple[Installed, ...]:
    """What other distributions offer under ``huracan.engines``, by entry point; nothing raises."""
    taken = set(ENGINES)
    found = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda one: (one.name, one.value)):
        offered = _offered(entry, taken)
        taken |= {offered.spec.name} if offered.spec is not None and not offered.wrong else set()
        found.append(offered)
    return tuple(found)


def _offered(entry: EntryPoint, taken: set[str]) -> Installed:
    distribution = getattr(getattr(entry, "dist", None), "name", "") or entry.value
    spec, wrong = None, ""
    try:
        spec = entry.load()
        problem = problems(spec)
    except Exception as error:  # whatever the import of somebody else's code raises
        problem = [f"it cannot be imported: {type(error).__name__}: {error}"]
    if not problem and spec is not None and spec.name in taken:
        problem = [f"the name {spec.name!r} is taken"]
    if problem:
        wrong = f"engine {entry.name!r} ({entry.value}): {'; '.join(problem)}; fix or uninstall its distribution. A right one: {EXAMPLE}"
    return Installed(
        entry=entry.name,
        distribution=distribution,
        spec=None if wrong else spec,
        wrong=wrong,
    )


@cache
def all_engines() -> MappingProxyType[str, EngineSpec]:
    """Built-in and installed engines by name; raises ConfigError for one that is unfit or takes a built-in's name."""
    offered = installed_engines()
    broken = [one.wrong for one in offered if one.wrong]
    if broken:
        raise ConfigError("; ".join(broken))
    return MappingProxyType({**ENGINES, **{one.spec.name: one.spec for one in offered if one.spec is not None}})


def nearest(name: str, known: Iterable[str]) -> str:
    """What else may have been meant, in words: the nearest name, and all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}? Known are {', '.join(names)}" if close else f"known are {', '.join(names)}"


def use_of(name: str) -> EngineUse:
    """An installed engine as a new recipe uses it; raises ConfigError for an unknown one.

    >>> use_of("trend").version
    1
    """
    spec = all_engines().get(name)
    if spec is None:
        message = f"engine {name!r} is not installed: {nearest(name, all_engines())}"
        raise ConfigError(message)
    return EngineUse(
        name=name,
        version=spec.version,
        estimator=spec.estimator,
        parameters=spec.parameters,
        content="" if name in ENGINES else content_of(spec),
    )


def content_of(spec: EngineSpec) -> str:
    """Hash of everything an engine's specification says, but for its idea in words."""
    fields = asdict(spec)
    del fields["idea"]
    return content_hash(fields)[:12]


def engine_of(use: EngineUse, engines: Mapping[str, EngineSpec] | None = None) -> EngineSpec:
    """The engine a recipe means among `engines` (None: those installed).

    Raises ConfigError when it is not there, or has another version, estimator or content.
    """
    engines = all_engines() if engines is None else engines
    spec = engines.get(use.name)
    if spec is None:
        message = f"recipe names engine {use.name!r}; installed are {sorted(engines)}"
        raise ConfigError(message)
    if use.content and use.content != content_of(spec):
        message = f"engine {use.name} has changed although its version is still {spec.version}: make the recipe anew"
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
