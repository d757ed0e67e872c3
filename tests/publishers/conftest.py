"""Fixtures: the factory of small champions, a published world, and a real S3 server."""

import importlib.util
import sys
from pathlib import Path

import pytest
from dropboxes import store_on
from remotes import MemoryRemote, bucket, s3, s3_process

from huracan.worlds.dropbox import DropboxServer, FaultPlan

sys.path.insert(0, str(Path(__file__).parent))

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


@pytest.fixture(params=["memory", "s3", "dropbox"])
def remote(request):
    """Every remote store the mirror must work on."""
    if request.param == "memory":
        return MemoryRemote()
    if request.param == "dropbox":
        return store_on(request.getfixturevalue("dropbox_server"))
    from huracan.adapters.publishers.objectstore import ObjectStore

    return ObjectStore(request.getfixturevalue("bucket"), allow_http=True, deadline_s=10)


@pytest.fixture(scope="session")
def running_dropbox():
    with DropboxServer() as server:
        yield server


@pytest.fixture
def dropbox_server(running_dropbox):
    """An empty account that behaves."""
    running_dropbox.faults = FaultPlan()
    running_dropbox.account.clear()
    running_dropbox.tokens.refreshed = 0
    return running_dropbox
