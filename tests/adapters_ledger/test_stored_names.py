"""What the ledger stores is hashed, so its bytes never change: pinned here in words of the first release.

`three_nights.sqlite.gz` is a ledger that the first release wrote: `nights` below, decided for 3 March 2026 and after.
"""

import gzip
import hashlib
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verdicts import MAKE

from huracan.adapters.ledger import SqliteLedger
from huracan.domain.ids import canonical_json, content_hash
from huracan.promotion import ChampionEvent, LedgerState, Lineage, Trial, Unfreeze, evaluate_night
from huracan.promotion.expiry import ExpiryKind
from huracan.promotion.hypothesis import (
    RowKind,
    lineage_body,
    lineage_from_dict,
    opening_row,
    row_body,
    row_from_dict,
    seal,
)

WRITTEN = Path(__file__).with_name("three_nights.sqlite.gz")
EVIDENCE = ("lineages", "lineage_rows", "champions", "unfreezes", "nights", "trials")
DIGEST = "48da24f7758146ade7b99b3e4aaac6df37f989af97e2be24cf4e018972059f9d"
DAYS = (62, 63, 65)

LINEAGE = Lineage(
    pool="um-A",
    horizon="1h",
    recipe_id="linear-1",
    recipe_name="linear",
    champion_id="boosted-2",
    champion_number=2,
    opening=1,
    cohort=2026,
    slot="other/3",
    gamma=0.0083,
    admitted_day=20454,
    registered_day=20450,
    first_day=20455,
    bound_champion_bps=180.0,
    bound_nothing_bps=90.5,
    start_champion=(0.0, -0.5),
    start_nothing=(0.25, 0.5),
    start_e=1.25,
    start_trials=7,
)
LINEAGE_BODY = (
    '{"admitted_day":20454,"bound_champion_bps":180.0,"bound_nothing_bps":90.5,"champion_id":"boosted-2","cohort":2026,'
    '"epoch":2,"first_day":20455,"gamma":0.0083,"horizon":"1h","opening":1,"pool":"um-A","recipe_id":"linear-1",'
    '"recipe_name":"linear","registered_day":20450,"slot":"other/3","start_champion":[0.0,-0.5],"start_e":1.25,'
    '"start_nothing":[0.25,0.5],"start_trials":7}'
)
ROWS = (
    (
        {
            "kind": RowKind.OBSERVED,
            "difference_bps": -3.5,
            "net_bps": 12.25,
            "has_position": True,
            "observed": 1,
            "log_wealth_champion": (0.125, -0.5),
        },
        (
            '{"bound_champion_bps":180.0,"bound_nothing_bps":90.5,"breach_days":0,"breaches":[],"breaker_bps":null,"day":20455,'
            '"detector":[0.0,0.0,0.0,0.0,0.0],"difference_bps":-3.5,"drawdown_bps":0.0,"frozen_e":null,"gamma":0.0083,'
            '"has_position":true,"kind":"observed","lineage_id":"bbff4be21ef7290b","log_wealth_champion":[0.125,-0.5],'
            '"log_wealth_nothing":[0.25,0.5],"net_bps":12.25,"observed":1,"reason":"","start_e":1.25,"start_trials":7,'
            '"status":"open","suspended":false,"void":0,"watch":[0.0,0.0,0.0,0.0,0.0],"zero":0}'
        ),
        "4703a13452f056b54a4a431a22c610aa0d27c4f2520c5573b1b2e982cf56fa03",
    ),
    (
        {"kind": RowKind.VOID, "difference_bps": None, "net_bps": None, "has_position": False, "void": 1},
        (
            '{"bound_champion_bps":180.0,"bound_nothing_bps":90.5,"breach_days":0,"breaches":[],"breaker_bps":null,"day":20456,'
            '"detector":[0.0,0.0,0.0,0.0,0.0],"difference_bps":null,"drawdown_bps":0.0,"frozen_e":null,"gamma":0.0083,'
            '"has_position":false,"kind":"void","lineage_id":"bbff4be21ef7290b","log_wealth_champion":[0.125,-0.5],'
            '"log_wealth_nothing":[0.25,0.5],"net_bps":null,"observed":1,"reason":"","start_e":1.25,"start_trials":7,'
            '"status":"open","suspended":false,"void":1,"watch":[0.0,0.0,0.0,0.0,0.0],"zero":0}'
        ),
        "5fb72870aeb433fc80ce28a37e363509cde06852eebadc3530c52ba2e22c2ff3",
    ),
    (
        {"kind": RowKind.STATUS, "status": "expired", "reason": "hopeless: log e = -4.12"},
        (
            '{"bound_champion_bps":180.0,"bound_nothing_bps":90.5,"breach_days":0,"breaches":[],"breaker_bps":null,"day":20457,'
            '"detector":[0.0,0.0,0.0,0.0,0.0],"difference_bps":null,"drawdown_bps":0.0,"frozen_e":null,"gamma":0.0083,'
            '"has_position":false,"kind":"status","lineage_id":"bbff4be21ef7290b","log_wealth_champion":[0.125,-0.5],'
            '"log_wealth_nothing":[0.25,0.5],"net_bps":null,"observed":1,"reason":"hopeless: log e = -4.12","start_e":1.25,'
            '"start_trials":7,"status":"expired","suspended":false,"void":1,"watch":[0.0,0.0,0.0,0.0,0.0],"zero":0}'
        ),
        "97b3076bb23ea299f32c5c160a59af0e46d9db6f295998e38a1343ab74e430b6",
    ),
    (
        {
            "kind": RowKind.CHAMPION,
            "status": "promoted",
            "frozen_e": 120.5,
            "detector": (0.0, 1.5),
            "watch": (0.0, 0.5),
            "drawdown_bps": 80.0,
            "breaker_bps": 400.0,
            "suspended": True,
            "reason": "drawdown breaker",
            "net_bps": -95.0,
            "breach_days": 1,
            "breaches": (20458,),
        },
        (
            '{"bound_champion_bps":180.0,"bound_nothing_bps":90.5,"breach_days":1,"breaches":[20458],"breaker_bps":400.0,'
            '"day":20458,"detector":[0.0,1.5],"difference_bps":null,"drawdown_bps":80.0,"frozen_e":120.5,"gamma":0.0083,'
            '"has_position":false,"kind":"reign","lineage_id":"bbff4be21ef7290b","log_wealth_champion":[0.125,-0.5],'
            '"log_wealth_nothing":[0.25,0.5],"net_bps":-95.0,"observed":1,"reason":"drawdown breaker","start_e":1.25,'
            '"start_trials":7,"status":"promoted","suspended":true,"void":1,"watch":[0.0,0.5],"zero":0}'
        ),
        "498b5366b5fdb09b757b9e5286948a92587ffd3db9ac7f2c0614d34978d7ae8e",
    ),
)


