"""The model file: what is written is read back, and no bytes whatever get past the reader unchecked."""

import dataclasses
import json
import random

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import size

from huracan.domain.bundle import check_model, model_from_bytes, model_to_bytes
from huracan.domain.model import TreeArrays
from huracan.domain.tensors import read_tensors, write_tensors
from huracan.errors import BundleFormatError
from huracan.stats.evaluate import evaluate, regime_codes

ROUNDS = size(2_000, 100_000)


def container(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def refused(data):
    with pytest.raises(BundleFormatError) as caught:
        model_from_bytes(data)
    return str(caught.value)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), engines=st.integers(1, 5), trees=st.integers(0, 2))
def test_a_model_survives_the_file_bit_for_bit(factory, seed, engines, trees):
    model = factory.model(seed, engines=engines, trees=min(trees, engines))
    data = model_to_bytes(model)
    again = model_from_bytes(data)
    assert model_to_bytes(again) == data
    assert again.feature_names == model.feature_names
    assert again.decision == model.decision
    x = factory.rows(7, seed)
    before, after = (evaluate(m, x, regime_codes(m, x)) for m in (model, again))
    for name in ("raw", "edges", "score", "position_fraction"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()


def test_the_file_is_what_the_safetensors_library_reads(factory):
    arrays = safetensors.numpy.load(model_to_bytes(factory.model()))
    assert arrays["coef"].shape == (3, 4, 5)
    assert {"forest.0.left", "enabled"} <= set(arrays)


def test_every_truncation_is_refused(factory):
    data = model_to_bytes(factory.model(engines=1, trees=0))
    for length in range(len(data)):
        refused(data[:length])


@pytest.mark.guarantee("H4", cases=ROUNDS)
def test_flipped_bits_give_a_well_formed_model_or_the_declared_error(factory):
    data = model_to_bytes(factory.model())
    rng = random.Random(7)
    header = 8 + int.from_bytes(data[:8], "little")
    outcomes = {"model": 0, "refused": 0}
    for _ in range(ROUNDS):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 4, 30))):
            position = rng.randrange(header) if rng.random() < 0.6 else rng.randrange(len(data))
            mutant[position] ^= 1 << rng.randrange(8)
        try:
            check_model(model_from_bytes(bytes(mutant)))
            outcomes["model"] += 1
        except BundleFormatError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 0.4 * ROUNDS


@pytest.mark.slow
def test_mutated_trees_never_crash_or_loop(factory):
    """Whatever survives the checks is evaluated to the end; everything else is refused."""
    rng = np.random.default_rng(11)
    model, x = factory.model(engines=2, trees=2), factory.rows(3)
    survivors = 0
    for _ in range(ROUNDS):
        forest = model.forests[0]
        arrays = {name: getattr(forest, name).copy() for name in TreeArrays.__slots__}
        for _ in range(rng.integers(1, 4)):
            array = arrays[list(arrays)[rng.integers(6)]]
            wild = [-(2**62), -9, -1, 0, 1, 5, 30, 2**62] if array.dtype == np.int64 else [np.nan, np.inf, -1e308, 0.0]
            array[rng.integers(array.size)] = wild[rng.integers(len(wild))]
        mutant = dataclasses.replace(model, forests=(TreeArrays(**arrays), model.forests[1]))
        try:
            again = model_from_bytes(model_to_bytes(mutant))
        except BundleFormatError:
            continue
        survivors += 1
        assert evaluate(again, x, regime_codes(again, x)).score.shape == (3,)
    assert 0 < survivors < ROUNDS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": [5, 3, 5, 5, 5, 5, 5]}, "after its parent"),
        ({"left": [0, 3, 5, ~0, ~2, ~4, ~6]}, "after its parent"),
        ({"left": [1, 1, 5, ~0, ~2, ~4, ~6]}, "after its parent|reached"),
        ({"feature": [5, 0, 0, 0, 0, 0, 0]}, "outside 0..4"),
        ({"feature": [-1, 0, 0, 0, 0, 0, 0]}, "outside 0..4"),
        ({"left": [1, 3, 5, -9, ~2, ~4, ~6]}, "neither a node nor a leaf"),
        ({"roots": [1]}, "reached"),
        ({"roots": []}, "no tree"),
        ({"roots": [7]}, "neither a node nor a leaf"),
        ({"threshold": [np.nan] * 7}, "not finite"),
        ({"leaf_value": [np.inf] * 8}, "not finite"),
        ({"threshold": [0.0]}, "different lengths"),
    ],
)
def test_a_malformed_tree_is_named(factory, change, message):
    model = factory.model()
    rng = np.random.default_rng(0)
    good = factory.forest(rng, 5, trees=1)
    arrays = {name: getattr(good, name) for name in TreeArrays.__slots__}
    arrays |= {name: np.array(value, dtype=arrays[name].dtype) for name, value in change.items()}
    with pytest.raises(BundleFormatError, match=message):
        check_model(dataclasses.replace(model, forests=(TreeArrays(**arrays),)))


