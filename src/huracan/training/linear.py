"""All ridge engines of a pair over all folds, from one pass over its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import REGIMES
from huracan.domain.recipe import TrainingPolicy
from huracan.stats.decide import linear_forecasts
from huracan.stats.ridge import Moments, raw_coefficients, shrink_to_prior
from huracan.training.design import Design, Labels
from huracan.training.engines import FEWEST_COLUMNS
from huracan.training.folds import closing_days, refit_starts
from huracan.training.gram import (
    N_CELLS,
    N_REGIMES,
    WEEK_DAYS,
    GramRows,
    cell_moments,
    gram_rows,
    grams_by,
    windows,
    with_pooled,
)
from huracan.training.inner import InnerFold, inner_folds
from huracan.training.prior import PoolPrior


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearFits:
    """Ridge engines of a pair: forecasts (n, E) of every decision, by inner folds in the first training window, then
    out of fold; and tonight's arrays on `names` (k,): coef (E, 4, k) on raw clipped features, intercept (E, 4).

    live_rows (5,): effective rows behind tonight's models, per regime and in all. silent (E, 4): where an engine has
    lost its idea and abstains tonight; its arrays are zero there, which is no view. dead (k,): features that tonight's
    models leave out.
    """

    names: tuple[str, ...]
    forecasts: F64
    coef: F64
    intercept: F64
    live_rows: F64
    silent: Bool
    dead: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The features an engine uses, in its order, those of them without which it abstains, and its parameters."""

    used: tuple[str, ...]
    required: tuple[str, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)


def fit_linear_folds(
    design: Design,
    labels: Labels,
    engines: Mapping[str, Columns],
    prior: PoolPrior | None,
    policy: TrainingPolicy,
    *,
    horizon_ms: int,
) -> LinearFits:
    """Fit every engine (name -> its columns) on every fold and forecast with each fold's own model.

    A feature that stands still in a fold's train rows, or had stopped by its day, has no weight in that fold; an engine
    whose required features are among them abstains there.
    """
    wanted = {name for columns in engines.values() for name in columns.used}
    rows = gram_rows(design, labels, tuple(name for name in design.names if name in wanted))
    inner = inner_folds(design, labels, weeks=1, horizon_ms=horizon_ms)
    blocks = refit_starts(design.first_test_day, design.last_day, policy.ridge_refit_days)
    sums = _Sums(rows, inner, np.append(blocks, design.live_day), policy)
    shape = (len(inner) + blocks.size + 1, len(engines), N_REGIMES)
    coef, intercept, live_rows = np.zeros((*shape, len(rows.names))), np.zeros(shape), np.zeros(N_CELLS)
    silent, dead = np.zeros(shape, dtype=np.bool_), np.zeros(len(rows.names), dtype=np.bool_)
    stopped = design.presence.stopped_at(sums.days)[:, design.columns(rows.names)]
    for position, (name, wants) in enumerate(engines.items()):
        columns = np.array([rows.names.index(column) for column in wants.used], dtype=np.int64)
        of = cell_moments(sums.of(columns)).without(np.repeat(stopped[:, None, columns], N_CELLS, axis=1))
        standard = shrink_to_prior(
            of.correlation,
            of.rows,
            np.arange(columns.size),
            sums.priors(prior, name, wants.used),
            policy.pair_prior_rows,
        )
        thin = (of.rows < (policy.min_regime_rows if design.has_regime else np.inf))[:, :N_REGIMES]
        slopes, constant = _in_raw_units(standard, of, thin, rows.shift[columns], rows.scale[columns])
        coef[:, position][..., columns], intercept[:, position], live_rows = slopes, constant, of.rows[-1]
        lost = _lost(of, stopped[:, columns], np.isin(wants.used, wants.required))
        silent[:, position] = np.where(thin, lost[:, N_REGIMES:], lost[:, :N_REGIMES])
        dead[columns] = of.sd[-1, -1, :-1] == 0.0
    fold = _fold_of(design, inner, blocks)
    forecasts = _forecasts(
        design, rows.names, fold=fold, days=sums.days, coef=coef, intercept=np.where(silent, np.nan, intercept)
    )
    speaks = ~silent[-1]
    return LinearFits(
        names=rows.names,
        forecasts=forecasts,
        coef=coef[-1] * speaks[..., None],
        intercept=intercept[-1] * speaks,
        live_rows=live_rows,
        silent=silent[-1],
        dead=dead,
    )


