"""A trained object as plain arrays, or a refusal: what cannot be written down cannot be signed and served."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import REGIMES
from huracan.domain.model import TreeArrays
from huracan.domain.records import SkipCode
from huracan.stats.decide import forest_forecasts, linear_forecasts
from huracan.training.lightgbm_arrays import to_arrays
from huracan.training.protocols import right_one
from huracan.training.refusal import TrainingRefused
from huracan.training.user_code import UserFault, user_fault

UNCLIPPED = float(np.finfo(np.float64).max)
"""Clip bound that never binds."""

_AGREES = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A model as arrays: a forest, or else slopes (p,) and an intercept on raw features; forecasts in bps."""

    coef: F64
    intercept: float
    forest: TreeArrays | None = None

    def forecasts(self, x: F64) -> F64:
        """Forecasts (n,) of rows x (n, p), by the kernels that serve the live model."""
        if self.forest is not None:
            tree = self.forest
            return forest_forecasts(x, tree.feature, tree.threshold, tree.left, tree.right, tree.leaf_value, tree.roots)
        first = np.zeros(x.shape[0], dtype=np.int64)
        bound = np.full((1, x.shape[1]), UNCLIPPED)
        shape = (1, 1, len(REGIMES))
        coef = np.broadcast_to(self.coef, (*shape, self.coef.size)).copy()
        return linear_forecasts(x, first, first, coef, np.full(shape, self.intercept), -bound, bound)[:, 0]

    def over(self, columns: I64, width: int) -> "Exported":
        """The same model over `width` features, of which it reads these."""
        coef = np.zeros(width)
        coef[columns] = self.coef
        forest = None if self.forest is None else replace(self.forest, feature=columns[self.forest.feature])
        return Exported(coef=coef, intercept=self.intercept, forest=forest)


def export_model(model: Any, sample: F64) -> Exported:
    """Arrays of a model given as a LightGBM Booster, as an object with ``to_arrays()`` (TreeArrays or a mapping of its
    fields), or with ``coef_`` and ``intercept_``. Raises TrainingRefused(NOT_EXPORTABLE) for anything else, and when
    the object's own `predict` disagrees with its arrays on the sample rows (n, p): a classifier has coefficients too.
    """
    width = sample.shape[1]
    inner = getattr(model, "booster_", model)
    if callable(getattr(inner, "model_to_string", None)):
        exported = Exported(coef=np.zeros(width), intercept=0.0, forest=checked(to_arrays(inner), width))
    elif callable(getattr(model, "to_arrays", None)):
        exported = Exported(coef=np.zeros(width), intercept=0.0, forest=checked(_own_arrays(model), width))
    elif hasattr(model, "coef_") and hasattr(model, "intercept_"):
        exported = _linear(model, width)
    else:
        raise _refused(
            f"a {name_of(model)} has neither coef_ and intercept_, nor to_arrays(), nor is it a LightGBM Booster"
        )
    _compare(model, exported, sample)
    return exported


def name_of(model: Any) -> str:
    """What a model is called in words: its type, or that of the user-supplied model behind it."""
    return str(getattr(model, "shown_as", type(model).__name__))


