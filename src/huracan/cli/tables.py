"""The night as a person reads it on a terminal: what is proven, how far away the rest is, what was skipped and why."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from huracan.cli.cards import terminal
from huracan.cli.morning import print_morning
from huracan.cli.output import number
from huracan.cli.run_result import CopyState, CopyStates, ModelRow, RunResult
from huracan.domain.proof import evidence_number
from huracan.reports.night_summary import HypothesisRow, NightSummary, SkippedRow

if TYPE_CHECKING:
    from huracan.cli.demo_ending import Ending, FirstPrediction
    from huracan.cli.demo_outcome import Demo

WIDE: Final = 110
"""Columns of a terminal from which on nothing is left out."""
SHOWN_COINS: Final = 20
NOTHING: Final = "none"
"""The champion where there is none, as the evidence rows name it."""
_NUMBER: Final = re.compile(r"[-+v]?[\d,.]+(e[-+]\d+)?[%dhm]?|–")


def print_night(result: RunResult, console: Console | None = None) -> None:
    """The night's story, its champions, and where everything lies."""
    console = console or terminal()
    summary = result.summary
    if summary.morning is None:
        console.print(f"[bold]{escape(summary.verdict)}[/bold]")
    else:
        print_morning(summary.morning, console)
    _champions(list(result.champions.values()), result.horizons, console)
    dry = " · dry run: nothing was written to the store" if summary.dry_run else ""
    console.print(
        f"{len(result.champions)} champions + {len(summary.skipped)} skips = {summary.coin_universe_size} pairs x "
        f"{len(result.horizons)} horizons · {len(result.candidates)} candidates for paper trading · "
        f"{result.duration_seconds:.0f} s{dry}"
    )
    console.print("evidence and skips in full: huracan explain --details", markup=False)
    console.print(f"report {result.report}\nstore  {result.store}", markup=False, soft_wrap=True)
    print_copies(result.publish_state, console)
    console.print()


def print_details(summary: NightSummary, console: Console | None = None) -> None:
    """The evidence with its e-values, and every skip by its reason."""
    console = console or terminal()
    _evidence(summary.hypotheses, console)
    _skips(summary.skipped, console)


def print_copies(states: CopyStates, console: Console) -> None:
    """One line a remote store: its state, and what to do where it is not published."""
    for name, copy in states.items():
        style = {"PUBLISHED": "green", "DRY_RUN": None}.get(copy.state, "red")
        console.print(
            f"copy   {name}: {_copy_words(name, copy)}", style=style, markup=False, highlight=False, soft_wrap=True
        )


def _copy_words(name: str, copy: CopyState) -> str:
    if copy.state == "PUBLISHED":
        return "published"
    if copy.state == "DRY_RUN":
        return f"dry run: would take up to {len(copy.bundles)} bundles, at most {copy.files_at_most} files"
    code = "" if copy.code == copy.state else f" ({copy.code})"
    advice = "" if copy.state == "FENCED" else "; `huracan publish` finishes it"
    return f"{copy.state}{code}: {copy.error.removeprefix(f'{name}: ')}{advice}"


