"""Which workdir and which store a command is about: one rule for all, and what to type where there is none.

A workdir is what ``--workdir`` names, else HURACAN_WORKDIR, else ``./huracan-work``. The store is what ``--store``
names, else that of ``--workdir``, else HURACAN_HAMILTON__MODEL_BASE_PATH, else that of the workdir.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huracan.domain.homes import WORKDIR_VARIABLE, workdir_folder
from huracan.errors import ConfigError

STORE_VARIABLE: Final = "HURACAN_HAMILTON__MODEL_BASE_PATH"
MOST_TOLD: Final = 5
"""Workdirs that a message names."""
LONGEST_CAUSE: Final = 300
"""Letters of an earlier night's error that a message repeats."""

_SIGNS: Final = ("ledger.sqlite", "summaries", "store/metadata", "lake", "progress.json")
"""What a workdir holds; one of them is enough."""
_OF_A_PLACE: Final = ("--workdir", "--store")


class NoWorkdirError(ConfigError):
    """Nothing of what a command wants is there; `nearby` are folders that are workdirs."""

    def __init__(self, message: str, nearby: Sequence[Path]) -> None:
        super().__init__(message)
        self.nearby = tuple(nearby)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A store's root, and whether the user named it or it is only where stores usually lie."""

    path: Path
    named: bool


def workdir_of(given: Path | str | None) -> Path:
    """The workdir of a command."""
    return workdir_folder(given, os.environ)


def store_of(store: str | Path | None, workdir: Path | None) -> StorePlace:
    """The folder store of a command that looks into one; NoWorkdirError where nothing was published there."""
    named = store or (workdir and workdir / "store") or os.environ.get(STORE_VARIABLE)
    place = StorePlace(
        path=Path(named) if named else workdir_of(None) / "store",
        named=bool(named or os.environ.get(WORKDIR_VARIABLE)),
    )
    if (place.path / "metadata").is_dir():
        return place
    inside = place.path / "store"
    if (inside / "metadata").is_dir():
        raise ConfigError(f"{place.path} is a workdir, no store: give --workdir {place.path}, or --store {inside}")
    beside = place.path.parent if place.path.name == "store" else None
    raise no_workdir(f"{short(place.path)} holds no metadata/ folder, so nothing was published there", beside)


def no_workdir(seen: str, looked_into: Path | None = None) -> NoWorkdirError:
    """The error of a command that found nothing: what it saw, and the workdirs that are near, without the one it looked
    into.
    """
    own = None if looked_into is None else looked_into.absolute()
    near = [one for one in workdirs_near(Path.cwd()) if one.absolute() != own]
    refused = "" if own is None else _refusal(own)
    if not near:
        advice = (
            "run a night first (`huracan run`, or `huracan demo` for a simulated one), or name the workdir by --workdir or"
            f" {WORKDIR_VARIABLE}; no {'other ' if own is not None and is_workdir(own) else ''}folder here is one"
        )
        return NoWorkdirError(f"{seen}{refused}, then run again" if refused else f"{seen}; {advice}", near)
    named = ", ".join(map(short, near[:MOST_TOLD])) + (
        f" and {len(near) - MOST_TOLD} more" if len(near) > MOST_TOLD else ""
    )
    return NoWorkdirError(f"{seen}{refused}; run a night first, or use a workdir that is here: {named}", near)


def _refusal(workdir: Path) -> str:
    """That the newest night of a workdir was refused, and where to read why; nothing where it was not."""
    try:
        progress = json.loads((workdir / "progress.json").read_bytes())
        state, code, error = (str(progress[name]) for name in ("state", "code", "error"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    if state not in {"refused", "failed"}:
        return ""
    place = "" if workdir == workdir_of(None).absolute() else f" --workdir {shlex.quote(short(workdir))}"
    page = any((workdir / "reports").glob("*/index.html"))
    why = f"see `huracan report{place}`" if page else f"it said: {error[:LONGEST_CAUSE]}"
    return f": the newest night here was {state} with {code}; {why}"


def workdirs_near(folder: Path) -> list[Path]:
    """Workdirs among a folder, the folders in it, and the folders in those; the newest first."""
    found = [one for one in (folder, *_folders(folder)) if is_workdir(one)]
    found += [inner for one in _folders(folder) if one not in found for inner in _folders(one) if is_workdir(inner)]
    return sorted(found, key=lambda one: (-one.stat().st_mtime, str(one)))


def is_workdir(folder: Path) -> bool:
    """Whether a night has left something there."""
    try:
        return any((folder / sign).exists() for sign in _SIGNS)
    except OSError:
        return False


def typed_again(error: NoWorkdirError, given: Sequence[str]) -> str:
    """The command line that was typed, with the newest workdir that is near; empty where there is none."""
    if not error.nearby:
        return ""
    words, skip = [], False
    for word in given:
        if not skip and not word.startswith(tuple(f"{name}=" for name in _OF_A_PLACE)) and word not in _OF_A_PLACE:
            words.append(word)
        skip = word in _OF_A_PLACE
    command = f"{program()} {shlex.join([*words, '--workdir', short(error.nearby[0])])}"
    export = f"export {WORKDIR_VARIABLE}={shlex.quote(str(error.nearby[0]))}"
    return f"\n  {command}\nor, for all commands of this shell:\n  {export}"


def program() -> str:
    """`huracan` where a shell finds this very one, else its whole path."""
    here = Path(sys.executable).with_name("huracan")
    found = shutil.which("huracan")
    if found is not None and Path(found).absolute() == here.absolute():
        return "huracan"
    return shlex.quote(str(here)) if here.exists() else f"{shlex.quote(sys.executable)} -m huracan.cli.main"


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []


def short(folder: Path) -> str:
    """A folder as it is typed from here."""
    try:
        return str(folder.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(folder)
