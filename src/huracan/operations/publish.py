"""What is done to a signed store outside a night: finish its publication, roll it back, rotate its keys."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from pydantic import SecretStr

from huracan.adapters.keys import KeySet, keys_folder, load_keys, rotate_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import prune_unlisted, resign_set, rollback_set
from huracan.adapters.publishers.trees import signed_tree
from huracan.app.ledger_guard import beside, check_ledger
from huracan.app.mirrors import Mirrors, PushState
from huracan.app.wiring import SystemClock
from huracan.errors import ConfigError
from huracan.export.trust import TrustedTree
from huracan.ports import Telemetry
from huracan.settings import Settings


class StoreAccount(TypedDict):
    """What a store holds and which remote copies took it, as the commands print it; None where nothing is published."""

    store: str
    set: int | None
    origin: int | None
    members: dict[str, int]
    publish_state: dict[str, PushState]
    root_version: NotRequired[int]
    root_protected: NotRequired[bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A locked store with its keys, its remote copies fenced."""

    store: FolderStore
    keys: KeySet
    mirrors: Mirrors
    now_ms: int

    def tree(self) -> TrustedTree | None:
        return signed_tree(self.store, self.keys)


def publish_store(
    path: Path,
    settings: Settings,
    telemetry: Telemetry,
    environ: Mapping[str, str] = os.environ,
    *,
    ledger: Path | None = None,
) -> StoreAccount:
    """Finish what is pending: every remote gets the store's current set. Nothing pending is no error.

    A set signed before the newest root is signed anew first. Returns the account that the command prints. The store is
    compared with `ledger`, else with the one beside it where there is one; raises LedgerBehindError.
    """
    with _opened(path, settings, telemetry, environ, ledger=ledger) as opened:
        if opened.tree() is None:
            return _account(opened, None)
        if opened.store.read(f"metadata/{len(opened.keys.roots)}.root.json") is None:
            resign_set(opened.store, opened.keys, wall_clock_ms=opened.now_ms, reserved=opened.mirrors.reserved)
        return _pushed(opened)


def rollback_store(
    path: Path,
    settings: Settings,
    telemetry: Telemetry,
    to: int | None,
    environ: Mapping[str, str] = os.environ,
    *,
    ledger: Path | None = None,
) -> StoreAccount:
    """Sign an earlier set (`to`, else the newest that differs) as a new one, here and at every remote."""
    with _opened(path, settings, telemetry, environ, ledger=ledger) as opened:
        opened.mirrors.restore(opened.keys, to)
        rollback_set(opened.store, opened.keys, wall_clock_ms=opened.now_ms, to=to, reserved=opened.mirrors.reserved)
        return _pushed(opened)


def rotate_store_keys(
    path: Path,
    settings: Settings,
    telemetry: Telemetry,
    *,
    new_root: bool,
    environ: Mapping[str, str] = os.environ,
    ledger: Path | None = None,
) -> StoreAccount:
    """Replace the online key (with `new_root` the root key as well), and sign the store and its copies anew.

    Raises ConfigError when the root key is not here or HURACAN_ROOT_PASSPHRASE does not open it; nothing has changed
    then.
    """
    passphrase = environ.get("HURACAN_ROOT_PASSPHRASE")

    def rotated(folder: Path, now_ms: int) -> KeySet:
        return rotate_keys(
            folder, SecretStr(passphrase) if passphrase else None, wall_clock_ms=now_ms, new_root=new_root
        )

    with _opened(path, settings, telemetry, environ, then=rotated, ledger=ledger) as opened:
        empty = opened.tree() is None
        if not empty:
            resign_set(opened.store, opened.keys, wall_clock_ms=opened.now_ms, reserved=opened.mirrors.reserved)
        account = _account(opened, None) if empty else _pushed(opened)
        account["root_version"] = len(opened.keys.roots)
        account["root_protected"] = opened.keys.root_protected
        return account


@contextmanager
def _opened(
    path: Path,
    settings: Settings,
    telemetry: Telemetry,
    environ: Mapping[str, str],
    then: Callable[[Path, int], KeySet] | None = None,
    *,
    ledger: Path | None = None,
) -> Iterator[_Opened]:
    """The store locked and its copies fenced with the keys there are; `then` may replace the keys after that."""
    clock = SystemClock()
    folder = keys_folder(environ)
    keys = load_keys(folder)
    mirrors = Mirrors.of(settings, FolderStore(path), clock, telemetry, environ)
    if not (path / "metadata").is_dir() and not mirrors.targets and then is None:
        raise ConfigError(f"{path} holds no metadata/ folder; give the store's root with --store (a run prints it)")
    with mirrors.store as store:
        try:
            check_ledger(ledger or beside(path), store, keys, telemetry)
            mirrors.begin(keys)
            check_ledger(ledger or beside(path), store, keys, telemetry)  # of what was taken over
            if then is not None:
                keys = then(folder, clock.now_ms())
            yield _Opened(store=store, keys=keys, mirrors=mirrors, now_ms=clock.now_ms())
        finally:
            mirrors.close()


def _pushed(opened: _Opened) -> StoreAccount:
    prune_unlisted(opened.store, opened.keys)
    states = opened.mirrors.push(opened.keys)
    opened.mirrors.push_summaries()
    return {**_account(opened, opened.tree()), "publish_state": states}


def _account(opened: _Opened, tree: TrustedTree | None) -> StoreAccount:
    members = tree.current.members if tree else {}
    return {
        "store": str(opened.store.root),
        "set": tree.current.version if tree else None,
        "origin": tree.current.origin if tree else None,
        "members": {key: member.version for key, member in sorted(members.items())},
        "publish_state": {},
    }
