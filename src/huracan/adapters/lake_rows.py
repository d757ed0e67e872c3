"""Rows on their way into the lake: in order, each time once, marked with where they come from, compared with what is
stored.

Where a row comes from is one integer, `origin`: (place in `VENDORS`) * 4 + (2 if it came by REST) + (1 if the exchange
has restated it). As three columns it cost a twelfth of an unzip to write.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from huracan.adapters.lake_doubles import REST, counted
from huracan.domain.doubles import FULLEST_BAR, FULLEST_SETTLEMENT, part_doubles
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, Schema, check_schema
from huracan.errors import SchemaError
from huracan.ports import FetchedRows

ORIGIN: Final = "origin"
BATCH: Final = "batch"
INJECTED: Final = "injected"
VENDORS: Final = ("binance", INJECTED)
"""Who delivers rows. A place in it is stored: names are added at the end and never removed."""
_RESTATED: Final = 1
_REST: Final = 2
_PER_VENDOR: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table: its name, its time column, the schema of its rows as the exchange gives them, and by which
    values one row of a time is fuller than another.
    """

    name: str
    time: str
    schema: Schema
    fullest: tuple[pl.Expr, ...]


BARS: Final = Kind("bars", "open_time", BAR_SCHEMA, FULLEST_BAR)
FUNDING: Final = Kind("funding", "funding_time", FUNDING_SCHEMA, FULLEST_SETTLEMENT)
KINDS: Final = {kind.name: kind for kind in (BARS, FUNDING)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """Rows of one append: ascending, each time once, with ORIGIN and BATCH (the place of its batch), and what gave
    way.
    """

    rows: pl.DataFrame
    doubles: pl.DataFrame
    sources: tuple[str, ...]
    """Of each batch the archive file, REST, or that a user-supplied loader gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What an append changes: rows that are new or changed, everything that must then stand in their time range (None:
    nothing stored changes), and doubles of stored rows.
    """

    new: pl.DataFrame
    merged: pl.DataFrame | None
    doubles: pl.DataFrame


def combined(kind: Kind, batches: Sequence[FetchedRows], vendor: str) -> Incoming:
    """All rows and their origin, of two of one time the fuller, then the later one; SchemaError for no time or
    vendor.
    """
    if vendor not in VENDORS:
        message = f"rows of vendor {vendor!r}; the lake knows {', '.join(VENDORS)}: add it to lake_rows.VENDORS"
        raise SchemaError(message)
    origin, parts = VENDORS.index(vendor) * _PER_VENDOR, []
    for place, batch in enumerate(batches):
        check_schema(batch.rows, kind.schema, f"fetched {kind.name} from {batch.source}")
        code = origin + (_REST if batch.source == "rest" else 0)
        parts.append(
            batch.rows.with_columns(pl.lit(code, pl.Int64).alias(ORIGIN), pl.lit(place, pl.Int32).alias(BATCH))
        )
    rows = pl.concat(parts)
    time = rows[kind.time]
    if time.null_count():
        message = f"{time.null_count()} fetched {kind.name} rows without a time"
        raise SchemaError(message)
    sources = tuple(_source(batch, vendor) for batch in batches)
    gone = rows.clear().with_columns(differs=pl.lit(value=False))
    if rows.height > 1 and not bool((time.diff().slice(1) > 0).all()):
        rows, gone = part_doubles(rows, kind.time, kind.fullest, marks=(ORIGIN, BATCH))
    return Incoming(rows=rows, doubles=_doubles(kind, gone, sources), sources=sources)


def _source(batch: FetchedRows, vendor: str) -> str:
    if batch.file is not None:
        return batch.file.name
    return INJECTED if vendor == INJECTED else REST


def against_stored(kind: Kind, stored: pl.DataFrame, incoming: Incoming, replaced: Collection[str]) -> Compared:
    """What the rows of an append change beside the stored ones of their time range.

    Where values differ the fuller row stays, and it is a double. A row of a file that was `replaced` since, or of a
    user-supplied loader, stands whatever it holds. A row that stands in place of a stored one is marked restated.
    """
    if stored.is_empty():
        return Compared(new=incoming.rows.drop(BATCH), merged=None, doubles=incoming.doubles.clear())
    time, values = kind.time, [name for name in kind.schema if name != kind.time]
    pairs = _ranked(kind, incoming.rows).join(_ranked(kind, stored), on=time, how="left", suffix="_old")
    before = pl.col(f"{ORIGIN}_old")
    final = [place for place, source in enumerate(incoming.sources) if source in replaced or source == INJECTED]
    changed = pl.any_horizontal(pl.col(v).ne(pl.col(f"{v}_old")).fill_null(value=False) for v in values)
    pairs = pairs.with_columns(changed=changed, doubled=changed & ~pl.col(BATCH).is_in(final))
    gone = pairs.filter("doubled").select(time, BATCH, differs=True)
    same = (pl.col(v).is_null() | pl.col(v).eq_missing(pl.col(f"{v}_old")) for v in values)
    useless = (before.is_not_null() & pl.all_horizontal(same)) | (pl.col("doubled") & _old_is_fuller(kind))
    pairs = pairs.filter(~useless)
    restated = pl.col("changed") | (before.fill_null(0) & _RESTATED).eq(_RESTATED)
    new = pairs.select(
        time,
        *(pl.coalesce(v, f"{v}_old").alias(v) for v in values),
        pl.col(ORIGIN) | restated.cast(pl.Int64),
    )
    doubles = _doubles(kind, gone, incoming.sources)
    if pairs[f"{ORIGIN}_old"].null_count() == pairs.height:  # an expression's is_not_null().any() is true on no rows
        return Compared(new=new, merged=None, doubles=doubles)
    low, high = new[time][0], new[time][-1]
    beside = stored.filter(pl.col(time).is_between(low, high)).join(new, on=time, how="anti")
    whole = pl.concat([beside.select(new.columns), new]).sort(time)
    return Compared(new=new, merged=whole, doubles=doubles)


def _ranked(kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    ranks = (by.cast(pl.Float64).fill_null(float("-inf")) for by in kind.fullest)
    return rows.with_columns(rank.alias(f"_rank{place}") for place, rank in enumerate(ranks))


def _old_is_fuller(kind: Kind) -> pl.Expr:
    fuller = pl.lit(value=False)
    for place in reversed(range(len(kind.fullest))):
        old, new = pl.col(f"_rank{place}_old"), pl.col(f"_rank{place}")
        fuller = (old > new) | ((old == new) & fuller)
    return fuller.fill_null(value=False)


def _doubles(kind: Kind, gone: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    names = dict(enumerate(sources))
    return counted(gone.with_columns(source=pl.col(BATCH).replace_strict(names, return_dtype=pl.String)), kind.time)


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
