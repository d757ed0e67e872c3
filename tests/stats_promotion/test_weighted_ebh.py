"""The ledger rule against the reference and against a search over all subsets."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.stats.evalues import weighted_ebh

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["ledger"])
def test_promotions_equal_the_reference(case):
    e = [
        frozen if frozen is not None else value * gate
        for value, frozen, gate in zip(case["e"], case["frozen"], case["gates"], strict=True)
    ]
    assert list(weighted_ebh(e, case["gamma"], case["alpha"])) == case["promoted"]


def largest_self_consistent_set(e, gamma, alpha):
    """Slow and obvious: the largest set of hypotheses each of which has e >= 1 / (alpha gamma size)."""
    for size in range(len(e), 0, -1):
        for members in itertools.combinations(range(len(e)), size):
            if all(gamma[j] > 0 and e[j] * alpha * gamma[j] * size >= 1 - 1e-12 for j in members):
                return size
    return 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 30.0, 60.0, 119.9, 120.0, 480.0, 5000.0]), st.sampled_from([0.0, 1.0, 4.0])
        ),
        max_size=7,
    )
)
def test_it_rejects_the_largest_self_consistent_set(pairs):
    total = sum(weight for _, weight in pairs) or 1.0
    e, gamma = [value for value, _ in pairs], [weight / total for _, weight in pairs]
    chosen = weighted_ebh(e, gamma, 0.05)
    size = largest_self_consistent_set(e, gamma, 0.05)
    assert (len(chosen) if size else 0) >= size
    assert all(e[j] * 0.05 * gamma[j] * max(size, 1) >= 1 - 1e-9 for j in chosen)
    assert bool(chosen) == bool(size)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=8), st.integers(0, 7), st.floats(1.0, 10.0))
def test_more_evidence_never_unrejects(e, which, factor):
    gamma = [1 / len(e)] * len(e)
    more = list(e)
    more[which % len(e)] *= factor
    assert set(weighted_ebh(e, gamma, 0.05)) <= set(weighted_ebh(more, gamma, 0.05))


def test_false_discoveries_stay_below_alpha_whatever_the_dependence():
    rng, alpha, proportions = np.random.default_rng(3), 0.10, []
    for _ in range(4_000):
        shared = rng.random() < 1 / 60  # e-values of mean one that jump together: the worst case for BH
        nulls = [60.0 if shared else 0.0] * 6
        chosen = weighted_ebh([*nulls, 500.0, 500.0], [1 / 8] * 8, alpha)
        proportions.append(sum(j < 6 for j in chosen) / max(1, len(chosen)))
    assert np.mean(proportions) <= alpha


def test_a_first_promotion_of_a_primary_lineage_needs_one_hundred_and_twenty():
    assert weighted_ebh([119.99], [1 / 6], 0.05) == ()
    assert weighted_ebh([120.0], [1 / 6], 0.05) == (0,)


def test_a_budget_that_is_overspent_is_refused():
    with pytest.raises(ValueError, match="at most 1"):
        weighted_ebh([1.0, 1.0, 1.0], [0.5, 0.5, 0.1], 0.05)
