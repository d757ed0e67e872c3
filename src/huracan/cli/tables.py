"""The night as a person reads it on a terminal: what is proven, how far away the rest is, what was skipped and why."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from huracan.cli.output import number

_LEFT = {"pool", "horizon", "recipe", "status", "coin", "reason", "code", "what"}


def print_night(result: dict[str, Any], console: Console | None = None) -> None:
    """Evidence, champions, skips and where everything lies."""
    console = console or Console(highlight=False)
    summary = result["summary"]
    console.print(_evidence(summary["evidence"]))
    if result["champions"]:
        console.print(_champions(result["champions"]))
    console.print(_skips(summary["skipped"]))
    champions, pairs = len(result["champions"]), summary["coin_universe_size"]
    horizons = len(result["horizons"])
    cache = summary["cache"]
    console.print(
        f"[bold]{summary['verdict']}[/bold]\n"
        f"{champions} champions + {len(summary['skipped'])} skips = {pairs} pairs x {horizons} horizons · "
        f"{len(result['candidates'])} candidates for paper trading · cache {cache['hits']}/{cache['total']} · "
        f"{result['duration_seconds']:.0f} s{' · dry run: nothing was written to the store' if summary['dry_run'] else ''}"
    )
    console.print(f"report {result['report']}\nstore  {result['store']}", markup=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name in _LEFT else "right")
    return table


def _evidence(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "Evidence: each recipe in each pool against doing nothing and against the champion",
        "pool", "horizon", "recipe", "coins", "days", "net bps/day", "Sharpe/day", "B/sd", "e", "needed", "nights", "status",
    )  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["pool"], row["horizon"], row["recipe"])):
        style = "green" if row["reigns"] else None
        table.add_row(
            row["pool"],
            row["horizon"],
            row["recipe"],
            str(len(row["members"])),
            str(row["observed_days"]),
            number(row["mean_bps"], 2),
            number(row["sharpe_day"], 2),
            number(row["bound_over_sd"], 1),
            number(row["e"], 2) if row["e"] < 1e5 else f"{row['e']:.1e}",
            number(row["needed"], 0),
            number(row["nights_until_decidable"], 0),
            "champion" if row["reigns"] else row["status"],
            style=style,
        )
    return table


def _champions(champions: dict[str, dict[str, Any]]) -> Table:
    table = _table(
        "Champions", "coin", "horizon", "net edge bps", "lower 5% bps", "Sharpe/yr", "hit rate", "version", "status"
    )
    for row in champions.values():
        table.add_row(
            row["coin"],
            row["horizon"],
            number(row["edge_after_cost_bps"]),
            number(row["lower_bps"]),
            number(row["metrics"]["sharpe_ratio"], 2),
            number(row["metrics"]["hit_rate"], 2),
            f"v{row['version']}",
            row["status"],
        )
    return table


def _skips(skipped: list[dict[str, Any]]) -> Table:
    table = _table(f"{len(skipped)} skips", "step", "code", "count", "reason", "coin")
    groups: Counter[tuple[int, str, str]] = Counter((row["step"], row["code"], row["reason"]) for row in skipped)
    for (step, code, reason), count in sorted(groups.items()):
        coins = sorted(
            {row["coin"] for row in skipped if (row["step"], row["code"], row["reason"]) == (step, code, reason)}
        )
        shown = ", ".join(coins[:6]) + (f" and {len(coins) - 6} more" if len(coins) > 6 else "")
        table.add_row(str(step), code, str(count), reason, shown)
    return table


def print_demo(result: dict[str, Any], extra: dict[str, Any], console: Console | None = None) -> None:
    """The night, then what its maker knows and what Hamilton says."""
    console = console or Console(highlight=False)
    print_night(result, console)
    truth = extra["truth"]
    table = _table(
        f"World '{extra['world']}', seed {extra['seed']}, {extra['days']} days: found against planted",
        "horizon",
        "planted",
        "others",
        "what",
    )
    for horizon, found in extra["champions_by_horizon"].items():
        planted, regular = len(truth["planted"]), len(extra["regular"])
        table.add_row(
            horizon,
            f"{len(found['planted'])} of {planted}",
            f"{len(found['others'])} of {regular - planted}",
            ", ".join([*found["planted"], *(f"({coin})" for coin in found["others"])]),
        )
    console.print(table)
    if truth["planted"]:
        console.print(f"[yellow]planted: {truth['strength_bps_per_hour']:.0f} bps an hour. {truth['note']}[/yellow]")
    prediction = extra["prediction"]
    if prediction is not None:
        blocked = f" (blocked: {prediction['blocked_reason']})" if prediction["blocked_reason"] else ""
        same = "equal to" if prediction["equals_training"] else "DIFFERENT from"
        console.print(
            f"Hamilton: {prediction['coin']} {prediction['horizon']} -> [bold]{prediction['direction']}[/bold], edge "
            f"{number(prediction['edge_bps'])} bps, net {number(prediction['net_edge_bps'])} bps, position "
            f"{prediction['position_fraction']:.3f} of capital{blocked}; {same} the training side's, bit for bit"
        )
    console.print(f"{extra['seconds']:.0f} s in all")