def _fold_of(design: Design, inner: tuple[InnerFold, ...], blocks: I64) -> I64:
    """The model (n,) that forecasts each decision: inner folds first, then blocks; -1 for none."""
    fold = np.searchsorted(blocks, design.day, side="right") - 1 + len(inner)
    fold[design.day < design.first_test_day] = -1
    for position, one in enumerate(inner):
        fold[one.test] = position
    fold[~design.usable] = -1
    return fold.astype(np.int64)


def _forecasts(design: Design, names: tuple[str, ...], *, fold: I64, days: I64, coef: F64, intercept: F64) -> F64:
    """Forecasts (n, E) of every decision by its own model, features clipped as on that model's day."""
    place, clip = design.columns(names), design.clip_of(days)
    return linear_forecasts(
        np.ascontiguousarray(design.x[:, place]),
        fold,
        design.regime,
        coef,
        intercept,
        np.ascontiguousarray(design.clip_low[clip][:, place]),
        np.ascontiguousarray(design.clip_high[clip][:, place]),
    )


def _lost(of: Moments, stopped: Bool, required: Bool) -> Bool:
    """Where (s, 5) a required feature (k,) is dead, or fewer than `FEWEST_COLUMNS` live: the idea is gone.

    A window without rows knows nothing of its features; stopped (s, k) ones are gone all the same.
    """
    dead = (of.sd[..., :-1] == 0.0) & ((of.rows > 0.0)[..., None] | stopped[:, None])
    lost: Bool = (dead & required).any(axis=-1) | ((~dead).sum(axis=-1) < FEWEST_COLUMNS)
    return lost


class _Sums:
    """Grams behind every model of a pair, inner folds first, then the start of each block, tonight last."""

    def __init__(self, rows: GramRows, inner: tuple[InnerFold, ...], starts: I64, policy: TrainingPolicy) -> None:
        self._inner, self._starts, self._lookback = inner, starts, policy.lookback_days
        self._first = int(starts[0]) - policy.lookback_days + 1
        self._daily = grams_by(rows, closing_days(rows.closed_ms), self._first, int(starts[-1]) - self._first + 1)
        self._inner_grams = _inner_grams(rows, inner)
        self.days = np.concatenate((np.array([fold.week * WEEK_DAYS for fold in inner], dtype=np.int64), starts))

    def of(self, columns: I64) -> F64:
        """Grams (s, 5, k + 2, k + 2) of these columns."""
        picked = np.array([0, *(columns + 1), self._daily.shape[-1] - 1])
        fits = windows(self._daily, picked, self._starts - self._first + 1, self._lookback)
        return with_pooled(np.concatenate((self._inner_grams[..., picked[:, None], picked], fits)))

    def priors(self, prior: PoolPrior | None, engine: str, columns: tuple[str, ...]) -> F64:
        """What the pool knew for each model (s, 5, k), zero without a pool."""
        if prior is None:
            return np.zeros((self.days.size, N_CELLS, len(columns)))
        blind = [prior.inner_at(fold.week, engine, columns) for fold in self._inner]
        known = prior.known_at(self._starts, engine, columns)
        return np.concatenate((np.stack(blind), known)) if blind else known


def _in_raw_units(standard: F64, of: Moments, thin: Bool, shift: F64, scale: F64) -> tuple[F64, F64]:
    """Slopes (s, 4, k) and intercepts (s, 4) on raw features; thin regimes take the pooled-regime model."""
    slopes, intercept = raw_coefficients(standard, of, np.arange(standard.shape[-1]))
    slopes = np.where(thin[..., None], slopes[:, N_REGIMES:], slopes[:, :N_REGIMES]) / scale
    intercept = np.where(thin, intercept[:, N_REGIMES:], intercept[:, :N_REGIMES])
    return slopes, intercept - slopes @ shift


def _inner_grams(rows: GramRows, folds: tuple[InnerFold, ...]) -> F64:
    q = rows.z.shape[1]
    grams = np.zeros((len(folds), N_REGIMES, q, q))
    for position, fold in enumerate(folds):
        member = np.full(rows.weight.size, -1, dtype=np.int64)
        member[fold.train] = 0
        grams[position] = grams_by(rows, member, 0, 1)[0]
    return grams


def thin_regimes(live_rows: F64, policy: TrainingPolicy) -> tuple[str, ...]:
    """A note for each regime that tonight's pooled-regime model serves."""
    return tuple(
        f"{name}: {live_rows[code]:.0f} of {policy.min_regime_rows} effective rows, served by the pooled-regime model"
        for code, name in enumerate(REGIMES)
        if live_rows[code] < policy.min_regime_rows
    )
