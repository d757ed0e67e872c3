"""Copies of another series count once: eleven names of one price are one bet, however many the exchange lists.

Found on each day by the returns of the 30 days before it, so no day's members depend on what came after.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.night_records import TierDays
from huracan.night.jobs.daily_series import DailySeries
from huracan.night.jobs.tier_days import days_of, without_days
from huracan.night.state import Night
from huracan.stats.likeness import first_alike
from huracan.universe import coin_base

ALIKE: Final = 0.999
"""Correlation of daily returns above which two series are one."""
WINDOW_DAYS: Final = 30
FEWEST_DAYS: Final = 15
"""Days of the window that two series must both have, to be compared at all."""


class SeriesTable:
    """Many pairs' series side by side, so that a day is one slice; coins ascending by name."""

    def __init__(self, series: Mapping[str, DailySeries]) -> None:
        self.coins = sorted(coin for coin in series if series[coin].returns.size)
        known = [series[coin] for coin in self.coins]
        self.first_day = min((one.first_day for one in known), default=0)
        days = max((one.first_day + one.returns.size for one in known), default=0) - self.first_day
        self.returns = np.full((len(known), days + WINDOW_DAYS), np.nan, np.float32)
        self.volume_gbp = np.full((len(known), days), -1.0, np.float32)
        """Below every volume where there is none."""
        for row, one in enumerate(known):
            place = one.first_day - self.first_day
            self.returns[row, place + WINDOW_DAYS : place + WINDOW_DAYS + one.returns.size] = one.returns
            self.volume_gbp[row, place : place + one.returns.size] = np.nan_to_num(one.volume_gbp, nan=-1.0)

    def copied_on(self, day: int, rows: Sequence[int] | I64) -> dict[str, str]:
        """Of these rows' pairs, those that are copies on a day, each with the most liquid pair that it is a copy of.

        A pair is a copy of every more liquid one whose returns of the 30 days before correlate with its own by more
        than .999. Of equals in volume the first by name stays.
        """
        place, rows = day - self.first_day, np.sort(rows)
        if place < 1 or len(rows) < 2:
            return {}
        volume = self.volume_gbp[rows, min(place, self.volume_gbp.shape[1]) - 1]
        rows = rows[np.argsort(-volume, kind="stable")]
        window = np.full((rows.size, WINDOW_DAYS), np.nan)
        known = self.returns[rows, place : place + WINDOW_DAYS]
        window[:, : known.shape[1]] = known
        leaders: dict[str, str] = {}
        for row, other in zip(rows, first_alike(window, ALIKE, FEWEST_DAYS), strict=True):
            if other >= 0:
                leader = self.coins[rows[other]]
                leaders[self.coins[row]] = leaders.get(leader, leader)
        return leaders


def without_copies(night: Night) -> Night:
    """The night with `pool_days` on which no copy counts, and with `copies`: tonight's, whatever they may become.

    A pair of the same base asset is no copy here: of those one counts a day already (see `one_per_base`).
    """
    known = {coin: record for coin, record in night.all_ingested().items() if record.pool_days}
    spans = {coin: record.pool_days or {} for coin, record in known.items()}
    series = {coin: DailySeries.decoded(record.series) for coin, record in known.items() if record.series is not None}
    left_out = _copied_days(spans, series)
    changed = {coin: replace(known[coin], pool_days=without_days(spans[coin], days)) for coin, days in left_out.items()}
    return replace(
        night.with_ingested(changed),
        copies=_tonight(night),
        copied_days=sum(days.size for days in left_out.values()),
    )


def _copied_days(spans: Mapping[str, TierDays], series: Mapping[str, DailySeries]) -> dict[str, I64]:
    """The days on which each pair was a copy of another member."""
    table = SeriesTable(series)
    members: dict[int, list[int]] = defaultdict(list)
    for row, coin in enumerate(table.coins):
        for tier in spans[coin]:
            for day in days_of(spans[coin], tier).tolist():
                members[day].append(row)
    found: dict[str, list[int]] = defaultdict(list)
    for day in sorted(members):
        for coin in table.copied_on(day, members[day]):
            found[coin].append(day)
    return {coin: np.array(days, np.int64) for coin, days in found.items()}


def _tonight(night: Night) -> dict[str, str]:
    """Copies among the pairs that are alive, by the days before tonight."""
    alive = {coin: record for coin, record in night.ingested.items() if record.skip is None}
    series = {coin: DailySeries.decoded(record.series) for coin, record in alive.items() if record.series is not None}
    instruments = {coin: night.plan.member(coin).instrument for coin in alive}
    bases = frozenset(one.base for one in instruments.values())
    base = {coin: coin_base(one.base, bases) for coin, one in instruments.items()}
    table = SeriesTable(series)
    found = table.copied_on(night.plan.end_day, range(len(table.coins)))
    return {coin: leader for coin, leader in sorted(found.items()) if base[coin] != base[leader]}


def copy_notes(night: Night) -> tuple[str, ...]:
    """What must be said of copies: whose, and on how many past days they were left out."""
    pairs: dict[str, list[str]] = defaultdict(list)
    for coin, leader in night.copies.items():
        pairs[leader].append(coin)
    named = [f"{leader} = {', '.join(coins)}" for leader, coins in sorted(pairs.items())]
    tonight = (f"tonight's copies count and trade once: {'. '.join(named)}",) if named else ()
    past = (
        (f"{night.copied_days} days of copies are left out of the evidence of the past",) if night.copied_days else ()
    )
    return (*tonight, *past)
