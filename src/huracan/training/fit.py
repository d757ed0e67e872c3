"""Step 5 for one (coin, horizon, recipe): out-of-fold forecasts, their calibration, and the arrays that go live."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.model import F64, TreeArrays
from huracan.domain.recipe import Recipe, TrainingRules
from huracan.domain.records import SkipCode
from huracan.domain.results import TrainedPair
from huracan.domain.time import Horizon
from huracan.training.calibrate import slopes
from huracan.training.design import Design, Labels, align, prepare
from huracan.training.engines import engine_of, parameters_of
from huracan.training.folds import closing_days
from huracan.training.linear import LinearWalk, thin_regimes, walk_linear
from huracan.training.prior import PoolPrior
from huracan.training.refusal import TrainingRefused
from huracan.training.trees import walk_forests

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
) -> TrainedPair:
    """The trained pair; raises TrainingRefused with the SkipCode, what was measured and what was wanted.

    `prior` None shrinks to zero. `design` may be given where several horizons or recipes with the same training rules share it.
    Engines whose columns the data do not support are left out and noted.
    """
    rules = recipe.training
    design = design or prepare(features, rules, cutoff_ms=cutoff_ms)
    known = align(design, labels, rules)
    check_enough(design, known, rules, labels.horizon)
    uses = {use.name: (use, engine_of(use)) for use in recipe.engines}
    columns = {name: spec.columns(design.names) for name, (_, spec) in uses.items()}
    engines = tuple(name for name, used in columns.items() if used)
    if not engines:
        raise TrainingRefused(
            SkipCode.BAD_FEATURES,
            f"no engine of {recipe.name} has its features among the {len(design.names)} there are",
            measured=0.0,
            wanted=1.0,
        )
    ridge = {name: columns[name] for name in engines if uses[name][1].estimator == "ridge"}
    linear = walk_linear(design, known, ridge, prior, rules, horizon_ms=labels.horizon.ms)
    parts = dict(zip(ridge, linear.forecasts.T, strict=True))
    forests: dict[str, TreeArrays] = {}
    for name in engines:
        use, spec = uses[name]
        if spec.estimator == "lightgbm":
            walk = walk_forests(design, known, rules, parameters_of(spec, use), seed=seed, horizon_ms=labels.horizon.ms)
            parts[name], forests[name] = walk.forecast, walk.live
    notes = (
        *(f"{name} abstains: its features are not there" for name in columns if name not in engines),
        *(f"feature {name} starts too late and is left out" for name in design.dropped),
        *(thin_regimes(linear.live_rows, rules) if ridge else ()),
    )
    walked = Walked(
        engines=engines,
        forecasts=np.column_stack([parts[name] for name in engines]),
        linear=linear,
        ridge=ridge,
        forests=forests,
        notes=notes,
    )
    return assemble(design, known, walked, recipe, labels.horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """All engines' walks before calibration: forecasts (n, E) of every decision, and what goes live."""

    engines: tuple[str, ...]
    forecasts: F64
    linear: LinearWalk
    ridge: Mapping[str, tuple[str, ...]]
    forests: Mapping[str, TreeArrays]
    notes: tuple[str, ...]


def assemble(design: Design, labels: Labels, walked: Walked, recipe: Recipe, horizon: Horizon) -> TrainedPair:
    """Calibrate the walks and put the live arrays on one list of features."""
    rules, engines = recipe.training, walked.engines
    days = np.arange(design.first_test_day, max(design.last_day, design.live_day) + 1)
    slope = slopes(
        walked.forecasts, labels.y, labels.weight * design.usable, closing_days(labels.closed_ms), days, rules
    )
    test = np.flatnonzero(design.day >= design.first_test_day)
    raw = walked.forecasts[test]
    names = _needed(design, walked)
    place = [names.index(name) for name in walked.linear.names]
    coef = np.zeros((len(engines), len(REGIMES), len(names)))
    intercept = np.zeros((len(engines), len(REGIMES)))
    for source, name in enumerate(walked.ridge):
        coef[engines.index(name)][:, place] = walked.linear.coef[source]
        intercept[engines.index(name)] = walked.linear.intercept[source]
    live = design.columns(names)
    clip = int(design.clip_of(np.array([design.live_day]))[0])
    forest_names = tuple(walked.forests)
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
        forests=tuple(walked.forests.values()),
        notes=walked.notes,
        n_effective=float(labels.weight[design.usable].sum()),
    )


def _needed(design: Design, walked: Walked) -> tuple[str, ...]:
    """Features the live model reads, in the features' order; trees index into all of them."""
    if walked.forests:
        return design.names
    used = {name for columns in walked.ridge.values() for name in columns} | {"regime", "sigma_day_bps"}
    return tuple(name for name in design.names if name in used)


def _frame(
    design: Design, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], engines: tuple[str, ...], values: F64
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "decision_time": design.decision_time[rows],
            "fold_day": design.day[rows],
            "regime": design.regime[rows],
            **{name: np.ascontiguousarray(values[:, position]) for position, name in enumerate(engines)},
        }
    )


def check_enough(design: Design, labels: Labels, rules: TrainingRules, horizon: Horizon) -> None:
    """Raise TrainingRefused(TOO_FEW_ROWS) unless tonight's window has labels to learn anything from."""
    recent = closing_days(labels.closed_ms) > design.live_day - rules.lookback_days
    found = float(labels.weight[design.usable & (design.regime >= 0) & recent].sum())
    if found < FEWEST_LABELS:
        raise TrainingRefused(
            SkipCode.TOO_FEW_ROWS,
            f"{found:.1f} independent closed labels at {horizon} in {rules.lookback_days} days, wanted {FEWEST_LABELS:.0f}",
            measured=round(found, 1),
            wanted=FEWEST_LABELS,
        )
