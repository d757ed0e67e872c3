"""What the user has decided about a night, resolved once, before the first step."""

from dataclasses import dataclass

from huracan.domain.json import JsonObject
from huracan.domain.recipe import Recipe
from huracan.universe import UniverseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NightConfig:
    """Everything about a night that the user configures; resolved once, before the first step.

    `historical` says whether historical constituents are evidence. `deciding` are the settings that can change a model
    or a verdict, as JSON text by dotted name.
    """

    universe: UniverseConfig
    horizons: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    history_days: int
    min_history_days: int
    interval_ms: int
    max_spread_bps: float
    stale_after_minutes: float
    max_stale_share: float
    leak_exempt: tuple[str, ...]
    gate: tuple[tuple[str, float], ...]
    stress_table: JsonObject
    seed: int
    code_hash: str
    config_hash: str
    dry_run: bool
    as_of_ms: int | None
    panel_size: int = 60
    declared_spreads: tuple[tuple[str, float], ...] = ()
    historical: bool = True
    deciding: tuple[tuple[str, str], ...] = ()
