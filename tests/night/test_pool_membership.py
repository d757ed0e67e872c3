"""Which pool a pair was in on each day: by the volume before that day, as a slow reading of the bars says, and no look ahead."""

from dataclasses import replace
from statistics import median

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import CLEAN_SCHEMA, FUNDING_SCHEMA, HALT, REPAIRED, Bars
from huracan.domain.ids import Instrument
from huracan.domain.tiers import TIERS, tier_of
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.features import daily_prices, daily_volume
from huracan.night.jobs.tier_days import days_of, pool_days

FIRST = 20_000
RATE = 1.25
LEAST = 10e6


def bars_of(volumes, *, first_hour=0, silent=(), missing=(), ranges_bps=100.0):
    """Hourly bars whose quote volume is `volumes` (one figure a day, in pounds), spread over the day.

    `ranges_bps` is by how much each day's high is above its low: one figure, or one a day.
    """
    hours = np.arange(first_hour, len(volumes) * 24)
    day = hours // 24
    keep = ~np.isin(day, list(missing))
    hours, day = hours[keep], day[keep]
    quote = np.array(volumes)[day] * RATE / 24
    flags = np.where(np.isin(day, list(silent)), HALT, 0).astype(np.int32)
    quote = np.where(flags > 0, 0.0, quote)
    ones = np.ones(hours.size)
    frame = pl.DataFrame(
        {
            "open_time": (FIRST * 24 + hours) * HOUR_MS,
            **dict.fromkeys(("open", "low", "close"), ones),
            "high": ones * (1.0 + np.broadcast_to(ranges_bps, len(volumes))[day] * 1e-4),
            "volume": quote,
            "quote_volume": quote,
            "trades": ones,
            "taker_base": quote / 2,
            "taker_quote": quote / 2,
            "flags": flags,
            "segment": np.zeros(hours.size, np.int32),
        },
        schema=CLEAN_SCHEMA,
    )
    instrument = Instrument(market="um", symbol="XUSDT", base="X", quote="USDT", coin="X")
    funding = pl.DataFrame(schema=FUNDING_SCHEMA)
    return Bars(instrument=instrument, interval_ms=HOUR_MS, frame=frame, funding=funding, funding_known=False)


def spans_of(bars):
    found = pool_days(daily_volume(bars.frame), daily_prices(bars.frame), RATE, LEAST)
    return {tier: [list(span) for span in spans] for tier, spans in found.items()}


def slowly(bars):
    """The same answer, day by day, from the rows."""
    by_day = {}
    for row in bars.frame.iter_rows(named=True):
        real = not row["flags"] & (HALT | REPAIRED) and row["volume"] > 0
        by_day.setdefault(row["open_time"] // DAY_MS, []).append(row["quote_volume"] if real else 0.0)
    if not by_day:
        return {}
    first, partial = min(by_day), bars.frame["open_time"][0] % DAY_MS > 0
    found = {}
    for day in range(first + 1, max(by_day) + 1):
        past = [sum(by_day[d]) for d in sorted(by_day) if d < day and not (partial and d == first)][-30:]
        yesterday = sum(by_day[day - 1]) if day - 1 in by_day else None
        if past and (yesterday is None or yesterday / RATE >= LEAST * (1 - 1e-12)):
            found[day] = tier_of(median(past) / RATE)
    return found


volumes_of_days = st.lists(st.sampled_from([1e5, 9e6, 2e7, 8e7, 3e8]), min_size=1, max_size=45)


@settings(max_examples=60, deadline=None)
@given(
    volumes=volumes_of_days,
    first_hour=st.sampled_from([0, 5]),
    silent=st.sets(st.integers(0, 44), max_size=4),
    missing=st.sets(st.integers(0, 44), max_size=4),
)
def test_the_days_are_those_a_slow_reading_finds_and_cutting_the_bars_changes_no_day_before_the_cut(
    volumes, first_hour, silent, missing
):
    bars = bars_of(volumes, first_hour=first_hour, silent=silent, missing=missing)
    spans = spans_of(bars)
    found = {int(day): tier for tier in TIERS for day in days_of(spans, tier)}
    assert found == slowly(bars)
    cut = (FIRST + len(volumes) // 2) * DAY_MS
    before = replace(bars, frame=bars.frame.filter(pl.col("open_time") <= cut))
    early = spans_of(before)
    assert {int(day) for tier in TIERS for day in days_of(early, tier)} == {
        day for day in found if before.frame.height and day <= before.frame["open_time"][-1] // DAY_MS
    }


def test_a_pair_counts_on_the_days_it_was_traded_enough_and_on_no_other():
    spans = spans_of(bars_of([2e7] * 5 + [1e6] * 3 + [2e7] * 2))
    assert spans == {"B": [[FIRST + 1, FIRST + 5], [FIRST + 9, FIRST + 9]]}


def test_a_day_that_is_lost_does_not_change_who_is_counted_after_it():
    spans = spans_of(bars_of([2e7] * 6, missing={3}))
    assert spans == {"B": [[FIRST + 1, FIRST + 5]]}


def test_a_day_of_silence_is_known_to_be_one():
    spans = spans_of(bars_of([2e7] * 6, silent={3}))
    assert spans == {"B": [[FIRST + 1, FIRST + 3], [FIRST + 5, FIRST + 5]]}


def test_no_bars_are_no_days():
    assert spans_of(bars_of([])) == {}
    assert days_of({}, "A").size == 0


def test_a_price_that_was_held_for_thirty_days_is_no_member_until_it_moves():
    ranges = np.full(50, 12.0)
    ranges[34], ranges[:3] = 21.0, 50.0
    spans = spans_of(bars_of([2e7] * 50, ranges_bps=ranges))
    assert spans == {"B": [[FIRST + 1, FIRST + 32], [FIRST + 35, FIRST + 49]]}


def test_days_on_which_nothing_traded_say_nothing_of_a_price_being_held():
    assert spans_of(bars_of([2e7] * 33, ranges_bps=12.0, missing=set(range(3, 21)))) == {"B": [[FIRST + 1, FIRST + 32]]}
