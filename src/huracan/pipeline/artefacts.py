"""Frames and JSON as bytes under content keys: how jobs hand results to the driver and to the next night."""

import io
import json
from typing import Any

import polars as pl

from huracan.domain.ids import canonical_json
from huracan.errors import DataError
from huracan.ports import ArtefactStore


def put_frame(store: ArtefactStore, key: str, frame: pl.DataFrame) -> str:
    """Store a frame as Parquet; returns its key."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    store.put(key, buffer.getvalue())
    return key


def get_frame(store: ArtefactStore, key: str) -> pl.DataFrame:
    """The frame under a key, in one piece; DataError when it is gone: retention removed what a run still needs."""
    # Columns in several pieces become writable copies as arrays, which numba takes for other types and compiles anew.
    return pl.read_parquet(io.BytesIO(get_bytes(store, key))).rechunk()


def get_bytes(store: ArtefactStore, key: str) -> bytes:
    """The bytes under a key; DataError when there are none."""
    data = store.get(key)
    if data is None:
        raise DataError(f"artefact {key} is missing although a finished job names it; delete its result.json and rerun")
    return data


def put_json(store: ArtefactStore, key: str, value: Any) -> str:
    """Store a JSON value in canonical form; returns its key."""
    store.put(key, canonical_json(value))
    return key


def get_json(store: ArtefactStore, key: str) -> Any | None:
    """The JSON value under a key, or None. Only our own bytes are read here."""
    data = store.get(key)
    return None if data is None else json.loads(data)
