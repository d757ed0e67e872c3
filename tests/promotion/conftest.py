"""Planted daily results for the tests of the shadow room."""

import pytest
from verdicts import Maker


@pytest.fixture
def make():
    return Maker()
