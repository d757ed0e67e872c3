"""The outside world of the driver of a night."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from huracan.domain.account import SetAccount
from huracan.domain.bundle import DoNotTrade
from huracan.domain.json import JsonObject
from huracan.domain.lake_check import LakeCheck
from huracan.domain.night_rows import ServedChampion, StoredMember
from huracan.export import BundleFiles
from huracan.night.jobs.inputs import PairPorts
from huracan.night.state import Night, WaveRunner
from huracan.ports import Clock, Snapshots, Telemetry
from huracan.promotion import LedgerState, Verdict


class ArtefactNotes(Protocol):
    """What the ledger knows of artefacts: the sha256 of what a job of ours wrote under a key."""

    def artefact(self, key: str) -> str | None:
        """The sha256 that was noted, None for a key that no job wrote."""
        ...

    def note_artefact(self, key: str, sha256: str) -> None:
        """Note what was written, or used, in this run."""
        ...

    def flush_jobs(self) -> None:
        """Write what was noted so far."""
        ...


class Ledger(ArtefactNotes, Protocol):
    """The ledger of hypotheses, champions and runs."""

    def load_state(self) -> LedgerState:
        """Every hypothesis with its rows, and every change of champion; raises LedgerError where the chain is
        broken.
        """
        ...

    def append_verdict(self, verdict: Verdict) -> None:
        """Append what a night has decided."""
        ...

    def record_run(self, run_id: str, *, started_ms: int, facts: JsonObject) -> None:
        """Note that a run has begun."""
        ...

    def readings(self) -> Sequence[JsonObject]:
        """What earlier nights read the past from, oldest first."""
        ...

    def note_reading(self, run_id: str, reading: JsonObject) -> None:
        """Note what a run read the past from."""
        ...

    def keep_artefacts(self, runs: int) -> Iterable[str]:
        """Keys that were used in the last runs; older notes go."""
        ...


class ChampionStore(Protocol):
    """The signed store: what it serves now, and how a new set gets there."""

    def current_champions(self) -> list[ServedChampion]:
        """Champions of the set readers see now."""
        ...

    def damaged(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Those champions of the current set whose files do not verify, with the reason."""
        ...

    def await_copies(self) -> None:
        """Take over what is newer in other copies of the store, waiting for them a bounded time; before anything is
        decided.
        """
        ...

    def compare(self) -> None:
        """Raise LedgerBehindError unless the night's ledger holds the set that stands then."""
        ...

    def publish(
        self,
        bundles: list[BundleFiles],
        night: Night,
        blocked: list[DoNotTrade],
        carried_over: list[tuple[str, str]],
        account: SetAccount,
    ) -> dict[str, StoredMember]:
        """Sign and store a set with its account; its members by result key.

        Raises PublishError, and IncompleteError before anything is signed where set and account disagree.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPorts:
    """The outside world of a night's driver; `last_check` is the last comparison of the lake with other sources."""

    pair: PairPorts
    snapshots: Snapshots
    waves: WaveRunner
    ledger: Ledger
    release: ChampionStore
    telemetry: Telemetry
    clock: Clock
    check_clock: Callable[[int], None]
    workdir: Path
    last_check: Callable[[], LakeCheck | None] = lambda: None
