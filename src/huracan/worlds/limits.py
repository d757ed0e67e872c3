"""The exchange's limits by address: request weight a minute, funding requests, raw requests, and growing bans.

Spot and futures have windows of their own; the address is banned as a whole. The archive knows no limits.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from huracan.domain.ids import Market

Window = Literal["spot", "um", "um-funding", "spot-raw"]

LIMITS: Final[dict[Window, tuple[int, float]]] = {
    "spot": (6000, 60.0),
    "um": (2400, 60.0),
    "um-funding": (500, 300.0),
    "spot-raw": (300_000, 300.0),
}
"""What may be used up in a window, and its seconds. Windows begin at whole multiples of their length."""

FUNDING: Final = frozenset({"fundingRate", "fundingInfo"})
"""Endpoints that share the window of requests `um-funding`."""

PATIENCE: Final = 10
"""Requests sent in spite of a 429's Retry-After before the address is banned."""

FIRST_BAN_S: Final = 120.0
BAN_GROWTH: Final = 4.0
LONGEST_BAN_S: Final = 259_200.0
"""Bans: two minutes at first, three days at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request: 200 (answer it), 429 or 418 with the seconds to wait, and the weight used so far."""

    status: int
    used: int
    wait_s: int = 0


class IpLimits:
    """Counts what one address uses, by a clock in seconds that tests may move. Safe to share between threads.

    `refused` counts the 429s and 418s; `spent` is all that was ever used of each window, `peak` the most within one.
    Bans that were asked for (`ban`) always hold; 429s and their bans only where `enforce` is set.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Mapping[Window, tuple[int, float]] = LIMITS,
        *,
        enforce: bool = False,
    ) -> None:
        self.enforce, self.refused = enforce, Counter[int]()
        self.spent: Counter[Window] = Counter()
        self.peak: Counter[Window] = Counter()
        self._clock, self._limits = clock, limits
        self._used: dict[Window, tuple[int, int]] = {}
        self._told_until = self._banned_until = -math.inf
        self._ignored = self._bans = 0
        self._guard = threading.Lock()

    def enter(self, market: Market, name: str, weight: int) -> Verdict:
        """Count a request of an endpoint and decide whether it is within the limits."""
        with self._guard:
            now = self._clock()
            if now < self._banned_until:
                return self._refuse(418, self._used.get(market, (0, 0))[1], self._banned_until - now)
            costs = self._costs(market, name, weight)
            used = {window: self._spend(window, cost, now) for window, cost in costs.items()}
            full = [window for window in used if used[window] > self._limits[window][0]]
            if not (self.enforce and full):
                return Verdict(200, used[market])
            wait = max(length - now % length for length in (self._limits[window][1] for window in full))
            if self._is_ignored(now, wait):
                self._ban(now, min(FIRST_BAN_S * BAN_GROWTH**self._bans, LONGEST_BAN_S))
                return self._refuse(418, used[market], self._banned_until - now)
            return self._refuse(429, used[market], wait)

    def ban(self, seconds: float) -> None:
        """Answer 418 for so long, whatever is used."""
        with self._guard:
            self._ban(self._clock(), seconds)

    def _costs(self, market: Market, name: str, weight: int) -> dict[Window, int]:
        costs: dict[Window, int] = {market: weight}
        if market == "spot":
            costs["spot-raw"] = 1
        elif name in FUNDING:
            costs["um-funding"] = 1
        return costs

    def _spend(self, window: Window, cost: int, now: float) -> int:
        number = int(now // self._limits[window][1])
        last, used = self._used.get(window, (number, 0))
        total = (used if last == number else 0) + cost
        self._used[window] = (number, total)
        self.spent[window] += cost
        self.peak[window] = max(self.peak[window], total)
        return total

    def _is_ignored(self, now: float, wait: float) -> bool:
        self._ignored = self._ignored + 1 if now < self._told_until else 0
        self._told_until = max(self._told_until, now + wait)
        return self._ignored >= PATIENCE

    def _ban(self, now: float, seconds: float) -> None:
        self._banned_until, self._told_until = max(self._banned_until, now + seconds), -math.inf
        self._bans, self._ignored = self._bans + 1, 0

    def _refuse(self, status: int, used: int, wait: float) -> Verdict:
        self.refused[status] += 1
        return Verdict(status, used, max(math.ceil(wait), 1))