def test_a_lineage_is_stored_and_hashed_under_its_first_names():
    assert lineage_body(LINEAGE).decode() == LINEAGE_BODY
    assert LINEAGE.id == "bbff4be21ef7290b"
    assert LINEAGE.hash == "83559f9614be0638a3f2100be41bf32cb1aed2942199846e46c541db8ef2dfa3"
    assert lineage_from_dict(json.loads(LINEAGE_BODY)) == LINEAGE


def test_a_lineage_that_names_its_champion_number_twice_is_refused():
    with pytest.raises(TypeError, match="champion_number"):
        lineage_from_dict({**json.loads(LINEAGE_BODY), "champion_number": 5})


def test_a_row_of_each_kind_is_stored_and_hashed_as_in_the_first_release():
    last, before = opening_row(LINEAGE), LINEAGE.hash
    for changes, body, own_hash in ROWS:
        row = seal(replace(last, day=last.day + 1, **changes), before)
        assert (row_body(row).decode(), row.hash) == (body, own_hash)
        assert row_from_dict(json.loads(body), before, own_hash) == row
        last, before = row, own_hash
    assert {changes["kind"] for changes, _, _ in ROWS} == set(RowKind)


def test_changes_of_champion_notes_and_trials_are_stored_and_hashed_as_in_the_first_release():
    event = ChampionEvent(
        pool="um-A",
        horizon="1h",
        number=3,
        day=20458,
        recipe_id="linear-1",
        lineage_id=LINEAGE.id,
        predecessor="boosted-2",
        reason="promoted",
        detail="e = 120.5",
    )
    note = Unfreeze(pool="um-A", day=20458, note="venue outage", signature="ab12")
    assert canonical_json(event).decode() == (
        '{"day":20458,"detail":"e = 120.5","horizon":"1h","lineage_id":"bbff4be21ef7290b","number":3,"pool":"um-A",'
        '"predecessor":"boosted-2","reason":"promoted","recipe_id":"linear-1"}'
    )
    assert event.hash == "f1e5023cee9a6ae247a8992c1b42114f6c902d762ff61a630873b7aefe369a9b"
    assert canonical_json(note).decode() == '{"day":20458,"note":"venue outage","pool":"um-A","signature":"ab12"}'
    assert note.hash == "6cf17c45ca841418a944f665d1cec2e1f9a7780d7dd00cd8ad980e5b3f789f25"
    trial = Trial(recipe_id="linear-1", pool="um-A", horizon="1h")
    assert content_hash("trial", trial) == "f0e52aca668335030bae13e7450e619bd0e7565797948c5cf438001cc3ae1798"


def nights(days):
    """One recipe is promoted and falls, siblings close with and without results, one breaks its bound, one only loses."""
    good = np.r_[MAKE.planted(62, 1.8), [25.0, -400.0, 30.0]][:days]
    valid = np.ones(65, dtype=bool)
    valid[[10, 64]] = False
    bad = np.r_[np.full(6, -90.0), np.zeros(59)][:days]
    crash = np.r_[np.full(5, 3.0), [-400.0], np.zeros(59)][:7]
    return [
        MAKE.evidence(good, valid=valid[:days]),
        MAKE.evidence(bad[-8:], recipe=MAKE.recipe("boosted"), start=MAKE.day + days - 8),
        MAKE.evidence([5.0, 6.0, 7.0], recipe=MAKE.recipe("pooled"), start=MAKE.day + 50),
        MAKE.evidence(np.full(24, -179.0)[: days - 41], horizon="1d", start=MAKE.day + 41),
        MAKE.evidence(crash, recipe=MAKE.recipe("blend"), horizon="4h", start=MAKE.day + days - 7),
    ]


