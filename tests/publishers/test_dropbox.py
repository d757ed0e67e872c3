"""The documented Dropbox publisher in a dry run: the whole tree, and none of the old traps."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from huracan.adapters.publishers.dropbox import DropboxPublisher
from huracan.errors import BundleFormatError, ConfigError, PublishError
from huracan.export import ExportBundle, ModelManifest


def bundle(factory, coin="BTC", horizon="1h", **changes):
    reports = {
        "metrics_report": {"sharpe_ratio": 1.0},
        "cost_report": {},
        "decision_logs": [{"action": "hold"}, {"action": "enter"}],
        "regime_map": {},
        "data_integrity_report": {},
        **changes,
    }
    manifest = ModelManifest(coin, horizon, 1, "a", "b", "f", "c", "t", "")
    return ExportBundle(coin, horizon, factory.model(), model_manifest=manifest, **reports)


@pytest.fixture
def publisher():
    return DropboxPublisher("token-canary", dry_run=True, now=lambda: datetime(2026, 5, 1, 2, 3, 4, tzinfo=UTC))


def test_a_dry_run_plans_the_documented_tree_without_any_file_on_disk(publisher, factory):
    assert publisher.publish_bundle(bundle(factory)) is True
    folder = "/HuracanEngine/models/BTC/1h/v1"
    documented = {"manifest", "metrics", "cost_report", "decision_logs", "regime_map", "data_integrity"}
    assert {f"{folder}/{name}.json" for name in documented} <= set(publisher.planned)
    assert f"{folder}/model.safetensors" in publisher.planned
    assert len(json.loads(publisher.planned[f"{folder}/decision_logs.json"])) == 2


def test_versions_rise_and_are_never_overwritten(publisher, factory):
    for _ in range(11):
        publisher.publish_bundle(bundle(factory))
    publisher.publish_bundle(bundle(factory, "ETH", "4h"))
    listed = publisher.list_models("BTC", "1h")
    assert listed == [f"/HuracanEngine/models/BTC/1h/v{n}" for n in range(1, 12)]
    assert publisher.list_models("ETH") == ["/HuracanEngine/models/ETH/4h/v1"]
    assert len(publisher.list_models(horizon="1h")) == 11
    assert len(publisher.list_models()) == 12
    assert publisher.list_models("../x") == []
    manifest = json.loads(publisher.planned["/HuracanEngine/models/BTC/1h/v11/manifest.json"])
    assert (manifest["version"], manifest["model_path"]) == (11, "models/BTC/1h/v11/model.safetensors")


def test_a_bundle_that_cannot_be_written_leaves_no_manifest_behind(publisher, factory):
    with pytest.raises(BundleFormatError, match="metrics"):
        publisher.publish_bundle(bundle(factory, metrics_report={"sharpe_ratio": float("nan")}))
    assert publisher.planned == {}


def test_summaries_get_names_of_their_own(publisher):
    assert publisher.publish_summary({"n": 1})
    assert publisher.publish_summary({"n": 2})
    assert publisher.publish_summary({"n": 1})
    assert sorted(publisher.planned) == [
        "/HuracanEngine/summaries/20260501_020304_2_summary.json",
        "/HuracanEngine/summaries/20260501_020304_summary.json",
    ]


@pytest.mark.parametrize("call", ["bundle", "summary", "list"])
def test_a_real_upload_names_the_extra_and_leaks_no_token(factory, call):
    publisher = DropboxPublisher(SecretStr("token-canary"))
    with pytest.raises(PublishError, match=r"\[dropbox\]") as caught:
        {
            "bundle": lambda: publisher.publish_bundle(bundle(factory)),
            "summary": lambda: publisher.publish_summary({}),
            "list": publisher.list_models,
        }[call]()
    assert "canary" not in str(caught.value) + repr(publisher.__dict__)


@pytest.mark.parametrize("path", ["HuracanEngine", "/a//b", "/a/../b"])
def test_a_base_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigError, match="base_path"):
        DropboxPublisher(None, path, dry_run=True)
