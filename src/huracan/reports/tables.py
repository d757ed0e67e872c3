"""The tables of the page: named columns, each cell with what is shown and what it sorts by."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from huracan.reports.night import NightReport, Row
from huracan.reports.story.words import market_word

SHOWN_ROWS: Final = 200
DASH: Final = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """Text as shown, the value a sort uses (None sorts last), a class for its style, and how full its bar is (0..1)."""

    text: str
    sort: float | str | None = None
    style: str = ""
    filled: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Headers (title, explanation) and rows; `left_out` rows stand only in the JSON files."""

    name: str
    headers: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[Row], Cell]
    about: str = ""
    numeric: bool = True


def card_labels(name: str, titles: Sequence[str]) -> str:
    """Style rules that name each cell of a table where a narrow screen shows its rows as cards.

    >>> card_labels("jobs", ["Pair"])
    '@media (max-width: 640px) {#table-jobs td:nth-child(1)::before{content:"Pair"}}'
    """
    cells = [
        f'#table-{name} td:nth-child({place})::before{{content:"{title}"}}'
        for place, title in enumerate(titles, start=1)
    ]
    return f"@media (max-width: 640px) {{{' '.join(cells)}}}"


def lineage_table(night: NightReport) -> Table:
    """Every hypothesis and how far it is from proof."""
    columns = (
        _text("Pool", "pool"),
        _text("Horizon", "horizon"),
        _text("Recipe", "recipe"),
        _Column("Status", _status, numeric=False),
        _number("e", "e", 3, about="evidence against 'no better than doing nothing'; 1 is none"),
        _number("Needed", "needed", 0, about="what tonight's ledger asks for"),
        _Column("Way there", _way, about="log e over log needed"),
        _number("Nights left", "nights_until_decidable", 0, up=True, about="at the shrunken measured edge"),
        _number("B/sd", "bound_over_sd", 1, about="bound over the standard deviation of a day; smaller decides sooner"),
        _number("Mean", "mean_bps", 2, about="bps of capital a day against the champion"),
        _Column("Mean lies within", _interval, about="confidence sequence against nothing, bps a day"),
        _Column("Days", _days, about="walked forward at admission + scored live since"),
        _Column("Gates and reasons", _gates, about="what must still open, or why it was decided", numeric=False),
    )
    return _table("lineages", columns, sorted(night.lineages, key=_by_progress))


def champion_table(rows: Sequence[Row], name: str) -> Table:
    """Champions, or candidates (with the nights that are missing)."""
    proven = name == "champions"
    columns = [
        _text("Coin", "coin"),
        _text("Horizon", "horizon"),
        _text("Recipe", "recipe"),
        _Column("Market", _market, numeric=False),
        _text("Status", "status"),
        _number("Version", "version", 0),
        _number("Net edge", "edge_after_cost_bps", 1, about="bps of notional per round trip, after all costs"),
        _number("Sharpe", "sharpe_ratio", 2, within="metrics", about="365 days a year"),
        _number("w/o best day", "sharpe_ratio", 2, within="without_best_day", about="Sharpe without its best day"),
        _number("Drawdown", "max_drawdown", 1, within="metrics", percent=True),
        _number("Hit rate", "hit_rate", 0, within="metrics", percent=True),
        _number("Capacity", "capacity_estimate", 0, within="metrics", about="quote currency"),
    ]
    if not proven:
        columns.append(_number("e", "e_value", 3, about="evidence of its pool's recipe"))
        columns.append(_number("Nights missing", "nights_missing", 0, up=True))
    return _table(name, columns, rows)


def skip_table(night: NightReport) -> Table:
    """Every (coin, horizon) without a champion."""
    columns = (
        _text("Coin", "coin"),
        _text("Horizon", "horizon"),
        _number("Step", "step", 0),
        _text("Code", "code"),
        _text("Reason", "reason"),
        _Column("Measured", lambda row: _either(row.get("measured"))),
        _Column("Wanted", lambda row: _either(row.get("wanted"))),
    )
    return _table("skips", columns, night.skips)


