"""Where champions are published to: configured URLs, Dropbox by its token, and the store behind each."""

import pytest
from pydantic import SecretStr

from huracan.adapters.publishers.objectstore import ObjectStore
from huracan.adapters.publishers.remotes import checked_target, open_remote, publish_targets
from huracan.app import TrainingPipelineConfig
from huracan.errors import ConfigError
from huracan.settings import Settings, load_settings


def configured(*urls, **more):
    return load_settings(None, [f"publish.urls={','.join(urls)}"], more)


def test_targets_are_the_configured_urls_once_each():
    settings = configured("s3://a/b", "s3://a/b/", "gs://c", "az://d/e/f", "dropbox:/Team/Huracan/")
    assert publish_targets(settings) == ["s3://a/b", "gs://c", "az://d/e/f", "dropbox:/Team/Huracan"]
    assert publish_targets(Settings()) == []


def test_urls_may_come_from_the_environment():
    settings = load_settings(None, (), {"HURACAN_PUBLISH__URLS": "s3://a/b,gs://c"})
    assert publish_targets(settings) == ["s3://a/b", "gs://c"]


@pytest.mark.parametrize("name", ["DROPBOX_ACCESS_TOKEN", "DROPBOX_REFRESH_TOKEN"])
def test_a_dropbox_token_publishes_to_the_base_path(name):
    assert publish_targets(configured("s3://a/b", **{name: "t"})) == ["s3://a/b", "dropbox:/HuracanEngine"]
    assert publish_targets(configured("dropbox:/Other", **{name: "t"})) == ["dropbox:/Other"]


def test_the_documented_token_of_the_pipeline_counts_as_well():
    config = TrainingPipelineConfig(dropbox_access_token="sl.hunter2", dropbox_base_path="/Models")
    settings = config.resolve({})
    assert settings.dropbox_access_token == SecretStr("sl.hunter2")
    assert publish_targets(settings) == ["dropbox:/Models"]
    assert "hunter2" not in repr(config) + repr(settings)
    assert publish_targets(TrainingPipelineConfig().resolve({})) == []


@pytest.mark.parametrize(
    "url", ["file:///tmp/x", "/tmp/x", "ftp://x", "dropbox:x", "dropbox:/", "dropbox:/a/../b", "dropbox:/a//b", "s3://"]
)
def test_what_no_store_understands_is_refused(url):
    with pytest.raises(ConfigError, match="wanted"):
        checked_target(url)


def test_an_object_store_is_opened_by_url():
    keys = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}
    store = open_remote("s3://bucket/prefix/", Settings(), keys)
    assert isinstance(store, ObjectStore)
    assert store.identity == "s3://bucket/prefix"


def test_dropbox_is_opened_with_the_path_of_its_url_and_the_configured_credentials(dropbox_server):
    app = dropbox_server.tokens.app
    secrets = {
        "DROPBOX_REFRESH_TOKEN": app.refresh_token,
        "DROPBOX_APP_KEY": app.key,
        "DROPBOX_APP_SECRET": app.secret,
        "HURACAN_DROPBOX__API_HOST": dropbox_server.host,
        "HURACAN_DROPBOX__CA_FILE": str(dropbox_server.ca_file),
    }
    store = open_remote("dropbox:/Team/Huracan", configured(**secrets), {})
    assert store.identity == "dropbox:/Team/Huracan"
    store.preflight()
    store.close()


@pytest.mark.parametrize("other", ["dropbox:/huracan", "dropbox:/HURACAN/", "dropbox:/Huraca\u0301n"])
def test_one_dropbox_folder_under_two_names_is_refused(other):
    first = "dropbox:/Huracán" if "\u0301" in other else "dropbox:/Huracan"
    with pytest.raises(ConfigError, match=r"names one folder twice.*keep one"):
        publish_targets(configured(first, other))


def test_object_stores_tell_case_apart():
    assert publish_targets(configured("s3://a/B", "s3://a/b")) == ["s3://a/B", "s3://a/b"]
