"""Gram matrices of a pair: by closing day for its own folds, by closing week for its pool.

A label enters on the first UTC day (or week) at whose start it was known. Sums up to a day are thus exactly what a
model fitted at that moment may have seen, and every fold, regime and engine is read off the same sums.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.bundle import Record
from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.recipe import Recipe
from huracan.errors import SchemaError
from huracan.stats.kernel import kernel
from huracan.stats.ridge import Moments, grouped_grams, moments, unit_of
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

    z (n, k + 2), weight (n,) (0 where a row must not enter), regime (n,), names, shift and scale (k,). The shift and
    scale come from the first training window; they change no fit, since features are standardised anyway, but keep sums
    of squares free of cancellation, and noise of rounding small (`unit_of`). A feature that had stopped stands at its
    shift.
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
    shift, spread = mean_and_spread(seen)
    scale = unit_of(spread, shift)
    enters = design.usable & (design.regime >= 0) & (labels.weight > 0.0)
    z = np.empty((x.shape[0], len(names) + 2))
    z[:, 0] = 1.0
    z[:, 1:-1] = (x - shift) / scale
    z[:, -1] = labels.y
    z[~enters] = 0.0
    if not design.presence.whole:
        z[np.isnan(z)] = 0.0
    return GramRows(
        names=names,
        z=z,
        weight=np.where(enters, labels.weight, 0.0),
        regime=design.regime,
        closed_ms=labels.closed_ms,
        shift=shift,
        scale=scale,
    )


def mean_and_spread(x: F64) -> tuple[F64, F64]:
    """Mean and sd (p,) of each column of x (n, p) over its known values; 0 and 1 where there are none."""
    if not x.shape[0]:
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    if not np.isnan(x).any():
        return x.mean(axis=0), x.std(axis=0)
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    mean: F64 = np.where(known, x, 0.0).sum(axis=0) / count
    square: F64 = np.where(known, (x - mean) ** 2, 0.0).sum(axis=0) / count
    return mean, np.where(known.any(axis=0), np.sqrt(square), 1.0)


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


QUIET: Final = 0.01
"""A feature that varies in a regime by less than this share of what it varies over all of them stands still there."""


def cell_moments(grams: F64, dead_variance: float | None = None) -> Moments:
    """Moments of Grams (..., 5, q, q) of the regimes and, last, of all rows; features quiet in a regime are dead in it.

    Else a regime in which a feature happens to stand still would learn a slope as large as that spread is small.
    """
    of = moments(grams) if dead_variance is None else moments(grams, dead_variance)
    x = of.sd[..., :-1]
    return of.without((x > 0.0) & (x < QUIET * x[..., -1:, :]))


@kernel
def windows(by_day: F64, columns: I64, upto: I64, days: int) -> F64:
    """Sums over the `days` days that end before each position `upto` of a daily stack (D, 4, q, q), of these k rows and
    columns: (s, 4, k, k).

    Days are summed forwards and backwards within blocks as long as the window, so every window is the tail of one block
    and the head of the next (van Herk 1992). Nothing is subtracted: what left the window leaves no rounding behind.
    """
    n_days, n_regimes, k = by_day.shape[0], by_day.shape[1], columns.shape[0]
    head, tail = np.empty((n_days, n_regimes, k, k)), np.empty((n_days, n_regimes, k, k))
    window = np.zeros((upto.shape[0], n_regimes, k, k))
    for day in range(n_days):
        for regime in range(n_regimes):
            for i in range(k):
                for j in range(k):
                    added = by_day[day, regime, columns[i], columns[j]]
                    head[day, regime, i, j] = added if day % days == 0 else head[day - 1, regime, i, j] + added
    for day in range(n_days - 1, -1, -1):
        last = day == n_days - 1 or (day + 1) % days == 0
        for regime in range(n_regimes):
            for i in range(k):
                for j in range(k):
                    added = by_day[day, regime, columns[i], columns[j]]
                    tail[day, regime, i, j] = added if last else tail[day + 1, regime, i, j] + added
    for position in range(upto.shape[0]):
        end = upto[position]
        begin = max(end - days, 0)
        if end > begin:
            window[position] = head[end - 1]
            if begin % days:
                window[position] += tail[begin]
    return window


class _Head(Record):
    names: list[str]
    horizon_minutes: int
    first_week: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairGrams:
    """A pair's contribution to its pool: Gram increments per closing week and regime.

    names (k,): columns between the leading 1 and the trailing y, in units of the pair's own first window. first_week:
    number of the week (7 UTC days since 1970) at whose start the first increment was known. increments (K, 4, T)
    float32: upper triangles of the (k + 2, k + 2) Grams, row by row. horizon_minutes: of the labels.
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
        head, arrays = unpack("pair-grams", data, {"increments": (np.float32, 3)}, _Head)
        q = len(head.names) + 2
        increments = arrays["increments"]
        wanted = (N_REGIMES, q * (q + 1) // 2)
        if increments.shape[1:] != wanted:
            raise SchemaError(f"pair-grams: increments have shape {increments.shape}, wanted (weeks, *{wanted})")
        return cls(
            names=tuple(head.names),
            horizon_minutes=head.horizon_minutes,
            first_week=head.first_week,
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