def linear_parts(model: Any, width: int) -> tuple[F64, float]:
    """Slopes (width,) and the intercept of a model that has both; raises TrainingRefused for others than finite
    numbers.
    """
    try:
        coef = np.asarray(model.coef_, dtype=np.float64).ravel()
        intercept = np.asarray(model.intercept_, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise _refused(f"coef_ or intercept_ of {name_of(model)} are not numbers") from error
    bad = int((~np.isfinite(coef)).sum() + (~np.isfinite(intercept)).sum())
    if coef.size != width or intercept.size != 1 or bad:
        raise _refused(
            f"coef_ of {name_of(model)} has {coef.size} values and intercept_ {intercept.size}, {bad} of them not finite; "
            f"wanted {width}, one for each of job['features'], and 1, all finite"
        )
    return coef, float(intercept[0])


def _linear(model: Any, width: int) -> Exported:
    coef, intercept = linear_parts(model, width)
    return Exported(coef=coef, intercept=intercept)


def _compare(model: Any, exported: Exported, sample: F64) -> None:
    predict = getattr(model, "predict", None)
    if not callable(predict):
        return
    try:
        own = np.asarray(predict(sample), dtype=np.float64).ravel()
    except Exception as error:
        fault = user_fault("model_trainer", error)
        text = f"predict of {name_of(model)} failed on train rows: {fault.error} ({fault.place})"
        raise _refused(text, fault) from error
    ours = exported.forecasts(sample)
    if own.shape != ours.shape or not np.allclose(own, ours, rtol=_AGREES, atol=_AGREES):
        raise _refused(
            f"predict of {name_of(model)} is not what its arrays say: {own[:3].tolist()} for three train rows, wanted {ours[:3].tolist()}"
        )


def checked(arrays: Any, width: int) -> TreeArrays:
    """Arrays as a well-formed forest over `width` features; raises TrainingRefused(NOT_EXPORTABLE) for anything else.

    Every child has a larger number than its parent and every number is in range, so walking always ends in a leaf.
    """
    names = [item.name for item in fields(TreeArrays)]
    if isinstance(arrays, TreeArrays):
        forest = arrays
    else:
        if not isinstance(arrays, Mapping) or set(arrays) != set(names):
            raise _refused(f"to_arrays() gave {type(arrays).__name__}, wanted a mapping with {names}")
        try:
            forest = TreeArrays(**{name: _vector(name, arrays[name]) for name in names})
        except (TypeError, ValueError, OverflowError) as error:
            raise _refused(f"to_arrays() holds something that is no vector of numbers ({error})") from error
    _check_forest(forest, width)
    return forest


def _vector(name: str, values: Any) -> np.ndarray[Any, Any]:
    wanted = np.float64 if name in {"threshold", "leaf_value"} else np.int64
    given = np.asarray(values)
    vector = given.astype(wanted)
    if given.ndim != 1 or (given.size and not np.array_equal(given, vector, equal_nan=wanted is np.float64)):
        raise ValueError(f"{name} has shape {given.shape} and type {given.dtype}, wanted a vector of {wanted.__name__}")
    return vector


def _check_forest(forest: TreeArrays, width: int) -> None:
    nodes, leaves = forest.feature.size, forest.leaf_value.size
    sizes = {forest.threshold.size, forest.left.size, forest.right.size}
    children = np.concatenate((forest.left, forest.right))
    parents = np.tile(np.arange(nodes), 2)
    targets = np.concatenate((children, forest.roots)) if sizes == {nodes} else forest.roots
    wrong = {
        "arrays of one forest differ in length": sizes != {nodes},
        "a value is not finite": not (np.isfinite(forest.threshold).all() and np.isfinite(forest.leaf_value).all()),
        f"a feature number is outside 0..{width - 1}": bool(((forest.feature < 0) | (forest.feature >= width)).any()),
        "a child or root does not exist": bool(((targets >= nodes) | (~targets >= leaves)).any()),
        "a child stands before its parent": sizes == {nodes} and bool(((children >= 0) & (children <= parents)).any()),
    }
    for message, found in wrong.items():
        if found:
            raise _refused(message)


def _own_arrays(model: Any) -> Any:
    try:
        return model.to_arrays()
    except TrainingRefused:
        raise
    except Exception as error:
        fault = user_fault("model_trainer", error)
        raise _refused(f"to_arrays() of {name_of(model)} raised {fault.error} ({fault.place})", fault) from error


def _refused(why: str, fault: UserFault | None = None) -> TrainingRefused:
    return TrainingRefused(
        SkipCode.NOT_EXPORTABLE,
        f"the trained model cannot be exported: {why}. {right_one('model_trainer')}",
        measured=why,
        wanted="coef_ and intercept_, a LightGBM Booster, or to_arrays()",
        fault=fault,
    )
