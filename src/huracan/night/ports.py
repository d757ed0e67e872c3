"""The outside world of the driver of a night."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from huracan.domain.account import SetAccount
from huracan.domain.bundle import DoNotTrade
from huracan.export import BundleFiles
from huracan.night.jobs.inputs import PairPorts
from huracan.night.state import Night, WaveRunner
from huracan.ports import Clock, Snapshots, Telemetry


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
