"""What a night needs from outside: the owner's rules, resolved once, and the ports of the driver."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from huracan.domain.account import SetAccount
from huracan.domain.bundle import DoNotTrade
from huracan.domain.recipe import Recipe
from huracan.export import BundleFiles
from huracan.pipeline.night import Night, WaveRunner
from huracan.pipeline.pair import PairPorts
from huracan.ports import Clock, Snapshots, Telemetry
from huracan.universe import UniverseRules


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRules:
    """Everything about a night that the owner configures; resolved once, before the first step.

    `deciding` are the settings that can change a model or a verdict, as JSON text by dotted name.
    """

    universe: UniverseRules
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
    stress_table: dict[str, Any]
    seed: int
    code_hash: str
    config_hash: str
    dry_run: bool
    as_of_ms: int | None
    panel_size: int = 60
    declared_spreads: tuple[tuple[str, float], ...] = ()
    former_pairs: bool = True
    deciding: tuple[tuple[str, str], ...] = ()


class Release(Protocol):
    """The signed store: what it serves now, and how a new set gets there."""

    def current_champions(self) -> list[dict[str, Any]]:
        """Champions of the set readers see now, as result rows (coin, horizon, version, path, metrics).

        Beside them: instrument and data_cutoff_ms of their training, recipe_id, pool and lineage as the bundle names them,
        and `damage`: why the bundle's manifest cannot be read, else ''.
        """
        ...

    def damaged(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Those champions of the current set whose files do not verify, with the reason."""
        ...

    def settle(self) -> None:
        """Take over what is newer in other copies of the store, waiting for them a bounded time; before anything is decided."""
        ...

    def compare(self) -> None:
        """Raise LedgerBehindError unless the night's ledger holds the set that stands then."""
        ...

    def publish(
        self,
        bundles: list[BundleFiles],
        night: Night,
        blocked: list[DoNotTrade],
        keep: list[tuple[str, str]],
        account: SetAccount,
    ) -> dict[str, dict[str, Any]]:
        """Sign and store a set with its account; by result key: version, path, action (new or kept).

        Raises PublishError, and IncompleteError before anything is signed where set and account disagree.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPorts:
    """The outside world of a night's driver; `last_check` is the last comparison of the lake with other sources."""

    pair: PairPorts
    snapshots: Snapshots
    waves: WaveRunner
    ledger: Any
    release: Release
    telemetry: Telemetry
    clock: Clock
    check_clock: Callable[[int], None]
    workdir: Path
    last_check: Callable[[], dict[str, Any] | None] = lambda: None
