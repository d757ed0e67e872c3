"""A night decided: promotions, idempotence, missed nights, seen days, cohorts, waiting; all through `evaluate_night`."""

from dataclasses import replace

import numpy as np
import pytest

from huracan.errors import LedgerError
from huracan.promotion import NOTHING, LedgerState, advance, evaluate_night, verify
from huracan.promotion.bounds import Exposure, bound_bps
from huracan.promotion.hypothesis import Observation

SEEN_IN_WINTER = (("2026-01-11", "2026-02-09"),)  # thirty days of the history below


def recipes_of(verdict, status=None):
    return sorted(view.recipe for view in verdict.table if status is None or view.status == status)


def test_a_planted_pool_is_promoted_over_doing_nothing(make):
    verdict = evaluate_night(LedgerState(), [make.evidence(make.planted(85, 1.5))], make.tonight(85))
    (view,) = verdict.table
    assert verdict.champions == {("um-A", "1h"): make.recipe().id}
    assert [event.predecessor for event in verdict.promotions] == [NOTHING]
    assert view.e >= 120.0
    assert view.bound_over_sd == pytest.approx(9.0, rel=0.2)
    assert (view.status, view.is_champion, view.slot) == ("promoted", True, "primary/1h")
    assert (view.history_days, view.live_days) == (85, 0)
    assert "history 85 days, live 0 days" in view.evidence


def test_worthless_and_crash_skewed_pools_are_candidates_and_nothing_more(make):
    rng = np.random.default_rng(1)
    crash = np.where(rng.random(85) < 0.015, -160.0, 2.44)
    evidence = [
        make.evidence(make.planted(85, 0.0, seed=2)),
        make.evidence(crash, horizon="4h"),
        make.evidence(np.full(85, 2.44), horizon="1d"),  # the crash has not come yet
    ]
    verdict = evaluate_night(LedgerState(), evidence, make.tonight(85))
    assert verdict.champions == {}
    assert verdict.promotions == ()
    assert set(verdict.candidates) == {("um-A", "1h"), ("um-A", "4h"), ("um-A", "1d")}
    assert all(view.e < view.needed for view in verdict.table)


def test_deciding_the_same_night_again_changes_nothing(make):
    pools = [make.evidence(make.planted(85, 1.5)), make.evidence(make.planted(85, 0.2), recipe=make.recipe("boosted"))]
    first = evaluate_night(LedgerState(), pools, make.tonight(85))
    again = evaluate_night(first.state, pools, make.tonight(85))
    assert not first.is_empty
    assert again.is_empty
    assert (again.rows, again.lineages, again.events) == ((), (), ())
    assert again.state == first.state
    assert again.table == first.table
    assert again.promotions == first.promotions
    assert again.champions == first.champions


def test_one_more_day_advances_every_lineage_by_that_day(make):
    net = make.planted(90, 0.1)
    first = evaluate_night(LedgerState(), [make.evidence(net[:85])], make.tonight(85))
    second = evaluate_night(first.state, [make.evidence(net[:86])], make.tonight(86))
    (row,) = second.rows
    assert row.day == make.day + 85
    assert row.net_bps == net[85]
    (view,) = second.table
    assert (view.history_days, view.live_days) == (85, 1)


@pytest.mark.slow
def test_missed_nights_are_caught_up_in_order_as_if_none_had_been_missed(make):
    full = [
        make.evidence(make.planted(140, 0.9, seed=1)),
        make.evidence(make.planted(140, 0.4, seed=2), recipe=make.recipe("boosted")),
        make.evidence(make.planted(140, 0.0, seed=3), horizon="4h"),
    ]
    state = LedgerState()
    for days in range(60, 141):
        state = evaluate_night(state, [make.cut(piece, days) for piece in full], make.tonight(days)).state
    start = evaluate_night(LedgerState(), [make.cut(piece, 60) for piece in full], make.tonight(60)).state
    jumped = evaluate_night(start, full, make.tonight(140)).state
    assert state.champions
    assert state.champions[0].day < make.day + 139
    assert jumped == state
    for record in jumped.records.values():
        verify(record)


