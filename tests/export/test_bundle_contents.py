"""What a bundle consists of, and golden rows that notice changed code."""

import dataclasses
import json

import numpy as np
import pytest

from huracan.domain.bundle import BUNDLE_FILES, ChampionSet, Manifest
from huracan.errors import BundleFormatError, FeatureSkewError
from huracan.export import (
    ExportBundle,
    ModelManifest,
    build_manifest,
    bundle_files,
    golden_rows,
    numbered,
    plan_bundle,
    replay_golden,
    same_content,
)
from huracan.export.golden import MAX_ROWS
from huracan.stats.evaluate import compile_model

REPORTS = {name: {} for name in BUNDLE_FILES if name not in {"model.safetensors", "golden.json", "recipe.json"}}


def test_equal_inputs_give_equal_bytes(factory):
    one, two = factory.bundle(seed=4), factory.bundle(seed=4)
    assert one.files == two.files
    assert one.manifest.to_bytes() == two.manifest.to_bytes()


def test_a_manifest_survives_its_file_and_lists_every_other_file(factory):
    manifest = numbered(factory.bundle().manifest, 3)
    again = Manifest.from_bytes(manifest.to_bytes())
    assert again == manifest
    assert again.model_path == "models/BTC/1h/v3/model.safetensors"
    assert set(again.files) == set(BUNDLE_FILES)
    assert again.timestamp == "2027-01-15T06:00:00Z"


def test_content_is_compared_without_the_version(factory):
    old = numbered(factory.bundle(seed=1).manifest, 7)
    assert same_content(factory.bundle(seed=1).manifest, old)
    assert not same_content(factory.bundle(seed=2).manifest, old)
    assert not same_content(factory.bundle(seed=1, status="candidate").manifest, old)


def test_the_plan_writes_the_manifest_last_and_encodes_names():
    plan = plan_bundle("../币", "1h", 2, {"manifest.json": b"m", "zz.json": b"z"})
    assert list(plan) == ["models/%2E%2E%2F%E5%B8%81/1h/v2/zz.json", "models/%2E%2E%2F%E5%B8%81/1h/v2/manifest.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"coin": 3},
        {"version": -1},
        {"horizon": "one hour"},
        {"status": "king"},
        {"files": {}},
        {"files": {"model.safetensors": {"sha256": "0" * 64, "size": 1}}},
        {"surprise": True},
        {"evidence": {"e_value": [1]}},
        {"seed": "0"},
    ],
)
def test_manifests_out_of_form_are_refused(factory, change):
    record = json.loads(numbered(factory.bundle().manifest, 1).to_bytes())
    with pytest.raises(BundleFormatError):
        Manifest.from_bytes(json.dumps({**record, **change}).encode())


def test_a_set_whose_key_names_another_coin_is_refused():
    member = {"coin": "ETH", "horizon": "1h", "version": 1, "status": "champion", "instrument": ""}
    record = {
        "format": "huracan-set/1",
        "version": 1,
        "origin": 1,
        "run_id": "r",
        "data_cutoff_ms": 0,
        "signed_ms": 0,
        "members": {"BTC_1h": member},
        "ranking": [],
        "do_not_trade": [],
    }
    with pytest.raises(BundleFormatError, match="BTC_1h"):
        ChampionSet.from_bytes(json.dumps(record).encode())


def test_a_bundle_with_a_missing_or_unknown_or_infinite_report_is_refused(factory):
    model = factory.model()
    golden = golden_rows(model, factory.rows())
    with pytest.raises(BundleFormatError, match="wanted"):
        bundle_files(model, golden=golden, recipe={}, reports={})
    with pytest.raises(BundleFormatError, match="wanted"):
        bundle_files(model, golden=golden, recipe={}, reports={**REPORTS, "x.pkl": {}})
    with pytest.raises(BundleFormatError, match=r"metrics\.json"):
        bundle_files(model, golden=golden, recipe={}, reports={**REPORTS, "metrics.json": {"sharpe": float("inf")}})
    with pytest.raises(BundleFormatError, match="BTC"):
        build_manifest(_facts(), {})


