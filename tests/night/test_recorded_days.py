"""Recorded days in later nights: silence while nothing is wrong, and the cause by name where a file or a setting changed."""

from types import SimpleNamespace

import pytest
from nights import in_this_process, later, night_settings, run_pipeline, small_world

from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Change

pytestmark = pytest.mark.slow

RESTATED = "GAPPYUSDT-15m-2026-03"


def rereadings(result):
    assert result["success"], result.get("error")
    return [note for note in result["summary"]["notes"] if "read differently" in note]


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Four nights in a row: the first, a clean one, one after an archive file was replaced, one with another setting."""
    folder, found = tmp_path_factory.mktemp("recorded"), SimpleNamespace()
    world, one_cell = small_world(), {"training__horizons": "1d"}
    steps = (
        ("first", -1, False, {}),
        ("clean", 0, False, {}),
        ("restated", 1, True, {}),
        ("changed", 2, True, {"training__history_days": 80}),
    )
    with in_this_process():
        for name, days, restated, more in steps:
            with ReplayExchange(later(world, days), stress_file=folder / "stress.json") as exchange:
                if restated:
                    exchange.change(Change(kind="replaced", path=RESTATED))
                result, _ = run_pipeline(folder, night_settings(exchange.urls, **one_cell, **more))
            setattr(found, name, result)
    return found


def test_a_clean_night_says_nothing_about_recorded_days(nights):
    assert rereadings(nights.first) == []
    assert rereadings(nights.clean) == []


def test_a_replaced_archive_file_is_named_with_recipe_days_and_size(nights):
    notes = rereadings(nights.restated)
    assert notes
    for note in notes:
        assert "linear-" in note
        assert "at 1d: " in note
        assert "(2026-" in note
        assert "bps a day" in note
        assert f"file {RESTATED}" in note


def test_another_setting_is_named_with_both_values(nights):
    notes = rereadings(nights.changed)
    assert notes
    assert all("setting training.history_days (100 -> 80)" in note for note in notes)
    assert not any("file " in note for note in notes)  # replaced the night before, and told then
