"""Copies of another series count once: told on each day by the thirty days before it, and the most liquid one stays."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import make_plan
from records import ingested, report

from huracan.domain.codec import from_json, to_bytes, to_json
from huracan.domain.ids import Instrument
from huracan.domain.night_records import EncodedSeries, IngestRecord
from huracan.domain.records import Candidate, Universe
from huracan.domain.time import DAY_MS
from huracan.features import DailyPrices, DailyVolume
from huracan.night.evidence.copies import ALIKE, SeriesTable, copy_notes, without_copies
from huracan.night.jobs.daily_series import DailySeries
from huracan.night.jobs.tier_days import days_of
from huracan.night.state import Constituents, Night
from huracan.stats.likeness import first_alike

END = make_plan().end_day
DAYS = 60
FIRST = END - DAYS


def moves(seed, sd=0.03):
    return np.random.default_rng(seed).standard_normal(DAYS) * sd


def series(returns, volume=1e8, first=FIRST):
    """The series of a price with these returns, known from `first` on."""
    days = np.arange(first, first + len(returns))
    prices = DailyPrices(days, 50.0 * np.exp(np.cumsum(returns)), np.full(days.size, 300.0))
    held = np.full(days.size, volume)
    return DailySeries.of(prices, DailyVolume(days, held, held), 1.25)


def facts(returns, volume=1e8, *, skip=None, tier="A"):
    record = ingested(
        tier=tier,
        skip=skip,
        report=report(first_ms=FIRST * DAY_MS, last_ms=END * DAY_MS - 1),
        pool_days={tier: ((FIRST + 1, END - 1),)},
        series=series(returns, volume).encoded(),
    )
    return from_json(IngestRecord, to_json(record))  # as it comes from a worker


def night(dead=None, **records):
    def pair(coin):
        base, _, market = coin.partition("_")
        return Candidate(
            instrument=Instrument(market=market or "um", symbol=f"{base}USDT", base=base, quote="USDT", coin=coin),
            volume_24h_gbp=1e8,
            spread_bps=None,
        )

    plan = make_plan(members=tuple(map(pair, records)), historical=tuple(map(pair, dead or {})))
    universe = Universe(now_ms=0, members=(), skips=())
    known = Constituents(ingested=dead or {})
    return Night(run_id="r", plan=plan, universe=universe, pairs=(), ingested=records, historical=known)


def copied_on(day, known):
    table = SeriesTable(known)
    return table.copied_on(day, range(len(table.coins)))


def counted(found, coin):
    spans = found.all_ingested()[coin].pool_days
    return sum(days_of(spans, tier).size for tier in spans)


def test_eleven_names_of_one_series_count_as_one_and_the_most_liquid_stays():
    own, clones = moves(1), {f"CLONE{n}": facts(moves(1), 2e7) for n in range(11)}
    found = without_copies(night(REAL=facts(own, 9e7), OTHER=facts(moves(2)), **clones))
    assert found.copies == dict.fromkeys(sorted(clones), "REAL")
    assert counted(found, "REAL") == counted(found, "OTHER") == DAYS - 1
    # told from the first day on that has fifteen returns before it
    assert {counted(found, coin) for coin in clones} == {15}
    assert found.copied_days == 11 * (DAYS - 1 - 15)
    told = " ".join(copy_notes(found))
    assert "REAL = CLONE0, CLONE1, CLONE10" in told
    assert str(found.copied_days) in told


def test_of_copies_with_the_same_volume_the_first_by_name_stays():
    found = without_copies(night(B=facts(moves(1)), A=facts(moves(1)), C=facts(moves(1))))
    assert found.copies == {"B": "A", "C": "A"}


@pytest.mark.parametrize(("noise", "copies"), [(0.0005, {"WRAPPED": "REAL"}), (0.004, {})])
def test_nearly_the_same_series_is_a_copy_and_a_cousin_is_none(noise, copies):
    beside = moves(1) + moves(7, noise)
    is_alike = np.corrcoef(moves(1)[-30:], beside[-30:])[0, 1] > ALIKE
    assert is_alike == bool(copies)
    assert without_copies(night(REAL=facts(moves(1), 2e8), WRAPPED=facts(beside))).copies == copies


def test_a_pair_counts_again_from_the_day_on_that_its_last_thirty_days_are_its_own():
    parted = np.where(np.arange(DAYS) < 25, moves(1), moves(3))
    found = without_copies(night(REAL=facts(moves(1), 2e8), PARTED=facts(parted)))
    days = days_of(found.ingested["PARTED"].pool_days, "A") - FIRST
    assert days.tolist() == [*range(1, 16), *range(26, DAYS)]
    assert found.copies == {}


def test_a_copy_of_a_pair_that_died_does_not_count_on_the_days_both_lived():
    dead = replace(facts(moves(1), 9e8), pool_days={"A": ((FIRST + 1, FIRST + 40),)})
    found = without_copies(night(dead={"DEAD": dead}, LIVE=facts(moves(1))))
    days = days_of(found.ingested["LIVE"].pool_days, "A") - FIRST
    assert days.tolist() == [*range(1, 16), *range(41, DAYS)]
    assert (counted(found, "DEAD"), found.copies) == (40, {})


def test_the_spot_pair_of_a_base_is_no_copy_of_its_perpetual_and_one_of_another_base_is():
    same = {"BTC_um": facts(moves(1), 9e8), "BTC_spot": facts(moves(1), 2e8), "WBTC_spot": facts(moves(1), 3e8)}
    assert without_copies(night(**same)).copies == {"WBTC_spot": "BTC_um"}


def test_a_pair_that_is_refused_tonight_is_no_leader_of_tonight():
    away = facts(moves(1), 9e8, skip="STALE")
    found = without_copies(night(AWAY=away, HERE=facts(moves(1))))
    assert found.copies == {}
    assert counted(found, "HERE") == 15


def test_a_record_is_read_back_as_it_was_written_and_is_small():
    known = series(moves(4))
    again = DailySeries.decoded(from_json(EncodedSeries, to_json(known.encoded())))
    assert again.first_day == known.first_day
    np.testing.assert_array_equal(again.returns, known.returns)
    np.testing.assert_array_equal(again.volume_gbp, known.volume_gbp)
    assert len(to_bytes(series(np.zeros(1000)).encoded())) < 12_000


def test_no_bars_are_no_series():
    none = np.empty(0, np.int64)
    empty = DailySeries.of(DailyPrices(none, none * 1.0, none * 1.0), DailyVolume(none, none * 1.0, none * 1.0), 1.0)
    assert copied_on(END, {"A": empty, "B": empty}) == {}


def slowly(returns, alike, fewest):
    """The same answer, pair by pair, by numpy's own correlation."""
    found = []
    for row, own in enumerate(returns):
        place = -1
        for other in range(row):
            both = ~np.isnan(own) & ~np.isnan(returns[other])
            if both.sum() < fewest or np.ptp(own[both]) == 0 or np.ptp(returns[other][both]) == 0:
                continue
            if np.corrcoef(own[both], returns[other][both])[0, 1] > alike:
                place = other
                break
        found.append(place)
    return found


@settings(max_examples=60, deadline=None)
@given(
    seeds=st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=7),
    lost=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 29)), max_size=40),
    scale=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_the_kernel_finds_what_a_slow_reading_finds(seeds, lost, scale):
    rows = np.array([moves(seed)[:30] * (scale if place % 2 else 1.0) for place, seed in enumerate(seeds)])
    for row, day in lost:
        if row < len(seeds):
            rows[row, day] = np.nan
    assert first_alike(rows, ALIKE, 15).tolist() == slowly(rows, ALIKE, 15)


@settings(max_examples=25, deadline=None)
@given(
    seeds=st.lists(st.sampled_from([1, 2]), min_size=2, max_size=5),
    at=st.integers(20, DAYS - 1),
    seed=st.integers(10, 99),
)
def test_what_comes_after_a_day_changes_nobody_who_is_counted_on_it(seeds, at, seed):
    known = {f"C{n}": series(moves(one)) for n, one in enumerate(seeds)}
    after = {
        coin: replace(one, returns=np.where(np.arange(DAYS) < at, one.returns, moves(seed + n)).astype(np.float32))
        for n, (coin, one) in enumerate(known.items())
    }
    assert copied_on(FIRST + at, known) == copied_on(FIRST + at, after)
