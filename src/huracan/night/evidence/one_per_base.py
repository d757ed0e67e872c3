"""Every base asset once a day: a coin's perpetual and its spot pair are the same bet, and evidence may not count it
twice.
"""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.night_records import IngestRecord
from huracan.domain.records import IntegrityReport
from huracan.domain.time import DAY_MS
from huracan.night.evidence.historical import is_preferred
from huracan.night.jobs.tier_days import without_days
from huracan.night.state import Night
from huracan.universe import coin_base, preference


def once_a_base(night: Night, market: str) -> Night:
    """The night with `pool_days` such that a base counts by one instrument a day: by the one that a night of that day
    would have preferred (`market` is the user's policy) among those that were listed then.

    So a perpetual that was delisted counts for the days it lived, and its spot pair for those before and after. A
    member beside the one that stands for the base tonight counts only where that one's life is known.
    """
    known = night.all_ingested()
    instruments = sorted(
        (night.plan.member(coin).instrument for coin in known), key=lambda one: preference(one, market)
    )
    bases = frozenset(instrument.base for instrument in instruments)
    groups: dict[str, list[str]] = defaultdict(list)
    for instrument in instruments:
        groups[coin_base(instrument.base, bases)].append(instrument.coin)
    counted: dict[str, IngestRecord] = {}
    for coins in groups.values():
        claimed = np.empty(0, np.int64)
        standing = any(coin in night.ingested and is_preferred(night, coin) for coin in coins)
        for coin in coins:
            record = known[coin]
            counts = standing or is_preferred(night, coin)
            spans = without_days(record.pool_days or {}, claimed) if counts else {}
            counted[coin] = replace(record, pool_days=spans)
            claimed = np.union1d(claimed, _life(record.report))
    return night.with_ingested(counted)


def _life(report: IntegrityReport) -> I64:
    """Days from an instrument's first bar to its last."""
    if report.first_ms is None or report.last_ms is None:
        return np.empty(0, np.int64)
    return np.arange(report.first_ms // DAY_MS, report.last_ms // DAY_MS + 1, dtype=np.int64)
