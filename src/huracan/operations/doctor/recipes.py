"""The recipes and the engines behind them: what is installed, broken, unknown, or used by nothing."""

from typing import Final

from huracan.app.night_config import recipes_of
from huracan.errors import ConfigError
from huracan.operations.doctor.finding import Circumstances, Finding, doubtful, right, wrong
from huracan.operations.engines import BUILT_IN, engine_rows

AREA: Final = "recipes"


async def engines(here: Circumstances) -> list[Finding]:
    """Engines of other distributions: broken ones refuse a night, those in no recipe do nothing."""
    rows = engine_rows(here.settings)
    broken = [row for row in rows if row.wrong]
    found = [wrong(AREA, f"engine {row.name}", row.wrong) for row in broken]
    idle = [row for row in rows if row.origin != BUILT_IN and not row.wrong and not row.recipes]
    found += [
        doubtful(
            AREA,
            f"engine {row.name}",
            f"of {row.origin}, in no recipe",
            f"name it in training.recipes, as {{mine: [{row.name}, trees]}}, or uninstall {row.origin}",
        )
        for row in idle
    ]
    others = sum(row.origin != BUILT_IN for row in rows) - len(broken)
    seen = f"{len(rows) - len(broken) - others} built-in, {others} of other distributions"
    return [*found, right(AREA, "engines", seen)] if not broken else found


async def recipes(here: Circumstances) -> list[Finding]:
    """The recipes of the configuration with their ids."""
    try:
        made = recipes_of(here.settings)
    except ConfigError as error:
        return [wrong(AREA, "training.recipes", error)]
    return [right(AREA, "training.recipes", ", ".join(recipe.id for recipe in made))]
