"""A ledger and a store that an earlier release signed: they open, verify and go on, and the nights decide as they did before."""

import json
import shutil

import pytest
from nights import ledger_rows, trust_variables, variables
from old_night import ARCHIVE, NIGHTS, night, unpack
from sizes import size

from huracan.adapters.ledger import SqliteLedger

pytestmark = pytest.mark.slow

GOES_ON = size(1, NIGHTS)
BEFORE = "50f09ca"
"""The last release that told a night in dicts. Its verdicts are those of today."""


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archived")
    unpack(ARCHIVE, folder)
    return folder


@pytest.fixture
def folder(archived, tmp_path):
    with variables(trust_variables(tmp_path / "night")):
        yield shutil.copytree(archived, tmp_path / "night")


def test_its_bundles_verify_and_are_listed_and_explained(folder, huracan):
    workdir = ("--workdir", folder / "workdir")
    assert huracan("champions", "verify", *workdir).out.splitlines()[0].startswith("7 verified, 0 refused")
    listed = huracan("champions", "list", *workdir, "--json")
    champions = [row["coin"] for row in listed.json["models"] if row["status"] == "champion"]
    assert sorted(champions) == ["ALFA", "BRAVO"]
    told = huracan("explain", "ALFA", *workdir)
    assert told.status == 0
    assert "champion v1" in told.out
    assert "chains sound" in huracan("ledger", "show", *workdir).out


def test_its_ledger_opens_with_every_chain_sound_and_no_row_changed(folder):
    ledger = folder / "workdir" / "ledger.sqlite"
    before = ledger_rows(ledger)
    with SqliteLedger(ledger) as opened:
        state = opened.load_state()
        assert len(state.records) == 2
        assert [run.status for run in opened.runs()] == ["finished"]
    assert ledger_rows(ledger) == before


def test_the_nights_that_follow_decide_as_they_did_before(folder):
    """Numbers may differ in their last digits between processors, and hashes of new rows with them."""
    before = json.loads((folder / f"decided-{BEFORE}.json").read_text())
    for number, wanted in enumerate(before[:GOES_ON], start=1):
        seen = night(folder, number)
        for name in ("published", "skipped", "do_not_trade"):
            assert seen[name] == wanted[name], (number, name)
        assert known(seen["evidence"], wanted["evidence"]) == near(wanted["evidence"])
        assert seen["tables"].keys() == wanted["tables"].keys()
        for name, rows in wanted["tables"].items():
            assert [bodies(row) for row in seen["tables"][name]] == near([bodies(row) for row in rows]), (number, name)


def known(rows, wanted):
    """Rows without keys that came later."""
    return [{key: row.get(key) for key in old} for row, old in zip(rows, wanted, strict=True)]


def bodies(row):
    """A row of the ledger with its text read, and without hashes."""
    return [
        json.loads(value) if str(value).startswith("{") else value
        for value in row
        if not (isinstance(value, str) and len(value) == 64)
    ]


def near(value):
    """The value, each number of it to nine digits."""
    if isinstance(value, dict):
        return {key: near(one) for key, one in value.items()}
    if isinstance(value, list):
        return [near(one) for one in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
