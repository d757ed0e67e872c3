"""All ridge engines of a pair over all folds, from one pass over its rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from huracan.domain.frames import REGIMES
from huracan.domain.model import F64, I64
from huracan.domain.recipe import TrainingRules
from huracan.stats.decide import linear_forecasts
from huracan.stats.ridge import Moments, moments, raw_coefficients, shrink_to_prior
from huracan.training.design import Design, Labels
from huracan.training.folds import refit_starts
from huracan.training.gram import N_CELLS, N_REGIMES, GramRows, gram_rows, grams_by, windows, with_pooled
from huracan.training.inner import InnerFold, inner_folds
from huracan.training.prior import PoolPrior


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearWalk:
    """Ridge engines of a pair: forecasts (n, E) of every decision, by inner folds in the first training window, then out of fold;
    and tonight's arrays on `names` (k,): coef (E, 4, k) on raw clipped features, intercept (E, 4).

    live_rows (5,): effective rows behind tonight's models, per regime and in all.
    """

    names: tuple[str, ...]
    forecasts: F64
    coef: F64
    intercept: F64
    live_rows: F64


def walk_linear(
    design: Design,
    labels: Labels,
    engines: Mapping[str, tuple[str, ...]],
    prior: PoolPrior | None,
    rules: TrainingRules,
    *,
    horizon_ms: int,
) -> LinearWalk:
    """Fit every engine (name -> its columns) on every fold and forecast with each fold's own model."""
    rows = gram_rows(design, labels)
    inner = inner_folds(design, labels, weeks=1, horizon_ms=horizon_ms)
    blocks = refit_starts(design.first_test_day, design.last_day, rules.ridge_refit_days)
    starts = np.append(blocks, design.live_day)
    models = _Models(design, rows, engines, prior, rules, n_inner=len(inner), starts=starts)
    if inner:
        models.fit(slice(0, len(inner)), _inner_grams(rows, inner), models.inner_priors(inner))
    for part, grams in windows(rows, starts, rules.lookback_days):
        models.fit(slice(len(inner) + part.start, len(inner) + part.stop), grams, models.priors_at(starts[part]))
    fold = np.searchsorted(blocks, design.day, side="right") - 1 + len(inner)
    fold[design.day < design.first_test_day] = -1
    for position, one in enumerate(inner):
        fold[one.test] = position
    fold[~design.usable] = -1
    columns = design.columns(rows.names)
    clip = design.clip_of(np.concatenate((np.zeros(len(inner), dtype=np.int64), starts)))
    forecasts = linear_forecasts(
        np.ascontiguousarray(design.x[:, columns]),
        fold,
        design.regime,
        models.coef,
        models.intercept,
        np.ascontiguousarray(design.clip_low[clip][:, columns]),
        np.ascontiguousarray(design.clip_high[clip][:, columns]),
    )
    return LinearWalk(
        names=rows.names,
        forecasts=forecasts,
        coef=models.coef[-1],
        intercept=models.intercept[-1],
        live_rows=models.live_rows,
    )


class _Models:
    """Coefficients of all engines for inner folds, then starts; filled a few at a time."""

    def __init__(
        self,
        design: Design,
        rows: GramRows,
        engines: Mapping[str, tuple[str, ...]],
        prior: PoolPrior | None,
        rules: TrainingRules,
        *,
        n_inner: int,
        starts: I64,
    ) -> None:
        self._rows, self._prior, self._rules = rows, prior, rules
        self._pooled_only = not design.has_regime
        self._engines = {
            name: np.array([rows.names.index(column) for column in columns], dtype=np.int64)
            for name, columns in engines.items()
        }
        self._columns = dict(engines)
        shape = (n_inner + starts.size, len(engines), N_REGIMES)
        self.coef = np.zeros((*shape, len(rows.names)))
        self.intercept = np.zeros(shape)
        self.live_rows = np.zeros(N_CELLS)

    def fit(self, part: slice, grams: F64, priors: Mapping[str, F64]) -> None:
        """Solve all engines for Grams (s, 5, q, q), each shrunk to its prior (s, 5, k)."""
        of = moments(grams)
        for position, (name, columns) in enumerate(self._engines.items()):
            standard = shrink_to_prior(of.correlation, of.rows, columns, priors[name], self._rules.pair_prior_rows)
            slopes, intercept = self._in_raw_units(standard, of, columns)
            self.coef[part, position][..., columns] = slopes
            self.intercept[part, position] = intercept
        self.live_rows = of.rows[-1]

    def _in_raw_units(self, standard: F64, of: Moments, columns: I64) -> tuple[F64, F64]:
        """Slopes (s, 4, k) and intercepts (s, 4) on raw features; thin regimes take the pooled-regime model."""
        slopes, intercept = raw_coefficients(standard, of, columns)
        thin = of.rows < self._rules.min_regime_rows
        if self._pooled_only:
            thin[:] = True
        slopes = np.where(thin[:, :N_REGIMES, None], slopes[:, N_REGIMES:], slopes[:, :N_REGIMES])
        intercept = np.where(thin[:, :N_REGIMES], intercept[:, N_REGIMES:], intercept[:, :N_REGIMES])
        slopes /= self._rows.scale[columns]
        return slopes, intercept - slopes @ self._rows.shift[columns]

    def priors_at(self, starts: I64) -> dict[str, F64]:
        """Each engine's prior (s, 5, k) as known at these days."""
        return {
            name: self._prior.known_at(starts, name, columns)
            if self._prior
            else np.zeros((starts.size, N_CELLS, len(columns)))
            for name, columns in self._columns.items()
        }

    def inner_priors(self, folds: tuple[InnerFold, ...]) -> dict[str, F64]:
        """Each engine's prior (s, 5, k) for the inner folds, blind to their labels."""
        return {
            name: np.stack(
                [
                    self._prior.inner_at(fold.week, name, columns) if self._prior else np.zeros((N_CELLS, len(columns)))
                    for fold in folds
                ]
            )
            for name, columns in self._columns.items()
        }


def _inner_grams(rows: GramRows, folds: tuple[InnerFold, ...]) -> F64:
    grams = []
    for fold in folds:
        member = np.full(rows.weight.size, -1, dtype=np.int64)
        member[fold.train] = 0
        grams.append(grams_by(rows, member, 0, 1)[0])
    return with_pooled(np.stack(grams))


def thin_regimes(live_rows: F64, rules: TrainingRules) -> tuple[str, ...]:
    """A note for each regime that tonight's pooled-regime model serves."""
    return tuple(
        f"{name}: {live_rows[code]:.0f} of {rules.min_regime_rows} effective rows, served by the pooled-regime model"
        for code, name in enumerate(REGIMES)
        if live_rows[code] < rules.min_regime_rows
    )
