"""An audit as tables for a person."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from rich.console import Console

from huracan.cli.audit_records import Audit, IntervalAudit, OverlapRow, RunRow, TableRow
from huracan.cli.cards import terminal
from huracan.cli.output import number
from huracan.cli.tables import show

SHOWN: Final = 40
"""Rows of a table; `--json` has all."""
WORST: Final = 12

Row = TypeVar("Row")
Value = str | float


def show_tables(audit: Audit) -> None:
    """All tables of an audit that have a row."""
    console = terminal()
    for one in audit.audits:
        if one.tables:
            _tables(console, one.interval, one.tables)
        _show_runs(console, one)
        _show_symbols(console, one)
        _show_rows(console, one)
    if audit.quarantined:
        console.print(
            f"{len(audit.quarantined):,} damaged files or tables were quarantined and lie in damaged/", markup=False
        )


def _show_runs(console: Console, audit: IntervalAudit) -> None:
    """What could not be read, and what is missing."""
    name = audit.interval
    _show(
        console, f"{name}: damaged tables, not looked at", audit.damaged or (),
        ("table", "error"), lambda row: (row.table, row.error),
    )  # fmt: skip
    _show(
        console, f"{name}: outages of the whole exchange", audit.outages,
        ("market", "kind", "start", "end", "bars", "tables", "share"),
        lambda row: (row.market, row.kind, row.start, row.end, row.bars, row.tables, row.share),
    )  # fmt: skip
    _causes(console, f"{name}: gaps", audit.gaps)
    _causes(console, f"{name}: silences of ten minutes and longer", audit.halts)
    own = sorted((row for row in audit.gaps if row.cause != "exchange"), key=lambda row: -row.bars)
    _show(
        console, f"{name}: gaps that are not the exchange's, longest first", own,
        ("table", "start", "end", "bars", "cause"), lambda row: (row.table, row.start, row.end, row.bars, row.cause),
    )  # fmt: skip


def _show_symbols(console: Console, audit: IntervalAudit) -> None:
    """Where symbols stop, end and begin."""
    name = audit.interval
    _show(
        console, f"{name}: symbols that stopped and came back", audit.breaks,
        ("table", "kind", "stopped", "back", "ratio"), lambda row: (row.table, row.kind, row.stopped, row.back, row.ratio),
    )  # fmt: skip
    _show(
        console, f"{name}: symbols whose bars end", [row for row in audit.endings if row.kind in {"delisted", "gone"}],
        ("market", "symbol", "kind", "last", "absent_from"),
        lambda row: (row.market, row.symbol, row.kind, row.last, row.absent_from),
    )  # fmt: skip
    _show(
        console, f"{name}: first days at prices of no market", audit.listing_outliers,
        ("table", "start", "high_over_low"), lambda row: (row.table, row.start, row.high_over_low),
    )  # fmt: skip


def _show_rows(console: Console, audit: IntervalAudit) -> None:
    """Rows that came twice, were changed, or never came."""
    name = audit.interval
    _show(
        console, f"{name}: rows that came twice", audit.doubles,
        ("table", "source", "start", "rows", "conflicts"),
        lambda row: (row.table, row.source, row.start, row.rows, row.conflicts),
    )  # fmt: skip
    _show(
        console, f"{name}: restated bars", audit.restated, ("table", "bars"), lambda row: (row.table, row.bars)
    )  # fmt: skip
    _show(
        console, f"{name}: the same bars twice", audit.overlaps,
        ("market", "symbol", "trees", "bars", "venue", "differ"), _overlap,
    )  # fmt: skip
    _show(
        console, f"{name}: hours the exchange is known to have changed", audit.known_restatements,
        ("hour", "tables"), lambda row: (row.hour, row.tables),
    )  # fmt: skip
    _show(
        console, f"{name}: silent in some tables, missing in others", audit.disagreements,
        ("market", "start", "end", "silent", "missing"),
        lambda row: (row.market, row.start, row.end, row.silent, row.missing),
    )  # fmt: skip
    _show(
        console, f"{name}: files that never came", audit.lost_files,
        ("table", "name"), lambda row: (row.table, row.name),
    )  # fmt: skip


def _overlap(row: OverlapRow) -> tuple[Value, ...]:
    return row.market, row.symbol, " ".join(row.trees), row.bars, row.venue, row.differ


def _tables(console: Console, name: str, tables: Sequence[TableRow]) -> None:
    columns = ("table", "rows", "gaps", "missing", "longest", "silent", "doubled", "cut", "extreme")
    rows: list[tuple[Value, ...]] = [
        (
            row.table, row.rows, row.gaps, row.missing, row.longest_gap, row.silent, row.duplicates,
            sum(row.cut.values()), row.panic + row.outlier,
        )
        for row in sorted(tables, key=lambda row: -(row.missing + row.duplicates + sum(row.cut.values())))
    ]  # fmt: skip
    numbers = [[value for value in row if isinstance(value, int)] for row in rows]
    sums = [sum(column) for column in zip(*numbers, strict=True)]
    sums[3] = max(row.longest_gap for row in tables)
    left = f", the {WORST} with most missing, doubled or cut" if len(rows) > WORST else ""
    found = [["all", *map(_cell, sums)], *([_cell(value) for value in row] for row in rows[:WORST])]
    show(console, f"{name}: {len(rows)} tables{left}", columns, found)


def _causes(console: Console, title: str, runs: Sequence[RunRow]) -> None:
    causes = Counter(run.cause for run in runs)
    rows = [
        (
            cause,
            count,
            sum(run.bars for run in runs if run.cause == cause),
            len({run.table for run in runs if run.cause == cause}),
        )
        for cause, count in causes.most_common()
    ]
    _show(console, title, rows, ("cause", "runs", "bars", "tables"), lambda row: row)


def _show(
    console: Console,
    title: str,
    rows: Sequence[Row],
    columns: Sequence[str],
    values: Callable[[Row], tuple[Value, ...]],
) -> None:
    if rows:
        left = f" ({SHOWN} of {len(rows)}, all with --json)" if len(rows) > SHOWN else ""
        show(console, title + left, columns, [[_cell(value) for value in values(row)] for row in rows[:SHOWN]])


def _cell(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return number(value, 0)
    return value[:16] if value.endswith("Z") else value
