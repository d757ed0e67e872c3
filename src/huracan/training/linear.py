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
from huracan.training.folds import closing_days, refit_starts
from huracan.training.gram import N_CELLS, N_REGIMES, WEEK_DAYS, GramRows, gram_rows, grams_by, windows, with_pooled
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
    wanted = {name for columns in engines.values() for name in columns}
    rows = gram_rows(design, labels, tuple(name for name in design.names if name in wanted))
    inner = inner_folds(design, labels, weeks=1, horizon_ms=horizon_ms)
    blocks = refit_starts(design.first_test_day, design.last_day, rules.ridge_refit_days)
    sums = _Sums(rows, inner, np.append(blocks, design.live_day), rules)
    shape = (len(inner) + blocks.size + 1, len(engines), N_REGIMES)
    coef, intercept, live_rows = np.zeros((*shape, len(rows.names))), np.zeros(shape), np.zeros(N_CELLS)
    for position, (name, used) in enumerate(engines.items()):
        columns = np.array([rows.names.index(column) for column in used], dtype=np.int64)
        of = moments(sums.of(columns))
        standard = shrink_to_prior(
            of.correlation, of.rows, np.arange(columns.size), sums.priors(prior, name, used), rules.pair_prior_rows
        )
        thin = of.rows < (rules.min_regime_rows if design.has_regime else np.inf)
        slopes, constant = _in_raw_units(standard, of, thin, rows.shift[columns], rows.scale[columns])
        coef[:, position][..., columns], intercept[:, position], live_rows = slopes, constant, of.rows[-1]
    fold = np.searchsorted(blocks, design.day, side="right") - 1 + len(inner)
    fold[design.day < design.first_test_day] = -1
    for position, one in enumerate(inner):
        fold[one.test] = position
    fold[~design.usable] = -1
    place = design.columns(rows.names)
    clip = design.clip_of(sums.days)
    forecasts = linear_forecasts(
        np.ascontiguousarray(design.x[:, place]),
        fold,
        design.regime,
        coef,
        intercept,
        np.ascontiguousarray(design.clip_low[clip][:, place]),
        np.ascontiguousarray(design.clip_high[clip][:, place]),
    )
    return LinearWalk(
        names=rows.names, forecasts=forecasts, coef=coef[-1], intercept=intercept[-1], live_rows=live_rows
    )


class _Sums:
    """Grams behind every model of a pair, inner folds first, then the start of each block, tonight last."""

    def __init__(self, rows: GramRows, inner: tuple[InnerFold, ...], starts: I64, rules: TrainingRules) -> None:
        self._inner, self._starts, self._lookback = inner, starts, rules.lookback_days
        self._first = int(starts[0]) - rules.lookback_days + 1
        self._daily = grams_by(rows, closing_days(rows.closed_ms), self._first, int(starts[-1]) - self._first + 1)
        self._inner_grams = _inner_grams(rows, inner)
        self.days = np.concatenate((np.array([fold.week * WEEK_DAYS for fold in inner], dtype=np.int64), starts))

    def of(self, columns: I64) -> F64:
        """Grams (s, 5, k + 2, k + 2) of these columns."""
        picked = np.array([0, *(columns + 1), self._daily.shape[-1] - 1])
        walked = windows(self._daily, picked, self._starts - self._first + 1, self._lookback)
        return with_pooled(np.concatenate((self._inner_grams[..., picked[:, None], picked], walked)))

    def priors(self, prior: PoolPrior | None, engine: str, columns: tuple[str, ...]) -> F64:
        """What the pool knew for each model (s, 5, k), zero without a pool."""
        if prior is None:
            return np.zeros((self.days.size, N_CELLS, len(columns)))
        blind = [prior.inner_at(fold.week, engine, columns) for fold in self._inner]
        known = prior.known_at(self._starts, engine, columns)
        return np.concatenate((np.stack(blind), known)) if blind else known


def _in_raw_units(
    standard: F64, of: Moments, thin: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], shift: F64, scale: F64
) -> tuple[F64, F64]:
    """Slopes (s, 4, k) and intercepts (s, 4) on raw features; thin regimes take the pooled-regime model."""
    slopes, intercept = raw_coefficients(standard, of, np.arange(standard.shape[-1]))
    thin = thin[:, :N_REGIMES]
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


def thin_regimes(live_rows: F64, rules: TrainingRules) -> tuple[str, ...]:
    """A note for each regime that tonight's pooled-regime model serves."""
    return tuple(
        f"{name}: {live_rows[code]:.0f} of {rules.min_regime_rows} effective rows, served by the pooled-regime model"
        for code, name in enumerate(REGIMES)
        if live_rows[code] < rules.min_regime_rows
    )
