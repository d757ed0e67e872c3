"""The leak canary: it finds the future wherever it hides, and lets honest features pass."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import LabelledSet
from huracan.domain.time import Horizon
from huracan.errors import DataError
from huracan.features import build_features, leak_canary
from huracan.features.canary import rank_correlations


def labels_for(built, forward, weight=1.0):
    n = built.frame.height
    columns = {name: pl.Series(name, [None] * n, dtype=dtype) for name, dtype in LabelledSet.schema.items()}
    columns["decision_time"] = built.frame["decision_time"]
    columns["forward_bps"] = pl.Series("forward_bps", forward, nan_to_null=True)
    columns["weight"] = pl.Series("weight", np.full(n, weight))
    return LabelledSet(horizon=Horizon(60), frame=pl.DataFrame(columns))


@pytest.fixture(scope="module")
def built(make_bars):
    return build_features(make_bars(14_000, seed=9), None, interval_minutes=15)


@pytest.fixture(scope="module")
def forward(built):
    return np.random.default_rng(0).standard_t(3, built.frame.height) * 30


def with_feature(built, name, values):
    return replace(built, frame=built.frame.with_columns(pl.Series(name, values)))


def test_honest_features_pass(built, forward):
    assert leak_canary(built, labels_for(built, forward)) == []


def test_a_feature_that_is_the_future_is_found(built, forward):
    leaks = leak_canary(with_feature(built, "ret_60", forward), labels_for(built, forward))
    assert [name for name, _, _ in leaks] == ["ret_60"]
    _, ic, limit = leaks[0]
    assert ic == pytest.approx(1.0)
    assert limit == pytest.approx(max(0.15, 6 / np.sqrt(built.frame["valid"].sum())))


def test_a_shifted_and_noisy_label_is_found(built, forward):
    hidden = -forward + np.random.default_rng(1).normal(0, 60, forward.size)
    leaks = leak_canary(with_feature(built, "rsi_60", hidden), labels_for(built, forward))
    assert [name for name, ic, limit in leaks if ic < -limit] == ["rsi_60"]


def test_planted_features_are_exempt_by_name(built, forward):
    spoiled = with_feature(built, "ret_60", forward)
    assert leak_canary(spoiled, labels_for(built, forward), exempt={"ret_60"}) == []


def test_few_independent_labels_raise_the_limit(built, forward):
    part = with_feature(built, "ret_60", forward + np.random.default_rng(2).normal(0, 60, forward.size))
    assert leak_canary(part, labels_for(built, forward))
    assert leak_canary(part, labels_for(built, forward, weight=0.01)) == []


def test_nothing_is_judged_on_a_handful_of_rows(built, forward):
    few = np.where(np.arange(forward.size) < forward.size - 20, np.nan, forward)
    assert leak_canary(with_feature(built, "ret_60", forward), labels_for(built, few)) == []


def test_labels_of_other_decisions_are_refused(built, forward):
    labels = labels_for(built, forward)
    shifted = replace(labels, frame=labels.frame.with_columns(pl.col("decision_time") + 1))
    with pytest.raises(DataError, match="not the same decisions"):
        leak_canary(built, shifted)


def test_rank_correlation_shares_ranks_between_ties():
    x = np.array([[1.0], [1.0], [2.0], [3.0]])
    assert rank_correlations(x, np.array([1.0, 2.0, 3.0, 4.0]))[0] == pytest.approx(0.9486832980505138)
