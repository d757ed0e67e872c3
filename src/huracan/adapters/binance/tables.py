"""Bytes and JSON of the exchange to frames: columns by meaning, times to milliseconds, absence to null.

Nothing is believed by date: headers and time units are decided by content, per file and per row.
"""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, Schema, empty
from huracan.domain.json import Json, JsonObject
from huracan.domain.time import DAY_MS, MINUTE_MS, iso
from huracan.errors import SchemaError

_KLINE_COLUMNS: Final = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time"),
    *("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_FUNDING_COLUMNS: Final = ("calc_time", "funding_interval_hours", "last_funding_rate")
_OURS: Final = {
    "count": "trades",
    "taker_buy_volume": "taker_base",
    "taker_buy_quote_volume": "taker_quote",
    "calc_time": "funding_time",
    "funding_interval_hours": "interval_hours",
    "last_funding_rate": "rate",
}
_UNUSED: Final = frozenset({"close_time", "ignore"})
_FIRST_MS: Final = 1_262_304_000_000  # 2010
_LAST_MS: Final = 4_102_444_800_000  # 2100


def klines_csv(data: bytes, name: str, span: tuple[int, int]) -> pl.DataFrame:
    """Bars (BAR_SCHEMA) of one archive file whose times must lie within a day of `span`; SchemaError otherwise."""
    frame = _read_csv(data, name, _KLINE_COLUMNS, BAR_SCHEMA)
    return _within(frame.with_columns(_to_ms(frame["open_time"], name)), "open_time", name, span)


def funding_csv(data: bytes, name: str, span: tuple[int, int]) -> pl.DataFrame:
    """Settlements (FUNDING_SCHEMA) of one archive file, times rounded to the minute."""
    frame = _read_csv(data, name, _FUNDING_COLUMNS, FUNDING_SCHEMA)
    frame = frame.with_columns(_to_ms(frame["funding_time"], name))
    return _within(frame, "funding_time", name, span).with_columns(_rounded(pl.col("funding_time")))


def klines_json(rows: Json, what: str) -> tuple[pl.DataFrame, pl.Series]:
    """Bars (BAR_SCHEMA) of one page of klines, and their close times (ms)."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 12 for row in rows):
        message = f"{what}: wanted a list of rows of 12 fields, seen {str(rows)[:120]}"
        raise SchemaError(message)
    if not rows:
        return empty(BAR_SCHEMA), pl.Series("close_time", [], dtype=pl.Int64)
    fields = dict(zip(_KLINE_COLUMNS, zip(*rows, strict=True), strict=True))
    try:
        closes = pl.Series("close_time", fields["close_time"], dtype=pl.Int64)
        columns = {_OURS.get(name, name): values for name, values in fields.items() if name not in _UNUSED}
        frame = pl.DataFrame([_numbers(name, columns[name], BAR_SCHEMA[name]) for name in BAR_SCHEMA])
    except (TypeError, pl.exceptions.PolarsError) as error:
        message = f"{what}: a field is not what it should be ({error})"
        raise SchemaError(message) from error
    return frame.with_columns(_to_ms(frame["open_time"], what)), _to_ms(closes, what)


def funding_json(rows: Json, what: str) -> pl.DataFrame:
    """Settlements (FUNDING_SCHEMA) of one page, times rounded to the minute; the interval is for step 2 to see."""
    return _settlements(_objects(rows, what), what)


def all_funding_json(rows: Json, what: str) -> pl.DataFrame:
    """Settlements of several symbols: `symbol`, `recorded_ms` (as the exchange wrote it), then FUNDING_SCHEMA."""
    settlements = _objects(rows, what)
    frame = _settlements(settlements, what)
    symbols = [row.get("symbol") for row in settlements]
    if not all(isinstance(symbol, str) and symbol for symbol in symbols):
        message = f"{what}: a settlement names no symbol"
        raise SchemaError(message)
    recorded = pl.Series("recorded_ms", [row["fundingTime"] for row in settlements], dtype=pl.Int64)
    named = pl.Series("symbol", symbols, dtype=pl.String)
    return frame.select(named, recorded, *FUNDING_SCHEMA)


def _objects(rows: Json, what: str) -> list[JsonObject]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"{what}: wanted a list of objects, seen {str(rows)[:120]}"
        raise SchemaError(message)
    return rows


def _settlements(rows: list[JsonObject], what: str) -> pl.DataFrame:
    try:
        times = pl.Series("funding_time", [row["fundingTime"] for row in rows], dtype=pl.Int64)
        rates = _numbers("rate", tuple(row["fundingRate"] for row in rows), pl.Float64)
    except (KeyError, TypeError, pl.exceptions.PolarsError) as error:
        message = f"{what}: a settlement lacks fundingTime or fundingRate, or they are no numbers ({error!r})"
        raise SchemaError(message) from error
    frame = pl.DataFrame(
        [_to_ms(times, what), rates, pl.Series("interval_hours", [None] * len(rows), dtype=pl.Float64)]
    )
    return frame.with_columns(_rounded(pl.col("funding_time")))


def _numbers(name: str, values: tuple[Any, ...], dtype: Any) -> pl.Series:
    if dtype == pl.Int64:
        return pl.Series(name, values, dtype=pl.Int64)
    if all(value is None or isinstance(value, str) for value in values):
        return pl.Series(name, values, dtype=pl.String).cast(pl.Float64, strict=True)
    if any(isinstance(value, bool) for value in values):
        message = f"{name} holds a boolean"
        raise TypeError(message)
    return pl.Series(name, values, dtype=pl.Float64)


def _read_csv(data: bytes, name: str, columns: tuple[str, ...], schema: Schema) -> pl.DataFrame:
    if not data or data.isspace():
        return empty(schema)
    first = data[: data.find(b"\n") + 1 or None].strip()
    header = not first.partition(b",")[0].strip().isdigit()
    seen = _header_names(first, name, columns) if header else columns
    width = len(seen)
    ours = {_OURS.get(column, column): place for place, column in enumerate(seen)}
    wanted = sorted((ours[column], column) for column in schema)
    try:
        # Every column is asked for: of a choice of columns the reader does not see a line with too many fields.
        frame = pl.read_csv(
            data,
            has_header=False,
            skip_rows=int(header),
            schema={f"column_{place + 1}": _type(place, ours, schema) for place in range(width)},
            quote_char=None,
        )
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        _refuse_ragged(data, name, width)
        message = f"{name}: a field is no number ({str(error).splitlines()[0]})"
        raise SchemaError(message) from error
    if frame.to_series(width - 1).null_count():  # the reader pads short lines with nulls
        _refuse_ragged(data, name, width)
    return frame.rename({f"column_{place + 1}": column for place, column in wanted}).select(list(schema))


def _refuse_ragged(data: bytes, name: str, width: int) -> None:
    """SchemaError naming the first line that has not as many fields as there are columns."""
    for number, line in enumerate(data.splitlines(), 1):
        fields = line.count(b",") + 1
        if fields != width:
            raise SchemaError(
                f"{name}: line {number} has {fields} fields, wanted {width} as in all others: {line[:120]!r}"
            )


def _type(place: int, ours: Mapping[str, int], schema: Schema) -> Any:
    return next((schema[column] for column, at in ours.items() if at == place and column in schema), pl.String)


def _header_names(first: bytes, name: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    seen = tuple(first.decode("utf-8", "replace").replace(" ", "").split(","))
    missing = [column for column in columns if column not in seen and column not in _UNUSED]
    if missing or len(set(seen)) != len(seen):
        message = f"{name}: header {first[:200]!r} lacks {', '.join(missing) or 'unique names'}"
        raise SchemaError(message)
    return seen


def _to_ms(times: pl.Series, what: str) -> pl.Series:
    """Times in ms, each row's unit decided by its magnitude: milliseconds or microseconds, nothing else."""
    if times.null_count():
        message = f"{what}: {times.null_count()} rows without a time"
        raise SchemaError(message)
    low, high = (times.min(), times.max()) if len(times) else (_FIRST_MS, _FIRST_MS)
    assert isinstance(low, int)
    assert isinstance(high, int)
    if low >= _FIRST_MS and high < _LAST_MS:
        return times
    micro = times >= _LAST_MS
    ms = pl.select(pl.when(micro).then(times // 1000).otherwise(times).alias(times.name)).to_series()
    outside = ms.filter((ms < _FIRST_MS) | (ms >= _LAST_MS))
    if len(outside):
        message = f"{what}: time {outside[0]} is neither ms nor us of 2010 to 2100"
        raise SchemaError(message)
    return ms


def _within(frame: pl.DataFrame, time: str, name: str, span: tuple[int, int]) -> pl.DataFrame:
    low, high = span[0] - DAY_MS, span[1] + DAY_MS
    first, last = frame[time].min(), frame[time].max()
    assert isinstance(first, int | None)
    assert isinstance(last, int | None)
    for strange in (first, last):
        if strange is not None and not low <= strange <= high:
            message = f"{name}: time {iso(strange)} in a file of {iso(span[0])} to {iso(span[1])}"
            raise SchemaError(message)
    return frame


def _rounded(time: pl.Expr) -> pl.Expr:
    return (time + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
