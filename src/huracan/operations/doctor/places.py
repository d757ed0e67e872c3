"""Workdir and store: writable, local, free, sound, and not older than readers accept."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from huracan.adapters.dashboard import WorkdirReader, checked_access
from huracan.adapters.dashboard.access import TOKEN_VARIABLE
from huracan.adapters.keys import trusted_root_file
from huracan.adapters.ledger_chain import EVALUATED
from huracan.adapters.ledger_file import BRING_LAST
from huracan.adapters.locks import lock_holder
from huracan.adapters.publishers.folder import refuse_shared_folder
from huracan.adapters.publishers.remotes import publish_targets
from huracan.domain.time import HOUR_MS
from huracan.errors import ConfigError, LedgerError, PublishError
from huracan.operations.doctor.finding import Circumstances, Finding, doubtful, right, wrong
from huracan.reports.live_lines import span
from huracan.reports.progress import Progress

AREA: Final = "places"
STALE_HOURS: Final = 26


async def folders(here: Circumstances) -> list[Finding]:
    """Workdir and store can be written, and lie on a file system whose locks and renames hold."""
    found = []
    for what, folder in (("workdir", here.workdir), ("store", here.store)):
        at = _nearest(folder)
        if folder.exists() and not folder.is_dir():
            found.append(wrong(AREA, what, f"{folder} is no folder", "move it away, or give another --workdir"))
            continue
        try:
            refuse_shared_folder(at)
            with tempfile.NamedTemporaryFile(dir=at, prefix=".doctor-"):
                pass
        except ConfigError as error:
            found.append(wrong(AREA, what, error))
        except OSError as error:
            text = f"{at} cannot be written: {error.strerror}"
            found.append(wrong(AREA, what, text, "give this user the folder, or another --workdir"))
        else:
            new = "" if folder.exists() else " (made by the first night)"
            found.append(right(AREA, what, f"{folder}{new}"))
    return found


def _nearest(folder: Path) -> Path:
    return folder if folder.is_dir() else _nearest(folder.parent)


async def lock(here: Circumstances) -> list[Finding]:
    """Whether a run holds the store now."""
    try:
        holder = lock_holder(here.store)
    except OSError:
        return [
            doubtful(AREA, "lock", "this system does not tell who holds locks", "a second run is refused all the same")
        ]
    if holder is None:
        return [right(AREA, "lock", "free")]
    who = f"process {holder}" if holder else "a process elsewhere"
    return [doubtful(AREA, "lock", f"held by {who}", "a run is going on; a second one would be refused with LOCKED")]


async def ledger(here: Circumstances) -> list[Finding]:
    """The ledger can be read and is not damaged."""
    path = here.workdir / "ledger.sqlite"
    if not path.exists():
        return [right(AREA, "ledger", "none yet")]
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            nights = connection.execute(
                "SELECT count(*) FROM nights WHERE json_extract(entries, ?)", (f"$.{EVALUATED}",)
            ).fetchone()[0]
    except sqlite3.DatabaseError as error:
        sound, nights = str(error), 0
    if sound != "ok":
        return [wrong(AREA, "ledger", LedgerError(f"{path} is damaged ({sound})"), BRING_LAST)]
    if path.stat().st_mode & 0o022:
        return [wrong(AREA, "ledger", LedgerError(f"{path} can be written by others"), f"chmod 600 {path}")]
    return [right(AREA, "ledger", f"sound, {nights} night{'' if nights == 1 else 's'} evaluated")]


async def published(here: Circumstances) -> list[Finding]:
    """What the store serves, and how old its signatures are."""
    state = WorkdirReader(here.workdir, here.store, trusted_root_file(here.environ)).store_state()
    if state.problem is not None:
        return [wrong(AREA, "signed set", PublishError(state.problem), "Hamilton would refuse it too")]
    if state.version is None or state.signed_ms is None or state.expires_ms is None:
        return [right(AREA, "signed set", "none yet")]
    age = here.now_ms - state.signed_ms
    seen = f"set {state.version}, {state.champions} champions, signed {span(age)} ago"
    if here.now_ms > state.expires_ms:
        return [doubtful(AREA, "signed set", f"{seen}; expired", "Hamilton takes no new entries; run a night")]
    if age > STALE_HOURS * HOUR_MS:
        return [
            doubtful(AREA, "signed set", f"{seen}; stale", "Hamilton flags it; look why last night did not publish")
        ]
    return [right(AREA, "signed set", seen)]


async def interrupted(here: Circumstances) -> list[Finding]:
    """How the last night ended."""
    view = WorkdirReader(here.workdir, here.store, trusted_root_file(here.environ)).view()
    progress = view.progress or Progress()
    run = progress.run_id or "the last night"
    if view.state == "interrupted":
        return [doubtful(AREA, "last night", f"{run} was interrupted", "`huracan run` goes on where it stopped")]
    if view.state in {"refused", "failed"}:
        seen = f"{view.state} with {progress.code}: {str(progress.error)[:200]}"
        return [doubtful(AREA, "last night", seen, "see to it, then `huracan run`")]
    return [
        right(
            AREA, "last night", {"none": "none yet", "running": f"{run} is running"}.get(view.state, f"{run} finished")
        )
    ]


async def dashboard(here: Circumstances) -> list[Finding]:
    """The live page would not be open to the network."""
    section, token = here.settings.dashboard, here.environ.get(TOKEN_VARIABLE)
    try:
        checked_access(
            host=section.host,
            port=section.port,
            token=SecretStr(token) if token else None,
            tls_cert=section.tls_cert,
            tls_key=section.tls_key,
            allowed_hosts=section.allowed_hosts,
        )
    except ConfigError as error:
        return [wrong("network", "dashboard", error)]
    return [right("network", "dashboard", f"{section.host} port {section.port}")]


async def remote_stores(here: Circumstances) -> list[Finding]:
    """Write, read and remove a test file in every remote store that a run would publish to."""
    found = []
    for url in publish_targets(here.settings):
        try:
            with closing(here.open_remote(url, here.settings, here.environ)) as store:
                store.preflight()
        except (PublishError, ConfigError) as error:
            found.append(wrong("network", url, error))
        else:
            found.append(right("network", url, "a test file was written, read and removed"))
    return found
