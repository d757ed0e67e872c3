"""What a check looks at, and what it says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huracan.adapters.publishers.remotes import open_remote
from huracan.errors import ConfigError, HuracanError
from huracan.ports import RemoteStore
from huracan.settings import Settings

State = Literal["right", "doubtful", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was looked at, what was seen, what to do; `code` and `exit_status` of a wrong one are an
    error's.
    """

    area: str
    what: str
    state: State
    seen: str
    advice: str = ""
    code: str = ""
    exit_status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What all checks share. `now_ms` is the system clock; `open_remote` opens a store that a run would publish to."""

    settings: Settings
    workdir: Path
    environ: Mapping[str, str]
    now_ms: int
    open_remote: Callable[[str, Settings, Mapping[str, str]], RemoteStore] = open_remote

    @property
    def store(self) -> Path:
        """The folder store of the workdir."""
        return self.workdir / "store"


Check = Callable[[Circumstances], Awaitable[list[Finding]]]


def right(area: str, what: str, seen: str) -> Finding:
    """Nothing to do."""
    return Finding(area=area, what=what, state="right", seen=seen)


def doubtful(area: str, what: str, seen: str, advice: str) -> Finding:
    """A night runs all the same."""
    return Finding(area=area, what=what, state="doubtful", seen=seen, advice=advice)


def wrong(area: str, what: str, error: HuracanError | str, advice: str = "") -> Finding:
    """A night would be refused, with the code and exit status of this error (a text is a ConfigError)."""
    error = ConfigError(error) if isinstance(error, str) else error
    return Finding(
        area=area,
        what=what,
        state="wrong",
        seen=str(error),
        advice=advice,
        code=error.code,
        exit_status=error.exit_status,
    )
