"""Engines as a user sees them: their distributions, the recipes that use them, and whether they are fit."""

import importlib.util
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from huracan.app.night_config import unknown_features
from huracan.errors import ConfigError
from huracan.features import ALL_NAMES
from huracan.operations.own_code import examined_code
from huracan.sections import OwnRecipe
from huracan.settings import Settings
from huracan.training import UserCallable
from huracan.training.conformance import Examined, examine
from huracan.training.engines import ENGINES, EXAMPLE, EngineSpec, Installed, installed_engines, nearest
from huracan.training.recipes import ENGINES_OF

BUILT_IN: Final = "built-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine: `origin` is ``built-in`` or a distribution's name, `recipes` those of the settings that use it.

    Of a broken one only `name`, `origin` and `wrong` are known.
    """

    name: str
    origin: str
    version: int = 0
    estimator: str = ""
    idea: str = ""
    wants: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    wrong: str = ""


def engine_rows(settings: Settings) -> tuple[EngineRow, ...]:
    """Every engine there is, built-in ones first; broken ones say what is wrong, and nothing raises."""
    uses = _uses(settings)
    rows = [_row(spec, BUILT_IN, uses) for spec in ENGINES.values()]
    for one in installed_engines():
        if one.spec is None:
            rows.append(EngineRow(name=one.entry, origin=one.distribution, wrong=one.wrong))
        else:
            rows.append(_row(one.spec, one.distribution, uses, unknown_features(one.spec)))
    return tuple(rows)


def examined(target: str | None) -> tuple[Examined, ...]:
    """The conformance checks of an engine by name, of those (and the callables) in a Python file, or (None) of every
    engine there is.

    Raises ConfigError for an unknown name, and for a file that cannot be run or holds no EngineSpec.
    """
    if target is None:
        offered = installed_engines()
        return (*_all(ENGINES), *(one for item in offered for one in _examined_offer(item)))
    if target.endswith(".py") or Path(target).is_file():
        return _examined_file(Path(target))
    offers = {one.spec.name if one.spec else one.entry: one for one in installed_engines()}
    if target in offers:
        return _examined_offer(offers[target])
    if target not in ENGINES:
        raise ConfigError(f"engine {target!r} is not installed: {nearest(target, {*ENGINES, *offers})}")
    return examine(ENGINES[target], ALL_NAMES)


def _all(specs: Mapping[str, object]) -> tuple[Examined, ...]:
    return tuple(one for spec in specs.values() for one in examine(spec, ALL_NAMES))


def _examined_offer(offer: Installed) -> tuple[Examined, ...]:
    if offer.spec is None:
        return (Examined(engine=offer.entry, check="specification", passed=False, seen=offer.wrong),)
    return examine(offer.spec, ALL_NAMES)


def _examined_file(file: Path) -> tuple[Examined, ...]:
    """The checks of a file's engines and of its callables; ConfigError where it has neither."""
    names = _names_of(file)
    found = {name: value for name, value in names.items() if isinstance(value, EngineSpec)}
    own = {name: value for name, value in found.items() if value not in ENGINES.values()}
    code = {name: names[name] for name in get_args(UserCallable) if name in names}
    if not own and not code:
        raise ConfigError(
            f"{file} makes no EngineSpec, and no {', '.join(get_args(UserCallable))}; wanted one of them, such as {EXAMPLE}"
        )
    return (*_all(own), *examined_code(code))


def _names_of(file: Path) -> dict[str, object]:
    """A file's names; its code is run, as it is when its distribution is installed."""
    if not file.is_file():
        raise ConfigError(f"{file} is no file; wanted a Python file that makes an EngineSpec, or an engine's name")
    spec = importlib.util.spec_from_file_location("huracan_examined_engine", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file; wanted one that ends with .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # user-supplied code may raise anything
        raise ConfigError(f"{file} cannot be run: {_told(error)}") from error
    return vars(module)


def _told(error: Exception) -> str:
    """An error of user-supplied code with its file and line; frames of the import machinery say nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename} line {error.lineno})"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<frozen")]
    place = f" ({frames[-1].filename} line {frames[-1].lineno})" if len(frames) > 1 else ""  # the first frame is ours
    return f"{type(error).__name__}: {error}{place}"


def _row(spec: EngineSpec, origin: str, uses: Mapping[str, tuple[str, ...]], wrong: str = "") -> EngineRow:
    return EngineRow(
        name=spec.name,
        origin=origin,
        version=spec.version,
        estimator=spec.estimator,
        idea=spec.idea,
        wants=spec.wants,
        required=spec.required,
        recipes=uses.get(spec.name, ()),
        wrong=wrong,
    )


def _uses(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Recipes of the settings by engine."""
    uses: dict[str, tuple[str, ...]] = {}
    for item in settings.training.recipes:
        name, engines = (item.name, item.engines) if isinstance(item, OwnRecipe) else (item, ENGINES_OF.get(item, ()))
        for engine in engines:
            uses[engine] = (*uses.get(engine, ()), name)
    return uses
