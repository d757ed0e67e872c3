"""What the exchange said on past days: one file a snapshot, so that a later look back sees that day's universe."""

import io
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Final

import polars as pl

from huracan.adapters.reports import write_atomically
from huracan.domain.frames import Schema
from huracan.domain.ids import Instrument, canonical_json
from huracan.domain.records import Quote, Snapshot
from huracan.domain.time import DAY_MS, iso
from huracan.errors import PublishError, SchemaError

_SCHEMA: Final[Schema] = {
    "market": pl.String,
    "symbol": pl.String,
    "base": pl.String,
    "quote": pl.String,
    "status": pl.String,
    "contract_type": pl.String,
    "tick_size": pl.Float64,
    "listed_ms": pl.Int64,
    "volume_24h_quote": pl.Float64,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
_HEADER: Final = "huracan_snapshot"
PRIVATE: Final = 0o600
_NAME: Final = re.compile(r"(\d{13})\.parquet")


class SnapshotArchive:
    """Snapshots in a folder, named by their moment; the first of a moment stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, snapshot: Snapshot) -> None:
        """Store a snapshot whole or not at all; raises DiskFullError, PublishError."""
        target = self._folder / f"{snapshot.now_ms:013d}.parquet"
        if target.exists():
            return
        try:
            write_atomically(target, _to_bytes(snapshot), mode=PRIVATE)
        except OSError as error:
            raise PublishError(
                f"the snapshot of {iso(snapshot.now_ms)} could not be stored in {self._folder}: {error}"
            ) from error

    def as_of(self, then_ms: int, *, within_ms: int = DAY_MS) -> Snapshot | None:
        """The newest snapshot at or before a moment, None where it is older than `within_ms`; SchemaError for a damaged
        one.
        """
        moments = [int(match[1]) for path in self._files() if (match := _NAME.fullmatch(path.name))]
        newest = max((moment for moment in moments if then_ms - within_ms <= moment <= then_ms), default=None)
        return None if newest is None else _read(self._folder / f"{newest:013d}.parquet")

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []


def _to_bytes(snapshot: Snapshot) -> bytes:
    silent = Quote(volume_24h_quote=None, bid=None, ask=None)
    rows = [
        {
            **{name: value for name, value in asdict(instrument).items() if name in _SCHEMA},
            **asdict(snapshot.quotes.get(instrument.id, silent)),
        }
        for instrument in snapshot.instruments
    ]
    header = {"now_ms": snapshot.now_ms, "quote_per_gbp": snapshot.quote_per_gbp, "gbp_source": snapshot.gbp_source}
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=_SCHEMA).write_parquet(buffer, metadata={_HEADER: canonical_json(header).decode()})
    return buffer.getvalue()


def _read(path: Path) -> Snapshot:
    try:
        frame = pl.read_parquet(path, glob=False)
        header = json.loads(pl.read_parquet_metadata(path)[_HEADER])
        if dict(frame.schema) != _SCHEMA:
            raise SchemaError(f"{path} has columns {frame.columns}; it is no snapshot of ours, move it away")
        instruments, quotes = [], {}
        for row in frame.iter_rows(named=True):
            quote = Quote(**{name: row.pop(name) for name in ("volume_24h_quote", "bid", "ask")})
            instruments.append(Instrument(**row))
            quotes[instruments[-1].id] = quote
        return Snapshot(
            now_ms=int(header["now_ms"]),
            instruments=tuple(instruments),
            quotes=quotes,
            quote_per_gbp={str(asset): float(rate) for asset, rate in header["quote_per_gbp"].items()},
            gbp_source=str(header["gbp_source"]),
        )
    except (OSError, pl.exceptions.PolarsError, KeyError, ValueError, TypeError) as error:
        raise SchemaError(f"the snapshot {path} is damaged ({error}); move it away") from error
