"""One hash over the values of frames, whatever file, chunking or machine they came from."""

import hashlib

import numpy as np
import polars as pl


def values_hash(*frames: pl.DataFrame) -> str:
    """Hex sha256 over names, types, null positions and little-endian bytes of every column, in order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.height}".encode())
        for series in frame:
            digest.update(f"|{series.name}:{series.dtype}:{series.null_count()}|".encode())
            if series.null_count():
                digest.update(series.is_null().to_numpy().tobytes())
                series = series.fill_null(0)  # noqa: PLW2901
            values = series.to_numpy()
            little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
            digest.update(little.view(np.uint8).data)
    return digest.hexdigest()
