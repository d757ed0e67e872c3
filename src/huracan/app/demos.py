"""What marks a workdir as a demo's, and when a command may believe the keys that the demo made for it.

A demo signs with keys of its own, so its store is refused everywhere: by Hamilton, by bots, by a night. A command that
looks into it on this user's behalf may believe the root beside it, under all of these conditions. The user named that
folder. Mark and root lie outside the store, belong to this user, and no other user can replace them.
HURACAN_TRUSTED_ROOT is not set, as it is on a trading host. This user has never read that store under a root of their
own. Whoever can write the store alone can therefore not be believed, and whoever can write as this user
owns the trust anyway.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huracan.domain.ids import canonical_json
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, ConfigError
from huracan.export.private import open_parent
from huracan.export.trust import Seen, online_keys
from huracan.hamilton.state import StoreState, state_home

REGULAR_COINS: Final = 16
"""Of a demo's world, beside the odd ones."""
MARK_FILE: Final = "demo.json"
ROOT_FILE: Final = "trust/root.json"
MARK_FORMAT: Final = 1
LARGEST_MARK: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMark:
    """A demo's workdir. `now_ms` is the end of its simulated time (ms UTC), None until its night is finished."""

    workdir: Path
    world: str
    now_ms: int | None = None

    @property
    def root_file(self) -> Path:
        """The root of the demo's keys."""
        return self.workdir / ROOT_FILE

    @property
    def state_folder(self) -> Path:
        """Where commands that look at the demo remember what they saw, apart from the user's own memory."""
        return self.workdir / "state" / "commands"

    @property
    def variables(self) -> dict[str, str]:
        """Keys, trust and state of the demo, as the environment names them."""
        return {
            "HURACAN_KEYS_DIR": str(self.workdir / "keys"),
            "HURACAN_TRUSTED_ROOT": str(self.root_file),
            "HURACAN_STATE_DIR": str(self.workdir / "state"),
        }


def write_mark(mark: DemoMark) -> None:
    """Mark a workdir as a demo's."""
    body = {"format": MARK_FORMAT, "world": mark.world, "now_ms": mark.now_ms}
    beside = mark.workdir / f".{MARK_FILE}"
    beside.write_bytes(canonical_json(body))
    beside.chmod(0o600)
    beside.replace(mark.workdir / MARK_FILE)


def read_mark(workdir: Path) -> DemoMark | None:
    """The mark of a workdir, None where there is none that can be read."""
    file = workdir / MARK_FILE
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return None
        with file.open("rb") as stream:
            body: Any = strict_json(stream.read(LARGEST_MARK + 1), LARGEST_MARK, what=MARK_FILE)
    except (OSError, BundleFormatError):
        return None
    if not isinstance(body, dict) or body.get("format") != MARK_FORMAT:
        return None
    now_ms = body.get("now_ms")
    return DemoMark(workdir=workdir, world=str(body.get("world")), now_ms=now_ms if type(now_ms) is int else None)


def refusal_of_mark(mark: DemoMark, *, named: bool, environ: Mapping[str, str]) -> str | None:
    """Why the demo's own keys are not believed here, None where they are."""
    if not named:
        return "it is believed only where you name it, by --workdir, --store or HURACAN_WORKDIR"
    if environ.get("HURACAN_TRUSTED_ROOT"):
        return "HURACAN_TRUSTED_ROOT is set, and nothing else is believed then"
    for file in (mark.workdir / MARK_FILE, mark.root_file):
        if not _of_this_user(file):
            return f"{file} is not a file of yours that you alone can write"
    if _seen_under_other_keys(mark, environ):
        return "you have read this store under a trusted root of your own before, so its keys were exchanged"
    return None


def refuse_demo(workdir: Path, what: str) -> None:
    """Raises ConfigError where a workdir is a demo's: `what` belongs to a real market."""
    if read_mark(workdir) is not None:
        raise ConfigError(
            f"{workdir} is the workdir of a demo, on a simulated market with keys of its own; {what} there is refused."
            " Name another --workdir, or unset HURACAN_WORKDIR"
        )


def _of_this_user(file: Path) -> bool:
    try:
        status = file.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or open_parent(file) is not None:
        return False
    return os.name != "posix" or (
        status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _seen_under_other_keys(mark: DemoMark, environ: Mapping[str, str]) -> bool:
    try:
        home = state_home(environ)
    except ConfigError:
        return False  # a user without any place for state has never read a store
    store = mark.workdir / "store"
    seen = StoreState(home, str(store.resolve()), str(store.absolute())).seen()
    return seen != Seen() and seen.online_keys != online_keys(mark.root_file.read_bytes())
