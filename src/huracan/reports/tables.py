"""The tables of the page: named columns, each cell with what is shown and what it sorts by."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from huracan.reports.night import NightReport
from huracan.reports.night_integrity import InstrumentRow, LostFileRow, OutageRow, RuleRow
from huracan.reports.night_summary import Costs, ErrorRow, HypothesisRow, SkippedRow, SummaryRow
from huracan.reports.story.words import market_word

Row = TypeVar("Row")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """Costs and result of a round trip of one published model."""

    coin: str
    horizon: str
    recipe: str
    costs: Costs


@dataclass(frozen=True, slots=True)
class _Column(Generic[Row]):
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


def hypothesis_table(night: NightReport) -> Table:
    """Every hypothesis and how far it is from proof."""
    columns: tuple[_Column[HypothesisRow], ...] = (
        _text("Pool", lambda row: row.pool),
        _text("Horizon", lambda row: row.horizon),
        _text("Recipe", lambda row: row.recipe),
        _Column("Status", _status, numeric=False),
        _number("e", lambda row: row.e, 3, about="evidence against 'no better than doing nothing'; 1 is none"),
        _number("Needed", lambda row: row.needed, about="what tonight's ledger asks for"),
        _Column("Way there", _way, about="log e over log needed"),
        _number("Nights left", lambda row: row.nights_until_decidable, up=True, about="at the shrunken measured edge"),
        _number(
            "B/sd",
            lambda row: row.bound_over_sd,
            1,
            about="bound over the standard deviation of a day; smaller decides sooner",
        ),
        _number("Mean", lambda row: row.mean_bps, 2, about="bps of capital a day against the champion"),
        _Column("Mean lies within", _interval, about="confidence sequence against nothing, bps a day"),
        _Column("Days", _days, about="backtested at admission + scored live since"),
        _Column("Gates and reasons", _gates, about="what must still open, or why it was decided", numeric=False),
    )
    return _table("hypotheses", columns, sorted(night.hypotheses, key=_by_progress))


def champion_table(rows: Sequence[SummaryRow], name: str) -> Table:
    """Champions, or candidates (with the nights that are missing)."""
    columns: list[_Column[SummaryRow]] = [
        _text("Coin", lambda row: row.coin),
        _text("Horizon", lambda row: row.horizon),
        _text("Recipe", lambda row: row.recipe),
        _Column("Market", _market, numeric=False),
        _text("Status", lambda row: row.status),
        _number("Version", lambda row: row.version),
        _number(
            "Net edge",
            lambda row: row.edge_after_cost_bps,
            1,
            about="bps of notional per round trip, after all costs",
        ),
        _number("Sharpe", lambda row: row.metrics.sharpe_ratio, 2, about="365 days a year"),
        _number("w/o best day", _without_best_day, 2, about="Sharpe without its best day"),
        _number("Drawdown", lambda row: row.metrics.max_drawdown, 1, percent=True),
        _number("Hit rate", lambda row: row.metrics.hit_rate, percent=True),
        _number("Capacity", lambda row: row.metrics.capacity_estimate, about="quote currency"),
    ]
    if name != "champions":
        columns.append(_number("e", lambda row: row.e_value, 3, about="evidence of its pool's recipe"))
        columns.append(_number("Nights missing", lambda row: row.nights_missing, up=True))
    return _table(name, columns, rows)


def skip_table(night: NightReport) -> Table:
    """Every (coin, horizon) without a champion."""
    columns: tuple[_Column[SkippedRow], ...] = (
        _text("Coin", lambda row: row.coin),
        _text("Horizon", lambda row: row.horizon),
        _number("Step", lambda row: row.step),
        _text("Code", lambda row: row.code),
        _text("Reason", lambda row: row.reason),
        _Column("Measured", lambda row: _either(row.measured)),
        _Column("Wanted", lambda row: _either(row.wanted)),
    )
    return _table("skips", columns, night.skips)


def skip_counts(night: NightReport) -> list[tuple[str, int]]:
    """Reasons and how often, most frequent first."""
    counts = Counter(row.code for row in night.skips)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def cost_rows(night: NightReport) -> list[CostRow]:
    """What the night's champions and candidates cost a round trip."""
    return [
        CostRow(coin=row.coin, horizon=row.horizon, recipe=row.recipe, costs=row.costs)
        for row in (*night.champions, *night.candidates)
        if row.costs is not None
    ]


