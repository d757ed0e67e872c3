"""A candidate that may not be entered: no shortlist recommends it, and `explain` says why."""

import json

import pytest

from huracan.cli.explain import explain_coin
from huracan.reports.night_summary import BlockedRow, NightSummary
from huracan.reports.story import entries_closed
from huracan.reports.summary import read_summary

LEAK = "feature taker_imbalance_60 predicts too well to be true"
UNPROVEN = "no recipe is proven in this coin's pool"


def skip(horizon, code, step, reason):
    return {"coin": "JULIETT", "horizon": horizon, "step": step, "code": code, "reason": reason, "measured": None, "wanted": None}  # fmt: skip


@pytest.fixture
def workdir(tmp_path):
    """A night whose 1d candidate of JULIETT was well, and whose 1h and 4h know the future."""
    summary = {
        "data_cutoff": "2026-05-01T00:00:00Z",
        "champions": [],
        "skipped": [skip("4h", "LEAK", 3, LEAK), skip("1h", "LEAK", 3, LEAK), skip("1d", "NOT_PROVEN", 8, UNPROVEN)],
        "pools": [],
        "evidence": [],
        "do_not_trade": [
            {"coin": "JULIETT", "code": "LEAK", "reason": LEAK},
            {"coin": "KILO", "code": "NOT_PROVEN", "reason": UNPROVEN},
        ],
    }
    (tmp_path / "summaries").mkdir()
    (tmp_path / "summaries" / "20260501_000000_summary.json").write_text(json.dumps(summary))
    (tmp_path / "ledger.sqlite").touch()
    return tmp_path


def test_a_coin_that_is_only_unproven_may_be_entered_on_paper(workdir):
    summary = read_summary(next((workdir / "summaries").iterdir()).read_bytes()).summary
    assert entries_closed(summary) == {"JULIETT": BlockedRow(coin="JULIETT", code="LEAK", reason=LEAK)}
    assert entries_closed(NightSummary()) == {}


def test_explain_names_the_leak_of_another_horizon_that_closes_entries(workdir, capsys):
    assert explain_coin(workdir, "JULIETT", "1d", as_json=False) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"no entry at any horizon: LEAK at 1h and 4h: {LEAK}" in told
    assert explain_coin(workdir, "JULIETT", "1d", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["entries_closed"]["code"] == "LEAK"


def test_explain_says_a_leak_once_where_its_own_line_says_it(workdir, capsys):
    assert explain_coin(workdir, "JULIETT", "4h", as_json=False) == 0
    assert capsys.readouterr().out.count("LEAK") == 1
