"""Boosted trees of one pair: a refit every month of history, one for tonight, all on shared bins.

Bins are quantiles of features alone, made from rows before the first fit that uses them, so sharing them looks at
nothing later. LightGBM is imported inside functions: it brings scikit-learn along, which costs seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.model import TreeArrays
from huracan.domain.recipe import TrainingPolicy
from huracan.stats.decide import forest_forecasts
from huracan.stats.ridge import varies
from huracan.training.design import Design, Labels
from huracan.training.engines import FEWEST_COLUMNS
from huracan.training.folds import Folds, walk_forward
from huracan.training.gram import WEEK_DAYS
from huracan.training.inner import inner_folds
from huracan.training.lightgbm_arrays import NO_TREES, to_arrays
from huracan.training.linear import Columns

INNER_WEEKS = 2
"""Weeks left out together when the first window is calibrated: three fits instead of six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestFits:
    """Forecasts (n,) of every decision: by inner folds in the first training window, then out of fold; and tonight's
    forest.

    `used` (p,): features that tonight's forest was grown on. `silent`: it abstains tonight and has no trees.
    """

    forecast: F64
    live: TreeArrays
    used: Bool
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """One forest to grow: its train rows, the rows it forecasts, and the features it may split on."""

    train: I64
    test: I64
    used: Bool


def fit_forest_folds(
    design: Design,
    labels: Labels,
    columns: Columns,
    policy: TrainingPolicy,
    *,
    seed: int,
    horizon_ms: int,
) -> ForestFits:
    """Grow all forests of one engine and let each forecast its own test block.

    A fit leaves out features that had stopped by its first day, and those that stand still in its train rows or its
    bins. It abstains where a required one is among them.
    """
    wanted, required = np.isin(design.names, columns.used), np.isin(design.names, columns.required)
    folds = walk_forward(
        design.decision_time,
        labels.closed_ms,
        design.first_test_day - policy.first_window_days,
        design.last_day,
        policy,
        refit_days=policy.tree_refit_days,
    )
    forecast = np.full(design.day.size, np.nan)
    live, fit, silent = NO_TREES, None, True
    for era in _eras(design, folds, policy):
        fits = _fits(design, labels, folds, era=era, wanted=wanted, horizon_ms=horizon_ms)
        growers: dict[bytes, _Grower] = {}
        for fit in fits:
            silent = bool((required & ~fit.used).any()) or int(fit.used.sum()) < FEWEST_COLUMNS
            if silent:
                live = NO_TREES
                continue
            key = fit.used.tobytes()
            if key not in growers:
                rows = np.unique(np.concatenate([one.train for one in fits if one.used.tobytes() == key]))
                growers[key] = _Grower(
                    design, labels, columns.parameters, seed=seed, bin_rows=era.bin_rows, rows=rows, used=fit.used
                )
            live = growers[key].grow(fit.train)
            _forecast_into(forecast, design, fit.test, live)
    assert fit is not None
    return ForestFits(forecast=forecast, live=live, used=fit.used, silent=silent)


def _fits(design: Design, labels: Labels, folds: Folds, *, era: "_Era", wanted: Bool, horizon_ms: int) -> list[_Fit]:
    """What is to be grown in an era, in order; tonight's fit is the last one of the last era and forecasts nothing."""
    parts: list[tuple[int, I64, I64]] = []
    if era.first:
        inner = inner_folds(design, labels, weeks=INNER_WEEKS, horizon_ms=horizon_ms)
        parts.extend((fold.week * WEEK_DAYS, fold.train, fold.test) for fold in inner)
    for block in era.blocks:
        train = folds.train_rows(block)
        parts.extend((day, train, test) for day, test in _by_presence(design, folds.test_rows(block)))
    if era.last:
        parts.append((design.live_day, folds.live_rows(design.cutoff_ms), np.zeros(0, dtype=np.int64)))
    trains = design.usable & (labels.weight > 0.0)
    stopped = design.presence.stopped_at(np.array([day for day, _, _ in parts], dtype=np.int64))
    binned = _moves(design, era.bin_rows)
    fits = []
    for gone, (_, train, test) in zip(stopped, parts, strict=True):
        rows = train[trains[train]]
        fits.append(_Fit(train=rows, test=test, used=wanted & binned & ~gone & _moves(design, rows)))
    return fits