def cost_table(night: NightReport) -> Table:
    """Costs and result of a round trip, bps of notional."""
    columns: tuple[_Column[CostRow], ...] = (
        _text("Coin", lambda row: row.coin),
        _text("Horizon", lambda row: row.horizon),
        _text("Recipe", lambda row: row.recipe),
        _cost("Fees", lambda row: row.costs.fees),
        _cost("Spread", lambda row: row.costs.spread),
        _text("Spread from", lambda row: row.costs.spread_source),
        _cost("Slippage", lambda row: row.costs.slippage),
        _cost("Funding", lambda row: row.costs.funding),
        _number("Gross", lambda row: row.costs.gross, 2, about="what entry and exit price say"),
        _number("Rebalance", lambda row: row.costs.rebalance, 2, about="what holding a constant share of capital adds"),
        _number("Net", lambda row: row.costs.net, 2),
        _number("Break-even", lambda row: row.costs.break_even, 2, about="cost at which nothing is left"),
        _number("Round trips", lambda row: row.costs.round_trips),
    )
    return _table("costs", columns, cost_rows(night))


def integrity_table(night: NightReport) -> Table:
    """What validation did to each coin's bars, worst first."""
    columns: tuple[_Column[InstrumentRow], ...] = (
        _text("Coin", lambda row: row.coin),
        _text("Vendor", lambda row: row.vendor),
        _number("Rows in", lambda row: row.rows_in),
        _number("Rows out", lambda row: row.rows_out),
        _number("Repaired", lambda row: row.repaired),
        _number("Cut", lambda row: row.cut),
        _number("Gaps", lambda row: row.gaps),
        _number("With the exchange", lambda row: row.exchange_bars, about="bars that the whole market misses too"),
        _number("Alone", lambda row: row.own_bars, about="other missing bars"),
        _number("Halted", lambda row: row.counts.halt, about="flat bars without a trade, from the tenth of a run on"),
        _number("Outliers", lambda row: row.outliers),
        _number(
            "Mismatches",
            lambda row: len(row.mismatches),
            about="against other sources, last time they were compared",
        ),
        _number("Quality", lambda row: row.quality, 2, percent=True, about="share of expected bars that arrived real"),
    )
    rows = sorted(night.integrity.instruments, key=lambda row: (row.quality is not None, row.quality or 0.0))
    return _table("integrity", columns, rows)


def rule_table(night: NightReport) -> Table:
    """What each rule of validation did, over all pairs."""
    columns: tuple[_Column[RuleRow], ...] = (
        _text("Rule", lambda row: row.rule),
        _text("Done", lambda row: row.action),
        _text("Meaning", lambda row: row.meaning),
        _number("Found", lambda row: row.found),
        _number("Pairs", lambda row: row.instruments),
    )
    return _table("rules", columns, night.integrity.rules)


def outage_table(night: NightReport) -> Table:
    """Stretches that a whole market lacks."""
    columns: tuple[_Column[OutageRow], ...] = (
        _text("Market", lambda row: row.market),
        _text("Seen as", lambda row: row.kind),
        _text("From", lambda row: row.start),
        _text("To", lambda row: row.end),
        _number("Pairs", lambda row: row.instruments),
        _number("Of those listed", lambda row: row.share, percent=True),
    )
    return _table("outages", columns, night.integrity.outages)


def lost_file_table(night: NightReport) -> Table:
    """Archive files that never came."""
    columns: tuple[_Column[LostFileRow], ...] = (
        _text("Coin", lambda row: row.coin),
        _text("File", lambda row: row.file),
        _text("From", lambda row: row.start),
        _text("To", lambda row: row.end),
    )
    return _table("lost", columns, night.integrity.lost_files)


