"""The signed store of a run: keys, the current set, and how a new one gets there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from huracan.adapters.disk import may_write
from huracan.adapters.keys import KeySet, init_keys, install_trusted_root, keys_folder, load_keys, trusted_root_file
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import (
    SetRun,
    damaged_members,
    prune_unlisted,
    publish_set,
    publish_summary,
)
from huracan.adapters.publishers.trees import Reader, signed_tree
from huracan.app.ledger_guard import compare
from huracan.app.mirrors import Mirrors, PushState
from huracan.domain.account import SetAccount
from huracan.domain.bundle import MANIFEST_FILE, MAX_MANIFEST, DoNotTrade, Manifest, SetMember, bundle_folder
from huracan.domain.ids import result_key
from huracan.domain.json import JsonObject
from huracan.domain.night_rows import ServedChampion, StoredMember
from huracan.domain.time import MINUTE_MS
from huracan.errors import BundleFormatError, BundleSignatureError, ConfigError
from huracan.export import BundleFiles
from huracan.export.trust import TrustedTree, read_signed
from huracan.hamilton.live import LiveInputs
from huracan.night.state import Night
from huracan.ports import Clock, Telemetry


class FolderRelease:
    """Implements `night.ports.ChampionStore` on a folder store with this user's keys.

    Keys are made, and the trusted root installed, at the first run that publishes; an existing trusted root is never
    overwritten. Every run says so while the root key lies here without a passphrase. `mirrors` are the remote copies,
    `ledger` is the one whose head every set names.
    """

    def __init__(
        self,
        store: FolderStore,
        clock: Clock,
        telemetry: Telemetry,
        environ: Mapping[str, str],
        *,
        mirrors: Mirrors | None = None,
        ledger: SqliteLedger | None = None,
    ) -> None:
        self.store = store
        self.mirrors = mirrors or Mirrors.none(store, clock, telemetry)
        self._clock = clock
        self._telemetry = telemetry
        self._environ = environ
        self._ledger = ledger
        self._folder, self._trusted = keys_folder(environ), trusted_root_file(environ)  # known before any work is done

    def begin(self) -> None:
        """Begin to ask the remote copies, beside the work.

        Raises ConfigError for one that cannot be opened, and where keys could not be made at the end.
        """
        self._check_places()
        if self.mirrors.targets:
            self.mirrors.begin_beside(self._keys(create=False))

    def await_copies(self) -> None:
        """End asking the remote copies: what is newer there is taken over, and one without an answer is given up."""
        self.mirrors.settle()

    def compare(self) -> None:
        """Raise LedgerBehindError unless the ledger holds the set that stands in the store now."""
        if self._ledger is not None:
            compare(self._ledger, self.store, self._keys(create=False))

    def mirror(self) -> dict[str, PushState]:
        """Bring the remote copies up to date; by store: its state. Never raises for a store that fails."""
        keys = self._keys(create=False) if self.mirrors.targets else None
        return self.mirrors.push(keys) if keys is not None else {}

    def current_champions(self) -> list[ServedChampion]:
        """Champions of the set readers see now."""
        tree = self._tree()
        if tree is None:
            return []
        members = [member for member in tree.current.members.values() if member.status == "champion"]
        return [_served(member, self._manifest(tree, member)) for member in members]

    def damaged(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Those champions of the current set whose files do not verify, with the reason."""
        tree = self._tree()
        return damaged_members(self.store, tree, pairs) if tree is not None else {}

    def publish(
        self,
        bundles: list[BundleFiles],
        night: Night,
        blocked: list[DoNotTrade],
        carried_over: list[tuple[str, str]],
        account: SetAccount,
    ) -> dict[str, StoredMember]:
        """Sign and store tonight's set; its members by result key."""
        keys = self._keys(create=True)
        assert keys is not None
        extras = {**live_extras(night), **account.as_extras()}
        if self._ledger is not None:
            self._ledger.enter_records(night.plan.end_day - 1)
        published = publish_set(
            self.store,
            keys,
            bundles,
            SetRun(
                run_id=night.run_id,
                data_cutoff_ms=night.plan.cutoff_ms,
                ledger=self._ledger.head() if self._ledger is not None else None,
                extras=extras,
            ),
            wall_clock_ms=self._clock.now_ms(),
            do_not_trade=blocked,
            keep=carried_over,
            reserved=self.mirrors.reserved,
        )
        prune_unlisted(self.store, keys)
        self._telemetry.event(
            "set_published", target="folder", version=published.version, members=len(published.members)
        )
        return {
            result_key(member.coin, member.horizon): StoredMember(
                version=member.version, path=str(self.store.root / member.path), action=member.action
            )
            for member in published.members.values()
        }

    def _tree(self) -> TrustedTree | None:
        keys = self._keys(create=False)
        return signed_tree(self.store, keys) if keys is not None else None

    def _manifest(self, tree: TrustedTree, member: SetMember) -> Manifest | str:
        """The signed manifest of a member, or why there is none."""
        path = f"{bundle_folder(member.coin, member.horizon, member.version)}/{MANIFEST_FILE}"
        try:
            return Manifest.from_bytes(read_signed(Reader(self.store), tree.files, path, MAX_MANIFEST))
        except (BundleSignatureError, BundleFormatError) as error:
            return f"its manifest in the store cannot be used: {error}"

    def summary(self, body: dict[str, Any]) -> str:
        """Store the daily summary beside the models; returns its path in the store."""
        return publish_summary(self.store, body, wall_clock_ms=self._clock.now_ms())

    def _check_places(self) -> None:
        """Keys and trusted root are there, or can be made at the end: else a whole night would be worked for
        nothing.
        """
        for what, there, folder, variable in (
            ("keys", any(self._folder.glob("*.json")), self._folder, "HURACAN_KEYS_DIR"),
            ("the trusted root", self._trusted.exists(), self._trusted.parent, "HURACAN_TRUSTED_ROOT"),
        ):
            if not there and not may_write(folder):
                raise ConfigError(
                    f"{what}: none yet, and this user may not write to {folder}. Give this user the folder, or set"
                    f" {variable} to a place it may write."
                )

    def _keys(self, *, create: bool) -> KeySet | None:
        folder = self._folder
        try:
            keys = load_keys(folder)
        except ConfigError:
            if not create or any(folder.glob("*.json")):
                if create:
                    raise
                return None
            keys = self._make_keys(folder)
        if create:
            self._trust(keys)
        if create and keys.root_protected is False:
            self._telemetry.event("root_key_unprotected", folder=str(folder))
        return keys

    def _make_keys(self, folder: Path) -> KeySet:
        passphrase = self._environ.get("HURACAN_ROOT_PASSPHRASE")
        keys = init_keys(folder, SecretStr(passphrase) if passphrase else None, wall_clock_ms=self._clock.now_ms())
        self._telemetry.event("keys_created", folder=str(folder), trusted_root=str(self._trusted))
        return keys

    def _trust(self, keys: KeySet) -> None:
        """Install the trusted root where there is none: a run killed right after it made keys never came to that."""
        if not self._trusted.exists():
            install_trusted_root(keys, self._trusted)


