"""Boosted trees of one pair: a refit every month of history, one for tonight, all on shared bins.

Bins are quantiles of features alone, made from rows before the first fit that uses them, so sharing them looks at nothing
later. LightGBM is imported inside functions: it brings scikit-learn along, which costs seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from huracan.domain.model import F64, I64, TreeArrays
from huracan.domain.recipe import TrainingRules
from huracan.stats.decide import forest_forecasts
from huracan.training.design import Design, Labels
from huracan.training.folds import Folds, walk_forward
from huracan.training.inner import inner_folds
from huracan.training.lightgbm_arrays import NO_TREES, to_arrays

INNER_WEEKS = 2
"""Weeks left out together when the first window is calibrated: three fits instead of six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestWalk:
    """Forecasts (n,) of every decision: by inner folds in the first training window, then out of fold; and tonight's forest."""

    forecast: F64
    live: TreeArrays


def walk_forests(
    design: Design, labels: Labels, rules: TrainingRules, parameters: Mapping[str, float], *, seed: int, horizon_ms: int
) -> ForestWalk:
    """Grow all forests of one engine and let each forecast its own test block."""
    folds = walk_forward(
        design.decision_time,
        labels.closed_ms,
        design.first_test_day - rules.first_window_days,
        design.last_day,
        rules,
        refit_days=rules.tree_refit_days,
    )
    trains = design.usable & (labels.weight > 0.0)
    forecast = np.full(design.day.size, np.nan)
    live: TreeArrays | None = None
    for era in _eras(design, folds, rules):
        fits: list[tuple[I64, I64]] = []
        if era.first:
            inner = inner_folds(design, labels, weeks=INNER_WEEKS, horizon_ms=horizon_ms)
            fits.extend((fold.train, fold.test) for fold in inner)
        fits.extend((folds.train_rows(block), folds.test_rows(block)) for block in era.blocks)
        if era.last:
            fits.append((folds.live_rows(design.cutoff_ms), np.zeros(0, dtype=np.int64)))
        fits = [(train[trains[train]], test) for train, test in fits]
        grower = _Grower(
            design, labels, parameters, seed, era.bin_rows, np.unique(np.concatenate([f[0] for f in fits]))
        )
        for train, test in fits:
            live = grower.grow(train)
            _forecast_into(forecast, design, test, live)
    assert live is not None
    return ForestWalk(forecast=forecast, live=live)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Era:
    """Consecutive blocks, no longer than the training window, that share one set of bins."""

    blocks: Sequence[int]
    bin_rows: I64
    first: bool
    last: bool


def _eras(design: Design, folds: Folds, rules: TrainingRules) -> Iterator[_Era]:
    number = (folds.starts - folds.starts[0]) // rules.lookback_days
    for era in range(int(number[-1]) + 1):
        blocks = np.flatnonzero(number == era).tolist()
        start = int(folds.starts[blocks[0]]) if blocks else design.last_day
        recent = design.usable & (design.day < start) & (design.day >= start - rules.first_window_days)
        yield _Era(blocks=blocks, bin_rows=np.flatnonzero(recent), first=era == 0, last=era == number[-1])


class _Grower:
    """Grows forests over one binned copy of the features."""

    def __init__(
        self, design: Design, labels: Labels, parameters: Mapping[str, float], seed: int, bin_rows: I64, rows: I64
    ) -> None:
        import lightgbm

        self._booster = lightgbm.Booster
        self._labels = labels
        self._parameters = parameters
        self._base: dict[str, Any] = {
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
        bins = lightgbm.Dataset(design.x[bin_rows], label=labels.y[bin_rows], params=self._base, free_raw_data=False)
        self._rows = rows
        self._data = lightgbm.Dataset(
            design.x[rows], label=labels.y[rows], reference=bins, params=self._base
        ).construct()

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
