"""Where a user's own files lie: a folder that a variable names, else one below the home folder, if there is one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from huracan.errors import ConfigError

WORKDIR_VARIABLE: Final = "HURACAN_WORKDIR"
DEFAULT_WORKDIR: Final = "huracan-work"


def below_home(environ: Mapping[str, str], base: str, below: str, *, instead: str) -> Path:
    """The folder that the variable `base` names (as XDG_CACHE_HOME), else the folder `below` the home folder.

    Raises ConfigError where neither is there, as for a container's user without HOME and without a passwd entry. Its
    text names `base` and `instead`, the variable of ours that would do as well.
    """
    given = environ.get(base)
    if given:
        return Path(given)
    try:
        return Path.home() / below
    except RuntimeError as error:
        wanted = base if instead == base else f"{instead} or {base}"
        raise ConfigError(
            f"this user has no home folder: HOME is not set, and its user id has no passwd entry. Set {wanted}, or HOME,"
            " to a folder that this user may write."
        ) from error


def workdir_folder(given: str | Path | None, environ: Mapping[str, str]) -> Path:
    """Where lake, artefacts, ledger, store and reports live: as given, else HURACAN_WORKDIR, else ``./huracan-work``.

    Raises ConfigError where that begins at the current folder, and the current folder is gone.
    """
    try:
        return Path(given or environ.get(WORKDIR_VARIABLE) or DEFAULT_WORKDIR).absolute()
    except FileNotFoundError as error:
        raise ConfigError(
            "the current folder is gone, removed by another process; `cd` to one that is there"
        ) from error
