"""A user-supplied trainer in our folds: it sees train rows only, once per fold and once for the final fit.

What it claims about its own model (metrics, edge) is checked for form and otherwise ignored: we score it ourselves.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.ids import content_hash
from huracan.domain.recipe import Recipe
from huracan.domain.records import SkipCode
from huracan.domain.results import TrainedPair
from huracan.training.design import Design, align, prepare
from huracan.training.exportable import UNCLIPPED, Exported, export_model
from huracan.training.fit import FEWEST_LABELS, EngineFits, assemble, check_enough
from huracan.training.folds import Folds, walk_forward
from huracan.training.gram import N_CELLS
from huracan.training.linear import LinearFits
from huracan.training.presence import ALWAYS
from huracan.training.protocols import FitJob, FitPlace, right_one
from huracan.training.refusal import TrainingRefused
from huracan.training.user_code import UserFault, user_fault

INJECTED: Final = "injected"
"""Name of the one engine that an injected trainer is."""

_SAMPLE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    index: int
    train: I64
    test: I64
    final: bool = False


async def fit_injected(
    trainer: Callable[[Any], Any],
    features: FeatureFrame,
    labels: LabelledSet,
    recipe: Recipe,
    *,
    coin: str,
    cutoff_ms: int,
    seed: int,
) -> TrainedPair:
    """The trained pair of an injected trainer, as one engine named `INJECTED`; raises TrainingRefused.

    The job dict has coin, horizon, regime (None: all), engine_type, job_id, features (name -> array), labels (bps),
    decision_time, weights, folds (where this fit stands) and seed; arrays are copies. A trainer that raises, or returns
    anything but the documented dict with an exportable model, refuses the pair. A feature that had stopped by the day
    of a fit is not in its job. Folds are `tree_refit_days` long. Calibration starts at the prior slope, since inner
    folds would call the trainer more often than promised.
    """
    policy = recipe.training
    design = prepare(features, policy, cutoff_ms=cutoff_ms)
    known = align(design, labels, policy)
    check_enough(design, known, policy, labels.horizon)
    first_day = design.first_test_day - policy.first_window_days
    folds = walk_forward(
        design.decision_time, known.closed_ms, first_day, design.last_day, policy, refit_days=policy.tree_refit_days
    )
    trains = design.usable & (known.weight > 0.0)
    returns = labels.frame["forward_bps"].fill_null(np.nan).to_numpy()[: design.day.size]
    forecast = np.full(design.day.size, np.nan)
    live: Exported | None = None
    for fold in _fits(folds, cutoff_ms):
        columns = _there(design, design.live_day if fold.final else int(folds.starts[fold.index]))
        rows = fold.train[trains[fold.train]]
        rows = rows[np.isfinite(design.x[rows][:, columns]).all(axis=1)]
        enough = known.weight[rows].sum() >= FEWEST_LABELS and columns.size > 0
        if not fold.final and (fold.test.size == 0 or not enough):
            continue
        _check_final(design, columns, rows)
        train = _TrainRows(rows=rows, columns=columns, returns=returns, weight=known.weight)
        place = _place(design, rows, fold, folds)
        job = _job(design, train, place, coin=coin, horizon=str(labels.horizon), seed=seed)
        found = export_model(await _train(trainer, job), np.ascontiguousarray(design.x[rows[:_SAMPLE]][:, columns]))
        asked = fold.test[design.usable[fold.test] & (design.regime[fold.test] >= 0)]
        asked = asked[np.isfinite(design.x[asked][:, columns]).all(axis=1)]
        forecast[asked] = found.forecasts(np.ascontiguousarray(design.x[asked][:, columns]))
        live = found.over(columns, len(design.names))
    assert live is not None
    trained = assemble(design, known, _engine_fits(design, live, forecast), recipe, labels.horizon)
    if live.forest is not None:
        return trained
    bound = np.full(len(trained.feature_names), UNCLIPPED)
    return replace(trained, clip_low=-bound, clip_high=bound)


def _fits(folds: Folds, cutoff_ms: int) -> list[_Fold]:
    """Every test block, then the final fit, which has nothing to forecast."""
    blocks = [
        _Fold(index=block, train=folds.train_rows(block), test=folds.test_rows(block))
        for block in range(folds.starts.size)
    ]
    final = _Fold(index=len(blocks), train=folds.live_rows(cutoff_ms), test=np.zeros(0, dtype=np.int64), final=True)
    return [*blocks, final]


def _there(design: Design, day: int) -> I64:
    """Features that had not stopped before the day; none where only what nothing can do without is left of several."""
    columns = np.flatnonzero(~design.presence.stopped_at(np.array([day]))[0])
    if columns.size < len(design.names) and all(design.names[column] in ALWAYS for column in columns):
        return columns[:0]
    return columns


def _check_final(design: Design, columns: I64, rows: I64) -> None:
    if not columns.size or not rows.size:
        raise TrainingRefused(
            SkipCode.BAD_FEATURES,
            f"{rows.size} rows with {columns.size} of {len(design.names)} features are left for the last fit: the others "
            "have stopped",
            measured=float(columns.size),
            wanted=1.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrainRows:
    """Rows and features of one fit; returns (n,) and weight (n,) are of all rows."""

    rows: I64
    columns: I64
    returns: F64
    weight: F64


def _job(design: Design, train: _TrainRows, place: FitPlace, *, coin: str, horizon: str, seed: int) -> FitJob:
    rows = train.rows
    return {
        "coin": coin,
        "horizon": horizon,
        "regime": None,
        "engine_type": INJECTED,
        "features": {design.names[column]: design.x[rows, column].copy() for column in train.columns},
        "labels": train.returns[rows].copy(),
        "decision_time": design.decision_time[rows].copy(),
        "weights": train.weight[rows].copy(),
        "seed": seed,
        "folds": place,
        "job_id": content_hash(coin, horizon, place, seed)[:16],
    }


def _place(design: Design, rows: I64, fold: _Fold, folds: Folds) -> FitPlace:
    return {
        "index": fold.index,
        "count": int(folds.starts.size) + 1,
        "final": fold.final,
        "train_days": [int(design.day[rows[0]]), int(design.day[rows[-1]])],
        "test_days": [int(design.day[fold.test[0]]), int(design.day[fold.test[-1]])] if not fold.final else None,
    }


async def _train(trainer: Callable[[Any], Any], job: FitJob) -> Any:
    """The model of one call; raises TrainingRefused when the call fails or its answer is not the documented dict."""
    where = f"{job['coin']} {job['horizon']}, fit {job['folds']['index'] + 1} of {job['folds']['count']}"
    try:
        result = trainer(job)
        if inspect.isawaitable(result):
            result = await result
    except TrainingRefused:
        raise
    except Exception as error:
        fault = user_fault("model_trainer", error)
        raise _failed(f"{where}: the trainer raised {fault.error} ({fault.place})", fault) from error
    if not isinstance(result, Mapping):
        raise _malformed(
            f"{where}: model_trainer returned a {type(result).__name__}, wanted a dict with success and model"
        )
    if "success" not in result:
        raise _malformed(
            f"{where}: model_trainer returned a dict with {sorted(map(str, result))}, wanted success and model"
        )
    if result["success"] is not True:
        raise _failed(f"{where}: the trainer gave up: {result.get('error', 'without a reason')}")
    if result.get("model") is None:
        raise _malformed(f"{where}: model_trainer says success but returned no model, only {sorted(map(str, result))}")
    metrics = result.get("metrics", {})
    if not isinstance(metrics, Mapping):
        raise _malformed(f"{where}: metrics are a {type(metrics).__name__}, wanted a dict of numbers")
    for name, value in (*metrics.items(), ("edge_bps", result.get("edge_bps", 0.0))):
        if not _is_number(value):
            raise _malformed(f"{where}: {name} is {value!r}, wanted a finite number")
    return result["model"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and isfinite(float(value))


def _engine_fits(design: Design, live: Exported, forecast: F64) -> EngineFits:
    shape = (1, len(REGIMES), len(design.names))
    stopped = design.presence.stopped_at(np.array([design.live_day]))[0]
    left_out = [name for name, gone in zip(design.names, stopped, strict=True) if gone]
    return EngineFits(
        engines=(INJECTED,),
        forecasts=forecast[:, None],
        linear=LinearFits(
            names=design.names,
            forecasts=forecast[:, None],
            coef=np.broadcast_to(live.coef, shape).copy(),
            intercept=np.full(shape[:2], live.intercept),
            live_rows=np.zeros(N_CELLS),
            silent=np.zeros(shape[:2], dtype=np.bool_),
            dead=stopped,
        ),
        ridge={} if live.forest is not None else {INJECTED: design.names},
        forests={} if live.forest is None else {INJECTED: live.forest},
        left_out=frozenset(left_out),
        notes=(
            "trained by an injected trainer; calibrated from the prior slope on",
            *(f"feature {name} has stopped and is left out" for name in left_out),
        ),
    )


def _malformed(reason: str) -> TrainingRefused:
    return _failed(f"{reason}. {right_one('model_trainer')}")


def _failed(reason: str, fault: UserFault | None = None) -> TrainingRefused:
    wanted = "{success: True, model: ...}"
    return TrainingRefused(SkipCode.TRAINING_FAILED, reason, measured=reason, wanted=wanted, fault=fault)
