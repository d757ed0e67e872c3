"""Serves one verified champion set at a time, and switches to the next only when that verifies too."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from huracan.domain.account import SetAccount, set_faults
from huracan.domain.bundle import MANIFEST_FILE, ChampionSet, bundle_folder
from huracan.domain.coin_names import CoinNames, did_you_mean
from huracan.domain.ids import result_key
from huracan.errors import BundleFormatError, BundleSignatureError, ForeignKeysError, ModelLoadError
from huracan.export.trust import Seen, TrustedTree, claimed_signers, verify_tree
from huracan.hamilton.forks import renew_in_children
from huracan.hamilton.log import log
from huracan.hamilton.state import StoreState
from huracan.hamilton.verify import Champion, read_champion, read_report, read_trusted_root, trusted_root_place

if TYPE_CHECKING:
    from huracan.ports import BundleSource

RETRY_S: Final = 5.0
"""How long a refused set is left alone while its pointer does not move."""

Loaded = dict[tuple[str, str, int], Champion]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSet:
    """One verified set. Champions are added to `loaded` when first asked for; nothing else ever changes."""

    token: object
    tree: TrustedTree
    names: CoinNames
    loaded: Loaded = field(repr=False)


class HamiltonModelLoader:
    """Loads champions of the current set and follows the pointer; safe to share between threads.

    A set that does not verify, or whose champions in use do not load, is refused: the last good set goes on
    serving, and `problem` says why.
    """

    def __init__(
        self,
        source: "BundleSource",
        state: StoreState,
        *,
        trusted_root: str | Path | None = None,
        store: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._state = state
        self._trusted_root = trusted_root
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._served: ServedSet | None = None
        self._refused: tuple[object, float] | None = None
        self.problem: ModelLoadError | None = None
        renew_in_children(self)

    def after_fork(self) -> None:
        """A lock of this process's own."""
        self._lock = threading.Lock()

    def current(self) -> ServedSet:
        """The set to serve now; raises ModelLoadError only when none was ever verified."""
        served, token = self._served, self._source.version()
        if served is not None and (served.token == token or token is None or self._recently_refused(token)):
            return served
        if not self._lock.acquire(blocking=served is None):
            assert served is not None
            return served  # another thread is switching; this call stays on the set it knows
        try:
            return self._switch(token)
        finally:
            self._lock.release()

    def published(self) -> bool:
        """Whether anything is, or was, there to be loaded."""
        return self._served is not None or self._source.version() is not None

    def champion(self, served: ServedSet, coin: str, horizon: str, version: int | None = None) -> Champion:
        """A champion of a set by canonical coin; without a version the member of the set, else any listed version."""
        member = served.tree.current.members.get(result_key(coin, horizon))
        if version is None:
            if member is None:
                raise ModelLoadError(self._absent(served, coin, horizon))
            version = member.version
        if f"{bundle_folder(coin, horizon, version)}/{MANIFEST_FILE}" not in served.tree.files:
            raise ModelLoadError(f"{coin} {horizon}: version {version} is not among the signed ones")
        key = (coin, horizon, version)
        found = served.loaded.get(key)
        if found is None:
            with self._lock:
                found = served.loaded.get(key) or read_champion(self._source, served.tree, *key)
                check_recipe(served.tree.current, found)
                served.loaded[key] = found
        return found

    def report(self, champion: Champion, name: str) -> Any:
        """A JSON file of a champion's bundle as it was signed."""
        return read_report(self._source, champion, name)

    def _switch(self, token: object) -> ServedSet:
        served = self._served
        if served is not None and served.token == token:
            return served
        try:
            fresh = self._verified(token, served)
        except ModelLoadError as error:
            if served is None:
                raise
            self._refused, self.problem = (token, self._monotonic() + RETRY_S), error
            log.warning("champion_set_refused", code=error.code, error=str(error), serving="the last good set")
            return served
        self._served, self._refused, self.problem = fresh, None, None
        return fresh

    def _verified(self, token: object, before: ServedSet | None) -> ServedSet:
        root = self._root()
        seen = self._state.seen()
        try:
            tree = verify_tree(self._source.read, root, seen)
        except ForeignKeysError as error:
            raise ForeignKeysError(self._foreign(error)) from error
        if tree is None:
            raise ModelLoadError(
                f"{self._store or 'the store'} holds no published champions (no metadata/timestamp.json); is it the"
                " folder that holds models/ and metadata/, and did a run end there?"
            )
        if seen == Seen() and (elsewhere := self._state.seen_elsewhere(tree.identity)) != Seen():
            verify_tree(
                self._source.read, root, elsewhere
            )  # a store that was moved or copied goes on from its newest set
        if faults := set_faults(tree.current):
            raise BundleFormatError(
                f"set {tree.current.version} of run {tree.current.run_id} is not complete: {'; '.join(faults[:5])}. Run a"
                " night again, or go back to an earlier set with `huracan champions rollback`"
            )
        members = tree.current.members.values()
        names = CoinNames(
            {member.coin: member.instrument for member in members}, (block.coin for block in tree.current.do_not_trade)
        )
        fresh = ServedSet(token=token, tree=tree, names=names, loaded=self._carried(tree, before))
        self._state.remember(tree.seen, tree.identity)
        return fresh

    def _carried(self, tree: TrustedTree, before: ServedSet | None) -> Loaded:
        """Champions in use, in their versions of the new set; unchanged bundles are not read again."""
        loaded: Loaded = {}
        for (coin, horizon, version), champion in list(before.loaded.items()) if before else []:
            digest, _ = tree.files.get(f"{bundle_folder(coin, horizon, version)}/{MANIFEST_FILE}", ("", 0))
            if digest and digest != champion.digest:
                raise BundleSignatureError(f"{coin} {horizon} v{version} was signed with other content before")
            if digest:
                loaded[coin, horizon, version] = champion
            member = tree.current.members.get(result_key(coin, horizon))
            if member is not None and (coin, horizon, member.version) not in loaded:
                key = (coin, horizon, member.version)
                loaded[key] = read_champion(self._source, tree, *key)
        for champion in loaded.values():
            check_recipe(tree.current, champion)
        return loaded

    def _recently_refused(self, token: object) -> bool:
        refused = self._refused
        return refused is not None and refused[0] == token and self._monotonic() < refused[1]

    def _root(self) -> bytes:
        try:
            return read_trusted_root(self._trusted_root, self._store)
        except ModelLoadError as error:
            signers = claimed_signers(self._source.read)
            if not signers and self._store is not None and not (self._store / "metadata").is_dir():
                raise ModelLoadError(
                    f"there is no store at {self._store}: wanted a folder with models/ and metadata/, as a night makes it."
                    f" Name it by model_base_path=, such as huracan-work/store. Besides, {error}"
                ) from error
            if not signers:
                raise
            raise ModelLoadError(f"{error} The store says that it is signed by {signers}.") from error

    def _foreign(self, error: ForeignKeysError) -> str:
        """Whose key is missing, where it was looked for, and how to trust it on purpose."""
        file, how = trusted_root_place(self._trusted_root)
        return (
            f"{self._store or 'the store'}: {error}. The trusted root is {file} ({how}). Either this is not the store you"
            " mean, or the root of the host that signs it is not installed here. To trust that host on purpose, copy its"
            " root.json (`huracan doctor` there says where it is) by a way of its own, never out of the store, and name"
            " the copy by trusted_root= or HURACAN_TRUSTED_ROOT"
        )

    @staticmethod
    def _absent(served: ServedSet, coin: str, horizon: str) -> str:
        current = served.tree.current
        reasons = [f"{block.code}: {block.reason}" for block in current.do_not_trade if block.coin == coin]
        others = sorted(member.horizon for member in current.members.values() if member.coin == coin)
        if coin not in served.names.coins:
            return f"set {current.version} of run {current.run_id} knows no coin {coin!r}; {did_you_mean(coin, served.names)}"
        return (
            f"{coin} {horizon} has no champion in set {current.version} of run {current.run_id}"
            f" ({'; '.join(reasons) or 'no reason recorded'}; horizons with one: {', '.join(others) or 'none'})"
        )


def check_recipe(current: ChampionSet, champion: Champion) -> None:
    """Raises BundleFormatError for a champion of the set whose recipe is not the one that the set's verdict names."""
    member = current.members.get(result_key(champion.coin, champion.horizon))
    if member is None or member.status != "champion" or member.version != champion.version:
        return
    account = SetAccount.from_extras(current.extras)
    named = account.recipe_of(member.coin, member.horizon) if account is not None else None
    if named is not None and named != champion.manifest.recipe_id:
        raise BundleFormatError(
            f"{member.coin} {member.horizon} v{member.version} is of recipe {champion.manifest.recipe_id}, and the verdict"
            f" of set {current.version} names {named}"
        )
