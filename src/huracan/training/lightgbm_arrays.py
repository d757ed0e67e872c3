"""A LightGBM booster as our own flat arrays, read from its text form; anything the arrays cannot say is refused.

The text form prints thresholds and leaves with 17 digits, so the arrays hold the same doubles, and it is already laid out
as arrays (child c < 0 is leaf ~c), which makes it six times cheaper to read than `dump_model`.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from huracan.domain.model import I64, TreeArrays
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

_CATEGORICAL, _MISSING_BITS, _MISSING_ZERO = 1, 12, 4


def to_arrays(booster: Any) -> TreeArrays:
    """The forest of a Booster; equal to `Booster.predict(raw_score=True)` on finite rows.

    Raises TrainingRefused(NOT_EXPORTABLE) for several outputs, categorical or linear trees, zero-as-missing, and objectives
    whose prediction is not the plain sum of leaves. Where a missing value would go is dropped: our kernels abstain on NaN.
    """
    head, *blocks = str(booster.model_to_string(num_iteration=-1)).split("\nTree=")
    facts = _fields(head)
    objective = facts.get("objective", "regression").split()
    average = "average_output" in head.splitlines()
    if facts.get("num_tree_per_iteration", "1") != "1":
        raise _refused("it has several outputs")
    if objective[0] not in _PLAIN_OBJECTIVES or "sqrt" in objective:
        raise _refused(f"its objective is {' '.join(objective)}")
    trees = [_tree(_fields(block.split("\n\n", maxsplit=1)[0])) for block in blocks]
    share = 1.0 / len(trees) if average and trees else 1.0
    return _joined(trees, share)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(fields: dict[str, str]) -> TreeArrays:
    if fields.get("num_cat", "0") != "0":
        raise _refused("it splits on categories")
    if fields.get("is_linear", "0") != "0":
        raise _refused("its leaves are linear models")
    leaves = np.array(fields["leaf_value"].split(), dtype=np.float64)
    if leaves.size == 1:
        return replace(NO_TREES, leaf_value=leaves, roots=np.array([-1]))
    kind = _integers(fields["decision_type"])
    if np.any(kind & _CATEGORICAL) or np.any((kind & _MISSING_BITS) == _MISSING_ZERO):
        raise _refused("it treats zeros as missing or splits on categories")
    return TreeArrays(
        feature=_integers(fields["split_feature"]),
        threshold=np.array(fields["threshold"].split(), dtype=np.float64),
        left=_integers(fields["left_child"]),
        right=_integers(fields["right_child"]),
        leaf_value=leaves,
        roots=np.array([0]),
    )


def _integers(text: str) -> I64:
    return np.array(text.split(), dtype=np.int64)


def _joined(trees: list[TreeArrays], share: float) -> TreeArrays:
    """All trees behind one another, node and leaf numbers shifted."""
    nodes = np.cumsum([0, *(tree.feature.size for tree in trees)])
    leaves = np.cumsum([0, *(tree.leaf_value.size for tree in trees)])
    moved = [(tree, int(node), int(leaf)) for tree, node, leaf in zip(trees, nodes[:-1], leaves[:-1], strict=True)]

    def children(values: I64, node: int, leaf: int) -> I64:
        return np.where(values >= 0, values + node, values - leaf)

    return TreeArrays(
        feature=np.concatenate([NO_TREES.feature, *(tree.feature for tree in trees)]),
        threshold=np.concatenate([NO_TREES.threshold, *(tree.threshold for tree in trees)]),
        left=np.concatenate([NO_TREES.left, *(children(tree.left, node, leaf) for tree, node, leaf in moved)]),
        right=np.concatenate([NO_TREES.right, *(children(tree.right, node, leaf) for tree, node, leaf in moved)]),
        leaf_value=np.concatenate([NO_TREES.leaf_value, *(tree.leaf_value * share for tree in trees)]),
        roots=np.concatenate([NO_TREES.roots, *(children(tree.roots, node, leaf) for tree, node, leaf in moved)]),
    )


def _refused(why: str) -> TrainingRefused:
    return TrainingRefused(
        SkipCode.NOT_EXPORTABLE,
        f"this LightGBM model cannot be exported to plain arrays: {why}; train a single-output regression on numbers",
        measured=why,
        wanted="plain regression trees",
    )
