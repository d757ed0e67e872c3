"""No model of one asset speaks for another: members that leave lose theirs, kept champions must be of tonight's listing."""

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import HORIZONS, make_plan
from records import ingested, served

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS
from huracan.night.delistings import retire_stale, vanished, without_delisted
from huracan.night.promote import Promoted
from huracan.night.state import Night

CUTOFF = 20_000 * DAY_MS


def coin(name, **changes):
    return Instrument(market="um", symbol=f"{name}USDT", base=name, quote="USDT", coin=name, **changes)


def night(*instruments, **changes):
    members = tuple(Candidate(instrument=one, volume_24h_gbp=1e9, spread_bps=1.0) for one in instruments)
    facts = {"pairs": tuple(one.coin for one in instruments), **changes}
    return Night(
        run_id="r", plan=make_plan(members=members), universe=Universe(now_ms=0, members=(), skips=()), **facts
    )


def champion(name, cutoff=CUTOFF, instrument=None):
    return served(name, instrument=instrument or f"{name}USDT-um", data_cutoff_ms=cutoff)


def retired(found):
    return {skip.coin for skip in found.skips if skip.code is SkipCode.DELISTED}


def test_a_champion_of_the_same_instrument_and_listing_stays():
    stale = Skip(coin="LUNA", horizon="*", step=2, code=SkipCode.STALE, reason="old")
    before = night(coin("LUNA", listed_ms=CUTOFF - DAY_MS)).skipping([stale])
    assert retire_stale(before, [champion("LUNA")]) == before


@pytest.mark.parametrize(
    ("listed_ms", "relisted_ms", "champion_of"),
    [
        (CUTOFF + 1, None, None),  # the exchange says when
        (None, CUTOFF + 1, None),  # the bars say it
        (None, None, "LUNAUSDT-spot"),  # the coin's name went to another market
    ],
)
def test_a_champion_of_an_earlier_listing_or_another_instrument_is_retired(listed_ms, relisted_ms, champion_of):
    stale = Skip(coin="LUNA", horizon="*", step=2, code=SkipCode.STALE, reason="old")
    before = night(
        coin("LUNA", listed_ms=listed_ms), coin("SOL"), ingested={"LUNA": ingested("LUNA", relisted_ms=relisted_ms)}
    ).skipping([stale])
    after = retire_stale(before, [champion("LUNA", instrument=champion_of), champion("SOL")])
    assert retired(after) == {"LUNA"}
    assert {skip.horizon for skip in after.skips} == set(HORIZONS)
    assert len(after.skips) == len(HORIZONS)  # in place of STALE, not beside it


def test_a_listing_cut_long_before_the_champions_data_end_is_its_own():
    before = night(coin("LUNA"), ingested={"LUNA": ingested("LUNA", relisted_ms=CUTOFF - 40 * DAY_MS)})
    assert retire_stale(before, [champion("LUNA")]).skips == ()


def test_champions_whose_coin_left_the_listing_are_told_for_the_do_not_trade_list():
    found = vanished(night(coin("SOL"), incumbents=frozenset({"SOL", "LUNA", "FTT"})))
    assert [(row.coin, row.code) for row in found] == [("FTT", "DELISTED"), ("LUNA", "DELISTED")]


@given(st.sets(st.sampled_from("ABCDEF")), st.sets(st.sampled_from("ABCDEF")))
def test_members_that_left_lose_every_model_and_every_other_reason(skipped, gone):
    before = night(*(coin(name) for name in "ABCDEF"))
    before = before.skipping(
        [Skip(coin=c, horizon="4h", step=8, code=SkipCode.NOT_PROVEN, reason="n") for c in skipped]
    )
    assigned = tuple(SimpleNamespace(coin=name) for name in "ABCDEF")
    promoted = Promoted(night=before, verdict=None, pools=(), evidence=(), assignments=assigned)
    after = without_delisted(promoted, dict.fromkeys(gone, "left"))
    assert [item.coin for item in after.assignments] == [name for name in "ABCDEF" if name not in gone]
    assert {(s.coin, s.horizon, s.code) for s in after.night.skips} == {
        *((name, horizon, SkipCode.DELISTED) for name in gone for horizon in HORIZONS),
        *((name, "4h", SkipCode.NOT_PROVEN) for name in skipped - gone),
    }
    assert dataclasses.replace(after, night=before, assignments=assigned) == promoted
