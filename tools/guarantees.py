# ruff: noqa: INP001
"""Run the tests that prove guarantees and write docs/guarantees.md from what they did.

python tools/guarantees.py            # default sizes, every row
python tools/guarantees.py --full --rows H4,H5
python tools/guarantees.py --page     # the page alone, from docs/guarantees.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROWS, RESULTS, PAGE = (ROOT / "docs" / name for name in ("guarantees.toml", "guarantees.json", "guarantees.md"))
HEAD = """# Guarantees: what holds when things go wrong, and the test that proves it

Written by `make guarantees` (default sizes) and `make guarantees FULL=1` from test results, which are in `guarantees.json`; do not edit.
A row is *held* when every test that claims it passed in its last run of each size, *held at default size* while the full one was never run,
and *not promised* without a passing test. "Default" is what `make test` runs every time, "full" aims at the numbers of the last column;
"open" names the part of the promise that no test covers yet.

One checker runs after every fault (`tests/support/invariants.py`): I1 exactly one set is visible, whole, signed, every hash right; I2 it is the
old one or the complete new one; I3 ledger, files and reports agree; I4 resuming gives champions byte-identical to an unbroken run; I5 exit code
and summary name the fault by a stable code; I6 no secret in any output; I7 no stray temporary file that others can read.

Out of scope: root on the signing or trading host; a user who opens a Ray or Dask cluster to the network (both send cloudpickle).
"""


def main() -> int:
    """Run, merge, write; the exit status is that of the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="full numbers")
    parser.add_argument("--rows", default="", help="these rows alone, such as R1,H3")
    parser.add_argument("--workers", default="0", help="test processes (pytest -n)")
    parser.add_argument("--page", action="store_true", help="write the page and run nothing")
    parser.add_argument("--merge", nargs="+", type=Path, default=[], help="files of pytest --guarantees-out to take in")
    options = parser.parse_args()
    status = 0
    for file in options.merge:
        run = json.loads(file.read_text())
        RESULTS.write_text(json.dumps(merged(known_results(), run), indent=1, sort_keys=True) + "\n")
    if not options.page and not options.merge:
        status, run = run_tests(full=options.full, rows=options.rows, workers=options.workers)
        RESULTS.write_text(json.dumps(merged(known_results(), run), indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(table_rows(), known_results()))
    return status


def run_tests(*, full: bool, rows: str, workers: str) -> tuple[int, dict[str, Any]]:
    """Exit status of pytest and what the plugin recorded."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "guarantee", "-n", workers, f"--guarantees-out={out}"]
        command += [f"--guarantees={rows}"] if rows else []
        command += ["--timeout=0"] if full else []
        environment = {**os.environ, "HURACAN_TEST_FULL": "1" if full else "0"}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)  # noqa: S603 - our own tests
        return done.returncode, json.loads(out.read_text())


def merged(results: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Results by row and size; what ran now replaces that row's last run of the size, the rest stays."""
    now = datetime.now(UTC).date().isoformat()
    fresh: dict[str, dict[str, dict[str, Any]]] = {}
    for record in run["records"]:
        for row in record["rows"]:
            tests = fresh.setdefault(row, {})
            test = tests.setdefault(record["test"], {"outcomes": [], "cases": 0, "seconds": 0.0})
            test["outcomes"] = sorted({*test["outcomes"], record["outcome"]})
            test["cases"] += record["cases"] if record["outcome"] == "passed" else 0
            test["seconds"] = round(test["seconds"] + record["seconds"], 1)
    both = {row: dict(sizes) for row, sizes in results.items()}
    for row, tests in fresh.items():
        both.setdefault(row, {})[run["size"]] = {"date": now, "commit": run.get("commit") or commit(), "tests": tests}
    return both


def commit() -> str:
    """Short hash of the checkout, with a plus sign where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def table_rows() -> dict[str, dict[str, str]]:
    """Rows of the table, in order."""
    return tomllib.loads(ROWS.read_text())


def known_results() -> dict[str, Any]:
    """What ran so far."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def page(rows: Mapping[str, Mapping[str, str]], results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page: one table row a guarantee, and below it every test with its last run."""
    table = ["| # | fault | promise | state | default | full | full means |", "|---|---|---|---|---|---|---|"]
    proofs: list[str] = []
    for name, row in rows.items():
        sizes = results.get(name, {})
        held = state(sizes) + (f"; open: {row['open']}" if sizes and "open" in row else "")
        cells = [name, row["fault"], row["promise"], held, last(sizes, "default"), last(sizes, "full")]
        table.append(f"| {' | '.join([*cells, row['gate']])} |")
        proofs += proof(name, sizes)
    return "\n".join([HEAD, *table, "", "## Tests", "", *proofs, ""])


def state(sizes: Mapping[str, Any]) -> str:
    """Held (where the full size ran too), held at default size, or not promised, by the last run of each size."""
    outcomes = {outcome for run in sizes.values() for test in run["tests"].values() for outcome in test["outcomes"]}
    if "passed" not in outcomes or "failed" in outcomes:
        return "not promised"
    return "**held**" if "full" in sizes else "held at default size"


def last(sizes: Mapping[str, Any], size: str) -> str:
    """Date, number of cases and result of the last run of a size."""
    if size not in sizes:
        return "never run"
    tests = sizes[size]["tests"].values()
    outcomes = [outcome for test in tests for outcome in test["outcomes"]]
    notes = [f"{count} {word}" for word in ("failed", "skipped") if (count := outcomes.count(word))]
    return ", ".join([sizes[size]["date"], f"{sum(test['cases'] for test in tests):,} cases", *notes])


def proof(name: str, sizes: Mapping[str, Any]) -> Iterable[str]:
    """One line a test and size."""
    for size, run in sorted(sizes.items()):
        for test, facts in sorted(run["tests"].items()):
            outcome = "/".join(facts["outcomes"])
            yield (
                f"- {name} {size}: `{test}`, {facts['cases']:,} cases, {outcome}, {facts['seconds']:.0f} s,"
                f" {run['date']} at {run['commit']}"
            )


if __name__ == "__main__":
    sys.exit(main())