def skip_counts(night: NightReport) -> list[tuple[str, int]]:
    """Reasons and how often, most frequent first."""
    counts = Counter(str(row.get("code")) for row in night.skips)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def cost_rows(night: NightReport) -> list[Row]:
    """The night's cost rows; from champions and candidates where none were given."""
    if night.costs:
        return list(night.costs)
    names = ("coin", "horizon", "recipe")
    found = [*night.champions, *night.candidates]
    return [{**{name: row.get(name) for name in names}, **row["costs"]} for row in found if row.get("costs")]


def cost_table(night: NightReport) -> Table:
    """Costs and result of a round trip, bps of notional."""
    columns = (
        _text("Coin", "coin"),
        _text("Horizon", "horizon"),
        _text("Recipe", "recipe"),
        _number("Fees", "fees", 2, cost=True),
        _number("Spread", "spread", 2, cost=True),
        _text("Spread from", "spread_source"),
        _number("Slippage", "slippage", 2, cost=True),
        _number("Funding", "funding", 2, cost=True),
        _number("Gross", "gross", 2, about="what entry and exit price say"),
        _number("Rebalance", "rebalance", 2, about="what holding a constant share of capital adds"),
        _number("Net", "net", 2),
        _number("Break-even", "break_even", 2, about="cost at which nothing is left"),
        _number("Round trips", "round_trips", 0),
    )
    return _table("costs", columns, cost_rows(night))


def integrity_table(night: NightReport) -> Table:
    """What validation did to each coin's bars, worst first."""
    columns = (
        _text("Coin", "coin"),
        _text("Vendor", "vendor"),
        _number("Rows in", "rows_in", 0),
        _number("Rows out", "rows_out", 0),
        _number("Repaired", "repaired", 0),
        _number("Cut", "cut", 0),
        _number("Gaps", "gaps", 0),
        _number("With the exchange", "exchange_bars", 0, about="bars that the whole market misses too"),
        _number("Alone", "own_bars", 0, about="other missing bars"),
        _number("Halted", "halt", 0, about="flat bars without a trade, from the tenth of a run on"),
        _number("Outliers", "outliers", 0),
        _number("Mismatches", "mismatches", 0, about="against other sources, last time they were compared"),
        _number("Quality", "quality", 2, percent=True, about="share of expected bars that arrived real"),
    )
    rows = sorted(night.integrity, key=lambda row: (row.get("quality") is not None, row.get("quality") or 0.0))
    return _table("integrity", columns, rows)


def rule_table(night: NightReport) -> Table:
    """What each rule of validation did, over all pairs."""
    columns = (
        _text("Rule", "rule"),
        _text("Done", "action"),
        _text("Meaning", "meaning"),
        _number("Found", "found", 0),
        _number("Pairs", "instruments", 0),
    )
    return _table("rules", columns, night.integrity_rules)


def outage_table(night: NightReport) -> Table:
    """Stretches that a whole market lacks."""
    columns = (
        _text("Market", "market"),
        _text("Seen as", "kind"),
        _text("From", "start"),
        _text("To", "end"),
        _number("Pairs", "instruments", 0),
        _number("Of those listed", "share", 0, percent=True),
    )
    return _table("outages", columns, night.outages)


def lost_file_table(night: NightReport) -> Table:
    """Archive files that never came."""
    columns = (_text("Coin", "coin"), _text("File", "file"), _text("From", "start"), _text("To", "end"))
    return _table("lost", columns, night.lost_files)


def error_table(night: NightReport) -> Table:
    """What went wrong."""
    columns = (_text("Code", "code"), _text("Coin", "coin"), _text("Step", "step"), _text("Error", "error"))
    return _table("errors", columns, night.errors)


