"""Pairs that belong to a pool's evidence and were lost tonight: members without valid data (PROMOTION rule 2).

To leave them out would be to choose who is counted: who trades no more is stale first, and a deadline cuts historical
constituents first.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.night_records import TierDays
from huracan.domain.records import SkipCode
from huracan.domain.tiers import tier_of
from huracan.domain.time import DAY_MS
from huracan.night.evidence.historical import OF_DATA, is_preferred, known_constituents
from huracan.night.jobs.tier_days import days_of
from huracan.night.state import Night
from huracan.scoring import FEWEST_VALID

_LATE: Final = frozenset({"DEADLINE", "CANCELLED"})
_UNFIT: Final = OF_DATA | {"SPREAD_UNKNOWN", "BAD_DATA", "BAD_FEATURES", "BAD_LABELS", "LEAK"}
"""Reasons that any other night would have found as well: a pair's own bars, or a spread that is not known."""


def lost_pairs(night: Night) -> dict[str, str]:
    """Code by coin of the members and drawn historical constituents that were to be backtested and were not, for no
    reason of their own.
    """
    codes = {**{skip.coin: skip.code.value for skip in night.skips}, **night.historical.failed}
    evaluated = night.all_trained()
    wanted = (*(member.instrument.coin for member in night.plan.members), *night.historical.drawn)
    left = [coin for coin in wanted if coin not in evaluated]
    return {coin: codes[coin] for coin in left if coin in codes and codes[coin] not in _UNFIT}


def pool_days_of(night: Night, coin: str, tier: str) -> I64:
    """Days a pair belonged to a tier's pool.

    Of one whose bars were not read tonight they are not known: all days since its listing, in the tier of its 24 h
    volume.
    """
    record = night.all_ingested().get(coin)
    if record is not None and record.pool_days is not None:
        days = days_of(record.pool_days, tier)
        is_stale = record.skip is not None and record.skip.code is SkipCode.STALE
        return _until_tonight(days, record.pool_days, night.plan.end_day) if is_stale else days
    member = night.plan.member(coin)
    if not is_preferred(night, coin) or tier_of(member.volume_24h_gbp) != tier:
        return np.empty(0, np.int64)
    first_ms = max(night.plan.start_ms, member.instrument.listed_ms or 0)
    return np.arange(first_ms // DAY_MS, night.plan.end_day, dtype=np.int64)


def _until_tonight(days: I64, spans: TierDays, end_day: int) -> I64:
    """A stale pair's days: where its last one was in this pool, all days since then are, too, for nothing is known of
    them.
    """
    last = max((span[1] for of_tier in spans.values() for span in of_tier), default=0)
    return np.append(days, np.arange(last + 1, end_day)) if days.size and days[-1] == last else days


def why_no_admission(night: Night, drawn: Collection[str], lost: Mapping[str, str]) -> str:
    """Why no hypothesis may bring its history with it tonight; empty where that history is whole.

    A first admission reads the past once and for all. `drawn` are the pool's pairs, `lost` those of the night that were
    lost.
    """
    failed = Counter(code for code in night.historical.failed.values() if code not in _UNFIT)
    late = sum(failed[code] for code in _LATE)
    if late:
        return f"{late} historical constituents were not backtested before the deadline, so the past is of survivors: give a night more time"
    known = known_constituents(night)
    if known - failed.total() < FEWEST_VALID * known:
        lacks = f"{failed.total()} of {known} historical constituents were lost tonight ({_listed(failed)})"
        return f"{lacks}, so the past is of survivors"
    missing = Counter(lost[coin] for coin in drawn if coin in lost)
    if len(drawn) - missing.total() < FEWEST_VALID * len(drawn):
        lacks = f"{missing.total()} of the {len(drawn)} pairs of the pool were lost tonight ({_listed(missing)})"
        return f"{lacks}, so no day of its past counts"
    return ""


def _listed(codes: Counter[str]) -> str:
    return ", ".join(f"{code} {number}" for code, number in sorted(codes.items()))
