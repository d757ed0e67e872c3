"""Fixtures: the factory of small champions, a published world, and a real S3 server."""

import importlib.util
import logging
from itertools import count
from pathlib import Path

import pytest
from remotes import MemoryRemote, make_bucket, s3_server, s3_variables

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
def s3():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3, monkeypatch):
    """A fresh bucket's URL with a prefix, and the environment of its user."""
    for name, value in s3_variables(s3).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_BUCKETS)}"
    make_bucket(s3, name)
    return f"s3://{name}/huracan"


@pytest.fixture(params=["memory", "s3"])
def remote(request):
    """Every remote store the mirror must work on."""
    if request.param == "memory":
        return MemoryRemote()
    from huracan.adapters.publishers.objectstore import ObjectStore

    return ObjectStore(request.getfixturevalue("bucket"), allow_http=True, deadline_s=10)
