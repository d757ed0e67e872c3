"""Which days of history count in full, which only after a tax, and where a lineage therefore starts.

A day counts in full where it had not been looked at when the recipe was registered: later days, and days outside the
recipe's `seen` intervals. On seen days the best of many trials looks good by selection; those may only lend a small
start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.time import DAY_MS, parse_iso
from huracan.errors import ConfigError
from huracan.stats.evalues import e_process_path

START_CAP: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where an e-process starts: at `e`, taxed by `trials` (0 when it simply starts at 1)."""

    e: float
    trials: int


def seen_days(days: I64, seen: Sequence[tuple[str, str]]) -> Bool:
    """Which of the UTC day numbers (n,) lie in the intervals of ISO dates, both ends included.

    Raises ConfigError for an interval that ends before it starts.
    """
    mask = np.zeros(days.shape, dtype=np.bool_)
    for first, last in seen:
        low, high = parse_iso(first) // DAY_MS, parse_iso(last) // DAY_MS
        if high < low:
            raise ConfigError(f"the seen interval {first}..{last} ends before it starts")
        mask |= (days >= low) & (days <= high)
    return mask


def counts_in_full(days: I64, seen: Sequence[tuple[str, str]], registered_day: int) -> Bool:
    """Which days (n,) are evidence in full: after the registration, or not looked at before it."""
    full: Bool = (days > registered_day) | ~seen_days(days, seen)
    return full


def taxed_start(differences_bps: F64, bound_bps: float, trials: int) -> Start:
    """Start from results (n,) on days that were looked at: ``min(5, e / M)`` when that is worth more than nothing.

    M counts all trials ever scored on that history. The cap and M bound what a lucky best of M can carry over.
    """
    if differences_bps.size == 0 or trials < 1:
        return Start(e=1.0, trials=0)
    e = min(START_CAP, float(e_process_path(differences_bps, bound_bps)[-1]) / trials)
    return Start(e=e, trials=trials) if e > 1.0 else Start(e=1.0, trials=0)
