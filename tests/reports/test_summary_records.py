"""The records of a summary: whatever release wrote the file, and what is said of a damaged one."""

import json

import pytest

from huracan.reports.morning import KEY, Morning, morning_body, read_morning
from huracan.reports.night_integrity import integrity_of
from huracan.reports.night_summary import Budget, CacheCounts, ErrorRow, NightSummary
from huracan.reports.progress import progress_of
from huracan.reports.summary import read_summary, summary_of

OLD = {
    "data_cutoff": "2026-05-01T00:00:00Z",
    "champions_count": 1,
    "skipped": [{"coin": "A", "horizon": "1h", "step": 1, "code": "ILLIQUID", "reason": "why", "measured": 3, "wanted": "x"}],
    "evidence": [{"pool": "um-A", "horizon": "1h", "recipe": "linear", "reigns": True, "walk_days": 63, "walk_mean_bps": 4.5}],
    "champions": [{"coin": "B", "horizon": "1h", "metrics": {"sharpe_ratio": 1.5, "new": [1]}, "costs": {}}],
}  # fmt: skip


def test_what_an_older_night_lacks_has_its_default():
    summary = summary_of(OLD)
    assert (summary.budget, summary.morning, summary.do_not_trade, summary.cache) == (None, None, (), CacheCounts())
    (row,) = summary.hypotheses
    assert (row.is_champion, row.backtest_days, row.backtest_mean_bps, row.earliest_day) == (True, 63, 4.5, None)
    (champion,) = summary.champions
    assert (champion.metrics.sharpe_ratio, champion.metrics.hit_rate, champion.costs) == (1.5, None, None)
    (skip,) = summary.skipped
    assert (skip.measured, skip.wanted) == (3, "x")
    assert summary_of({}) == NightSummary()


def test_what_a_newer_night_adds_is_left_alone():
    row = {**OLD["evidence"][0], "future": {"a": 1}}
    newer = {
        **OLD,
        "evidence": [row],
        "novelty": [1, 2],
        "budget": {"year": 2026, "used": 3, "slots": 39, "alpha": 0.05},
    }
    assert summary_of(newer).hypotheses == summary_of(OLD).hypotheses
    assert summary_of(newer).budget == Budget(year=2026, used=3, slots=39)


def test_an_error_that_is_only_a_text_stays_one():
    assert summary_of({"errors": ["boom", {"code": "X", "error": "y"}]}).errors == (
        ErrorRow(error="boom"),
        ErrorRow(code="X", error="y"),
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Expecting"),
        (b"[]", "the whole: "),
        (b'"text"', "the whole: "),
        (b'{"evidence": 7}', "evidence: "),
        (b'{"evidence": [{"pool": "um-A"}]}', "evidence.0.horizon: Field required"),
        (b'{"champions": [{"coin": "A", "horizon": "1h", "version": "new"}]}', "champions.0.version: "),
    ],
)
def test_a_damaged_summary_names_the_first_field_that_is_wrong(body, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")) as caught:
        read_summary(body)
    assert "\n" not in str(caught.value)


def test_a_damaged_story_is_none_and_the_rest_is_read():
    stored = {**OLD, KEY: {"night": 3}}
    assert summary_of(stored).morning is None
    assert summary_of(stored).champions_count == 1


def test_a_story_is_read_as_it_was_written():
    story = Morning(night="2026-05-01", mood="plain", headline="h", needed=("a", "b"))
    body = json.loads(json.dumps(morning_body(story)))
    assert read_morning({KEY: body}) == story == summary_of({KEY: body}).morning
    assert set(morning_body(story)) == {
        "night", "mood", "headline", "warning", "needed", "todo", "cards", "shortlist", "shortlist_note", "changes",
        "missing", "cost", "remarks", "marks",
    }  # fmt: skip


@pytest.mark.parametrize(("read", "name"), [(integrity_of, "outages"), (progress_of, "stages")])
def test_other_damaged_files_name_their_field_too(read, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        read({name: 7})
    read({})
