"""What each engine's calibrated edge earned after costs, row by row: the evidence of gate, weights and calibration."""

import numpy as np
import polars as pl

from huracan.domain.arrays import F64
from huracan.domain.frames import LabelledSet
from huracan.domain.results import CellScores, TrainedPair
from huracan.errors import DataError

NEVER_MS = int(np.iinfo(np.int64).max)
"""`closed_ms` of a label that is not closed yet."""


def score_cells(trained: TrainedPair, labels: LabelledSet, cost_bps: F64) -> CellScores:
    """Net outcome per row and engine, row-aligned with `trained.edges`.

    cost_bps (n,): one round trip at each of these rows, bps of notional (NaN = not tradable). An outcome is known from
    the moment its exit price was paid. Raises DataError when lengths differ or a forecast has no label row.
    """
    edges = trained.edges
    if cost_bps.shape != (edges.height,):
        raise DataError(f"costs of shape {cost_bps.shape} for {edges.height} forecasts: align them by decision_time")
    known = labels.frame.select("decision_time", "forward_bps", "exit_time", pl.lit(value=True).alias("found"))
    joined = edges.select("decision_time").join(known, on="decision_time", how="left", maintain_order="left")
    if joined.height != edges.height or joined["found"].null_count():
        raise DataError(
            f"{joined['found'].null_count()} of {edges.height} forecasts have no label row at {labels.horizon}, or "
            "several: labels must cover every decision once"
        )
    forward = joined["forward_bps"].to_numpy()
    closed = joined["exit_time"].fill_null(NEVER_MS).to_numpy()
    edge = edges.select(trained.engines).to_numpy()
    with np.errstate(invalid="ignore"):
        net = np.sign(edge) * forward[:, None] - cost_bps[:, None]
    unusable = ~np.isfinite(edge) | (edge == 0.0)
    net[unusable] = np.nan
    return CellScores(net_bps=net, closed_ms=closed, cost_bps=np.asarray(cost_bps, dtype=np.float64))