def _table(name: str, columns: Sequence[_Column], rows: Sequence[Row]) -> Table:
    return Table(
        name=name,
        headers=tuple((column.title, column.about) for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows[:SHOWN_ROWS]),
        numeric=tuple(column.numeric for column in columns),
        left_out=max(0, len(rows) - SHOWN_ROWS),
    )


def _text(title: str, key: str) -> _Column:
    def cell(row: Row) -> Cell:
        value = row.get(key)
        return Cell(DASH) if value in {None, ""} else Cell(str(value), str(value))

    return _Column(title, cell, numeric=False)


def _number(
    title: str,
    key: str,
    digits: int,
    *,
    within: str = "",
    percent: bool = False,
    up: bool = False,
    cost: bool = False,
    about: str = "",
) -> _Column:
    def cell(row: Row) -> Cell:
        holder: Any = row
        if within:
            holder = row.get("metrics") or {}
            holder = holder if within == "metrics" else holder.get(within) or {}
        cell = number_cell(holder.get(key), digits, percent=percent, up=up)
        return replace(cell, style="income") if cost and cell.style == "negative" else cell

    return _Column(title, cell, about)


def number_cell(value: Any, digits: int, *, percent: bool = False, up: bool = False) -> Cell:
    """A number with its digits (significant ones where it is small), a dash where there is none; `up` rounds up."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Cell(DASH)
    number = float(value)
    shown = float(math.ceil(number)) if up else number
    if percent:
        text = f"{shown:.{digits}%}"
    elif digits == 3 and abs(shown) < 1000:
        text = f"{shown:.3g}"
    else:
        text = f"{shown:,.{0 if digits == 3 else digits}f}"
    negative = number < 0 and any(digit in text for digit in "123456789")
    return Cell(text if negative else text.removeprefix("-"), number, "negative" if negative else "")


def _market(row: Row) -> Cell:
    pool = row.get("pool")
    return Cell(market_word(str(pool)), str(pool)) if pool else Cell(DASH)


def _either(value: Any) -> Cell:
    if isinstance(value, str):
        return Cell(value, value)
    return number_cell(value, 3)


def _status(row: Row) -> Cell:
    status = str(row.get("status") or DASH)
    shown = "suspended" if row.get("suspended") else "reigns" if row.get("reigns") else status
    styles = {"reigns": "good", "promoted": "good", "expired": "dim", "closed": "dim", "suspended": "bad"}
    return Cell(shown, shown, f"badge {styles.get(shown, '')}".strip())


def _way(row: Row) -> Cell:
    share = _share(row)
    if share is None:
        return Cell(DASH)
    filled = min(1.0, max(0.0, share))
    return Cell(f"{filled:.0%}", share, "way", filled)


def _share(row: Row) -> float | None:
    e, needed = row.get("e"), row.get("needed")
    if e is None or needed is None or not e > 0 or not needed > 1:
        return None
    return math.log(e) / math.log(needed)


def _by_progress(row: Row) -> tuple[bool, float, float]:
    share = _share(row)
    ended = row.get("status") in {"expired", "closed"}
    return ended, -(share if share is not None else -math.inf), float(row.get("needed") or math.inf)


def _interval(row: Row) -> Cell:
    bounds = row.get("confidence_nothing_bps") if row.get("observed_days") != 0 else None
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or any(b is None or not math.isfinite(b) for b in bounds):
        return Cell(DASH)
    low, high = bounds
    return Cell(f"{low:,.1f} … {high:,.1f}", float(low))


def _days(row: Row) -> Cell:
    history, live = row.get("history_days"), row.get("live_days")
    if history is None or live is None:
        return Cell(DASH)
    return Cell(f"{history:,} + {live:,}", float(history + live))


def _gates(row: Mapping[str, Any]) -> Cell:
    parts = [str(gate) for gate in row.get("closed_gates") or ()]
    reason = str(row.get("reason") or "")
    text = "; ".join(parts) or reason
    return Cell(text, text, "clamp") if text else Cell(DASH)
