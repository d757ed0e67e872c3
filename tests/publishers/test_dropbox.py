"""The documented Dropbox publisher, planning and uploading: the whole tree, and none of the old traps."""

import json
from datetime import UTC, datetime

import pytest
from dropboxes import Patience, store_on
from pydantic import SecretStr

from huracan.adapters.publishers.dropbox import DropboxPublisher
from huracan.errors import BundleFormatError, ConfigError, PublishError
from huracan.export import ExportBundle, ModelManifest
from huracan.worlds.dropbox import Fault, FaultPlan


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


@pytest.fixture
def uploading(dropbox_server):
    """A publisher that uploads, and a store to look with."""
    return DropboxPublisher(None, store=store_on(dropbox_server), now=lambda: datetime(2026, 5, 1, 2, 3, 4, tzinfo=UTC))


def test_an_upload_is_the_tree_of_the_dry_run(publisher, uploading, dropbox_server, factory):
    for each in (publisher, uploading):
        assert each.publish_bundle(bundle(factory)) is True
        assert each.publish_bundle(bundle(factory)) is True
        assert each.publish_bundle(bundle(factory, "测试币", "4h")) is True
        assert each.publish_summary({"n": 1}) is True
        assert each.publish_summary({"n": 2}) is True
        assert each.publish_summary({"n": 1}) is True
    assert dropbox_server.files() == publisher.planned
    assert uploading.list_models() == publisher.list_models()
    assert uploading.list_models("BTC", "1h") == [f"/HuracanEngine/models/BTC/1h/v{n}" for n in (1, 2)]
    assert uploading.list_models("测试币") == publisher.list_models("测试币")
    assert len(uploading.list_models("测试币")) == 1
    assert uploading.planned == {}


def test_the_manifest_is_uploaded_last_and_alone(uploading, dropbox_server, factory):
    dropbox_server.faults = FaultPlan()
    uploading.publish_bundle(bundle(factory))
    commits = [call for call in dropbox_server.faults.calls if "finish_batch" in call]
    revisions = {path: dropbox_server.account.tree.get(path).rev for path in dropbox_server.files()}
    assert len(commits) == 2
    assert max(revisions, key=revisions.get) == "/HuracanEngine/models/BTC/1h/v1/manifest.json"


@pytest.mark.parametrize("failing", ["insufficient_space", "drop"])
def test_an_upload_that_fails_is_an_error_leaves_no_manifest_and_its_number_is_not_used_again(
    uploading, dropbox_server, factory, failing
):
    uploading.publish_bundle(bundle(factory))
    times = 1 if failing == "insufficient_space" else None
    dropbox_server.faults = FaultPlan([Fault(kind=failing, path="v2/manifest.json", times=times)])
    uploading._store = store_on(dropbox_server, patience=Patience(total_s=0.3, first_wait_s=0.01, longest_wait_s=0.02))
    with pytest.raises(PublishError):
        uploading.publish_bundle(bundle(factory))
    folder = "/HuracanEngine/models/BTC/1h"
    assert f"{folder}/v2/metrics.json" in dropbox_server.files()
    assert f"{folder}/v2/manifest.json" not in dropbox_server.files()
    assert uploading.list_models() == [f"{folder}/v1"]
    dropbox_server.faults = FaultPlan()
    assert uploading.publish_bundle(bundle(factory)) is True
    assert uploading.list_models() == [f"{folder}/v1", f"{folder}/v3"]


def test_a_version_that_a_late_listing_does_not_show_is_not_overwritten(uploading, dropbox_server, factory):
    uploading.publish_bundle(bundle(factory, metrics_report={"sharpe_ratio": 1.0}))
    before = dropbox_server.files()
    dropbox_server.faults = FaultPlan([Fault(kind="stale_listing", times=None, commits=9)])
    assert uploading.publish_bundle(bundle(factory, metrics_report={"sharpe_ratio": 2.0})) is True
    dropbox_server.faults = FaultPlan()
    assert {path: dropbox_server.files()[path] for path in before} == before
    assert uploading.list_models() == [f"/HuracanEngine/models/BTC/1h/v{n}" for n in (1, 2)]


def test_versions_are_counted_over_all_pages(uploading, dropbox_server, factory, monkeypatch):
    monkeypatch.setattr(dropbox_server.account, "page", 3)
    for _ in range(3):
        uploading.publish_bundle(bundle(factory))
    assert len(uploading.list_models()) == 3


def test_a_summary_whose_name_is_taken_gets_a_number(uploading, dropbox_server):
    uploading.publish_summary({"n": 1})
    uploading.publish_summary({"n": 2})
    assert json.loads(dropbox_server.files()["/HuracanEngine/summaries/20260501_020304_2_summary.json"]) == {"n": 2}


def test_credentials_come_from_the_environment_and_show_nowhere(monkeypatch):
    for name in ("DROPBOX_ACCESS_TOKEN", "DROPBOX_REFRESH_TOKEN", "DROPBOX_APP_KEY", "DROPBOX_APP_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="DROPBOX_REFRESH_TOKEN"):
        DropboxPublisher(None).list_models()
    monkeypatch.setenv("DROPBOX_REFRESH_TOKEN", "canary")
    with pytest.raises(ConfigError, match="DROPBOX_APP_KEY"):
        DropboxPublisher("").list_models()
    monkeypatch.setenv("DROPBOX_APP_KEY", "canary")
    monkeypatch.setenv("DROPBOX_APP_SECRET", "canary")
    for given in (None, "canary", SecretStr("canary")):
        publisher = DropboxPublisher(given)
        assert publisher._opened().identity == "dropbox:/HuracanEngine"
        assert "canary" not in repr(vars(publisher)) + repr(vars(publisher._opened()))


@pytest.mark.parametrize("path", ["HuracanEngine", "/a//b", "/a/../b"])
def test_a_base_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigError, match="base_path"):
        DropboxPublisher(None, path, dry_run=True)
