"""The marker ``guarantee("R1")``: which row of the table of guarantees a test proves, and with how many cases.

    @pytest.mark.guarantee("R15", cases=14)      # a number known beforehand
    @pytest.mark.guarantee("R1")                 # one case, or as many as the fixture counts
    def test_...(counted):
        counted(len(points))

``--guarantees-out FILE`` writes what ran as JSON, also under xdist; ``--guarantees R1,H3`` runs those rows alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sizes import FULL

PROPERTY = "guarantee"


class Counter:
    """How many cases a test has run: call it with a number, as often as needed."""

    def __init__(self) -> None:
        self.cases = 0

    def __call__(self, more: int = 1) -> None:
        self.cases += more


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Counter:
    """Counts the cases of a test that proves a guarantee."""
    counter = request.node._counted_cases = Counter()
    return counter


def rows_of(item: pytest.Item) -> list[str]:
    """Rows of the table that a test proves."""
    return [row for mark in item.iter_markers("guarantee") for row in mark.args]


class GuaranteePlugin:
    """Selects by row, and keeps what became of every marked test."""

    def __init__(self, config: pytest.Config) -> None:
        self.out: str | None = config.getoption("--guarantees-out")
        self.wanted = {row for row in (config.getoption("--guarantees") or "").split(",") if row}
        self.is_worker = hasattr(config, "workerinput")
        self.records: list[dict[str, Any]] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.wanted:
            kept = [item for item in items if self.wanted & set(rows_of(item))]
            config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
            items[:] = kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: pytest.TestReport = yield
        rows = rows_of(item)
        if rows and (call.when == "call" or not report.passed):
            report.user_properties.append((PROPERTY, {"rows": rows, "cases": _cases(item)}))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY:
                test = report.nodeid.partition("[")[0]
                self.records.append({**value, "test": test, "outcome": report.outcome, "seconds": report.duration})

    def pytest_sessionfinish(self) -> None:
        if self.out and not self.is_worker:
            text = json.dumps({"size": "full" if FULL else "default", "records": self.records}, indent=1)
            Path(self.out).write_text(text)


def _cases(item: pytest.Item) -> int:
    counter = getattr(item, "_counted_cases", None)
    if counter is not None:
        return int(counter.cases)
    return max((mark.kwargs.get("cases", 1) for mark in item.iter_markers("guarantee")), default=1)


def add_options(parser: pytest.Parser) -> None:
    """Options of this plugin."""
    group = parser.getgroup("guarantees")
    group.addoption("--guarantees-out", metavar="FILE", help="Write which guarantees were proven, as JSON.")
    group.addoption("--guarantees", metavar="ROWS", help="Run the tests of these rows alone, such as R1,H3.")


def configure(config: pytest.Config) -> None:
    """Register the marker and the plugin."""
    config.addinivalue_line("markers", "guarantee(row, cases=1): proves a row of docs/guarantees.md")
    config.pluginmanager.register(GuaranteePlugin(config), "guarantees")
