"""Rows on their way into the lake: in order, each time once, marked with where they come from, compared with what is stored.

Where a row comes from is one integer, `origin`: (place in `VENDORS`) * 4 + (2 if it came by REST) + (1 if the exchange has
restated it). As three columns it cost a twelfth of an unzip to write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, check_schema
from huracan.errors import SchemaError
from huracan.ports import FetchedRows

ORIGIN: Final = "origin"
VENDORS: Final = ("binance", "injected")
"""Who delivers rows. A place in it is stored: names are added at the end and never removed."""
_RESTATED: Final = 1
_REST: Final = 2
_PER_VENDOR: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table: its name, its time column, and the schema of its rows as the exchange gives them."""

    name: str
    time: str
    schema: dict[str, Any]


BARS: Final = Kind("bars", "open_time", BAR_SCHEMA)
FUNDING: Final = Kind("funding", "funding_time", FUNDING_SCHEMA)
KINDS: Final = {kind.name: kind for kind in (BARS, FUNDING)}


def combined(kind: Kind, batches: Sequence[FetchedRows], vendor: str) -> pl.DataFrame:
    """All rows and their origin, ascending, the later batch's where two have one time; SchemaError for no time or vendor."""
    if vendor not in VENDORS:
        message = f"rows of vendor {vendor!r}; the lake knows {', '.join(VENDORS)}: add it to lake_rows.VENDORS"
        raise SchemaError(message)
    origin, parts = VENDORS.index(vendor) * _PER_VENDOR, []
    for batch in batches:
        check_schema(batch.rows, kind.schema, f"fetched {kind.name} from {batch.source}")
        code = origin + (_REST if batch.source == "rest" else 0)
        parts.append(batch.rows.with_columns(pl.lit(code, pl.Int64).alias(ORIGIN)))
    rows = pl.concat(parts)
    time = rows[kind.time]
    if time.null_count():
        message = f"{time.null_count()} fetched {kind.name} rows without a time"
        raise SchemaError(message)
    if rows.height > 1 and not bool((time.diff().slice(1) > 0).all()):
        rows = rows.unique(kind.time, keep="last", maintain_order=True).sort(kind.time)
    return rows


def against_stored(
    kind: Kind, stored: pl.DataFrame, incoming: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows that are new or changed, and, if any changed, everything that must stand in their time range."""
    time, values = kind.time, [name for name in kind.schema if name != kind.time]
    if stored.is_empty():
        return incoming, None
    pairs = incoming.join(stored, on=time, how="left", suffix="_old")
    before = pl.col(f"{ORIGIN}_old")
    same = (pl.col(v).is_null() | pl.col(v).eq_missing(pl.col(f"{v}_old")) for v in values)
    changed = (pl.col(v).ne(pl.col(f"{v}_old")).fill_null(value=False) for v in values)
    pairs = pairs.filter(~(before.is_not_null() & pl.all_horizontal(same)))
    restated = pl.any_horizontal(changed) | (before.fill_null(0) & _RESTATED).eq(_RESTATED)
    fresh = pairs.select(
        time,
        *(pl.coalesce(v, f"{v}_old").alias(v) for v in values),
        pl.col(ORIGIN) | restated.cast(pl.Int64),
    )
    if pairs[f"{ORIGIN}_old"].null_count() == pairs.height:  # an expression's is_not_null().any() is true on no rows
        return fresh, None
    low, high = fresh[time][0], fresh[time][-1]
    beside = stored.filter(pl.col(time).is_between(low, high)).join(fresh, on=time, how="anti")
    return fresh, pl.concat([beside.select(fresh.columns), fresh]).sort(time)


def is_restated() -> pl.Expr:
    """Whether the exchange has restated a row."""
    return (pl.col(ORIGIN) & _RESTATED).eq(_RESTATED)


def provenance_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `vendor`, `source` ("archive" or "rest") and `restated` in place of their origin."""
    vendor = pl.col(ORIGIN) // _PER_VENDOR
    source = pl.when((pl.col(ORIGIN) & _REST).eq(_REST)).then(pl.lit("rest")).otherwise(pl.lit("archive"))
    return rows.select(
        pl.exclude(ORIGIN),
        vendor=vendor.replace_strict(dict(enumerate(VENDORS)), return_dtype=pl.String),
        source=source,
        restated=is_restated(),
    )
