"""The ledger and its store belong together: compared before anything is evaluated or signed."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from huracan.adapters.keys import KeySet, keys_folder, load_keys
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.ledger_chain import Adoption, adoption_digest, behind
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.trees import existing_tree, signed_tree
from huracan.domain.bundle import ChampionSet
from huracan.errors import ConfigError
from huracan.ports import Telemetry

LEDGER_FILE = "ledger.sqlite"


def keys_here(environ: Mapping[str, str]) -> KeySet | None:
    """The signing keys of this user, None where there are none yet."""
    try:
        return load_keys(keys_folder(environ))
    except ConfigError:
        return None


def open_ledger(path: Path, store: FolderStore, keys: KeySet | None, telemetry: Telemetry) -> SqliteLedger:
    """The ledger of a store, made where neither has anything yet.

    Raises LedgerBehindError where the newest signed set names an entry that the ledger does not have; a ledger that is
    not there is not made then. Raises LedgerError where a chain does not hold. Logs where the set of an earlier
    version names no entry.
    """
    current = newest_set(store, keys)
    if current is not None and (not path.exists() or path.stat().st_size == 0):
        raise behind(str(path), "is empty" if path.exists() else "does not exist", current, str(store.root))
    ledger = SqliteLedger(path)
    try:
        if current is not None:
            ledger.ensure_holds(current, str(store.root))
            if current.ledger is None:
                telemetry.event("ledger_unnamed", set=current.version, signed_run=current.run_id)
        ledger.load_state()
    except BaseException:
        ledger.close()
        raise
    return ledger


def compare(ledger: SqliteLedger, store: FolderStore, keys: KeySet | None) -> None:
    """Raise LedgerBehindError unless an open ledger holds the set that stands now: one may have been taken over
    meanwhile.
    """
    current = newest_set(store, keys)
    if current is not None:
        ledger.ensure_holds(current, str(store.root))


def check_ledger(path: Path | None, store: FolderStore, keys: KeySet, telemetry: Telemetry) -> None:
    """`open_ledger` for what signs without evaluating; a store that no ledger lies beside (None) has nothing to
    compare.
    """
    if path is not None and newest_set(store, keys) is not None:
        open_ledger(path, store, keys, telemetry).close()


def beside(store: Path) -> Path | None:
    """The ledger beside a store's folder, None where there is none."""
    path = store.parent / LEDGER_FILE
    return path if path.exists() else None


def newest_set(store: FolderStore, keys: KeySet | None) -> ChampionSet | None:
    """The set that readers see now, verified; None without one, or without keys to verify it."""
    tree = signed_tree(store, keys) if keys is not None else None
    return tree.current if tree else None


def adopt_store(workdir: Path, note: str, environ: Mapping[str, str]) -> Adoption | None:
    """Let the ledger of a workdir go on with the set in its store, signed by the online key; None where it holds that
    set anyway.

    Raises PublishError without a signed set, LockedError while a run is under way.
    """
    keys = load_keys(keys_folder(environ))
    with FolderStore(workdir / "store") as store:
        current = existing_tree(store, keys).current
        with closing(SqliteLedger(workdir / LEDGER_FILE)) as ledger:
            if ledger.holds(current):
                return None
            signed = keys.online.sign(adoption_digest(current, note))
            day = ledger.load_state().evaluated_day or 0
            return ledger.adopt(current, note=note, day=day, signature=f"{signed.keyid}:{signed.signature}")
