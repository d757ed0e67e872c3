"""Data files of the lake as bytes: written as Parquet, hashed, and parsed from the very bytes that had the right
hash.
"""

import io
import uuid
from typing import Final

import polars as pl

from huracan.adapters.lake_rows import BARS, ORIGIN, Kind, is_restated
from huracan.adapters.lake_seal import DataFile
from huracan.adapters.packing import PACKED_SCHEMA
from huracan.domain.frames import FUNDING_SCHEMA, Schema
from huracan.domain.ids import sha256_hex

_PACKED: Final = "DELTA_BINARY_PACKED"
_SPLIT: Final = "BYTE_STREAM_SPLIT"


def stored_schema(kind: Kind) -> Schema:
    """Columns as they are stored."""
    return {**(PACKED_SCHEMA if kind is BARS else FUNDING_SCHEMA), ORIGIN: pl.Int64}


def encode(kind: Kind, rows: pl.DataFrame) -> tuple[DataFile, bytes]:
    """Rows in their stored form, ascending, as a new Parquet file.

    Delta-packed integers do not compress (.3%). Statistics are kept of the time alone, which is all that is asked for.
    """
    import pyarrow.parquet  # 50 ms, and reading does without

    encodings = {name: _PACKED if dtype == pl.Int64 else _SPLIT for name, dtype in rows.schema.items()}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        rows.to_arrow(),
        buffer,
        compression="NONE" if kind is BARS else "LZ4",
        use_dictionary=False,
        column_encoding=encodings,
        write_statistics=[kind.time],
        store_schema=False,
    )
    data = buffer.getvalue()
    return describe(kind, f"part-{uuid.uuid4()}.parquet", data, rows), data


def describe(kind: Kind, path: str, data: bytes, rows: pl.DataFrame, *, late: bool = False) -> DataFile:
    """What the seal says of a file with these bytes and rows."""
    times = rows[kind.time]
    return DataFile(
        path=path,
        sha256=sha256_hex(data),
        size=len(data),
        rows=rows.height,
        first_ms=None if rows.is_empty() else times.min(),  # type: ignore[arg-type]
        last_ms=None if rows.is_empty() else times.max(),  # type: ignore[arg-type]
        restated=int(rows.select(is_restated().sum()).item()),
        late=late,
    )


def checked(data: bytes, file: DataFile) -> bytes:
    """The bytes of a file; ValueError where they are not those that were sealed."""
    check_bytes(data, file)
    return data


def check_bytes(data: bytes, file: DataFile) -> None:
    """ValueError where bytes are not those that were sealed; nothing is known of a file without a hash."""
    if file.sha256 and sha256_hex(data) != file.sha256:
        raise ValueError(f"the sha256 of {file.path} is not the one its commit names, so its bytes have changed")
