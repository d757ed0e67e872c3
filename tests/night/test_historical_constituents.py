"""What a night remembers of its former pairs, and what it says and does without those it could not count."""

from dataclasses import replace

import pytest
from plans import make_plan
from records import done, failed, ingested, prepared, refused, trained

from huracan.domain.codec import from_json, to_json
from huracan.domain.ids import Instrument
from huracan.domain.night_records import EarlierRecord
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS
from huracan.night.evidence.historical import (
    constituent_counts,
    draw,
    survivor_notes,
    with_drawn,
    with_ingested,
    with_prepared,
    with_trained,
)
from huracan.night.evidence.missing_results import lost_pairs, pool_days_of, why_no_admission
from huracan.night.plan import NightPlan
from huracan.night.state import Constituents, Night


def pair(coin, market="um", status="TRADING"):
    instrument = Instrument(market=market, symbol=f"{coin}USDT", base=coin, quote="USDT", coin=coin, status=status)
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=None)


def night(members, dead, **changes):
    plan = make_plan(
        members=tuple(map(pair, members)), historical=tuple(pair(coin, status="SETTLING") for coin in dead)
    )
    universe = Universe(now_ms=0, members=(), skips=())
    return Night(run_id="r", plan=plan, universe=universe, pairs=tuple(members), **changes)


def facts(tier="A", days=((1, 9),), skip=None, coin="A"):
    return ingested(coin, tier=tier, skip=skip, pool_days={tier: tuple(days)} if days else {})


def test_only_pairs_that_were_in_a_pool_of_tonight_are_drawn_by_hash_among_all():
    living = {f"L{n}": facts() for n in range(6)}
    dead = {f"D{n}": facts() for n in range(6)} | {"SMALL": facts("C"), "NEVER": facts(days=())}
    before = night(living, dead, ingested=living, historical=Constituents(ingested=dead))
    after = with_drawn(before, 4)
    wanted = set(draw([*living, *(coin for coin in dead if coin.startswith("D"))], 4))
    assert set(after.historical.drawn) == wanted - set(living)
    assert set(with_drawn(before, 60).historical.drawn) == {f"D{n}" for n in range(6)}


def test_each_wave_keeps_its_records_and_why_others_have_none():
    state = night(["L"], ["A", "B", "C", "D"])
    ok = done(facts())
    state = with_ingested(state, [], [ok, done(facts(skip="NO_DATA", coin="B"))], counted=True)
    state = with_ingested(state, [], [ok, failed("C", "CHECKSUM")], counted=True)
    state = with_prepared(state, [done(prepared("A"))])
    assert state.historical.prepared == {"A": prepared("A")}
    state = with_trained(state, [done(trained("A", skips=[refused("TOO_FEW_ROWS")]))])
    assert state.historical.trained == {}
    assert state.historical.failed == {"B": "NO_DATA", "C": "CHECKSUM", "A": "TOO_FEW_ROWS"}
    assert constituent_counts(state).as_dict() == {
        "known": 3, "earlier_listings": 0, "drawn": 0, "walked": 0, "refused": {"CHECKSUM": 1, "NO_DATA": 1, "TOO_FEW_ROWS": 1}
    }  # fmt: skip


def earlier(coin, market="um", day=20260113):
    instrument = replace(pair(coin, market).instrument, status="DELISTED", listing_end=day, until_ms=5)
    return EarlierRecord(instrument=replace(instrument, coin=instrument.id), record=facts(coin=instrument.id))


def found(coin, *before, skip=None):
    return done(replace(facts(skip=skip, coin=coin), earlier=before))


def test_earlier_listings_become_former_pairs_whoever_bears_their_symbol_now():
    state = night(["A", "B"], ["D", "E"])
    second = pair("A", "spot")
    second = replace(second, instrument=replace(second.instrument, coin="AUSDT-spot"))
    state = replace(state, plan=replace(state.plan, members=(*state.plan.members, second)))
    short = replace(earlier("E"), record=facts(skip="SHORT_HISTORY", coin="EUSDT-um~20260113"))
    members = [
        found("A", earlier("A", day=20250101), earlier("A")),
        found("AUSDT-spot", earlier("A", "spot")),
        failed("B", "CHECKSUM"),
    ]
    former = [found("D", earlier("D"), skip="NO_DATA"), found("E", short)]
    counted = with_ingested(state, members, former, counted=True)
    added = ["AUSDT-spot~20260113", "AUSDT-um~20250101", "AUSDT-um~20260113", "DUSDT-um~20260113"]
    assert sorted(counted.historical.ingested) == [*added, "E"]
    assert counted.historical.failed == {"D": "NO_DATA", "EUSDT-um~20260113": "SHORT_HISTORY"}
    assert [one.instrument.coin for one in counted.plan.historical] == sorted(["D", "E", *added, "EUSDT-um~20260113"])
    assert counted.plan.member("AUSDT-um~20250101").instrument.until_ms == 5
    assert (constituent_counts(counted).known, constituent_counts(counted).earlier_listings) == (7, 5)
    assert from_json(NightPlan, to_json(counted.plan)) == counted.plan
    alone = with_ingested(state, members, former, counted=False)
    assert (alone.plan, sorted(alone.historical.ingested)) == (state.plan, ["E"])


