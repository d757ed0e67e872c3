"""The newest time that this host has seen: a clock that was set back would make old sets and old data look fresh."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from huracan.domain.time import MINUTE_MS, iso
from huracan.errors import ModelLoadError
from huracan.hamilton.forks import renew_in_children
from huracan.hamilton.log import log
from huracan.hamilton.state import StoreState

if TYPE_CHECKING:
    from huracan.domain.bundle import ChampionSet

TOLERANCE_MS: Final = 5 * MINUTE_MS
"""How far a clock may go back: corrections of a running clock are far smaller."""
KEEP_EVERY_MS: Final = MINUTE_MS
VALID_MS: Final = 48 * 60 * MINUTE_MS
"""How long after their cut-off the data of a champion are good for new entries."""


class SeenClock:
    """Reads a clock and knows the newest time it ever showed, also before a restart. Safe to share between threads.

    What is seen is kept with the store's versions once a minute, so a restart forgets a minute at most, well within the
    tolerance. While a set is served the time of its signing counts as seen, too, unless it is a replay of the past,
    signed after its data ran out.
    """

    def __init__(self, state: StoreState, now_ms: Callable[[], int]) -> None:
        self._state = state
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._kept: int | None = None
        self._newest = 0
        self._signed = 0
        renew_in_children(self)

    def after_fork(self) -> None:
        """A lock of this process's own."""
        self._lock = threading.Lock()

    def read(self) -> int:
        """Now, ms UTC."""
        now = self._now_ms()
        self._newest = max(self._newest, now)
        return now

    def is_behind(self, now: int) -> bool:
        """Whether this time lies more than the tolerance before one that was seen."""
        return now < self._newest - TOLERANCE_MS or now < self._signed - TOLERANCE_MS

    def reason(self, now: int) -> str:
        """Why a clock that is behind closes entries, and the way out."""
        said = f"CLOCK: this host's clock says {iso(now)}"
        if self._signed > self._newest:
            return f"{said}, but the set was signed at {iso(self._signed)}; no new entries until both hosts' clocks are right"
        return (
            f"{said}, but {iso(self._newest)} was seen before; no new entries until it is right. If the later time was the"
            f" wrong one, remove {self._state.clock_file} and start again"
        )

    def served(self, current: "ChampionSet") -> None:
        """Learn from a verified set when it was signed."""
        in_its_time = current.signed_ms <= current.data_cutoff_ms + VALID_MS
        self._signed = current.signed_ms if in_its_time else 0

    def keep(self) -> None:
        """Bring memory and disk together, if that is due; a state folder that cannot be written is logged, and no
        reason to fail.
        """
        self.read()
        if self._kept is not None and self._newest < self._kept + KEEP_EVERY_MS:
            return
        if not self._lock.acquire(blocking=self._kept is None):
            return
        try:
            self._newest = self._kept = max(self._newest, self._state.newest_time(self._newest))
        except ModelLoadError as error:
            if self._kept is None:
                raise
            self._kept = self._newest  # asked again in a minute
            log.warning("clock_not_kept", code=error.code, error=str(error))
        finally:
            self._lock.release()
