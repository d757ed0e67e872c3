"""Step 5 for one (coin, horizon, recipe): out-of-fold forecasts, their calibration, and the arrays that go live."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.model import TreeArrays
from huracan.domain.recipe import Recipe, TrainingPolicy
from huracan.domain.records import SkipCode
from huracan.domain.results import TrainedPair
from huracan.domain.time import Horizon
from huracan.training.calibrate import slopes
from huracan.training.design import Design, Labels, align, prepare
from huracan.training.engines import EngineSpec, engine_of, parameters_of
from huracan.training.folds import closing_days
from huracan.training.linear import Columns, LinearFits, fit_linear_folds, thin_regimes
from huracan.training.presence import ALWAYS
from huracan.training.prior import PoolPrior
from huracan.training.refusal import TrainingRefused
from huracan.training.trees import ForestFits, fit_forest_folds
from huracan.training.window import trained_window

FEWEST_LABELS = 20.0
"""Independent labels below which nothing is fitted at all."""


def fit_pair(
    features: FeatureFrame,
    labels: LabelledSet,
    recipe: Recipe,
    prior: PoolPrior | None,
    *,
    cutoff_ms: int,
    seed: int,
    design: Design | None = None,
    engines: Mapping[str, EngineSpec] | None = None,
) -> TrainedPair:
    """The trained pair; raises TrainingRefused with the SkipCode, what was measured and what was wanted.

    `prior` None shrinks to zero; `engines` None stands for those installed. `design` may be given where several
    horizons or recipes with the same training policy share it. Engines whose columns the data do not support are left
    out and noted. Where a feature has stopped, or stands still, tonight's models do without it, and an engine that
    requires it abstains, which is noted, too.
    """
    policy = recipe.training
    design = design or prepare(features, policy, cutoff_ms=cutoff_ms)
    known = align(design, labels, policy)
    check_enough(design, known, policy, labels.horizon)
    specs = {use.name: engine_of(use, engines) for use in recipe.engines}
    columns = {
        use.name: Columns(
            used=specs[use.name].columns(design.names),
            required=specs[use.name].required,
            parameters=parameters_of(specs[use.name], use),
        )
        for use in recipe.engines
    }
    there = {name: one for name, one in columns.items() if one.used}
    if not there:
        raise TrainingRefused(
            SkipCode.BAD_FEATURES,
            f"no engine of {recipe.name} has its features among the {len(design.names)} there are",
            measured=0.0,
            wanted=1.0,
        )
    fits = _fit_engines(design, known, recipe, there, prior=prior, horizon_ms=labels.horizon.ms, seed=seed)
    absent = (f"{name} abstains: its features are not there" for name in columns if name not in there)
    late = (f"feature {name} starts too late and is left out" for name in design.dropped)
    return assemble(design, known, replace(fits, notes=(*absent, *late, *fits.notes)), recipe, labels.horizon)


def _fit_engines(
    design: Design,
    known: Labels,
    recipe: Recipe,
    columns: Mapping[str, Columns],
    *,
    prior: PoolPrior | None,
    horizon_ms: int,
    seed: int,
) -> "EngineFits":
    """All engines (name -> its columns) over all folds; raises TrainingRefused where none has a view tonight."""
    policy = recipe.training
    ridge = {use.name: columns[use.name] for use in recipe.engines if use.name in columns and use.estimator == "ridge"}
    linear = fit_linear_folds(design, known, ridge, prior, policy, horizon_ms=horizon_ms)
    parts = dict(zip(ridge, linear.forecasts.T, strict=True))
    forests_of: dict[str, ForestFits] = {}
    for use in recipe.engines:
        if use.name in columns and use.estimator == "lightgbm":
            forests_of[use.name] = fit_forest_folds(
                design, known, columns[use.name], policy, seed=seed, horizon_ms=horizon_ms
            )
            parts[use.name] = forests_of[use.name].forecast
    left_out = _left_out(design, linear, forests_of)
    silent = _silent(ridge, linear, forests_of)
    if silent == set(columns):
        raise TrainingRefused(
            SkipCode.BAD_FEATURES,
            f"every engine of {recipe.name} abstains tonight: {', '.join(left_out.values())}",
            measured=0.0,
            wanted=1.0,
        )
    lost = {name: ", ".join(one for one in columns[name].required if one in left_out) for name in sorted(silent)}
    return EngineFits(
        engines=tuple(columns),
        forecasts=np.column_stack([parts[name] for name in columns]),
        linear=linear,
        ridge={name: one.used for name, one in ridge.items()},
        forests={name: one.live for name, one in forests_of.items()},
        left_out=frozenset(left_out) - ALWAYS,
        notes=(
            *left_out.values(),
            *(f"{name} abstains tonight without {names or 'its features'}" for name, names in lost.items()),
            *(thin_regimes(linear.live_rows, policy) if ridge else ()),
        ),
    )


def _left_out(design: Design, linear: LinearFits, forests_of: Mapping[str, ForestFits]) -> dict[str, str]:
    """Features that say nothing to any model of tonight, in the features' order, and the note for each."""
    still = set(np.array(linear.names)[linear.dead])
    for one in forests_of.values():
        still |= set(np.array(design.names)[~one.used])
    read = {name for one in forests_of.values() for name in np.array(design.names)[one.used]}
    read |= set(np.array(linear.names)[~linear.dead])
    notes = {}
    for name, gone in zip(design.names, _stopped(design), strict=True):
        if gone:
            notes[name] = f"feature {name} has stopped and is left out"
        elif name in still and name not in read:
            notes[name] = f"feature {name} stands still but for rounding and is left out"
    return notes


