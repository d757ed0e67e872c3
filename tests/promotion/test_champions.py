"""Changes of champion: siblings re-open, losers are demoted, challengers are watched, breaches freeze and expire."""

from dataclasses import replace

import numpy as np
import pytest

from huracan.promotion import NOTHING, LedgerState, Unfreeze, evaluate_night
from huracan.promotion.hypothesis import RowKind

CELL = ("um-A", "1h")


def open_views(verdict):
    return {view.recipe: view for view in verdict.table if view.status == "open"}


@pytest.fixture
def promoted(make):
    """State after `linear` was promoted over nothing on day 85, with `boosted` beside it, and a way to go on."""
    good, other = make.planted(85, 1.5), make.planted(85, 0.3, seed=4)

    def play(linear_after, boosted_after, *, nights=None, state=None):
        pools = [
            make.evidence(np.r_[good, linear_after]),
            make.evidence(np.r_[other, boosted_after], recipe=make.recipe("boosted")),
        ]
        return evaluate_night(
            start.state if state is None else state, pools, make.tonight(nights or 85 + len(linear_after))
        )

    start = evaluate_night(
        LedgerState(),
        [make.evidence(good), make.evidence(other, recipe=make.recipe("boosted"))],
        make.tonight(85),
    )
    play.start = start
    return play


def test_siblings_reopen_against_the_new_champion_with_a_new_gamma(make, promoted):
    start = promoted.start
    before, after = [r for r in start.state.records.values() if r.lineage.recipe_name == "boosted"]
    assert before.status == "closed"
    assert "champion changed" in before.last.reason
    assert (after.lineage.champion_id, after.lineage.champion_number, after.lineage.slot) == (
        make.recipe().id,
        1,
        "other/1",
    )
    assert after.lineage.start_champion == (0.0,) * 5
    assert after.lineage.start_nothing == before.last.log_wealth_nothing
    assert after.lineage.bound_champion_bps == 2 * make.bound  # two portfolios can be a sum of caps apart
    assert after.lineage.first_day == make.day + 85


def test_the_difference_to_the_champion_is_scored_from_then_on(promoted):
    verdict = promoted([10.0, 20.0], [13.0, 19.0])
    rows = [row for row in verdict.rows if row.kind == "observed"]
    assert [(row.difference_bps, row.net_bps) for row in rows] == [(3.0, 13.0), (-1.0, 19.0)]


def test_a_challenger_that_only_loses_less_is_not_promoted(make, promoted):
    verdict = promoted(np.full(15, -60.0), np.full(15, -0.5))
    view = open_views(verdict)["boosted"]
    assert view.champion_id == make.recipe().id
    assert view.e_champion > 3.0 > view.e_nothing == view.e


def test_several_promotions_in_one_night_make_the_largest_champion_and_count_the_others(make):
    pools = [
        make.evidence(make.planted(85, 1.5)),
        make.evidence(make.planted(85, 2.5, seed=1), recipe=make.recipe("boosted")),
    ]
    verdict = evaluate_night(LedgerState(), pools, make.tonight(85))
    assert verdict.champions == {CELL: make.recipe("boosted").id}
    assert len(verdict.promotions) == 1
    assert sorted(r.last.frozen_e is not None for r in verdict.state.records.values()) == [False, True, True]
    reopened = open_views(verdict)["linear"]
    assert reopened.champion_id == make.recipe("boosted").id
    again = evaluate_night(verdict.state, pools, make.tonight(85))
    assert again.is_empty


def test_frozen_evidence_lowers_what_the_next_one_needs(promoted):
    assert open_views(promoted.start)["boosted"].needed == pytest.approx(120 / (0.05 * 2))


