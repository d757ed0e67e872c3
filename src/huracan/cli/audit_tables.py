"""An audit as tables for a person."""

from collections import Counter
from typing import Any, Final

from huracan.cli.cards import terminal
from huracan.cli.output import number
from huracan.cli.tables import show

SHOWN: Final = 40
"""Rows of a table; `--json` has all."""
WORST: Final = 12


def show_body(body: dict[str, Any]) -> None:
    """All tables of an audit that have a row."""
    console = terminal()
    for audit in body["audits"]:
        name = audit["interval"]
        if audit["tables"]:
            _tables(console, name, audit["tables"])
        _show(console, f"{name}: damaged tables, not looked at", audit.get("damaged", []), ("table", "error"))
        _show(
            console,
            f"{name}: outages of the whole exchange",
            audit["outages"],
            ("market", "kind", "start", "end", "bars", "tables", "share"),
        )
        _causes(console, f"{name}: gaps", audit["gaps"])
        _causes(console, f"{name}: silences of ten minutes and longer", audit["halts"])
        own = sorted((row for row in audit["gaps"] if row["cause"] != "exchange"), key=lambda row: -row["bars"])
        _show(
            console,
            f"{name}: gaps that are not the exchange's, longest first",
            own,
            ("table", "start", "end", "bars", "cause"),
        )
        _show(
            console,
            f"{name}: symbols that stopped and came back",
            audit["breaks"],
            ("table", "kind", "stopped", "back", "ratio"),
        )
        over = [row for row in audit["endings"] if row["kind"] in {"delisted", "gone"}]
        _show(console, f"{name}: symbols whose bars end", over, ("market", "symbol", "kind", "last", "absent_from"))
        _show(
            console,
            f"{name}: first days at prices of no market",
            audit["listing_outliers"],
            ("table", "start", "high_over_low"),
        )
        columns = ("table", "source", "start", "rows", "conflicts")
        _show(console, f"{name}: rows that came twice", audit["doubles"], columns)
        _show(console, f"{name}: restated bars", audit["restated"], ("table", "bars"))
        overlaps = [{**row, "trees": " ".join(row["trees"])} for row in audit["overlaps"]]
        _show(
            console, f"{name}: the same bars twice", overlaps, ("market", "symbol", "trees", "bars", "venue", "differ")
        )
        _show(
            console,
            f"{name}: hours the exchange is known to have changed",
            audit["known_restatements"],
            ("hour", "tables"),
        )
        columns = ("market", "start", "end", "silent", "missing")
        _show(console, f"{name}: silent in some tables, missing in others", audit["disagreements"], columns)
        _show(console, f"{name}: files that never came", audit["lost_files"], ("table", "name"))
    if body.get("set_aside"):
        console.print(
            f"{len(body['set_aside']):,} damaged files or tables were set aside and lie in damaged/", markup=False
        )


def _tables(console: Any, name: str, tables: list[dict[str, Any]]) -> None:
    rows = [
        {
            "table": row["table"],
            "rows": row["rows"],
            "gaps": row["gaps"],
            "missing": row["missing"],
            "longest": row["longest_gap"],
            "silent": row["silent"],
            "doubled": row["duplicates"],
            "cut": sum(row["cut"].values()),
            "extreme": row["panic"] + row["outlier"],
        }
        for row in tables
    ]
    columns = tuple(rows[0])
    total = {key: sum(row[key] for row in rows) for key in columns[1:]}
    total |= {"table": "all", "longest": max(row["longest"] for row in rows)}
    worst = sorted(rows, key=lambda row: -(row["missing"] + row["doubled"] + row["cut"]))[:WORST]
    left = f", the {WORST} with most missing, doubled or cut" if len(rows) > WORST else ""
    cells = [_cells(row, columns) for row in (total, *worst)]
    show(console, f"{name}: {len(rows)} tables{left}", list(columns), cells)


def _causes(console: Any, title: str, runs: list[dict[str, Any]]) -> None:
    causes = Counter(run["cause"] for run in runs)
    rows = [
        {"cause": cause, "runs": count, "bars": sum(run["bars"] for run in runs if run["cause"] == cause),
         "tables": len({run["table"] for run in runs if run["cause"] == cause})}
        for cause, count in causes.most_common()
    ]  # fmt: skip
    _show(console, title, rows, ("cause", "runs", "bars", "tables"))


def _show(console: Any, title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        left = f" ({SHOWN} of {len(rows)}, all with --json)" if len(rows) > SHOWN else ""
        show(console, title + left, list(columns), [_cells(row, columns) for row in rows[:SHOWN]])


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    return [_cell(row.get(name, "")) for name in columns]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return number(value, 0)
    return str(value)[:16] if str(value).endswith("Z") else str(value)
