"""Gram matrices of a pair: by closing day for its own folds, by closing week for its pool.

A label enters on the first UTC day (or week) at whose start it was known. Sums up to a day are thus exactly what a model
fitted at that moment may have seen, and every fold, regime and engine is read off the same sums.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.model import F64, I64
from huracan.domain.recipe import Recipe
from huracan.errors import SchemaError
from huracan.stats.kernel import kernel
from huracan.stats.ridge import grouped_grams
from huracan.training.design import Design, Labels, align, prepare
from huracan.training.engines import all_engines
from huracan.training.folds import closing_days
from huracan.training.packing import pack, unpack

N_REGIMES: Final = len(REGIMES)
N_CELLS: Final = N_REGIMES + 1
"""Regimes, then all of them pooled."""

WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class GramRows:
    """Rows z = [1, (clipped feature - shift) / scale, y] of a design, ready to be summed.

    z (n, k + 2), weight (n,) (0 where a row must not enter), regime (n,), names, shift and scale (k,). The shift
    and scale come from the first training window; they change no fit, since features are standardised anyway, but keep sums
    of squares free of cancellation.
    """

    names: tuple[str, ...]
    z: F64
    weight: F64
    regime: I64
    closed_ms: I64
    shift: F64
    scale: F64


def ridge_columns(available: tuple[str, ...]) -> tuple[str, ...]:
    """Features that any installed ridge engine uses of those available, in that order: one Gram serves all engines."""
    specs = [spec for spec in all_engines().values() if spec.estimator == "ridge"]
    used = {name for spec in specs for name in spec.columns(available)}
    return tuple(name for name in available if name in used)


def gram_rows(design: Design, labels: Labels, names: tuple[str, ...]) -> GramRows:
    """The rows of a design over these features; those without a label known at the cut-off have weight 0."""
    x = design.clipped(design.columns(names))
    early = design.usable & (design.day < design.first_test_day)
    seen = x[early if early.any() else design.usable]
    shift, spread = (seen.mean(axis=0), seen.std(axis=0)) if seen.size else (np.zeros(len(names)), np.ones(len(names)))
    scale = np.where(spread > 0.0, spread, 1.0)
    enters = design.usable & (design.regime >= 0) & (labels.weight > 0.0)
    z = np.empty((x.shape[0], len(names) + 2))
    z[:, 0] = 1.0
    z[:, 1:-1] = (x - shift) / scale
    z[:, -1] = labels.y
    z[~enters] = 0.0
    return GramRows(
        names=names,
        z=z,
        weight=np.where(enters, labels.weight, 0.0),
        regime=design.regime,
        closed_ms=labels.closed_ms,
        shift=shift,
        scale=scale,
    )


def grams_by(rows: GramRows, period: I64, first: int, n_periods: int) -> F64:
    """Gram of each (period, regime), shape (n_periods, 4, q, q); rows with weight 0 or another period are left out."""
    offset = period - first
    inside = (rows.weight > 0.0) & (offset >= 0) & (offset < n_periods)
    group = np.where(inside, offset * N_REGIMES + rows.regime, -1)
    q = rows.z.shape[1]
    return grouped_grams(rows.z, rows.weight, group, n_periods * N_REGIMES).reshape(n_periods, N_REGIMES, q, q)


def with_pooled(grams: F64) -> F64:
    """Grams of the four regimes and, behind them, of all rows: (..., 5, q, q) from (..., 4, q, q)."""
    return np.concatenate((grams, grams.sum(axis=-3, keepdims=True)), axis=-3)


@kernel
def windows(by_day: F64, columns: I64, upto: I64, days: int) -> F64:
    """Sums over the `days` days that end before each position `upto` of a daily stack (D, 4, q, q), of these k rows and columns:
    (s, 4, k, k).
    """
    n_days, n_regimes, k = by_day.shape[0], by_day.shape[1], columns.shape[0]
    cumulative = np.zeros((n_days + 1, n_regimes, k, k))
    window = np.empty((upto.shape[0], n_regimes, k, k))
    for day in range(n_days):
        for regime in range(n_regimes):
            for i in range(k):
                for j in range(k):
                    added = by_day[day, regime, columns[i], columns[j]]
                    cumulative[day + 1, regime, i, j] = cumulative[day, regime, i, j] + added if day else added
    for position in range(upto.shape[0]):
        window[position] = cumulative[upto[position]] - cumulative[max(upto[position] - days, 0)]
    return window


@dataclass(frozen=True, slots=True, kw_only=True)
class PairGrams:
    """A pair's contribution to its pool: Gram increments per closing week and regime.

    names (k,): columns between the leading 1 and the trailing y, in units of the pair's own first window. first_week: number of
    the week (7 UTC days since 1970) at whose start the first increment was known. increments (K, 4, T) float32: upper
    triangles of the (k + 2, k + 2) Grams, row by row. horizon_minutes: of the labels.
    """

    names: tuple[str, ...]
    horizon_minutes: int
    first_week: int
    increments: np.ndarray[tuple[int, ...], np.dtype[np.float32]]

    def full(self) -> F64:
        """The increments as full float64 matrices, shape (K, 4, q, q)."""
        q = len(self.names) + 2
        upper = np.triu_indices(q)
        grams = np.zeros((*self.increments.shape[:2], q, q))
        grams[..., upper[0], upper[1]] = self.increments
        grams[..., upper[1], upper[0]] = self.increments
        return grams

    def to_bytes(self) -> bytes:
        """Safetensors bytes, the same for equal contents."""
        head = {"names": list(self.names), "horizon_minutes": self.horizon_minutes, "first_week": self.first_week}
        return pack("pair-grams", head, {"increments": self.increments})

    @classmethod
    def from_bytes(cls, data: bytes) -> "PairGrams":
        """Inverse of `to_bytes`; raises SchemaError for anything else."""
        head, arrays = unpack("pair-grams", data, {"increments": (np.float32, 3)})
        q = len(head["names"]) + 2
        increments = arrays["increments"]
        wanted = (N_REGIMES, q * (q + 1) // 2)
        if increments.shape[1:] != wanted:
            raise SchemaError(f"pair-grams: increments have shape {increments.shape}, wanted (weeks, *{wanted})")
        return cls(
            names=tuple(head["names"]),
            horizon_minutes=int(head["horizon_minutes"]),
            first_week=int(head["first_week"]),
            increments=increments,
        )


def pair_grams(features: FeatureFrame, labels: LabelledSet, recipe: Recipe, *, cutoff_ms: int) -> PairGrams:
    """A pair's weekly Gram increments over every column a ridge engine may use; only `recipe.training` is read.

    Raises TrainingRefused like `fit_pair` where the history is too short.
    """
    design = prepare(features, recipe.training, cutoff_ms=cutoff_ms)
    rows = gram_rows(design, align(design, labels, recipe.training), ridge_columns(design.names))
    week = -(-closing_days(rows.closed_ms) // WEEK_DAYS)
    live = rows.weight > 0.0
    first, last = (int(week[live].min()), int(week[live].max())) if live.any() else (0, -1)
    grams = grams_by(rows, week, first, last - first + 1)
    upper = np.triu_indices(grams.shape[-1])
    return PairGrams(
        names=rows.names,
        horizon_minutes=labels.horizon.minutes,
        first_week=first,
        increments=grams[..., upper[0], upper[1]].astype(np.float32),
    )
