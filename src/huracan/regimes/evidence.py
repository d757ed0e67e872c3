"""What each (engine, regime) cell had earned by a list of moments, with an error that knows outcomes overlap."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.results import CellScores

DAYS_A_YEAR: Final = 365


class Performance(TypedDict):
    """The keyword arguments of `RegimeGate.update_performance`."""

    win_rate: float
    sharpe_ratio: float
    avg_return_bps: float
    sample_size: int
    standard_error_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEvidence:
    """Cumulative evidence per moment, engine and regime; all shape (t, E, R). `fresh`: outcomes closed since the last
    one.
    """

    count: I64
    win_rate: F64
    mean_bps: F64
    error_bps: F64
    sharpe: F64
    fresh: Bool

    def at_the_end(self, engine: int, regime: int) -> Performance | None:
        """What the last moment knows of an engine in a regime; None where nothing has closed."""
        if not self.count[-1, engine, regime]:
            return None
        return {
            "win_rate": float(self.win_rate[-1, engine, regime]),
            "sharpe_ratio": float(self.sharpe[-1, engine, regime]),
            "avg_return_bps": float(self.mean_bps[-1, engine, regime]),
            "sample_size": int(self.count[-1, engine, regime]),
            "standard_error_bps": float(self.error_bps[-1, engine, regime]),
        }

    def updates(self) -> Iterator[tuple[int, int, int, Performance]]:
        """Every (moment, engine, regime) with fresh outcomes, in order, as the gate wants it."""
        where = np.nonzero(self.fresh)
        columns = (self.win_rate, self.sharpe, self.mean_bps, self.count, self.error_bps)
        values = [column[where].tolist() for column in columns]
        for moment, engine, regime, win, sharpe, mean, count, error in zip(
            *(index.tolist() for index in where), *values, strict=True
        ):
            yield (
                moment,
                engine,
                regime,
                {
                    "win_rate": win,
                    "sharpe_ratio": sharpe,
                    "avg_return_bps": mean,
                    "sample_size": count,
                    "standard_error_bps": error,
                },
            )


def cell_evidence(cells: CellScores, regime: I64, moments_ms: I64, n_regimes: int) -> CellEvidence:
    """Evidence from outcomes closed before each of the ascending moments (t,).

    Outcomes overlap and come in bursts, so the standard error of the mean is clustered by the interval between two
    moments (a day) with a Bartlett weight on the neighbouring one (Newey and West 1987); NaN with fewer than two
    clusters. Sharpe: of the clusters' sums, empty ones included, annualised over 365 days; 0 without variation.
    """
    n_engines = cells.net_bps.shape[1]
    shape = (moments_ms.size, n_engines, n_regimes)
    moment = np.searchsorted(moments_ms, cells.closed_ms, side="right")
    usable = np.isfinite(cells.net_bps) & ((moment < moments_ms.size) & (regime >= 0))[:, None]
    row, engine = np.nonzero(usable)
    net = cells.net_bps[row, engine]
    key = (moment[row] * n_engines + engine) * n_regimes + regime[row]
    size = moments_ms.size * n_engines * n_regimes

    def per_cell(weights: F64 | None) -> F64:
        return np.bincount(key, weights=weights, minlength=size).reshape(shape).astype(np.float64)

    counts, sums, wins = per_cell(None), per_cell(net), per_cell((net > 0).astype(np.float64))
    count = counts.cumsum(axis=0)
    safe = np.maximum(count, 1.0)
    mean = sums.cumsum(axis=0) / safe
    return CellEvidence(
        count=count.astype(np.int64),
        win_rate=np.minimum(wins.cumsum(axis=0) / safe, 1.0),
        mean_bps=mean,
        error_bps=_clustered_error(counts, sums, mean, safe),
        sharpe=_sharpe(sums),
        fresh=counts > 0,
    )


def _clustered_error(counts: F64, sums: F64, mean: F64, total: F64) -> F64:
    before_counts, before_sums = np.zeros_like(counts), np.zeros_like(sums)
    before_counts[1:], before_sums[1:] = counts[:-1], sums[:-1]
    own = (
        (sums * sums).cumsum(axis=0)
        - 2.0 * mean * (sums * counts).cumsum(axis=0)
        + mean * mean * (counts * counts).cumsum(axis=0)
    )
    next_door = (
        (sums * before_sums).cumsum(axis=0)
        - mean * (sums * before_counts + before_sums * counts).cumsum(axis=0)
        + mean * mean * (counts * before_counts).cumsum(axis=0)
    )
    clusters = (counts > 0).cumsum(axis=0)
    variance = np.maximum(own + next_door, 0.0) * clusters / np.maximum(clusters - 1, 1)
    return np.where(clusters > 1, np.sqrt(variance) / total, np.nan)


def _sharpe(sums: F64) -> F64:
    days = np.arange(1, sums.shape[0] + 1, dtype=np.float64)[:, None, None]
    mean = sums.cumsum(axis=0) / days
    variance = (sums * sums).cumsum(axis=0) / days - mean * mean
    moving = variance > 1e-12 * mean * mean
    return np.where(moving, mean / np.sqrt(np.where(moving, variance, 1.0)) * np.sqrt(DAYS_A_YEAR), 0.0)
