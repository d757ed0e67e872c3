"""Commands that sign and copy: publish, champions rollback, keys rotate."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from huracan.cli.output import print_json
from huracan.cli.run_result import CopyStates, copies_exit
from huracan.reports.reading import record_of

Body = Mapping[str, object]
"""What signing or copying returns, as `--json` prints it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is served after signing or copying: the set (None: none yet), the set that it stands for, and its copies."""

    store: str
    set: int | None = None
    origin: int | None = None
    members: Mapping[str, int] = field(default_factory=dict)
    publish_state: CopyStates = field(default_factory=dict)
    root_version: int | None = None
    root_protected: bool | None = None


def account_of(body: Body) -> Account:
    """The record of what signing or copying returned."""
    return record_of(TypeAdapter(Account), body)


def publish(*, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Finish publishing; returns the exit status."""
    from huracan.operations.publish import publish_store

    body = _done(config, workdir, store, as_json, publish_store)
    account = account_of(body)
    text = "nothing was ever published here" if account.set is None else _set(account, "stands")
    return _print(body, account, text, as_json=as_json)


def rollback(*, to: int | None, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Roll back; returns the exit status."""
    from huracan.operations.publish import rollback_store

    body = _done(
        config,
        workdir,
        store,
        as_json,
        lambda path, settings, log, **more: rollback_store(path, settings, log, to, **more),
    )
    account = account_of(body)
    return _print(body, account, _set(account, f"is set {account.origin} signed anew"), as_json=as_json)


def rotate(*, new_root: bool, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Rotate the signing keys; returns the exit status."""
    from huracan.operations.publish import rotate_store_keys

    body = _done(
        config,
        workdir,
        store,
        as_json,
        lambda path, settings, log, **more: rotate_store_keys(path, settings, log, new_root=new_root, **more),
        may_be_new=True,
    )
    account = account_of(body)
    text = f"root version {account.root_version} is in force; the keys before it sign nothing any more"
    if account.set is not None:
        text += f"\n{_set(account, 'is signed by the new keys')}"
    if account.root_protected is False:
        text += "\nthe root key is unprotected: set HURACAN_ROOT_PASSPHRASE, or move it away"
    return _print(body, account, text, as_json=as_json)


def _done(
    config: Path | None,
    workdir: Path | None,
    store: str | None,
    as_json: bool,
    work: Callable[..., Body],
    *,
    may_be_new: bool = False,
) -> Body:
    from huracan.adapters.publishers.remotes import publish_targets
    from huracan.adapters.telemetry import StructlogTelemetry
    from huracan.app.demos import refuse_demo
    from huracan.app.ledger_guard import LEDGER_FILE
    from huracan.cli.places import is_workdir, no_workdir, short, workdir_of
    from huracan.errors import ConfigError
    from huracan.settings import load_settings

    if store is not None and ("://" in store or store.startswith("dropbox:")):
        raise ConfigError(
            f"--store {store}: signing happens in a folder store; give its path (or an empty folder, which takes over the"
            " set of the stores in publish.urls)"
        )
    settings = load_settings(config, (), os.environ)
    home = workdir_of(workdir)
    if store is None:
        refuse_demo(home, "signing and publishing")
    path, ledger = (Path(store), None) if store else (home / "store", home / LEDGER_FILE)
    if store is None and not may_be_new and not is_workdir(home) and not publish_targets(settings):
        raise no_workdir(f"{short(home)} holds no store, and publish.urls names no other")
    with closing(
        StructlogTelemetry(as_json=as_json or None, progress=False, level="error" if not as_json else "info")
    ) as log:
        return work(path, settings, log, ledger=ledger)


def _set(account: Account, words: str) -> str:
    count = len(account.members)
    return f"set {account.set} {words}: {count} model{'' if count == 1 else 's'} in {account.store}"


def _print(body: Body, account: Account, text: str, *, as_json: bool) -> int:
    status = copies_exit(account.publish_state)
    if as_json:
        print_json({"success": status == 0, **body})
        return status
    from huracan.cli.cards import terminal
    from huracan.cli.tables import print_copies

    console = terminal()
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    print_copies(account.publish_state, console)
    if not account.publish_state:
        console.print("no remote store is configured (publish.urls)", markup=False)
    return status
