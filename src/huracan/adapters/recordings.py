"""Candle files on disk: ``<tree>/<SYMBOL>/<interval>.parquet``, where a tree is a market (spot, um) or begins with
one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from huracan.domain.candles import in_ms, time_unit
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Market
from huracan.domain.time import DAY_MS, Horizon
from huracan.errors import ConfigError, SchemaError

_ALIASES: Final = {"taker_buy_base": "taker_base", "taker_buy_quote": "taker_quote", "count": "trades"}
_NEEDED: Final = tuple(BAR_SCHEMA)[:6]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One file: the tree it lies in, and what its path says of it."""

    tree: str
    market: Market
    symbol: str
    interval: str
    path: Path


def find_recordings(folder: Path, interval: str | None = None) -> list[Recording]:
    """All candle files of a folder, sorted; ConfigError without any (of that interval)."""
    found = [
        Recording(tree=file.parts[-3], market=market, symbol=file.parts[-2], interval=file.stem, path=file)
        for file in sorted(folder.glob("*/*/*.parquet"))
        if (market := _market(file.parts[-3])) is not None
        and _divides_a_day(file.stem)
        and interval in {None, file.stem}
    ]
    if not found:
        which = "" if interval is None else f" of {interval} bars"
        raise ConfigError(
            f"no candles{which} in {folder}; wanted files such as spot/SOLUSDT/1m.parquet or um-2025/SOLUSDT/1h.parquet"
        )
    return found


def read_recording(recording: Recording) -> pl.DataFrame:
    """The file's rows in their own order (BAR_SCHEMA); columns it lacks are null. Raises SchemaError.

    Times may be datetimes, or s, ms, us or ns: their size decides.
    """
    lazy = pl.scan_parquet(recording.path, glob=False)
    try:
        names = lazy.collect_schema().names()
        lazy = lazy.rename({old: new for old, new in _ALIASES.items() if old in names and new not in names})
        names = lazy.collect_schema().names()
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise SchemaError(f"{recording.path}: columns {', '.join(names)}; lacks {', '.join(missing)}")
        empty = [pl.lit(None, kind).alias(name) for name, kind in BAR_SCHEMA.items() if name not in names]
        frame = lazy.with_columns(empty).select(list(BAR_SCHEMA)).collect()
        frame = frame.with_columns(_times(recording.path, frame["open_time"]))
        return frame.select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SchemaError(f"{recording.path} cannot be read as candles: {error}") from error


def _times(path: Path, times: pl.Series) -> pl.Series:
    if times.is_empty():
        return times.cast(pl.Int64)
    try:
        unit = time_unit(times.dtype, times.min(), times.max())
    except ValueError as error:
        raise SchemaError(f"{path}: column open_time {error}") from None
    return times.to_frame().select(in_ms("open_time", unit)).to_series()


def _market(tree: str) -> Market | None:
    name = tree.partition("-")[0]
    return "spot" if name == "spot" else "um" if name == "um" else None


def _divides_a_day(interval: str) -> bool:
    try:
        return DAY_MS % Horizon.parse(interval).ms == 0
    except ConfigError:
        return False
