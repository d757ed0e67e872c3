"""No day counts a base asset twice, and none that somebody traded is lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from plans import make_plan

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Universe
from huracan.domain.tiers import TIERS
from huracan.pipeline.bases import once_a_base
from huracan.pipeline.membership import days_of
from huracan.pipeline.night import FormerPairs, Night


def pair(coin, market, base):
    instrument = Instrument(market=market, symbol=f"{base}USDT", base=base, quote="USDT", coin=coin)
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=None)


MEMBERS = (pair("LUNA", "spot", "LUNA"), pair("SHIB", "um", "1000SHIB"), pair("SHIBUSDT-spot", "spot", "SHIB"))
FORMER = (
    pair("LUNAUSDT-spot~20220513", "spot", "LUNA"),
    pair("LUNAUSDT-um", "um", "LUNA"),
    pair("FTT", "um", "FTT"),
    pair("FTTUSDT-spot", "spot", "FTT"),
)


def counted(spans, market="auto", skipped=()):
    night = Night(
        run_id="r",
        plan=make_plan(members=MEMBERS, former=FORMER),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=(),
        facts={
            one.instrument.coin: {"skip": "why"} if one.instrument.coin in skipped
            else {"skip": None, "pool_days": spans.get(one.instrument.coin, {})}
            for one in MEMBERS
        },
        former=FormerPairs(facts={coin: {"pool_days": spans.get(coin, {})} for coin in map(key, FORMER)}),
    )  # fmt: skip
    after = once_a_base(night, market)
    return {coin: facts.get("pool_days") for coin, facts in {**after.facts, **after.former.facts}.items()}


def key(one):
    return one.instrument.coin


def test_a_dead_perpetual_counts_for_the_days_it_lived_and_its_spot_pair_for_all_others():
    spans = {
        "LUNA": {"B": [[40, 60]]},
        "LUNAUSDT-spot~20220513": {"A": [[1, 20]]},
        "LUNAUSDT-um": {"A": [[5, 14]], "B": [[15, 20]]},
        "FTT": {"A": [[1, 9]]},
        "FTTUSDT-spot": {"B": [[3, 12]]},
        "SHIB": {"A": [[1, 9]]},
        "SHIBUSDT-spot": {"A": [[1, 9]]},
    }
    found = counted(spans)
    assert found["LUNAUSDT-um"] == spans["LUNAUSDT-um"]
    assert found["LUNAUSDT-spot~20220513"] == {"A": [[1, 4]]}
    assert (found["LUNA"], found["FTT"], found["FTTUSDT-spot"]) == (spans["LUNA"], spans["FTT"], {"B": [[10, 12]]})
    assert found["SHIBUSDT-spot"] == spans["SHIBUSDT-spot"]  # nobody counts it: its perpetual stands for the base
    spot_first = counted(spans, market="spot")
    assert (spot_first["FTT"], spot_first["FTTUSDT-spot"]) == ({"A": [[1, 2]]}, spans["FTTUSDT-spot"])


def test_who_was_skipped_takes_no_day_from_anybody():
    spans = {"LUNAUSDT-um": {"A": [[1, 9]]}}
    assert counted(spans, skipped=("LUNA",))["LUNAUSDT-um"] == spans["LUNAUSDT-um"]


DAYS = st.lists(st.sampled_from(["", *TIERS]), min_size=30, max_size=30)


def spans_of(tiers):
    return {tier: [[day, day] for day, one in enumerate(tiers) if one == tier] for tier in set(tiers) - {""}}


@given(st.fixed_dictionaries({one.instrument.coin: DAYS for one in (MEMBERS[0], *FORMER[:2])}))
def test_of_every_day_exactly_one_instrument_counts_where_any_was_in_a_pool(tiers):
    found = counted({coin: spans_of(own) for coin, own in tiers.items()})
    days = [day for coin in tiers for tier in TIERS for day in days_of(found[coin], tier)]
    assert sorted(days) == [day for day in range(30) if any(own[day] for own in tiers.values())]
    assert np.array_equal(
        np.sort(np.concatenate([days_of(found["LUNAUSDT-um"], tier) for tier in TIERS])),
        [day for day in range(30) if tiers["LUNAUSDT-um"][day]],
    )
