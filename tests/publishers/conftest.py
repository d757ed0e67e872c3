"""Fixtures: the factory of small champions, a published world, and a real S3 server."""

import importlib.util
from pathlib import Path

import pytest
from remotes import MemoryRemote, bucket, s3, s3_process

_SPEC = importlib.util.spec_from_file_location("bundle_factory", Path(__file__).parents[1] / "hamilton" / "factory.py")
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)

__all__ = ["bucket", "s3", "s3_process"]


@pytest.fixture(scope="session")
def factory():
    return _FACTORY


@pytest.fixture
def world(tmp_path):
    made = _FACTORY.World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture(params=["memory", "s3"])
def remote(request):
    """Every remote store the mirror must work on."""
    if request.param == "memory":
        return MemoryRemote()
    from huracan.adapters.publishers.objectstore import ObjectStore

    return ObjectStore(request.getfixturevalue("bucket"), allow_http=True, deadline_s=10)
