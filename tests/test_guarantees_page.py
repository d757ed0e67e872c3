"""The page of guarantees says what the results say, and claims nothing without a passing test."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location("guarantees_tool", ROOT / "tools" / "guarantees.py")
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)


def record(row, outcome, cases=3, test="tests/a.py::test_b"):
    return {"rows": [row], "cases": cases, "test": test, "outcome": outcome, "seconds": 1.0}


def test_the_committed_page_is_what_the_committed_results_give():
    assert (ROOT / "docs" / "guarantees.md").read_text() == tool.page(tool.table_rows(), tool.known_results())


def test_results_name_only_rows_of_the_table():
    assert set(tool.known_results()) <= set(tool.table_rows())


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([], "not promised"),
        (["passed"], "held at default size"),
        (["passed", "skipped"], "held at default size"),
        (["skipped"], "not promised"),
        (["passed", "failed"], "not promised"),
        (["failed"], "not promised"),
    ],
)
def test_a_row_is_held_only_by_passing_tests(outcomes, state):
    run = {"size": "default", "records": [record("R1", outcome) for outcome in outcomes]}
    assert tool.state(tool.merged({}, run).get("R1", {})) == state


def test_a_row_whose_full_size_ran_too_is_held():
    runs = ({"size": size, "records": [record("R1", "passed")]} for size in ("default", "full"))
    results = {}
    for run in runs:
        results = tool.merged(results, run)
    assert tool.state(results["R1"]) == "**held**"


def test_a_failing_full_size_takes_the_promise_back():
    small = tool.merged({}, {"size": "default", "records": [record("R1", "passed")]})
    both = tool.merged(small, {"size": "full", "records": [record("R1", "failed", cases=100)]})
    assert tool.state(both["R1"]) == "not promised"
    assert tool.last(both["R1"], "default").endswith("3 cases")
    assert tool.last(both["R1"], "full").endswith("0 cases, 1 failed")


def test_a_new_run_replaces_its_own_rows_and_size_and_leaves_the_others():
    first = {"size": "default", "records": [record("R1", "failed"), record("R2", "passed")]}
    again = {"size": "default", "records": [record("R1", "passed", cases=5)]}
    results = tool.merged(tool.merged({}, first), again)
    assert tool.state(results["R1"]) == tool.state(results["R2"]) == "held at default size"
    assert "5 cases" in tool.last(results["R1"], "default")
    text = tool.page(
        {
            "R1": {"fault": "f", "promise": "p", "gate": "g", "open": "o"},
            "R3": {"fault": "x", "promise": "y", "gate": "z", "open": "q"},
        },
        results,
    )
    assert "| R1 | f | p | held at default size; open: o |" in text
    assert "| R3 | x | y | not promised | never run | never run | z |" in text