def live_extras(night: Night) -> JsonObject:
    """What the set says for live trading: how to make tonight's features from live bars, and the caps of the
    recipes.
    """
    plan, shared = night.plan, night.plan.recipes[0]
    return LiveInputs(
        context={coin: plan.member(coin).instrument.id for coin in night.context_coins},
        interval_ms=plan.interval_ms,
        decision_ms=shared.decision_interval_minutes * MINUTE_MS,
        latency_s=shared.execution_latency_s,
        net_cap_share=shared.sizing.net_cap_share,
        gross_cap_share=shared.sizing.gross_cap_share,
        daily_loss_stop=shared.sizing.daily_loss_stop,
    ).as_extras()


def _served(member: SetMember, manifest: Manifest | str) -> ServedChampion:
    """A champion of the current set; where its manifest cannot be read, `damage` says why and its measures are
    missing.
    """
    known = manifest if isinstance(manifest, Manifest) else None
    metrics = known.metrics if known else {}
    evidence = known.evidence if known else {}
    return ServedChampion(
        coin=member.coin,
        horizon=member.horizon,
        instrument=member.instrument,
        data_cutoff_ms=known.data_cutoff_ms if known else 0,
        recipe_id=known.recipe_id if known else "",
        pool=str(evidence.get("pool") or ""),
        lineage=str(evidence.get("lineage") or ""),
        damage="" if isinstance(manifest, Manifest) else manifest,
        regime=known.regime if known else None,
        edge_after_cost_bps=metrics.get("net_edge_bps"),
        confidence=metrics.get("confidence"),
        metrics=metrics,
        version=member.version,
        path=bundle_folder(member.coin, member.horizon, member.version),
    )