def error_table(night: NightReport) -> Table:
    """What went wrong."""
    columns: tuple[_Column[ErrorRow], ...] = (
        _text("Code", lambda row: row.code),
        _text("Coin", lambda row: row.coin),
        _text("Step", lambda row: row.step),
        _text("Error", lambda row: row.error),
    )
    return _table("errors", columns, night.errors)


def _table(name: str, columns: Sequence[_Column[Row]], rows: Sequence[Row]) -> Table:
    return Table(
        name=name,
        headers=tuple((column.title, column.about) for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows[:SHOWN_ROWS]),
        numeric=tuple(column.numeric for column in columns),
        left_out=max(0, len(rows) - SHOWN_ROWS),
    )


def _text(title: str, value: Callable[[Row], str | int | None]) -> _Column[Row]:
    def cell(row: Row) -> Cell:
        text = value(row)
        return Cell(DASH) if text in {None, ""} else Cell(str(text), str(text))

    return _Column(title, cell, numeric=False)


def _number(
    title: str,
    value: Callable[[Row], float | None],
    digits: int = 0,
    *,
    percent: bool = False,
    up: bool = False,
    about: str = "",
) -> _Column[Row]:
    return _Column(title, lambda row: number_cell(value(row), digits, percent=percent, up=up), about)


def _cost(title: str, value: Callable[[Row], float | None]) -> _Column[Row]:
    """A cost in bps; one below zero is income."""

    def cell(row: Row) -> Cell:
        shown = number_cell(value(row), 2)
        return replace(shown, style="income") if shown.style == "negative" else shown

    return _Column(title, cell)


def number_cell(value: object, digits: int, *, percent: bool = False, up: bool = False) -> Cell:
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


def _market(row: SummaryRow) -> Cell:
    return Cell(market_word(row.pool), row.pool) if row.pool else Cell(DASH)


def _without_best_day(row: SummaryRow) -> float | None:
    found = row.metrics.without_best_day
    return None if found is None else found.sharpe_ratio


def _either(value: float | str | None) -> Cell:
    return Cell(value, value) if isinstance(value, str) else number_cell(value, 3)


def _status(row: HypothesisRow) -> Cell:
    shown = "suspended" if row.suspended else "champion" if row.is_champion else row.status or DASH
    styles = {"champion": "good", "promoted": "good", "expired": "dim", "closed": "dim", "suspended": "bad"}
    return Cell(shown, shown, f"badge {styles.get(shown, '')}".strip())


def _way(row: HypothesisRow) -> Cell:
    share = _share(row)
    if share is None:
        return Cell(DASH)
    filled = min(1.0, max(0.0, share))
    return Cell(f"{filled:.0%}", share, "way", filled)


def _share(row: HypothesisRow) -> float | None:
    if row.e is None or row.needed is None or not row.e > 0 or not row.needed > 1:
        return None
    return math.log(row.e) / math.log(row.needed)


def _by_progress(row: HypothesisRow) -> tuple[bool, float, float]:
    share = _share(row)
    ended = row.status in {"expired", "closed"}
    return ended, -(share if share is not None else -math.inf), float(row.needed or math.inf)


def _interval(row: HypothesisRow) -> Cell:
    low, high = row.confidence_nothing_bps
    if row.observed_days == 0 or low is None or high is None or not math.isfinite(low) or not math.isfinite(high):
        return Cell(DASH)
    return Cell(f"{low:,.1f} … {high:,.1f}", float(low))


def _days(row: HypothesisRow) -> Cell:
    return Cell(f"{row.history_days:,} + {row.live_days:,}", float(row.history_days + row.live_days))


def _gates(row: HypothesisRow) -> Cell:
    text = "; ".join(row.closed_gates) or row.reason
    return Cell(text, text, "clamp") if text else Cell(DASH)