def show(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Sequence[str | None] = (),
) -> None:
    """Print a table that is readable on a narrow terminal: columns that say nothing are left out, names are never
    broken.

    Where the names do not fit beside each other, every row has lines of its own.
    """
    cells = [tuple(row) for row in rows]
    kept = [place for place, _ in enumerate(columns) if not cells or any(row[place] != "–" for row in cells)]
    console.print(title, style="bold", markup=False)
    widths = _widths({place: [columns[place], *(row[place] for row in cells)] for place in kept}, console.width)
    if widths is None:
        _show_in_lines(console, columns, cells, kept, styles)
        return
    built = Table(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    for place in kept:
        numbers = all(_NUMBER.fullmatch(row[place]) for row in cells)
        side: Literal["left", "right"] = "right" if numbers else "left"
        built.add_column(columns[place], justify=side, overflow="fold", width=widths[place])
    for at, row in enumerate(cells):
        built.add_row(*(escape(row[place]) for place in kept), style=styles[at] if at < len(styles) else None)
    console.print(built)
    console.print()


def _widths(texts: Mapping[int, Sequence[str]], whole: int) -> dict[int, int] | None:
    """How wide each column is, so that lines end between words alone; None where the longest words have no place."""
    widths = {
        place: max((cell_len(word) for text in column for word in text.split()), default=1)
        for place, column in texts.items()
    }
    wanted = {place: max(cell_len(text) for text in column) for place, column in texts.items()}
    room = whole - sum(widths.values()) - 2 * (len(widths) - 1)
    if room < 0:
        return None
    for place in sorted(widths, key=lambda place: wanted[place] - widths[place]):
        more = min(room, wanted[place] - widths[place])
        widths[place] += more
        room -= more
    return widths


def _show_in_lines(
    console: Console,
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    kept: Sequence[int],
    styles: Sequence[str | None],
) -> None:
    for at, row in enumerate(cells):
        first, *others = kept
        head = Text(row[first], style=styles[at] or "bold" if at < len(styles) else "bold")
        console.print(head, soft_wrap=True)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for place in others:
            grid.add_row(f"  {columns[place]}", Text(row[place]))
        console.print(grid)
    console.print()


def _evidence(rows: Sequence[HypothesisRow], console: Console) -> None:
    rows = sorted(rows, key=lambda row: (row.pool, row.horizon, row.recipe))
    if not rows:
        return
    wide = console.width >= WIDE
    first = ["pool", "at", "recipe"]
    last = ["B/sd", "e", "needed", "nights", "status"]
    middle = ["members", "days", "bps/day", "Sharpe", "backtested", "bps backtested"] if wide else ["days", "bps/day"]
    if any(_uncounted(row) for row in rows) and not wide:
        middle = ["counted", "bps a day"]
    show(
        console,
        "Evidence: daily net of each recipe and pool, against nothing and the champion",
        [*first, *middle, *last],
        [[_evidence_cells(row)[name] for name in (*first, *middle, *last)] for row in rows],
        ["green" if row.is_champion else None for row in rows],
    )
    if any(_uncounted(row) and row.champion_id == NOTHING for row in rows):
        console.print("[yellow]days inside the makers' sample do not count as evidence[/yellow]\n")
    if any(_uncounted(row) and row.champion_id != NOTHING for row in rows):
        console.print("against a new champion the counting starts afresh\n")


def _uncounted(row: HypothesisRow) -> bool:
    return row.observed_days == 0 and row.backtest_days > 0


def _evidence_cells(row: HypothesisRow) -> dict[str, str]:
    """Cells by column; on a narrow terminal `counted` is "counted/backtested".

    There `bps a day` is the backtest's where nothing counts.
    """
    counted, backtested = row.observed_days, row.backtest_days
    return {
        "pool": row.pool,
        "at": row.horizon,
        "recipe": row.recipe,
        "members": str(len(row.members)),
        "days": str(counted),
        "counted": f"{counted}/{backtested}",
        "bps/day": number(row.mean_bps if counted else None, 2),
        "bps a day": number(row.mean_bps if counted else row.backtest_mean_bps, 2),
        "Sharpe": number(row.sharpe_day if counted else None, 2),
        "backtested": number(backtested, 0),
        "bps backtested": number(row.backtest_mean_bps, 2),
        "B/sd": number(row.bound_over_sd if counted else None, 1),
        "e": "–" if row.e is None else evidence_number(row.e),
        "needed": number(row.needed, 0),
        "nights": number(row.nights_until_decidable, 0),
        "status": "champion" if row.is_champion else row.status,
    }


def _champions(rows: Sequence[ModelRow], horizons: Sequence[str], console: Console) -> None:
    """One line a coin, one column a horizon; the coins with the largest edges."""
    if not rows:
        return
    by_coin: dict[str, dict[str, ModelRow]] = {}
    for row in sorted(rows, key=lambda row: -(row.edge_after_cost_bps or 0.0)):
        by_coin.setdefault(row.coin, {})[row.horizon] = row
    counts = Counter(row.status for row in rows)
    outcome = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    shown = list(by_coin.items())[:SHOWN_COINS]
    show(
        console,
        f"{len(rows)} champions ({outcome}): bps a round trip after costs > lower 5%, version",
        ["coin", "market", *horizons],
        [
            [coin, _market(found.values()), *(_champion_cell(found.get(horizon)) for horizon in horizons)]
            for coin, found in shown
        ],
    )
    if len(by_coin) > len(shown):
        console.print(f"and {len(by_coin) - len(shown)} more coins: huracan champions list\n")


def _market(rows: Iterable[ModelRow]) -> str:
    """The market that a coin's pools are of, in words."""
    pool = next((row.pool for row in rows if row.pool), "")
    return {"um": "perpetual", "spot": "spot"}.get(pool.partition("-")[0], "–")


def _champion_cell(row: ModelRow | None) -> str:
    if row is None:
        return "–"
    lower = "" if row.lower_bps is None else f" > {number(row.lower_bps)}"
    version = "" if row.version is None else f"  v{row.version}"
    return f"{number(row.edge_after_cost_bps)}{lower}{version}"


def _skips(skipped: Sequence[SkippedRow], console: Console) -> None:
    if not skipped:
        return
    coins: dict[tuple[int, str, str], dict[str, int]] = {}
    for row in skipped:
        group = coins.setdefault((row.step or 0, row.code, row.reason), {})
        group[row.coin] = group.get(row.coin, 0) + 1
    most = 6 if console.width >= WIDE else 3
    show(
        console,
        f"{len(skipped)} skips, one for each pair and horizon without a champion",
        ["step", "code", "skips", "reason", "coins"],
        [
            [str(step), code, str(sum(group.values())), reason, _named(sorted(group), most)]
            for (step, code, reason), group in sorted(coins.items())
        ],
    )


def _named(coins: Sequence[str], most: int) -> str:
    if not coins:
        return "–"
    return ", ".join(coins[:most]) + (f" and {len(coins) - most} more" if len(coins) > most else "")


def print_demo(result: RunResult, demo: "Demo", console: Console | None = None) -> None:
    """The night, then what its maker knows and what Hamilton says."""
    console = console or terminal()
    print_night(result, console)
    _against_truth(demo, console)
    if demo.bound_over_sd:
        said = ", ".join(f"{found.ratio:.1f} at {at}" for at, found in sorted(demo.bound_over_sd.items()))
        built = all(found.as_built for found in demo.bound_over_sd.values())
        console.print(
            f"largest daily loss that is allowed, in standard deviations of a day: {said}; the world is built for 8 to 10"
            + ("" if built else ", this seed's is outside")
        )
    if demo.prediction is not None:
        _prediction(demo.prediction, console)
    console.print(f"{demo.seconds:.0f} s in all\n")
    _next_steps(demo.next, console)


def _against_truth(demo: "Demo", console: Console) -> None:
    planted, regular = set(demo.truth["planted"]), len(demo.regular)
    show(
        console,
        f"World '{demo.world}', seed {demo.seed}, {demo.days} days: found against planted",
        ["horizon", "planted and found", "others found", "missed", "found by mistake"],
        [
            [
                horizon,
                f"{len(found.planted)} of {len(planted)}",
                f"{len(found.others)} of {regular - len(planted)}",
                _named(sorted(planted - set(found.planted)), 6),
                _named(found.others, 6),
            ]
            for horizon, found in demo.champions_by_horizon.items()
        ],
    )
    if planted:
        strength = f"planted: {demo.truth['strength_bps_per_hour']:.0f} bps an hour. {demo.truth['note']}"
        console.print(strength, markup=False, style="yellow")


def _next_steps(steps: "Ending", console: Console) -> None:
    """Commands to copy; a long one is not broken, so that it stays one command."""
    console.print("Copy any of these; each works as it stands, in any shell:", style="bold")
    for line in (*steps.commands, *steps.python.splitlines()):
        console.print(line, markup=False, soft_wrap=True)
    console.print("\nOnce in a shell, and the commands of the README work there as written:", style="bold")
    console.print(steps.once, markup=False, soft_wrap=True)


def _prediction(prediction: "FirstPrediction", console: Console) -> None:
    blocked = f" (blocked: {prediction.blocked_reason})" if prediction.blocked_reason else ""
    same = "equal to" if prediction.equals_training else "DIFFERENT from"
    console.print(
        f"Hamilton: {prediction.coin} {prediction.horizon} -> [bold]{prediction.direction}[/bold], edge "
        f"{number(prediction.edge_bps)} bps, position {prediction.position_fraction:.3f} of capital"
        f"{escape(blocked)}; {same} the training side's, bit for bit"
    )
