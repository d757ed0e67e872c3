"""Several rows of one time: which one stays, and what gave way."""

from collections.abc import Collection, Sequence
from typing import Final

import polars as pl

from huracan.domain.frames import Schema

FULLEST_BAR: Final = (pl.col("trades").fill_nan(None), pl.col("volume").fill_nan(None))
"""Of two bars of one time that with more trades is the whole one, then that with more volume."""
FULLEST_SETTLEMENT: Final = (pl.col("interval_hours").is_not_null(),)

DOUBLES_SCHEMA: Final[Schema] = {
    "time_ms": pl.Int64,
    "source": pl.String,  # the archive file that the row came from, or "rest"
    "rows": pl.Int64,  # rows that gave way to another of the same time
    "conflicts": pl.Int64,  # of these, with another value than the one that stayed
}
NO_DOUBLES: Final = pl.DataFrame(schema=DOUBLES_SCHEMA)


def part_doubles(
    frame: pl.DataFrame, time: str, fullest: Sequence[pl.Expr] = (), marks: Collection[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows by rising time, each time once, and those that gave way in their old order, with `differs`.

    Of several rows of one time that with most by `fullest` stays, an absent value being less than any; of equal ones
    the later in the input. `differs` says whether a row has another value than the one that stays where both have one;
    columns of `marks` are no values.

    >>> rows = pl.DataFrame({"t": [1, 1], "trades": [11, 1]})
    >>> kept, gone = part_doubles(rows, "t", [pl.col("trades")])
    >>> kept["trades"].item(), gone["trades"].item(), gone["differs"].item()
    (11, 1, True)
    """
    ordered = frame.with_row_index("_place").sort([time, *fullest, "_place"], nulls_last=False)
    stays = ordered.select(pl.col(time).ne(pl.col(time).shift(-1)).fill_null(value=True)).to_series()
    kept, gone = ordered.filter(stays).drop("_place"), ordered.filter(~stays).sort("_place").drop("_place")
    return kept, gone.with_columns(differs=_differing(gone, kept, {time, *marks}, time))


def _differing(rows: pl.DataFrame, others: pl.DataFrame, no_values: set[str], time: str) -> pl.Series:
    pairs = rows.join(others, on=time, how="left", suffix="_other", maintain_order="left")
    values = (name for name in rows.columns if name not in no_values)
    unequal = (pl.col(name).ne(pl.col(f"{name}_other")).fill_null(value=False) for name in values)
    return pairs.select(pl.any_horizontal(*unequal)).to_series()
