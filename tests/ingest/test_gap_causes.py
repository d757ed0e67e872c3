"""Whose gap it is: told by what the other instruments of the market had meanwhile."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.ingest import IngestConfig
from huracan.ingest.gaps import LostFile, Presence, assign_causes, lost_files

CONFIG = IngestConfig(interval_ms=HOUR_MS)
START = 20_000 * DAY_MS


def there(name, *runs, first=0, last=999, market="um", lost=()):
    """An instrument from hour `first` to hour `last` without these (hour, bars)."""
    at = tuple((START + hour * HOUR_MS, bars) for hour, bars in runs)
    return Presence(
        name=name, market=market, first_ms=START + first * HOUR_MS, last_ms=START + last * HOUR_MS, runs=at, lost=lost
    )


def causes(*presences):
    return {(run.name, (run.start_ms - START) // HOUR_MS): run.cause for run in assign_causes(presences, CONFIG)}


def test_what_half_of_the_listed_miss_the_exchange_missed():
    found = causes(there("A", (10, 2)), there("B", (10, 2)), there("C"), there("D"))
    assert found == {("A", 10): "exchange", ("B", 10): "exchange"}
    assert causes(there("A", (10, 2)), there("B", (10, 2)), *map(there, "CDE"))["A", 10] == "symbol"


def test_a_gap_of_one_is_its_own_and_only_those_listed_at_the_time_are_asked():
    assert causes(there("A", (10, 2)), there("B"), there("C"))["A", 10] == "symbol"
    late = [there(name, first=500) for name in "CDEF"]
    assert causes(there("A", (10, 2)), there("B", (10, 2)), *late)["A", 10] == "exchange"
    gone = [there(name, last=5) for name in "CDEF"]
    assert causes(there("A", (10, 2)), there("B", (10, 2)), *gone)["B", 10] == "exchange"


def test_markets_do_not_testify_for_each_other():
    others = [there(name, (10, 2), market="spot") for name in "BCD"]
    found = causes(there("A", (10, 2)), there("E"), *others)
    assert (found["A", 10], found["B", 10]) == ("symbol", "exchange")


def test_alone_nothing_can_be_told_and_two_days_without_bars_are_no_listing():
    assert causes(there("A", (10, 2)))["A", 10] == "unknown"
    assert causes(there("A", (10, 48)))["A", 10] == "not_listed"
    assert causes(there("A", (10, 47)), there("B"))["A", 10] == "symbol"
    # Longer than any outage, and yet everybody's.
    assert causes(there("A", (10, 60)), there("B", (10, 60)))["A", 10] == "exchange"


def test_a_long_gap_says_how_much_of_it_was_everybodys():
    (own,) = [
        r
        for r in assign_causes([there("A", (10, 100)), there("B", (40, 3)), there("C", (40, 3))], CONFIG)
        if r.name == "A"
    ]
    assert (own.cause, own.common_bars, own.listed) == ("not_listed", 3, 3.0)
    assert own.share == pytest.approx((97 / 3 + 3) / 100, abs=1e-4)


def test_a_run_belongs_to_the_exchange_when_most_of_it_does():
    found = causes(there("A", (10, 4)), there("B", (11, 3)), there("C", (11, 3)), there("D", (11, 3)))
    assert set(found.values()) == {"exchange"}
    assert causes(there("A", (10, 10)), there("B", (11, 3)), there("C", (11, 3)))["A", 10] == "symbol"


def test_a_lost_file_explains_its_day_before_anything_else_does():
    day = LostFile(name="A-1h-x.zip", start_ms=START, end_ms=START + DAY_MS)
    found = causes(there("A", (0, 24), (30, 2), first=-5, lost=(day,)), there("B", (30, 2)), there("C"))
    assert found["A", 0] == "lost_file"
    assert found["A", 30] == "exchange"


def test_lost_files_cover_the_month_or_day_of_their_name():
    names = ["SOLUSDT-1m-2025-02.zip", "币安人生USDT-1m-2024-12-31.zip", "SOLUSDT-fundingRate-2025-12.zip", "other.zip"]
    found = {lost.name: (lost.start_ms, lost.end_ms) for lost in lost_files(names)}
    assert found == {
        "SOLUSDT-1m-2025-02.zip": (parse_iso("2025-02-01"), parse_iso("2025-03-01")),
        "币安人生USDT-1m-2024-12-31.zip": (parse_iso("2024-12-31"), parse_iso("2025-01-01")),
        "SOLUSDT-fundingRate-2025-12.zip": (parse_iso("2025-12-01"), parse_iso("2026-01-01")),
    }


def test_nobody_and_nobody_with_gaps():
    assert assign_causes([], CONFIG) == ()
    assert assign_causes([there("A"), there("B")], CONFIG) == ()


@st.composite
def crowds(draw):
    """A few instruments over at most 40 hours, each with runs inside its span."""
    members = []
    for name in "ABCDE"[: draw(st.integers(1, 5))]:
        first = draw(st.integers(0, 10))
        last = draw(st.integers(first + 2, 40))
        missing = draw(st.sets(st.integers(first + 1, last - 1))) if last - first > 1 else set()
        runs, hours = [], sorted(missing)
        for hour in hours:
            if runs and runs[-1][0] + runs[-1][1] == hour:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((hour, 1))
        members.append(there(name, *runs, first=first, last=last))
    return members


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(crowds())
def test_the_sums_agree_with_counting_hour_by_hour(members):
    for run in assign_causes(members, CONFIG):
        common = company = 0
        shares = []
        for bar in range(run.bars):
            at = run.start_ms + bar * HOUR_MS
            listed = [m for m in members if m.first_ms <= at <= m.last_ms]
            lacking = [m for m in listed if any(s <= at < s + n * HOUR_MS for s, n in m.runs)]
            shares.append(len(lacking) / len(listed))
            common += len(lacking) >= 2 and len(lacking) >= 0.5 * len(listed)
            company += len(listed) >= 2
        assert run.common_bars == common
        assert run.share == pytest.approx(sum(shares) / run.bars, abs=1e-4)
        expected = "exchange" if 2 * common >= run.bars else "symbol" if company else "unknown"
        assert run.cause == expected
