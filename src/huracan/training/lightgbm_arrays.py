"""A LightGBM booster as our own flat arrays, read from its text form; anything the arrays cannot say is refused.

The text form prints thresholds and leaves with 17 digits, so the arrays hold the same doubles, and it is already laid
out as arrays (child c < 0 is leaf ~c), which makes it six times cheaper to read than `dump_model`.
"""

from typing import Any, Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.model import TreeArrays
from huracan.domain.records import SkipCode
from huracan.training.refusal import TrainingRefused

_PLAIN_OBJECTIVES: Final = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
NO_TREES: Final = TreeArrays(
    feature=np.zeros(0, dtype=np.int64),
    threshold=np.zeros(0),
    left=np.zeros(0, dtype=np.int64),
    right=np.zeros(0, dtype=np.int64),
    leaf_value=np.zeros(0),
    roots=np.zeros(0, dtype=np.int64),
)
"""A forest that forecasts zero."""

_FIELDS: Final = (
    "num_leaves",
    "num_cat",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "is_linear",
)
_CATEGORICAL, _MISSING_BITS, _MISSING_ZERO = 1, 12, 4


def to_arrays(booster: Any) -> TreeArrays:
    """The forest of a Booster; equal to `Booster.predict(raw_score=True)` on finite rows.

    Raises TrainingRefused(NOT_EXPORTABLE) for several outputs, categorical or linear trees, zero-as-missing, and
    objectives whose prediction is not the plain sum of leaves. Where a missing value would go is dropped: our kernels
    abstain on NaN.
    """
    head, *trees = str(booster.model_to_string(num_iteration=-1, importance_type="split")).split("\nTree=")
    if not trees:
        return NO_TREES
    trees[-1] = trees[-1].split("\nend of trees", maxsplit=1)[0]
    fields = _fields(trees)
    average = _check_head(head)
    if any(set(fields[name].split()) != {"0"} for name in ("num_cat", "is_linear")):
        raise _refused("it splits on categories, or its leaves are linear models")
    kind = _integers(fields["decision_type"])
    if np.any(kind & _CATEGORICAL) or np.any((kind & _MISSING_BITS) == _MISSING_ZERO):
        raise _refused("it treats zeros as missing or splits on categories")
    leaves = _integers(fields["num_leaves"])
    first_leaf = np.cumsum(leaves) - leaves
    first_node = np.cumsum(leaves - 1) - (leaves - 1)
    node_shift, leaf_shift = np.repeat(first_node, leaves - 1), np.repeat(first_leaf, leaves - 1)
    left, right = _integers(fields["left_child"]), _integers(fields["right_child"])
    return TreeArrays(
        feature=_integers(fields["split_feature"]),
        threshold=_floats(fields["threshold"]),
        left=np.where(left >= 0, left + node_shift, left - leaf_shift),
        right=np.where(right >= 0, right + node_shift, right - leaf_shift),
        leaf_value=_floats(fields["leaf_value"]) * (1.0 / len(trees) if average else 1.0),
        roots=np.where(leaves > 1, first_node, ~first_leaf),
    )


def _check_head(head: str) -> bool:
    """Whether the trees are averaged (random forest); raises TrainingRefused for outputs that are no sum of leaves."""
    lines = head.splitlines()
    header = dict(line.split("=", 1) for line in lines if "=" in line)
    objective = header.get("objective", "regression").split()
    if header.get("num_tree_per_iteration", "1") != "1":
        raise _refused("it has several outputs")
    if objective[0] not in _PLAIN_OBJECTIVES or "sqrt" in objective:
        raise _refused(f"its objective is {' '.join(objective)}")
    return "average_output" in lines


def _fields(trees: list[str]) -> dict[str, str]:
    """The values of each field, tree after tree, parted by blanks.

    All plain trees list the same fields in the same order, so each field is a column of lines; only trees with
    categories or linear leaves list more.
    """
    lines = [tree.split("\n") for tree in trees]
    if len({len(tree) for tree in lines}) > 1:
        raise _refused("some of its trees list more fields than others, as splits on categories and linear leaves do")
    found = {column[0].partition("=")[0]: column for column in zip(*lines, strict=True)}
    return {name: " ".join(found[name]).replace(f"{name}=", "").strip() for name in _FIELDS}


def _integers(values: str) -> I64:
    return np.fromstring(values, dtype=np.int64, sep=" ")


def _floats(values: str) -> F64:
    return np.fromstring(values, dtype=np.float64, sep=" ")


def _refused(why: str) -> TrainingRefused:
    return TrainingRefused(
        SkipCode.NOT_EXPORTABLE,
        f"this LightGBM model cannot be exported to plain arrays: {why}; train a single-output regression on numbers",
        measured=why,
        wanted="plain regression trees",
    )
