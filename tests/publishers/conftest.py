"""Fixtures: the factory of small champions, a published world, and a real S3 server."""

import importlib.util
from itertools import count
from pathlib import Path

import pytest
from remotes import FaultyS3, MemoryRemote, make_bucket, s3_variables

_SPEC = importlib.util.spec_from_file_location("bundle_factory", Path(__file__).parents[1] / "hamilton" / "factory.py")
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)
_BUCKETS = count()


@pytest.fixture(scope="session")
def factory():
    return _FACTORY


@pytest.fixture
def world(tmp_path):
    made = _FACTORY.World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture(scope="session")
def s3_process():
    with FaultyS3() as server:
        yield server


@pytest.fixture
def s3(s3_process):
    """The server without faults, to which a test may add some."""
    s3_process.fault = lambda _method, _path: None
    s3_process.requests.clear()
    yield s3_process
    s3_process.fault = lambda _method, _path: None


@pytest.fixture
def bucket(s3, monkeypatch):
    """A fresh bucket's URL with a prefix, and the environment of its user."""
    for name, value in s3_variables(s3.url).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_BUCKETS)}"
    make_bucket(s3.url, name)
    return f"s3://{name}/huracan"


@pytest.fixture(params=["memory", "s3"])
def remote(request):
    """Every remote store the mirror must work on."""
    if request.param == "memory":
        return MemoryRemote()
    from huracan.adapters.publishers.objectstore import ObjectStore

    return ObjectStore(request.getfixturevalue("bucket"), allow_http=True, deadline_s=10)
