"""Which pool a pair was in on each past day, decided on the data before that day: tonight's view must not choose the
past.
"""

import math
from typing import Final

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.night_records import TierDays
from huracan.domain.tiers import TIERS, tier_of
from huracan.features import DailyPrices, DailyVolume
from huracan.universe import held_before

_NO_TIER: Final = ""


def pool_days(known: DailyVolume, prices: DailyPrices, quote_per_gbp: float, min_volume_gbp: float) -> TierDays:
    """The days a pair belonged to each tier's pool, as the universe's rule would have seen it at their midnights.

    The tier is that of the median volume of the 30 days before. A pair whose volume of the day before did not reach
    `min_volume_gbp` was no member; where nothing at all is known of the day before, the day counts, so that lost data
    void it (rule 3) instead of changing who is counted. A price that was held over the 30 days before is no bet.
    What past books quoted is not known: spreads do not enter.
    """
    if not known.day.size:
        return {}
    days = np.arange(int(known.day[0]) + 1, int(known.day[-1]) + 1)
    before = np.searchsorted(known.day, days - 1, side="right") - 1
    tiers = [
        _tier(known.median[place], known.quote[place] if known.day[place] == day - 1 else math.inf, quote_per_gbp, min_volume_gbp)
        for day, place in zip(days.tolist(), before.tolist(), strict=True)
    ]  # fmt: skip
    free = ~held_before(prices.day, prices.range_bps, days)
    return {tier: spans for tier in TIERS if (spans := _spans(days[free & (np.array(tiers) == tier)]))}


def days_of(spans: TierDays, tier: str) -> I64:
    """The days of one tier, ascending."""
    stretches = [np.arange(first, last + 1, dtype=np.int64) for first, last in spans.get(tier, ())]
    return np.concatenate(stretches) if stretches else np.empty(0, np.int64)


def without_days(spans: TierDays, days: I64) -> TierDays:
    """The spans without these days."""
    left = {tier: np.setdiff1d(days_of(spans, tier), days) for tier in spans}
    return {tier: _spans(own) for tier, own in left.items() if own.size}


def _tier(median: float, yesterday: float, quote_per_gbp: float, min_volume_gbp: float) -> str:
    if math.isnan(median) or yesterday / quote_per_gbp < min_volume_gbp:
        return _NO_TIER
    return tier_of(median / quote_per_gbp)


def _spans(days: I64) -> tuple[tuple[int, int], ...]:
    cuts = np.flatnonzero(np.diff(days) != 1) + 1
    return tuple((int(run[0]), int(run[-1])) for run in np.split(days, cuts) if run.size)
