"""What validation repairs, cuts and flags; every threshold in one frozen record."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.frames import LONGEST_FUNDING_MS
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError

ISSUES_KEPT: Final = 50
"""Issues of one kind and action that a report lists; its `counts` have the totals."""

RUNS_KEPT: Final = 2_000
"""Gaps, and halts, that a report carries, the longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """Thresholds of step 2. A gap is repaired when it is short in bars *and* in minutes, so 15m bars never are.

    A bar's extremeness is the larger of its range and its close-to-close move (log), over the mean of the same over the
    preceding `scale_days`; it must also exceed `extreme_floor` times the square root of the bar's minutes. Extreme and
    at least as much volume as usual: PANIC. Extreme on less: OUTLIER, and so is a bar of a listing's first day whose
    range no usual size could tell yet (IOUSDT opened at 0.06 and traded at 5.88).
    """

    interval_ms: int
    repair_limit_bars: int = 5
    repair_limit_ms: int = 5 * MINUTE_MS
    segment_gap_ms: int = DAY_MS
    halt_bars: int = 10
    extreme_multiple: float = 12.0
    extreme_floor: float = 0.01
    scale_days: float = 1.0
    jump_ratio: float = 1.5  # across a hole: flagged as a jump
    relisting_ms: int = 2 * DAY_MS  # the longest outage of the whole exchange was 33 h
    rescaled: float = 3.0  # price ratio across an hour or more without a trade: another unit or asset
    listing_ms: int = DAY_MS  # after the first bar of a listing that began inside the window
    listing_ratio: float = 3.0  # high over low of a bar of that day: its open was no market's price
    common_share: float = 0.5  # of the instruments listed then: what so many miss, the exchange missed
    funding_slack_ms: int = HOUR_MS
    funding_max_gap_ms: int = LONGEST_FUNDING_MS

    def __post_init__(self) -> None:
        if self.interval_ms <= 0 or DAY_MS % self.interval_ms:
            message = f"bar interval of {self.interval_ms} ms does not divide a day; wanted 1m, 15m, 1h or the like"
            raise ConfigError(message)

    @property
    def repairable_bars(self) -> int:
        """Longest gap, in bars, that is filled."""
        return min(self.repair_limit_bars, self.repair_limit_ms // self.interval_ms)

    @property
    def scale_bars(self) -> int:
        """Bars in the trailing window that says what is usual."""
        return max(8, round(self.scale_days * DAY_MS / self.interval_ms))
