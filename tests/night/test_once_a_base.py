"""No day counts a base asset twice, and it counts by the instrument that a night of that day would have preferred."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import make_plan
from records import ingested, report

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Universe
from huracan.domain.tiers import TIERS
from huracan.domain.time import DAY_MS
from huracan.night.evidence.one_per_base import once_a_base
from huracan.night.jobs.tier_days import days_of
from huracan.night.state import Constituents, Night


def pair(coin, market, base, quote="USDT", listing_end=0):
    instrument = Instrument(
        market=market, symbol=f"{base}{quote}", base=base, quote=quote, coin=coin, listing_end=listing_end
    )
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=None)


MEMBERS = (
    pair("LUNA", "spot", "LUNA"),
    pair("SHIB", "um", "1000SHIB"),
    pair("SHIBUSDT-spot", "spot", "SHIB"),
    pair("SHIBUSDC-spot", "spot", "SHIB", "USDC"),
)
FORMER = (
    pair("LUNAUSDT-spot~20220513", "spot", "LUNA", listing_end=20220513),
    pair("LUNAUSDT-um", "um", "LUNA"),
    pair("FTT", "um", "FTT"),
    pair("FTTUSDT-spot", "spot", "FTT"),
)
EVERYBODY = {one.instrument.coin: one for one in (*MEMBERS, *FORMER)}


def facts(life, spans, *, skip=None):
    """A record of wave 1: bars from the first to the last day of `life`, in pools as `spans` say."""
    first, last = (None, None) if life is None else (life[0] * DAY_MS + 5, (life[1] + 1) * DAY_MS - 5)
    known = report(first_ms=first, last_ms=last)
    return ingested(skip=skip, report=known, pool_days=None if skip else spans)


def counted(market="auto", **records):
    """`pool_days` by coin after the rule; records by coin, with underscores for the signs in names."""
    names = {coin.replace("-", "_").replace("~", "_"): coin for coin in EVERYBODY}
    known = {names[name]: record for name, record in records.items()}
    former = {one.instrument.coin for one in FORMER}
    night = Night(
        run_id="r",
        plan=make_plan(members=MEMBERS, historical=FORMER),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=(),
        ingested={coin: record for coin, record in known.items() if coin not in former},
        historical=Constituents(ingested={coin: record for coin, record in known.items() if coin in former}),
    )
    after = once_a_base(night, market)
    return {
        coin: {tier: [list(span) for span in spans] for tier, spans in record.pool_days.items()}
        for coin, record in after.all_ingested().items()
    }


def test_a_dead_perpetual_counts_for_the_days_it_lived_and_its_spot_pair_for_those_before_and_after():
    found = counted(
        LUNA=facts((40, 60), {"B": [[40, 60]]}),
        LUNAUSDT_spot_20220513=facts((1, 30), {"A": [[2, 30]]}),
        LUNAUSDT_um=facts((5, 20), {"A": [[6, 12]], "B": [[15, 20]]}),
    )
    assert found["LUNAUSDT-um"] == {"A": [[6, 12]], "B": [[15, 20]]}
    assert found["LUNAUSDT-spot~20220513"] == {"A": [[2, 4], [21, 30]]}
    assert found["LUNA"] == {"B": [[40, 60]]}


def test_the_day_on_which_another_unit_came_is_the_last_one_of_the_earlier_listing():
    found = counted(
        LUNA=facts((30, 60), {"B": [[31, 60]]}),
        LUNAUSDT_spot_20220513=facts((1, 30), {"A": [[2, 30]]}),
    )
    assert (found["LUNA"], found["LUNAUSDT-spot~20220513"]) == ({"B": [[31, 60]]}, {"A": [[2, 30]]})


def test_of_a_coin_that_is_dead_altogether_the_owners_market_goes_first():
    both = {"FTT": facts((1, 9), {"A": [[2, 9]]}), "FTTUSDT_spot": facts((3, 12), {"B": [[3, 12]]})}
    assert counted(**both) == {"FTT": {"A": [[2, 9]]}, "FTTUSDT-spot": {"B": [[10, 12]]}}
    assert counted("spot", **both) == {"FTT": {"A": [[2, 2]]}, "FTTUSDT-spot": {"B": [[3, 12]]}}


def test_before_its_perpetual_was_listed_a_spot_pair_stood_for_its_base():
    pairs = {
        "SHIBUSDT_spot": facts((1, 40), {"A": [[2, 40]]}),
        "SHIBUSDC_spot": facts((1, 40), {"B": [[2, 40]]}),
    }
    young = facts((31, 40), {}, skip="SHORT_HISTORY")
    for holder in (facts((31, 40), {"A": [[32, 40]]}), young):
        found = counted(SHIB=holder, **pairs)
        assert (found["SHIBUSDT-spot"], found["SHIBUSDC-spot"]) == ({"A": [[2, 30]]}, {})
    unknown = facts(None, {}, skip="NO_DATA")
    assert counted(SHIB=unknown, **pairs)["SHIBUSDT-spot"] == {"A": [[2, 40]]}
    assert counted(**pairs) == {"SHIBUSDT-spot": {}, "SHIBUSDC-spot": {}}  # whoever stands for it is not here


LIVES = st.tuples(st.integers(0, 29), st.integers(0, 29)).map(sorted)
TIER_OF_DAYS = st.lists(st.sampled_from(["", *TIERS]), min_size=30, max_size=30)


@pytest.mark.slow
@given(st.lists(st.tuples(LIVES, TIER_OF_DAYS), min_size=3, max_size=3))
def test_every_day_belongs_to_the_first_who_lived_it(lives):
    names = ("LUNAUSDT_um", "LUNAUSDT_spot_20220513", "LUNA")
    coins = ("LUNAUSDT-um", "LUNAUSDT-spot~20220513", "LUNA")
    records, own = {}, {}
    for name, coin, ((first, last), tiers) in zip(names, coins, lives, strict=True):
        own[coin] = {day: tiers[day] for day in range(first, last + 1) if tiers[day]}
        spans = {tier: [[day, day] for day, one in own[coin].items() if one == tier] for tier in TIERS}
        records[name] = facts((first, last), spans)
    found = counted(**records)
    for place, coin in enumerate(coins):
        before = {day for (first, last), _ in lives[:place] for day in range(first, last + 1)}
        for tier in TIERS:
            wanted = [day for day, one in own[coin].items() if one == tier and day not in before]
            assert days_of(found[coin], tier).tolist() == wanted
    assert not any(
        set(days_of(found[a], one)) & set(days_of(found[b], other))
        for a, b in itertools.combinations(coins, 2)
        for one, other in itertools.product(TIERS, TIERS)
    )
