"""A night leaves one integrity report beside its page: totals that add up, and whose every gap was."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def body(finished_night):
    return json.loads((Path(finished_night.result["report"]).parent / "integrity.json").read_text())


def test_the_report_covers_every_pair_that_was_read_and_adds_up(body, finished_night):
    pairs = {row["coin"]: row for row in body["instruments"]}
    assert body["run_id"] == finished_night.result["run_id"]
    assert {event["coin"] for event in finished_night.named("pair_ingested")} == set(pairs)
    for row in pairs.values():
        assert row["rows_in"] + row["repaired"] - row["cut"] - row["counts"]["duplicates"] == row["rows_out"]
    for name in ("rows_in", "rows_out", "cut"):
        assert body["rows"][name] == sum(row[name] for row in pairs.values())


def test_the_worlds_one_gappy_pair_has_its_gaps_to_itself(body):
    (gappy,) = [row for row in body["instruments"] if row["missing_bars"]]
    assert gappy["coin"] == "GAPPY"
    assert set(body["gaps"]) == {"symbol"}
    assert gappy["missing_bars"]["symbol"] == body["gaps"]["symbol"]["bars"] > 0
    assert body["outages"] == []


def test_the_page_shows_the_same_totals(body, finished_night):
    page = Path(finished_night.result["report"]).read_text(encoding="utf-8")
    assert page.count('id="table-rules"') == page.count('id="table-integrity"') == 1
    assert "The exchange had no outage." in page
    assert body["vendors"] is None