def stored(path):
    """Every row of the evidence tables."""
    with sqlite3.connect(path) as connection:
        found = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in EVIDENCE}
    connection.close()
    return found


@pytest.fixture
def written(tmp_path):
    """The ledger that the first release wrote."""
    path = tmp_path / "written.sqlite"
    path.write_bytes(gzip.decompress(WRITTEN.read_bytes()))
    path.chmod(0o600)
    rows = stored(path)
    digest = hashlib.sha256("".join(repr(row) for name in EVIDENCE for row in rows[name]).encode())
    assert digest.hexdigest() == DIGEST
    return path


def test_a_ledger_of_the_first_release_opens_under_the_new_names_and_goes_on(written):
    with SqliteLedger(written) as ledger:
        state = ledger.load_state()
        rows = [row for record in state.records.values() for row in record.rows]
        assert {row.kind for row in rows} == set(RowKind)
        assert {record.lineage.champion_number for record in state.records.values()} == {0, 1}
        assert [row.expiry for row in rows if row.status == "expired"] == [ExpiryKind.BREACHED]
        assert state.evaluated_day == MAKE.day + 64
        ledger.append_verdict(evaluate_night(state, nights(65), MAKE.tonight(66)))
        assert ledger.load_state().evaluated_day == MAKE.day + 65


def test_what_the_first_release_wrote_is_written_again_byte_for_byte(written, tmp_path):
    with SqliteLedger(written) as ledger:
        state = ledger.load_state()
    empty = evaluate_night(LedgerState(), [], MAKE.tonight(1))
    with SqliteLedger(tmp_path / "again.sqlite") as ledger:
        for _, day, text, _, _ in stored(written)["nights"]:
            entered = json.loads(text)
            mine = set(entered["entries"])
            if not entered["judged"]:
                for note in (note for note in state.unfreezes if note.hash in mine):
                    ledger.unfreeze(note.pool, day=note.day, note=note.note, signature=note.signature)
                trials = [trial for trial in state.trials if content_hash("trial", trial) in mine]
                ledger.record_trials(trials)
                continue
            ledger.append_verdict(
                replace(
                    empty,
                    day=day,
                    lineages=tuple(r.lineage for r in state.records.values() if r.lineage.hash in mine),
                    rows=tuple(row for r in state.records.values() for row in r.rows if row.hash in mine),
                    events=tuple(event for event in state.champions if event.hash in mine),
                    trials=frozenset(trial for trial in state.trials if content_hash("trial", trial) in mine),
                )
            )
        assert ledger.load_state() == state
    again, wanted = stored(tmp_path / "again.sqlite"), stored(written)
    order = [json.loads(row[2])["entries"] for row in wanted["nights"]]
    assert [sorted(json.loads(row[2])["entries"]) for row in again["nights"]] == [sorted(one) for one in order]
    for name in set(EVIDENCE) - {"nights"}:
        assert again[name] == wanted[name]


def same(mine, wanted):
    """Equal JSON; floats as far as another processor's logarithms agree."""
    if isinstance(wanted, float):
        return math.isclose(mine, wanted, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(wanted, list):
        return len(mine) == len(wanted) and all(same(a, b) for a, b in zip(mine, wanted, strict=True))
    if isinstance(wanted, dict):
        return mine.keys() == wanted.keys() and all(same(mine[key], wanted[key]) for key in wanted)
    return mine == wanted


def test_the_same_three_nights_give_the_verdicts_of_the_first_release(written, tmp_path):
    with SqliteLedger(tmp_path / "new.sqlite") as ledger:
        for days in DAYS:
            ledger.append_verdict(evaluate_night(ledger.load_state(), nights(days), MAKE.tonight(days)))
            if days == DAYS[1]:
                ledger.unfreeze("um-A", day=MAKE.day + 62, note="looked at it", signature="ab")
                ledger.record_trials([Trial("searched", "um-A", "1h")])
    mine, wanted = stored(tmp_path / "new.sqlite"), stored(written)
    for name in ("trials", "unfreezes", "champions"):
        assert mine[name] == wanted[name]
    for name, identity in (("lineages", 3), ("lineage_rows", 2)):
        assert [row[:identity] for row in mine[name]] == [row[:identity] for row in wanted[name]]
        bodies = zip(mine[name], wanted[name], strict=True)
        column = 3 if name == "lineages" else 2
        assert all(same(json.loads(a[column]), json.loads(b[column])) for a, b in bodies)
    assert [row[1] for row in mine["nights"]] == [row[1] for row in wanted["nights"]]