def _facts():
    from huracan.export import Provenance

    return Provenance(
        coin="BTC",
        horizon="1h",
        instrument="BTCUSDT-um",
        status="champion",
        window_start_ms=0,
        window_end_ms=1,
        data_cutoff_ms=1,
        features_hash="",
        code_hash="",
        config_hash="",
        data_hash="",
        recipe_id="",
        seed=0,
        metrics={},
        evidence={},
    )


def test_golden_rows_replay_on_the_model_they_were_made_for(factory):
    model = factory.model(engines=4, trees=2)
    data = golden_rows(model, factory.rows(500))
    record = json.loads(data)
    assert len(record["rows"]) == MAX_ROWS
    replay_golden(compile_model(model), data, "BTC 1h v1")


def test_golden_rows_leave_out_rows_that_cannot_be_predicted(factory):
    x = factory.rows(5)
    x[0, 0], x[1, -1] = np.nan, 9.0
    assert len(json.loads(golden_rows(factory.model(), x))["rows"]) == 3
    with pytest.raises(BundleFormatError, match="no row"):
        golden_rows(factory.model(), x[:2])


def test_a_change_of_one_bit_in_the_outputs_is_skew(factory):
    model = factory.model()
    record = json.loads(golden_rows(model, factory.rows()))
    value = float.fromhex(record["expected"]["score"][3][0])
    record["expected"]["score"][3][0] = float(np.nextafter(value, 2.0)).hex()
    with pytest.raises(FeatureSkewError, match="score"):
        replay_golden(compile_model(model), json.dumps(record).encode(), "BTC 1h v1")


@pytest.mark.parametrize("expected", [None, 5, [], "score", {"score": []}])
def test_golden_outputs_of_another_form_are_a_format_error(factory, expected):
    model = factory.model()
    record = json.loads(golden_rows(model, factory.rows())) | {"expected": expected}
    with pytest.raises(BundleFormatError, match="golden outputs"):
        replay_golden(compile_model(model), json.dumps(record).encode(), "BTC 1h v1")


def test_a_model_that_was_swapped_under_its_golden_rows_is_skew(factory):
    data = golden_rows(factory.model(1), factory.rows())
    with pytest.raises(FeatureSkewError, match="train again"):
        replay_golden(compile_model(factory.model(2)), data, "BTC 1h v1")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"feature_names": ["a"]},
        {"rows": []},
        {"rows": [["0x1p0"]]},
        {"rows": [["0x1p0", "0x1p0", "0x1p0", "0x1p0", 1.0]]},
        {"rows": [["x", "x", "x", "x", "x"]]},
        {"rows": [["0x1p99999999", "0x0p0", "0x0p0", "0x0p0", "0x0p0"]]},
        {"expected": []},
        {"expected": {}},
        {"more": 1},
    ],
)
def test_golden_files_out_of_form_are_refused(factory, change):
    model = factory.model()
    record = {**json.loads(golden_rows(model, factory.rows())), **change}
    with pytest.raises(BundleFormatError):
        replay_golden(compile_model(model), json.dumps(record).encode(), "BTC 1h v1")


def test_the_documented_bundle_turns_into_files(factory):
    model = factory.model()
    manifest = ModelManifest("BTC", "1h", 1, "a", "b", "f", "c", "t", "p")
    bundle = ExportBundle("BTC", "1h", model, {"sharpe": 1}, {}, [{"n": 1}], {}, {}, manifest)
    files = bundle.files()
    assert set(files) == {*BUNDLE_FILES, "manifest.json"}
    assert json.loads(files["decision_logs.json"]) == [{"n": 1}]
    assert json.loads(files["manifest.json"])["coin"] == "BTC"
    same = dataclasses.replace(bundle, champion_model=files["model.safetensors"]).files()
    assert same == files