def _stopped(design: Design) -> Bool:
    """Features (p,) that have stopped by tonight."""
    gone: Bool = design.presence.stopped_at(np.array([design.live_day]))[0]
    return gone


def _silent(ridge: Mapping[str, Columns], linear: LinearFits, forests_of: Mapping[str, ForestFits]) -> set[str]:
    """Engines without a view in any regime tonight."""
    lines = {name for name, silent in zip(ridge, linear.silent, strict=True) if silent.all()}
    return lines | {name for name, one in forests_of.items() if one.silent}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFits:
    """All engines' forests_of before calibration: forecasts (n, E) of every decision, and what goes live.

    Forests count features as the design does. `left_out`: features that no live model reads, so the live row goes
    without.
    """

    engines: tuple[str, ...]
    forecasts: F64
    linear: LinearFits
    ridge: Mapping[str, tuple[str, ...]]
    forests: Mapping[str, TreeArrays]
    notes: tuple[str, ...]
    left_out: frozenset[str] = frozenset()


def assemble(design: Design, labels: Labels, fits: EngineFits, recipe: Recipe, horizon: Horizon) -> TrainedPair:
    """Calibrate the forests_of and put the live arrays on one list of features."""
    policy, engines = recipe.training, fits.engines
    days = np.arange(design.first_test_day, max(design.last_day, design.live_day) + 1)
    slope = slopes(
        fits.forecasts,
        labels.y,
        labels.weight * design.usable,
        closing_day=closing_days(labels.closed_ms),
        days=days,
        policy=policy,
    )
    test = np.flatnonzero(design.day >= design.first_test_day)
    raw = fits.forecasts[test]
    names = _needed(design, fits)
    reads = [place for place, name in enumerate(fits.linear.names) if name in names]
    place = [names.index(fits.linear.names[one]) for one in reads]
    coef = np.zeros((len(engines), len(REGIMES), len(names)))
    intercept = np.zeros((len(engines), len(REGIMES)))
    for source, name in enumerate(fits.ridge):
        coef[engines.index(name)][:, place] = fits.linear.coef[source][:, reads]
        intercept[engines.index(name)] = fits.linear.intercept[source]
    live = design.columns(names)
    clip = int(design.clip_of(np.array([design.live_day]))[0])
    forest_names = tuple(fits.forests)
    return TrainedPair(
        horizon=horizon,
        engines=engines,
        feature_names=names,
        forecasts=_frame(design, test, engines, raw),
        edges=_frame(design, test, engines, raw * slope[design.day[test] - design.first_test_day]),
        coef=coef,
        intercept=intercept,
        clip_low=design.clip_low[clip, live],
        clip_high=design.clip_high[clip, live],
        slope=slope[design.live_day - design.first_test_day],
        tree_of=np.array([forest_names.index(name) if name in forest_names else -1 for name in engines]),
        forests=tuple(_renumbered(forest, design.names, names) for forest in fits.forests.values()),
        notes=fits.notes,
        stopped=tuple(name for name, gone in zip(design.names, _stopped(design), strict=True) if gone),
        n_effective=float(labels.weight[design.usable].sum()),
        window_ms=trained_window(design, labels, policy),
    )


def _needed(design: Design, fits: EngineFits) -> tuple[str, ...]:
    """Features the live model reads, in the features' order; trees may read all of them."""
    used = {name for columns in fits.ridge.values() for name in columns} | ALWAYS
    return tuple(name for name in design.names if name not in fits.left_out and (fits.forests or name in used))


def _renumbered(forest: TreeArrays, names: tuple[str, ...], kept: tuple[str, ...]) -> TreeArrays:
    """The forest with its features counted among those kept; it splits on no other."""
    if kept == names:
        return forest
    place = np.array([kept.index(name) if name in kept else -1 for name in names], dtype=np.int64)
    return replace(forest, feature=place[forest.feature])


def _frame(design: Design, rows: I64, engines: tuple[str, ...], values: F64) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "decision_time": design.decision_time[rows],
            "fold_day": design.day[rows],
            "regime": design.regime[rows],
            **{name: np.ascontiguousarray(values[:, position]) for position, name in enumerate(engines)},
        }
    )


def check_enough(design: Design, labels: Labels, policy: TrainingPolicy, horizon: Horizon) -> None:
    """Raise TrainingRefused(TOO_FEW_ROWS) unless tonight's window has labels to learn anything from."""
    recent = closing_days(labels.closed_ms) > design.live_day - policy.lookback_days
    found = float(labels.weight[design.usable & (design.regime >= 0) & recent].sum())
    if found < FEWEST_LABELS:
        raise TrainingRefused(
            SkipCode.TOO_FEW_ROWS,
            f"{found:.1f} independent closed labels at {horizon} in {policy.lookback_days} days, wanted {FEWEST_LABELS:.0f}",
            measured=round(found, 1),
            wanted=FEWEST_LABELS,
        )
