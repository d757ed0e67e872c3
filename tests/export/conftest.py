"""Fixtures: the factory of small champions, and a published world."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("bundle_factory", Path(__file__).parents[1] / "hamilton" / "factory.py")
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)


@pytest.fixture(scope="session")
def factory():
    return _FACTORY


@pytest.fixture
def world(tmp_path):
    made = _FACTORY.World(tmp_path)
    yield made
    made.store.close()
