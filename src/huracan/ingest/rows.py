"""Which single rows may pass, assigned by each row alone."""

from dataclasses import dataclass
from typing import Any, Final

import dataframely as dy
import polars as pl

from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.records import IntegrityIssue, IssueKind

OPTIONAL: Final = ("quote_volume", "trades", "taker_base", "taker_quote")
_PRICES: Final = ("open", "high", "low", "close")


class _BarRow(dy.Schema):
    open_time = dy.Int64(nullable=True)
    open = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    high = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    low = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    close = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    volume = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    quote_volume = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    trades = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    taker_base = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    taker_quote = dy.Float64(nullable=True, allow_nan=True, allow_inf=True)
    on_grid = dy.Bool()

    @dy.rule()
    def off_grid(cls) -> pl.Expr:  # noqa: N805
        return pl.col("on_grid")

    @dy.rule()
    def non_finite(cls) -> pl.Expr:  # noqa: N805
        needed = [pl.col(name).is_finite().fill_null(value=False) for name in (*_PRICES, "volume")]
        return pl.all_horizontal(*needed, *(pl.col(name).is_finite().fill_null(value=True) for name in OPTIONAL))

    @dy.rule()
    def non_positive(cls) -> pl.Expr:  # noqa: N805
        prices = (pl.col(name).fill_null(1.0) > 0 for name in _PRICES)
        return pl.all_horizontal(*prices, *(pl.col(name).fill_null(0.0) >= 0 for name in ("volume", *OPTIONAL)))

    @dy.rule()
    def ohlc(cls) -> pl.Expr:  # noqa: N805
        low, high = pl.col("low"), pl.col("high")
        inside = (pl.col(name).fill_null(low).is_between(low, high) for name in ("open", "close"))
        return pl.all_horizontal(*inside).fill_null(value=True)


_KINDS: Final[dict[str, IssueKind]] = {
    "off_grid": "off_grid",
    "non_finite": "non_finite",
    "non_positive": "non_positive",
    "ohlc": "ohlc",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """Rows that may pass in their old order, how many were cut, and why (a row can fail several checks)."""

    good: pl.DataFrame
    cut: int
    issues: tuple[IntegrityIssue, ...]


def check_rows(raw: pl.DataFrame, interval_ms: int, start_ms: int, end_ms: int) -> RowVerdict:
    """Cut rows that are off the grid or outside the window, non-finite, not positive, or impossible.

    `raw` has BAR_SCHEMA; rows with a null time count as off the grid. Optional columns may be null, never NaN.
    """
    time = pl.col("open_time")
    inside = (time % interval_ms == 0) & time.is_between(start_ms, end_ms, closed="left")
    marked = raw.with_columns(on_grid=inside.fill_null(value=False))
    good, failure = _BarRow.filter(marked)
    if not len(failure):
        return RowVerdict(good=raw, cut=0, issues=())
    details: Any = failure.details()
    issues = []
    for rule, kind in _KINDS.items():
        failed = details.filter(pl.col(rule) == "invalid")
        if failed.height:
            first = failed["open_time"].min()
            issues.append(
                IntegrityIssue(
                    kind=kind, action="cut", start_ms=start_ms if first is None else first, bars=failed.height
                )
            )
    return RowVerdict(good=good.select(list(BAR_SCHEMA)), cut=len(failure), issues=tuple(issues))
