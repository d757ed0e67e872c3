"""Which bars are missing where: by calendar month, between an instrument's first bar and its last."""

from typing import Final

import numpy as np
import polars as pl

from huracan.domain.frames import Schema
from huracan.ingest.config import IngestConfig

MONTH_SCHEMA: Final[Schema] = {"month": pl.String, "expected": pl.Int64, "held": pl.Int64, "missing": pl.Int64}


def missing_by_month(open_times: pl.Series, config: IngestConfig) -> pl.DataFrame:
    """Months (UTC, ``2026-01``) in which bars are missing, ascending: MONTH_SCHEMA.

    `open_times` (ms) in any order. Expected is every grid time from the first bar to the last, both included; a bar off
    the grid stands for none. An instrument that was not listed, or was delisted, is missing nothing outside its life.
    """
    times = np.unique(open_times.drop_nulls().to_numpy())
    on_grid = times[times % config.interval_ms == 0]
    if not on_grid.size:
        return pl.DataFrame(schema=MONTH_SCHEMA)
    grid = np.arange(on_grid[0], on_grid[-1] + 1, config.interval_ms)
    month, of_month = np.unique(grid.astype("datetime64[ms]").astype("datetime64[M]"), return_inverse=True)
    expected = np.bincount(of_month)
    held = np.bincount(of_month, weights=np.isin(grid, on_grid)).astype(np.int64)
    columns = {"month": month.astype(str), "expected": expected, "held": held, "missing": expected - held}
    return pl.DataFrame(columns, schema=MONTH_SCHEMA).filter(pl.col("missing") > 0)
