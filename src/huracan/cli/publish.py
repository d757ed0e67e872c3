"""Commands that sign and copy: publish, champions rollback, keys rotate."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from huracan.cli.output import print_json

Account = dict[str, Any]


def publish(*, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Finish publishing; returns the exit status."""
    from huracan.operations.publish import publish_store

    account = _done(config, workdir, store, as_json, publish_store)
    text = "nothing was ever published here" if account["set"] is None else _set(account, "stands")
    return _tell(account, text, as_json=as_json)


def rollback(*, to: int | None, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Roll back; returns the exit status."""
    from huracan.operations.publish import rollback_store

    account = _done(
        config,
        workdir,
        store,
        as_json,
        lambda path, settings, log, **more: rollback_store(path, settings, log, to, **more),
    )
    return _tell(account, _set(account, f"is set {account['origin']} signed anew"), as_json=as_json)


def rotate(*, new_root: bool, config: Path | None, workdir: Path | None, store: str | None, as_json: bool) -> int:
    """Rotate the signing keys; returns the exit status."""
    from huracan.operations.publish import rotate_store_keys

    account = _done(
        config,
        workdir,
        store,
        as_json,
        lambda path, settings, log, **more: rotate_store_keys(path, settings, log, new_root=new_root, **more),
        may_be_new=True,
    )
    text = f"root version {account['root_version']} is in force; the keys before it sign nothing any more"
    if account["set"] is not None:
        text += f"\n{_set(account, 'is signed by the new keys')}"
    if account["root_protected"] is False:
        text += "\nthe root key is unprotected: set HURACAN_ROOT_PASSPHRASE, or move it away"
    return _tell(account, text, as_json=as_json)


def _done(
    config: Path | None,
    workdir: Path | None,
    store: str | None,
    as_json: bool,
    work: Callable[..., Account],
    *,
    may_be_new: bool = False,
) -> Account:
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
    count = len(account["members"])
    return f"set {account['set']} {words}: {count} model{'' if count == 1 else 's'} in {account['store']}"


def _tell(account: Account, text: str, *, as_json: bool) -> int:
    from huracan.app.mirrors import publish_exit

    states = account["publish_state"]
    status = publish_exit(states)
    if as_json:
        print_json({"success": status == 0, **account})
        return status
    from huracan.cli.tables import print_copies, terminal

    console = terminal()
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    print_copies(states, console)
    if not states:
        console.print("no remote store is configured (publish.urls)", markup=False)
    return status