def test_a_night_before_the_last_one_is_refused(make):
    net = make.planted(85, 0.0)
    state = evaluate_night(LedgerState(), [make.evidence(net)], make.tonight(85)).state
    with pytest.raises(LedgerError, match="past night"):
        evaluate_night(state, [make.evidence(net[:84])], make.tonight(84))


def test_recorded_days_stand_when_tonight_reads_them_differently(make):
    net = make.planted(85, 0.0)
    state = evaluate_night(LedgerState(), [make.evidence(net)], make.tonight(85)).state
    other = net.copy()
    other[40:43] += 1.0
    verdict = evaluate_night(state, [make.evidence(other)], make.tonight(85))
    assert verdict.state == state
    (restated,) = verdict.restated
    assert restated.days == tuple(range(make.day + 40, make.day + 43))
    assert (restated.largest_bps, restated.total_bps, restated.void) == pytest.approx((1.0, 3.0, 0))
    assert "3 recorded days (2026-02-10 to 2026-02-12) now read differently" in restated.sentence()
    (record,) = state.records.values()
    with pytest.raises(LedgerError, match="cannot be re-run differently"):
        advance(
            record,
            Observation(day=make.day + 40, difference_bps=other[40], net_bps=other[40], valid=True, has_position=True),
        )


def test_the_last_digits_of_another_processors_sums_are_no_other_result(make):
    net = make.planted(85, 0.0)
    state = evaluate_night(LedgerState(), [make.evidence(net)], make.tonight(85)).state
    rounded = net + 1e-12 * np.random.default_rng(1).standard_normal(85)
    verdict = evaluate_night(state, [make.evidence(rounded)], make.tonight(85))
    assert (verdict.state, verdict.restated) == (state, ())
    (record,) = state.records.values()
    day, value = make.day + 40, float(rounded[40])
    again = Observation(day=day, difference_bps=value, net_bps=value, valid=True, has_position=True)
    assert advance(record, again) == record.row_of(day)


def test_a_recorded_day_that_is_void_tonight_reads_differently(make):
    net, valid = make.planted(85, 0.0), np.ones(85, dtype=bool)
    state = evaluate_night(LedgerState(), [make.evidence(net)], make.tonight(85)).state
    valid[40] = False
    (restated,) = evaluate_night(state, [make.evidence(net, valid=valid)], make.tonight(85)).restated
    assert (restated.days, restated.void) == ((make.day + 40,), 1)


def test_a_gamma_spent_twice_is_refused(make):
    pools = [make.evidence(make.planted(85, 0.0), horizon=h) for h in ("1h", "4h")]
    state = evaluate_night(LedgerState(), pools, make.tonight(85)).state
    first, second = state.records.values()
    copied = replace(second, lineage=replace(second.lineage, slot=first.lineage.slot))
    forged = LedgerState(records={"a": first, "b": copied}, evaluated_day=state.evaluated_day)
    with pytest.raises(LedgerError, match="a gamma is used once"):
        evaluate_night(forged, pools, make.tonight(85))


def test_seen_days_are_skipped_before_registration_and_count_after_it(make):
    net = make.planted(90, 0.3)
    seen = make.recipe(seen=SEEN_IN_WINTER)
    verdict = evaluate_night(LedgerState(), [make.evidence(net[:85], recipe=seen)], make.tonight(85))
    (record,) = verdict.state.records.values()
    assert len(record.rows) == 55
    assert not {row.day for row in record.rows} & set(range(make.day + 10, make.day + 40))
    live = make.recipe(seen=(("2026-01-01", "2026-12-31"),))
    state = evaluate_night(LedgerState(), [make.evidence(net[:85], recipe=live)], make.tonight(85)).state
    verdict = evaluate_night(state, [make.evidence(net, recipe=live)], make.tonight(90))
    assert [row.day for row in verdict.rows] == [make.day + 85 + i for i in range(5)]
    assert (verdict.table[0].history_days, verdict.table[0].live_days) == (0, 5)


