"""The canary of every training: a feature that predicts too well has seen the future."""

from collections.abc import Collection

import numpy as np

from huracan.domain.arrays import F64
from huracan.domain.frames import FeatureFrame, LabelledSet
from huracan.errors import DataError

LEAST_LIMIT = 0.15
LIMIT_ERRORS = 6.0
LEAST_ROWS = 30


def leak_canary(
    features: FeatureFrame, labels: LabelledSet, exempt: Collection[str] = ()
) -> list[tuple[str, float, float]]:
    """Features whose rank correlation with the forward return is beyond belief: (name, ic, limit), worst first.

    A feature is not fitted to anything, so every row with a known label is out of sample. The limit is the larger
    of .15 and six standard errors, ``6 / sqrt(n_eff)``, n_eff the sum of uniqueness weights (PROMOTION.md, L1). With
    fewer than 30 rows nothing is decided. Raises DataError unless rows are aligned.
    """
    if not features.frame["decision_time"].equals(labels.frame["decision_time"]):
        raise DataError(
            f"{features.instrument.id}: {features.frame.height} feature rows and {labels.frame.height} label rows are not "
            "the same decisions; label the feature frame's own decision times"
        )
    forward = labels.frame["forward_bps"].fill_null(np.nan).to_numpy()
    known = np.isfinite(forward) & features.frame["valid"].to_numpy()
    if int(known.sum()) < LEAST_ROWS:
        return []
    weight = labels.frame["weight"].fill_null(0.0).to_numpy()[known]
    limit = max(LEAST_LIMIT, LIMIT_ERRORS / float(np.sqrt(max(weight.sum(), 1e-12))))
    names = [name for name in features.names if name not in exempt]
    if not names:
        return []
    ic = rank_correlations(features.frame.select(names).to_numpy()[known], forward[known])
    leaks = [(name, float(value), limit) for name, value in zip(names, ic, strict=True) if abs(value) > limit]
    return sorted(leaks, key=lambda leak: -abs(leak[1]))


def rank_correlations(x: F64, y: F64) -> F64:
    """Spearman's rank correlation of each column of x (n, p) with y (n,); 0 for a constant. Shape (p,).

    >>> rank_correlations(np.array([[1.0, 5.0], [2.0, 5.0], [9.0, 5.0]]), np.array([3.0, 4.0, 5.0]))
    array([1., 0.])
    """
    ranks = np.column_stack([_ranks(column) for column in x.T]) - (x.shape[0] + 1) / 2
    target = _ranks(y) - (y.size + 1) / 2
    norm = np.sqrt((ranks**2).sum(axis=0) * (target**2).sum())
    return np.asarray(np.where(norm > 0, ranks.T @ target / np.where(norm > 0, norm, 1.0), 0.0))


def _ranks(values: F64) -> F64:
    """Ranks from 1, equal values sharing their mean; by hand, since importing scipy.stats takes two seconds a
    worker.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