def _by_presence(design: Design, test: I64) -> list[tuple[int, I64]]:
    """Test rows of a block by the features there are on their days: (first such day, rows), so that one which stops in
    the middle of a block silences nothing behind it.
    """
    if design.presence.whole or not test.size:
        return [(int(design.day[test[0]]), test)] if test.size else []
    sets, which = np.unique(design.presence.stopped_at(design.day[test]), axis=0, return_inverse=True)
    groups = [test[which.ravel() == one] for one in range(len(sets))]
    return sorted((int(design.day[rows[0]]), rows) for rows in groups)


def _moves(design: Design, rows: I64) -> Bool:
    """Features (p,) that are more than a constant plus rounding on these rows; without rows nothing is known against
    any.
    """
    if not rows.size:
        return np.ones(len(design.names), dtype=np.bool_)
    low, high = np.fmin.reduce(design.x[rows], axis=0), np.fmax.reduce(design.x[rows], axis=0)
    return varies(high - low, np.maximum(np.abs(low), np.abs(high)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Era:
    """Consecutive blocks, no longer than the training window, that share one set of bins."""

    blocks: Sequence[int]
    bin_rows: I64
    first: bool
    last: bool


def _eras(design: Design, folds: Folds, policy: TrainingPolicy) -> Iterator[_Era]:
    number = (folds.starts - folds.starts[0]) // policy.lookback_days
    for era in range(int(number[-1]) + 1):
        blocks = np.flatnonzero(number == era).tolist()
        start = int(folds.starts[blocks[0]]) if blocks else design.last_day
        recent = design.usable & (design.day < start) & (design.day >= start - policy.first_window_days)
        yield _Era(blocks=blocks, bin_rows=np.flatnonzero(recent), first=era == 0, last=era == number[-1])


class _Grower:
    """Grows forests over one binned copy of the features."""

    def __init__(
        self,
        design: Design,
        labels: Labels,
        parameters: Mapping[str, float],
        *,
        seed: int,
        bin_rows: I64,
        rows: I64,
        used: Bool,
    ) -> None:
        import lightgbm

        self._booster = lightgbm.Booster
        self._labels = labels
        self._parameters = parameters
        self._base: dict[str, object] = {
            "objective": "regression",
            "num_leaves": int(parameters["leaves"]),
            "learning_rate": parameters["learning_rate"],
            "lambda_l2": parameters["lambda_l2"],
            "feature_fraction": parameters["feature_share"],
            "bagging_fraction": parameters["bagging_share"],
            "bagging_freq": 1,
            "max_bin": 63,
            "feature_pre_filter": False,
            "boost_from_average": False,
            "num_threads": 1,
            "deterministic": True,
            "force_col_wise": True,
            "seed": seed % 2**31,
            "verbosity": -1,
        }
        x = design.x if used.all() else np.where(used, design.x, 0.0)  # a constant column is never split on
        bins = lightgbm.Dataset(x[bin_rows], label=labels.y[bin_rows], params=self._base, free_raw_data=False)
        self._rows = rows
        self._data = lightgbm.Dataset(x[rows], label=labels.y[rows], reference=bins, params=self._base).construct()

    def grow(self, rows: I64) -> TreeArrays:
        """A forest fitted on these rows; its labels are centred there, since a mean return is no edge.

        Too few rows for two leaves give a forest without trees, which forecasts zero.
        """
        leaf = max(self._parameters["leaf_rows"], self._parameters["leaf_share"] * rows.size)
        if rows.size < 2 * leaf:
            return NO_TREES
        weight, y = self._labels.weight[rows], self._labels.y[rows]
        part = self._data.subset(np.searchsorted(self._rows, rows).tolist(), params=self._base).construct()
        part.set_field("label", y - np.average(y, weights=weight))
        if np.any(weight != 1.0):
            part.set_field("weight", weight)
        booster = self._booster({**self._base, "min_data_in_leaf": int(leaf)}, part)
        for _ in range(int(self._parameters["trees"])):
            if booster.update():
                break
        return to_arrays(booster)


def _forecast_into(out: F64, design: Design, rows: I64, forest: TreeArrays) -> None:
    asked = rows[design.usable[rows] & (design.regime[rows] >= 0)]
    out[asked] = forecasts(forest, design.x[asked])


def forecasts(forest: TreeArrays, x: F64) -> F64:
    """The forest's forecasts (n,) for rows x (n, p)."""
    return forest_forecasts(
        x, forest.feature, forest.threshold, forest.left, forest.right, forest.leaf_value, forest.roots
    )