def test_a_tree_of_one_leaf_is_fine(factory):
    empty_i, empty_f = np.array([], dtype=np.int64), np.array([])
    stump = TreeArrays(
        feature=empty_i,
        threshold=empty_f,
        left=empty_i,
        right=empty_i,
        leaf_value=np.array([3.5]),
        roots=np.array([-1]),
    )
    model = dataclasses.replace(factory.model(engines=1, trees=1), forests=(stump,))
    again = model_from_bytes(model_to_bytes(model))
    x = factory.rows(2)
    assert evaluate(again, x, regime_codes(again, x)).raw.tolist() == [[3.5], [3.5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": np.array([0.1, np.nan, 0.1])}, "slope"),
        ({"slope": np.array([0.1, -0.1, 0.1])}, "negative slope"),
        ({"weight": np.array([0.1, -0.1, 0.1])}, "negative weight"),
        ({"weight": np.array([0.1, 0.1])}, "weight has shape"),
        ({"tree_of": np.array([-1, -1, 1])}, "outside the forests"),
        ({"tree_of": np.array([-2, -1, 0])}, "outside the forests"),
        ({"enabled": np.full((3, 4), 2)}, "neither 0 nor 1"),
        ({"clip_low": np.full(5, 1e6)}, "clip_low above"),
        ({"feature_names": ()}, "0 features"),
    ],
)
def test_a_malformed_model_is_named(factory, change, message):
    with pytest.raises(BundleFormatError, match=message):
        model_to_bytes(dataclasses.replace(factory.model(), **change))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", float("nan")),
        ("cost_bps", -1.0),
        ("leverage_cap", float("inf")),
        ("horizon_minutes", 60.5),
        ("sigma_floor_day_bps", 0.0),
        ("min_confidence", True),
        ("allow_short", 1),
    ],
)
def test_decision_parameters_out_of_range_are_refused(factory, name, value):
    model = factory.model()
    with pytest.raises(BundleFormatError, match="model:"):
        check_model(dataclasses.replace(model, decision=dataclasses.replace(model.decision, **{name: value})))


def test_containers_with_wrong_headers_are_refused(factory):
    def good():
        return {"__metadata__": {"huracan": "{}"}, "a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}

    assert read_tensors(container(good(), b"\0" * 8))[0]["a"].tolist() == [0.0]
    wrong = [
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
        ("a", {"dtype": ["F64"], "shape": [1], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F64", "shape": [True], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F64", "shape": [1, 1, 1, 1], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}),
        ("a", {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}),
        ("a", {"dtype": "F64", "shape": [1], "data_offsets": [0]}),
        ("a", {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F64", "shape": [1]}),
        ("a", 3),
        ("b", {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}),
        ("b", {"dtype": "F64", "shape": [0], "data_offsets": [4, 4]}),
        ("__metadata__", None),
        ("__metadata__", {"huracan": 1}),
        ("__metadata__", {"other": "x"}),
    ]
    for name, entry in wrong:
        with pytest.raises(BundleFormatError):
            read_tensors(container({**good(), name: entry}, b"\0" * 8))
    for data in (
        b"",
        b"\0" * 7,
        (2**63).to_bytes(8, "little"),
        container(b"[]"),
        container(good(), b"\0" * 9),
        container(b"\xff"),
    ):
        with pytest.raises(BundleFormatError):
            read_tensors(data)


def test_metadata_that_is_not_of_the_format_is_refused(factory):
    model = factory.model()
    data = model_to_bytes(model)
    tensors, metadata = read_tensors(data)
    record = json.loads(metadata)
    changes = [
        {"format": "huracan-model/2"},
        {"forests": 2},
        {"forests": -1},
        {"forests": True},
        {"engines": ["a", "a", "b"]},
        {"engines": ["a", "b", 3]},
        {"feature_names": "abcde"},
        {"feature_names": ["", "b", "c", "d", "e"]},
        {"decision": {}},
        {"decision": {**record["decision"], "threshold": "high"}},
        {"extra": 1},
    ]
    for change in changes:
        refused(write_tensors(tensors, json.dumps({**record, **change})))
    assert "int64" in refused(write_tensors({**tensors, "coef": tensors["coef"].astype(np.int64)}, metadata))
    refused(write_tensors({**tensors, "more": tensors["coef"]}, metadata))
    refused(write_tensors(tensors, "[]"))
