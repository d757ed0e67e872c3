"""One lineage: its rows are chained, idempotent and never edited; breaches end it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.ids import canonical_json
from huracan.errors import LedgerError
from huracan.promotion.hypothesis import (
    Lineage,
    LineageRecord,
    Observation,
    advance,
    lineage_body,
    lineage_from_dict,
    row_body,
    row_from_dict,
    seal,
    verify,
)
from huracan.stats.evalues import e_process_path

DAY = 20454


def lineage(**changes):
    values = {
        "pool": "um-A",
        "horizon": "1h",
        "recipe_id": "linear-abc",
        "recipe_name": "linear",
        "cohort": 2026,
        "slot": "primary/1h",
        "gamma": 1 / 6,
        "admitted_day": DAY - 1,
        "registered_day": DAY - 1,
        "first_day": DAY,
        "bound_champion_bps": 150.0,
        "bound_nothing_bps": 120.0,
    }
    return Lineage(**{**values, **changes})


def day(offset, difference, net=None, *, has_position=True):
    return Observation(
        day=DAY + offset,
        difference_bps=difference,
        net_bps=difference if net is None else net,
        valid=True,
        has_position=has_position,
    )


def void(offset):
    return Observation(day=DAY + offset, difference_bps=None, net_bps=None, valid=False, has_position=False)


def played(observations, record=None):
    record = record or LineageRecord(lineage=lineage())
    for observation in observations:
        record = record.extended([advance(record, observation)])
    return record


def test_both_e_values_follow_the_e_process_and_the_smaller_one_counts():
    differences, nets = np.array([10.0, -20.0, 50.0]), np.array([5.0, -30.0, 10.0])
    record = played(day(i, d, n) for i, (d, n) in enumerate(zip(differences, nets, strict=True)))
    last = record.last
    assert last.e_champion == pytest.approx(e_process_path(differences, 150.0)[-1], rel=1e-12)
    assert last.e_nothing == pytest.approx(e_process_path(nets, 120.0)[-1], rel=1e-12)
    assert last.e == min(last.e_champion, last.e_nothing)


def test_void_days_leave_the_wealth_alone_and_are_counted():
    record = played([day(0, 10.0), void(1), day(2, 0.0, has_position=False)])
    assert [row.kind for row in record.rows] == ["observed", "void", "observed"]
    assert record.rows[1].log_wealth_champion == record.rows[0].log_wealth_champion
    assert (record.last.observed, record.last.zero, record.last.void) == (2, 1, 1)


def test_the_same_day_again_gives_the_recorded_row():
    record = played([day(0, 10.0), void(1), day(2, -5.0)])
    assert advance(record, day(0, 10.0)) is record.rows[0]
    assert advance(record, void(1)) is record.rows[1]


@pytest.mark.parametrize("again", [day(0, 10.5), day(0, 10.0, 9.0), void(0), day(1, 1.0)])
def test_a_recorded_day_with_other_results_is_refused(again):
    record = played([day(0, 10.0), void(1), day(2, -5.0)])
    with pytest.raises(LedgerError, match="cannot be re-run differently"):
        advance(record, again)


def test_a_past_day_that_was_never_scored_is_refused():
    record = played([day(0, 10.0), day(5, 1.0)])
    with pytest.raises(LedgerError, match="is past and was not scored then"):
        advance(record, day(3, 1.0))
    with pytest.raises(LedgerError, match="is past"):
        advance(record, day(-1, 1.0))


@given(st.lists(st.floats(-200, 200), min_size=2, max_size=12), st.data())
def test_any_edit_anywhere_breaks_the_chain(values, data):
    record = played(day(i, min(v, 140.0) if v > -120 else -100.0) for i, v in enumerate(values))
    verify(record)
    at = data.draw(st.integers(0, len(record.rows) - 1))
    row = record.rows[at]
    edits = {
        "difference_bps": 99.0,
        "gamma": 0.5,
        "day": row.day + 1000,
        "breach_days": 7,
        "status": "promoted",
        "hash": "00",
    }
    name = data.draw(st.sampled_from(sorted(edits)))
    edited = replace(row, **{name: edits[name]})
    with pytest.raises(LedgerError, match="does not fit the chain"):
        verify(replace(record, rows=(*record.rows[:at], edited, *record.rows[at + 1 :])))


def test_a_removed_row_a_foreign_row_and_an_edited_lineage_break_the_chain():
    record = played(day(i, float(i)) for i in range(4))
    resealed = seal(replace(record.rows[2], net_bps=50.0), record.rows[1].hash)
    broken = [
        replace(record, rows=record.rows[1:]),
        replace(record, rows=(record.rows[0], *record.rows[2:])),
        replace(record, rows=(*record.rows[:2], resealed, record.rows[3])),
        replace(record, lineage=replace(record.lineage, gamma=0.5)),
        replace(record, lineage=replace(record.lineage, start_e=2.0)),
    ]
    for case in broken:
        with pytest.raises(LedgerError, match="edited or damaged"):
            verify(case)


def test_rows_and_lineages_survive_the_trip_through_json():
    import json

    record = played([day(0, 10.0), void(1), day(2, -130.0)])
    for row in record.rows:
        body = row_body(row)
        assert row_from_dict(json.loads(body), row.previous_hash, row.hash) == row
        plain = {name: getattr(row, name) for name in json.loads(body)}
        assert body == canonical_json(plain)
    assert lineage_from_dict(json.loads(lineage_body(record.lineage))) == record.lineage


def test_the_third_breach_day_within_a_year_expires_the_lineage():
    record = played([day(0, -160.0, 0.0), day(10, 0.0, -125.0), day(300, -170.0, 0.0)])
    assert [row.status for row in record.rows] == ["open", "open", "expired"]
    assert record.last.breach_days == 3
    assert record.last.breached()
    assert "3 breach days" in record.last.reason
    with pytest.raises(LedgerError, match="expired"):
        advance(record, day(301, 0.0))


def test_breaches_a_year_apart_do_not_add_up():
    record = played([day(0, -160.0, 0.0), day(10, -160.0, 0.0), day(370, -160.0, 0.0)])
    assert record.status == "open"
    assert record.last.breach_days == 3
    assert record.last.breaches == (DAY + 10, DAY + 370)


def test_one_day_below_twice_the_bound_expires_at_once():
    assert played([day(0, -301.0, 0.0)]).last.reason.startswith("one day at 2.01 times the bound")
    assert played([day(0, -299.0, 0.0)]).status == "open"


def test_ids_tell_hypotheses_apart_and_hashes_tell_terms_apart():
    first = lineage()
    assert lineage(gamma=0.5).id == first.id
    assert lineage(gamma=0.5).hash != first.hash
    assert (
        len(
            {
                first.id,
                lineage(champion_id="x").id,
                lineage(champion_number=1).id,
                lineage(opening=1).id,
                lineage(pool="um-B").id,
            }
        )
        == 5
    )


def test_before_the_first_day_the_state_is_what_was_declared():
    record = LineageRecord(lineage=lineage(start_nothing=(0.5,) * 5))
    assert record.status == "open"
    assert record.last.log_wealth_nothing == (0.5,) * 5
    assert record.last.hash == record.lineage.hash
    assert record.row_of(DAY) is None
