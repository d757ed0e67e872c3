"""Pairs that belong to a pool's evidence and that the machines lost tonight: members without valid data (PROMOTION rule 2).

To leave them out would be to choose who is counted: a deadline cuts former pairs first, and those are the dead ones.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from huracan.pipeline.former import OF_DATA
from huracan.pipeline.night import Night
from huracan.scoring import FEWEST_VALID

LATE: Final = frozenset({"DEADLINE", "CANCELLED"})


def lost_pairs(night: Night) -> dict[str, str]:
    """Code by coin of the members and drawn former pairs that were to be walked over and were not, their own data aside."""
    codes = {**{skip.coin: skip.code.value for skip in night.skips}, **night.former.failed}
    walked = night.trained.keys() | night.former.trained.keys()
    alive = (coin for coin, facts in night.facts.items() if facts["skip"] is None)
    left = [coin for coin in (*alive, *night.former.drawn) if coin not in walked]
    return {coin: codes[coin] for coin in left if coin in codes and codes[coin] not in OF_DATA}


def why_no_admission(night: Night, drawn: Collection[str], lost: Mapping[str, str]) -> str:
    """Why no hypothesis may bring its history with it tonight; empty where that history is whole.

    A first admission reads the past once and for all. `drawn` are the pool's pairs, `lost` those of the night that were lost.
    """
    late = sum(code in LATE for code in night.former.failed.values())
    if late:
        return f"{late} former pairs were not walked over before the deadline, so the past is of survivors: give a night more time"
    missing = Counter(lost[coin] for coin in drawn if coin in lost)
    if len(drawn) - missing.total() < FEWEST_VALID * len(drawn):
        codes = ", ".join(f"{code} {number}" for code, number in sorted(missing.items()))
        return f"{missing.total()} of the {len(drawn)} pairs of the pool were lost tonight ({codes}), so no day of its past counts"
    return ""