def test_the_summary_says_what_the_evidence_lacks():
    quiet = night(["L"], [])
    assert survivor_notes(quiet, counted=True) == ()
    assert "tonight's members alone" in survivor_notes(quiet, counted=False)[0]
    young = replace(quiet, historical=Constituents(failed={"A": "SHORT_HISTORY", "B": "NO_DATA"}))
    assert survivor_notes(young, counted=True) == ()  # nobody would have traded them
    lost = replace(quiet, historical=Constituents(failed={"A": "CHECKSUM", "B": "UPSTREAM", "C": "NO_DATA"}))
    assert survivor_notes(lost, counted=True) == (
        "evidence from past days lacks 2 historical constituents that could not be backtested (CHECKSUM 1, UPSTREAM 1)",
    )
    one = replace(quiet, historical=Constituents(failed={"A": "CHECKSUM"}))
    assert "lacks 1 historical constituent that" in survivor_notes(one, counted=True)[0]


def test_a_plan_until_an_end_keeps_its_first_instant_and_former_pairs_survive_the_json():
    plan = make_plan(historical=(pair("DEAD", status="SETTLING"),), min_liquidity_gbp=5.0)
    ended = (plan.end_day - 7) * DAY_MS
    short = plan.until(ended)
    assert (short.start_ms, short.cutoff_ms, short.end_day) == (plan.start_ms, ended, plan.end_day - 7)
    assert plan.until(None) is plan
    assert from_json(NightPlan, to_json(plan)) == plan
    assert plan.member("DEAD").instrument.status == "SETTLING"


def skip(coin, code):
    return Skip(coin=coin, horizon="1h", step=5, code=code, reason="")


@pytest.fixture
def lossy():
    """A night that lost members and former pairs in every way, and refused others for their own data."""
    members = {"OK": facts(), "KILLED": facts(), "FEW": facts(), "OLD": facts(skip="STALE")}
    dead = {name: facts() for name in ("WALKED", "CUT", "SHORT", "UNDRAWN")}
    return night(
        [*members, "AWAY"],
        dead,
        ingested=members,
        trained={"OK": trained("OK")},
        skips=(
            skip("OK", SkipCode.NOT_PROVEN),
            skip("KILLED", SkipCode.WORKER_LOST),
            skip("FEW", SkipCode.TOO_FEW_ROWS),
            skip("OLD", SkipCode.STALE),
            skip("AWAY", SkipCode.UPSTREAM),
        ),
        historical=Constituents(
            ingested=dead,
            drawn=("CUT", "SHORT", "WALKED"),
            trained={"WALKED": trained("WALKED")},
            failed={"CUT": "DEADLINE", "SHORT": "SHORT_HISTORY", "UNDRAWN": "CHECKSUM"},
        ),
    )


def test_who_was_to_be_walked_over_and_was_not_is_lost_unless_its_own_data_forbade_it(lossy):
    assert lost_pairs(lossy) == {"KILLED": "WORKER_LOST", "OLD": "STALE", "AWAY": "UPSTREAM", "CUT": "DEADLINE"}


@pytest.mark.parametrize("spans", [{"A": [[1, 9]]}, {"A": [[1, 9]], "B": [[4, 6]]}, {"A": [[1, 3]], "B": [[4, 9]]}])
def test_a_stale_pair_stays_in_the_pool_of_its_last_day(lossy, spans):
    stale = replace(lossy, ingested={**lossy.ingested, "OLD": replace(lossy.ingested["OLD"], pool_days=spans)})
    until = lossy.plan.end_day if spans["A"][-1][1] == 9 else 4
    assert pool_days_of(stale, "OLD", "A").tolist() == list(range(1, until))
    assert pool_days_of(lossy, "KILLED", "A").tolist() == list(range(1, 10))


def test_a_pair_that_could_not_be_read_is_in_the_pool_of_its_volume_since_its_listing(lossy):
    plan = lossy.plan
    assert pool_days_of(lossy, "AWAY", "A").tolist() == list(range(plan.start_ms // DAY_MS, plan.end_day))
    assert pool_days_of(lossy, "AWAY", "B").size == 0
    for changes, days in (({"coin": "AWAYUSDT-um"}, 0), ({"listed_ms": (plan.end_day - 7) * DAY_MS}, 7)):
        away = replace(plan.members[-1], instrument=replace(plan.members[-1].instrument, **changes))
        changed = replace(lossy, plan=replace(plan, members=(*plan.members[:-1], away)))
        assert pool_days_of(changed, away.instrument.coin, "A").size == days


@pytest.mark.parametrize(("drawn", "lost", "refused"), [(5, 1, False), (5, 2, True), (10, 2, False), (4, 1, True)])
def test_no_past_is_brought_in_where_its_days_would_be_void(drawn, lost, refused):
    coins = [f"C{n}" for n in range(drawn)]
    why = why_no_admission(night(coins, []), coins, dict.fromkeys([*coins[:lost], "ELSEWHERE"], "WORKER_LOST"))
    assert bool(why) is refused
    if refused:
        assert why.startswith(f"{lost} of the {drawn} pairs of the pool were lost tonight (WORKER_LOST {lost})")


def test_no_past_is_brought_in_when_the_dead_were_cut_for_time():
    state = replace(night(["A"], ["D", "E"]), historical=Constituents(failed={"D": "DEADLINE", "E": "NO_DATA"}))
    assert why_no_admission(state, ["A"], {}).startswith(
        "1 historical constituents were not backtested before the deadline"
    )
    dead = {f"D{n}": facts() for n in range(4)}
    few = replace(state, historical=Constituents(ingested=dead, failed={"E": "CHECKSUM"}))
    assert why_no_admission(few, ["A"], {}) == ""
    many = replace(
        state, historical=Constituents(ingested=dead, failed={"E": "CHECKSUM", "D1": "WORKER_LOST", "D2": "NO_DATA"})
    )
    told = "2 of 5 historical constituents were lost tonight (CHECKSUM 1, WORKER_LOST 1), so the past is of survivors"
    assert why_no_admission(many, ["A"], {}) == told