def test_a_champion_that_turns_bad_is_demoted_to_doing_nothing(make, promoted):
    bad = make.planted(250, -0.5, seed=9)
    verdict = promoted(bad, np.zeros(250))
    demotion = verdict.state.champions[-1]
    assert (demotion.reason, demotion.recipe_id, demotion.predecessor) == ("demoted", NOTHING, make.recipe().id)
    assert make.day + 85 + 20 < demotion.day < make.day + 85 + 200
    assert verdict.champions == {}
    assert demotion.detail.startswith("detector at")
    lineages = [
        r.lineage
        for r in verdict.state.records.values()
        if r.lineage.champion_id == NOTHING and r.lineage.champion_number == 2
    ]
    assert {lineage.recipe_name for lineage in lineages} == {"linear", "boosted"}
    (back,) = (lineage for lineage in lineages if lineage.recipe_name == "linear")
    assert back.start_nothing == (0.0,) * 5  # what lost starts afresh against nothing too
    kept = next(r for r in verdict.state.records.values() if r.lineage.recipe_name == "linear")
    assert kept.last.frozen_e is not None  # stays counted


def test_a_champion_that_keeps_earning_stays(make, promoted):
    verdict = promoted(make.planted(300, 1.2, seed=2), np.zeros(300))
    assert verdict.champions == {CELL: make.recipe().id}
    (proven,) = (view for view in verdict.table if view.is_champion)
    assert proven.detector < 1_000.0
    assert not proven.suspended
    assert proven.e >= 120.0


def test_a_challenger_behind_its_predecessor_is_rolled_back(make, promoted):
    calm, bold = make.planted(400, 0.1, seed=5), np.r_[np.full(120, 90.0), np.full(280, 1.0)]
    state = promoted.start.state
    verdict = promoted(calm[:120], bold[:120])
    assert verdict.champions == {CELL: make.recipe("boosted").id}
    promoted_at = verdict.state.champions[-1].day - make.day - 85
    after = np.r_[bold[: promoted_at + 1], np.full(160, 1.0)]
    strong = np.r_[calm[: promoted_at + 1], np.full(160, 60.0)]
    verdict = promoted(strong, after, state=state)
    last = verdict.state.champions[-1]
    assert (last.reason, last.recipe_id) == ("rolled_back", make.recipe().id)
    assert last.lineage_id == verdict.state.champions[0].lineage_id
    going_on = promoted(np.r_[strong, [5.0, 5.0]], np.r_[after, [0.0, 0.0]], state=verdict.state)
    assert [row.kind for row in going_on.rows if row.lineage_id == last.lineage_id] == [RowKind.CHAMPION] * 2
    assert going_on.champions == {CELL: make.recipe().id}


def test_after_one_hundred_and_eighty_nights_the_watch_is_over(make, promoted):
    bold = np.full(120, 90.0)
    verdict = promoted(make.planted(120, 0.1, seed=5), bold)
    promoted_at = verdict.state.champions[-1].day - make.day - 85 + 1
    calm = np.r_[make.planted(120, 0.1, seed=5)[:promoted_at], np.full(200, 20.0)]
    boosted = np.r_[bold[:promoted_at], np.full(200, 20.0)]
    verdict = promoted(calm, boosted, state=promoted.start.state)
    record = verdict.state.records[verdict.state.champions[-1].lineage_id]
    watched = [row.watch for row in record.rows if row.kind is RowKind.CHAMPION]
    assert watched[179] != watched[178]
    assert watched[-1] == watched[179]


def test_a_drawdown_beyond_the_breaker_suspends_at_once_and_recovery_ends_it(make, promoted):
    record = promoted.start.state.records[promoted.start.state.champions[0].lineage_id]
    limit = record.last.breaker_bps
    assert 0.0 < limit < 1_000.0
    crash = -np.full(int(limit / 100) + 1, 100.0)
    down = promoted(crash, np.zeros(crash.size))
    assert down.suspended == (CELL,)
    assert down.champions == {CELL: make.recipe().id}
    recovered = promoted(np.r_[crash, np.full(crash.size, 100.0)], np.zeros(2 * crash.size), state=down.state)
    assert recovered.suspended == ()


