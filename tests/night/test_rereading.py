"""Why recorded days read differently: what is told, what is not, and what was changed by name."""

from dataclasses import replace

import pytest

from huracan.domain.codec import from_json, to_json
from huracan.night.rereading import Reading, restatement_notes
from huracan.promotion import Restatement

MOVED = Restatement(
    recipe_id="linear-1",
    recipe_name="linear",
    pool="um-A",
    horizon="1h",
    days=(20454, 20455, 20460),
    largest_bps=14.65,
    total_bps=-2.5,
    void=0,
)
TONIGHT = Reading(settings={"training.history_days": "1095", "training.seed": "0"}, code_hash="a", view="one")


def test_days_that_read_as_recorded_need_no_words():
    assert restatement_notes((), replace(TONIGHT, code_hash="b", replaced=("X.zip",)), [TONIGHT]) == ()


def test_what_only_another_book_tier_or_window_moved_is_not_told():
    assert restatement_notes((MOVED,), replace(TONIGHT, view="two"), [TONIGHT]) == ()
    assert restatement_notes((MOVED,), TONIGHT, [replace(TONIGHT, view="two"), TONIGHT]) == ()


@pytest.mark.parametrize(
    ("tonight", "named"),
    [
        (replace(TONIGHT, view="two", replaced=("ALFAUSDT-1m-2026-03-01.zip",)), "file ALFAUSDT-1m-2026-03-01.zip"),
        (replace(TONIGHT, code_hash="b"), "the code (another version of Huracan)"),
        (
            replace(TONIGHT, settings={"training.history_days": "730", "training.seed": "0"}),
            "setting training.history_days (1095 -> 730)",
        ),
        (replace(TONIGHT, settings={"training.seed": "0"}), "setting training.history_days (1095 -> unset)"),
        (replace(TONIGHT, replaced=tuple(f"{n}.zip" for n in range(9))), "file 4.zip, 4 more"),
    ],
)
def test_what_changed_is_named_with_recipe_days_and_size(tonight, named):
    (note,) = restatement_notes((MOVED,), tonight, [TONIGHT])
    assert note.startswith("linear-1 in um-A at 1h: 3 recorded days (2026-01-01 to 2026-01-07) now read differently")
    assert "by up to 14.7 bps a day and -2.5 bps in all" in note
    assert named in note
    assert note.endswith("; the recorded ones stand")


def test_a_difference_that_nothing_known_explains_is_told_as_that():
    (note,) = restatement_notes((MOVED,), TONIGHT, [TONIGHT, TONIGHT])
    assert "no file, setting or code is known to have changed" in note
    assert "huracan lake check" in note


def test_a_ledger_whose_nights_noted_nothing_says_so_once():
    (note,) = restatement_notes((MOVED,), TONIGHT, [])
    assert "no earlier night noted what its days were read from" in note


def test_a_reading_comes_back_from_the_ledger_as_it_was():
    reading = replace(TONIGHT, replaced=("X.zip",))
    assert from_json(Reading, to_json(reading)) == reading
