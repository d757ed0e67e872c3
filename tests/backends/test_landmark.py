"""Machines that reach the places of a run, and those that do not: no folder, another one, a closed one; no bucket, no keys."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from buckets import lake_bucket, s3_apart, s3_apart_process

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.backends import landmark as landmarks
from huracan.adapters.backends.landmark import obstacles, plant, refusal_of, uproot
from huracan.errors import ConfigError

__all__ = ["lake_bucket", "s3_apart", "s3_apart_process"]


def met(landmark):
    return asyncio.run(obstacles([landmark])).get(landmark)


def test_a_landmark_tells_our_folder_from_none_from_another_and_from_a_closed_one(tmp_path, monkeypatch):
    ours, other = tmp_path / "ours", tmp_path / "other"
    ours.mkdir()
    killed, landmark = Path(plant(str(ours))), Path(plant(str(ours)))
    assert not killed.exists()
    assert landmark.stat().st_mode & 0o077 == 0
    assert met(str(landmark)) is None
    assert list(ours.iterdir()) == [landmark]
    assert met(str(other / landmark.name)) == "nothing lies there"
    other.mkdir()
    assert met(str(other / landmark.name)) == "another folder lies there"
    assert met(str(landmark / "deeper")) == "Not a directory"

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    assert met(str(landmark)) == "Read-only file system"
    uproot(str(landmark))
    assert not landmark.exists()


@pytest.mark.slow
def test_a_landmark_in_a_bucket_is_reached_by_whoever_may_read_and_write_there(lake_bucket, monkeypatch):
    assert plant(lake_bucket) == plant(lake_bucket) == f"{lake_bucket}/landmark"
    assert met(f"{lake_bucket}/landmark") is None
    uproot(f"{lake_bucket}/landmark")
    assert open_artefacts(lake_bucket, allow_http=True).list("") == ["landmark"]
    assert met(f"{lake_bucket}/elsewhere/landmark") == "no landmark lies there"
    assert met("s3://no-such-bucket/x/landmark") == "no landmark lies there"
    assert "is not an object store" in met("s3:///landmark")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "no answer to work with" in met(f"{lake_bucket}/landmark")
    monkeypatch.setattr(landmarks, "PATIENCE_S", 0.0)
    assert met(f"{lake_bucket}/landmark") == "no answer within 0 s"


@pytest.mark.parametrize(
    ("landmark", "wanted"),
    [
        ("/w/.landmark-1", r"m1 does not share this run's folder /w \(why\).*storage\.lake_url.*mount the folder"),
        ("s3://b/lake/1m/landmark", r"m1 does not reach s3://b/lake/1m \(why\).*workers' environment.*AWS_\*"),
    ],
)
def test_a_machine_that_met_an_obstacle_is_refused_with_what_to_do(landmark, wanted):
    assert refusal_of("m1", {}) is None
    refused = refusal_of("m1", {landmark: "why"})
    assert isinstance(refused, ConfigError)
    with pytest.raises(ConfigError, match=wanted):
        raise refused