def test_a_champion_without_results_tonight_is_said_so(make, promoted):
    pools = [make.evidence(np.r_[make.planted(85, 0.3, seed=4), [1.0]], recipe=make.recipe("boosted"))]
    verdict = evaluate_night(promoted.start.state, pools, make.tonight(86))
    assert any("has no results tonight" in note for note in verdict.notes)
    assert verdict.rows == ()
    newcomer = make.evidence(make.planted(86, 0.3, seed=4), recipe=make.recipe("blend"))
    verdict = evaluate_night(promoted.start.state, [*pools, newcomer], make.tonight(86))
    assert "to compare with" in verdict.waiting[0].reason


def test_a_newcomer_under_a_champion_is_compared_over_the_whole_history(make, promoted):
    pools = [
        make.evidence(make.planted(86, 1.5)),
        make.evidence(make.planted(86, 0.5, seed=8), recipe=make.recipe("blend")),
    ]
    verdict = evaluate_night(promoted.start.state, pools, make.tonight(86))
    record = verdict.state.records[verdict.lineages[0].id]
    assert len(record.rows) == 86
    row = record.rows[10]
    assert row.difference_bps == pytest.approx(make.planted(86, 0.5, seed=8)[10] - make.planted(86, 1.5)[10])


def test_a_breach_expires_the_lineage_and_readmits_it_with_a_wider_bound(make):
    net = make.planted(90, 0.1)
    first = evaluate_night(LedgerState(), [make.evidence(net[:70])], make.tonight(70))
    broken = net.copy()
    broken[72] = -2.5 * make.bound
    verdict = evaluate_night(first.state, [make.evidence(broken)], make.tonight(90))
    old, new = verdict.state.records.values()
    assert (old.status, old.last.day) == ("expired", make.day + 72)
    assert (new.lineage.opening, new.lineage.slot, new.lineage.start_e) == (1, "other/1", 1.0)
    assert new.lineage.bound_nothing_bps == pytest.approx(1.25 * 2.5 * make.bound)
    assert new.lineage.first_day == make.day + 73
    assert new.last.day == make.day + 89
    assert evaluate_night(verdict.state, [make.evidence(broken)], make.tonight(90)).is_empty


def pool_with_common_crashes(make, days=120, crashes=(90, 95, 100)):
    pieces = []
    for i, horizon in enumerate(("1h", "4h", "1d")):
        net = make.planted(days, 0.4, seed=20 + i)
        if i < 2:
            for at in crashes:
                net[at] = -1.1 * make.bound
        pieces.append(make.evidence(net, horizon=horizon))
    return pieces


def test_three_common_breach_days_freeze_the_pool_until_a_signed_note(make):
    full = pool_with_common_crashes(make)
    strong = make.evidence(make.planted(120, 1.5, seed=30), horizon="2h")
    full.append(strong)
    start = evaluate_night(LedgerState(), [make.cut(piece, 50) for piece in full], make.tonight(50)).state
    two = evaluate_night(start, [make.cut(piece, 97) for piece in full], make.tonight(97))
    assert two.frozen_pools == ()
    early = evaluate_night(start, [make.cut(piece, 101) for piece in full[:3]], make.tonight(101))
    assert early.frozen_pools == ("um-A",)
    frozen = evaluate_night(early.state, full, make.tonight(120))
    (view,) = (view for view in frozen.table if view.horizon == "2h")
    assert "frozen" in view.closed_gates[0]
    note = Unfreeze(pool="um-A", day=make.day + 119, note="venue outage, not ours")
    noted = replace(frozen.state, unfreezes=(note,))
    thawed = evaluate_night(noted, full, make.tonight(120))
    assert thawed.frozen_pools == ()


def test_breaches_of_few_lineages_do_not_freeze_the_others(make):
    pieces = [make.evidence(make.planted(120, 0.1, seed=i), horizon=h) for i, h in enumerate(("1h", "4h", "1d"))]
    others = [make.evidence(make.planted(120, 0.1, seed=9 + i), recipe=make.recipe(f"r{i}")) for i in range(4)]
    net = make.planted(120, 0.1)
    for at in (90, 95):
        net[at] = -1.1 * make.bound
    verdict = evaluate_night(LedgerState(), [make.evidence(net), *pieces[1:], *others], make.tonight(120))
    assert verdict.frozen_pools == ()
    assert max(view.breach_days for view in verdict.table) == 2