def test_seen_days_lend_a_taxed_start_when_they_are_worth_more(make):
    recipe = make.recipe(seen=(("2026-01-01", "2026-03-11"),))  # seventy excellent days
    evidence = make.evidence(make.planted(85, 1.8), recipe=recipe)
    few = evaluate_night(LedgerState(), [evidence], make.tonight(85)).table[0]
    known = frozenset(("search", f"pool{i}", "1h") for i in range(10_000_000 // 1_000))
    many = evaluate_night(LedgerState(trials=known), [evidence], make.tonight(85)).table[0]
    assert "started at e = 5.00, after a tax of 1 trials" in few.evidence
    assert "started at e = 1.00" in many.evidence or few.e > many.e
    assert few.observed_days == many.observed_days == 15
    assert few.status == "open"  # borrowed days do not open the gate of sixty observed days


def test_tonights_evidence_enters_the_trial_registry(make):
    verdict = evaluate_night(LedgerState(), [make.evidence(make.planted(70, 0.0))], make.tonight(70))
    assert verdict.trials == {(make.recipe().id, "um-A", "1h")}
    assert verdict.state.trials == verdict.trials


def test_void_days_move_nothing(make):
    net = make.planted(85, 0.5)
    valid = np.ones(85, dtype=bool)
    valid[[3, 50]] = False
    verdict = evaluate_night(LedgerState(), [make.evidence(net, valid=valid)], make.tonight(85))
    assert (verdict.table[0].observed_days, verdict.table[0].void_days) == (83, 2)


def test_gates_keep_an_e_value_out_of_the_ledger(make):
    strong = make.planted(85, 1.5)
    short = evaluate_night(LedgerState(), [make.evidence(np.full(59, 60.0))], make.tonight(59))
    idle = evaluate_night(LedgerState(), [make.evidence(strong, exposure=[0.5] * 29 + [0.0] * 56)], make.tonight(85))
    dear = evaluate_night(LedgerState(), [make.evidence(strong, cost=200.0)], make.tonight(85))
    for verdict, said in ((short, "59 observed days"), (idle, "29 days with a position"), (dear, "1.5 x costs")):
        (view,) = verdict.table
        assert verdict.champions == {}
        assert view.e > view.needed
        assert any(said in reason for reason in view.closed_gates)


def test_the_bound_comes_from_the_caps_and_from_earlier_days(make):
    seen = make.recipe(seen=(("2026-01-01", "2026-07-19"),))  # two hundred days
    wild = np.random.default_rng(3).normal(0.0, 60.0, 260).clip(-170, 170)
    evidence = make.evidence(wild, recipe=seen)
    verdict = evaluate_night(LedgerState(), [evidence], make.tonight(260))
    (record,) = verdict.state.records.values()
    assert record.lineage.bound_nothing_bps == pytest.approx(6.0 * wild[:200].std(ddof=1))
    plain = evaluate_night(LedgerState(), [make.evidence(wild[:70])], make.tonight(70)).table[0]
    exposure = Exposure(tier="A", n_members=12, net_cap=0.05, gross_cap=0.1)
    assert plain.bound_nothing_bps == bound_bps(make.table, exposure) == make.bound


def test_a_three_day_horizon_has_one_observation_per_block(make):
    net = make.planted(180, 0.0, sd=5.0)
    verdict = evaluate_night(LedgerState(), [make.evidence(net, horizon="3d")], make.tonight(180))
    (view,) = verdict.table
    assert view.observed_days == 60
    assert view.bound_nothing_bps == 3 * make.bound
    assert view.slot == "other/1"


def test_late_evidence_is_scored_when_it_arrives(make):
    net = make.planted(90, 0.0)
    state = evaluate_night(LedgerState(), [make.evidence(net[:85])], make.tonight(85)).state
    without = evaluate_night(state, [], make.tonight(86))
    assert without.rows == ()
    assert without.advanced
    assert without.table[0].closed_gates == ("no results tonight",)
    later = evaluate_night(without.state, [make.evidence(net[:87])], make.tonight(87))
    assert [row.day for row in later.rows] == [make.day + 85, make.day + 86]


@pytest.mark.slow
def test_when_all_slots_are_spent_a_lineage_waits_and_next_year_it_enters(make):
    net = make.planted(70, 0.0)
    pools = [
        make.evidence(net, pool=f"um-{i}", tier="C", members=3, horizon=h)
        for i in range(11)
        for h in ("1h", "4h", "1d")
    ]
    verdict = evaluate_night(LedgerState(), pools, make.tonight(70))
    assert len(verdict.lineages) == 30
    assert len(verdict.waiting) == 3
    assert "no slot is left in the cohort of 2026" in verdict.waiting[0].reason
    turned = evaluate_night(verdict.state, pools, make.tonight(366))
    assert [lineage.cohort for lineage in turned.lineages] == [2027] * 3
    assert turned.waiting == ()


def test_a_past_that_is_not_whole_tonight_is_not_brought_in_and_the_night_after_it_is(make):
    net = make.planted(87, 1.5)
    first = make.evidence(net[:85])
    verdict = evaluate_night(LedgerState(), [replace(first, unready="2 former pairs were lost")], make.tonight(85))
    assert verdict.lineages == ()
    assert verdict.notes == ("not admitted: 1 of tonight's hypotheses; 2 former pairs were lost",)
    later = evaluate_night(verdict.state, [make.evidence(net[:86])], make.tonight(86))
    assert (later.table[0].history_days, later.notes) == (86, ())
    lacking = replace(make.evidence(net), unready="2 former pairs were lost")  # who is in already goes on
    (row,) = evaluate_night(later.state, [lacking], make.tonight(87)).rows
    assert (row.day, row.net_bps) == (make.day + 86, net[86])


def test_the_same_evidence_twice_is_an_error_of_the_caller(make):
    piece = make.evidence(make.planted(70, 0.0))
    with pytest.raises(ValueError, match="two results"):
        evaluate_night(LedgerState(), [piece, piece], make.tonight(70))


def test_hopeless_lineages_expire_and_stay_away(make):
    losing = make.planted(420, -1.5)
    verdict = evaluate_night(LedgerState(), [make.evidence(losing[:400])], make.tonight(400))
    assert verdict.table[0].status == "expired"
    assert verdict.table[0].reason.startswith("hopeless: log e")
    after = evaluate_night(verdict.state, [make.evidence(losing)], make.tonight(420))
    assert (after.rows, after.lineages) == ((), ())
    assert set(after.candidates.values()) == {make.recipe().id}


def test_what_no_plausible_edge_would_decide_within_two_years_expires(make):
    tiny = make.planted(100, 0.0, sd=1.0)
    verdict = evaluate_night(LedgerState(), [make.evidence(tiny)], make.tonight(100))
    assert "decidable in" in verdict.table[0].reason
    assert verdict.table[0].bound_over_sd > 100
    flat = evaluate_night(LedgerState(), [make.evidence(np.zeros(100), exposure=0.0)], make.tonight(100))
    assert flat.table[0].status == "open"
    assert flat.table[0].bound_over_sd is None


def test_fresh_lineages_have_no_numbers_yet(make):
    verdict = evaluate_night(LedgerState(), [make.evidence([])], make.tonight(1))
    (view,) = verdict.table
    assert (view.mean_bps, view.sd_bps, view.hac_se_bps, view.shrunk_bps, view.nights_until_decidable) == (None,) * 5
    assert view.confidence_nothing_bps == (-make.bound, make.bound)
    assert verdict.table[0].as_dict()["e"] == 1.0


def test_forecasts_are_for_the_shrunk_edge_and_for_the_planned_one(make):
    views = evaluate_night(
        LedgerState(),
        [
            make.evidence(make.planted(70, s, seed=i), horizon=h)
            for i, (h, s) in enumerate((("1h", 0.5), ("4h", -0.1), ("1d", 0.1)))
        ],
        make.tonight(70),
    ).table
    by_horizon = {view.horizon: view for view in views}
    assert by_horizon["4h"].nights_until_decidable is None
    assert by_horizon["1h"].nights_until_decidable < by_horizon["1h"].nights_if_planned
    assert all(50 < view.nights_if_planned < 400 for view in views)
    assert by_horizon["1h"].shrunk_bps < by_horizon["1h"].mean_bps
