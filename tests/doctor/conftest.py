"""Circumstances below a folder of the test's own."""

import pytest
from nights import trust_variables

from huracan.adapters.publishers.remotes import open_remote
from huracan.operations.doctor import Circumstances
from huracan.settings import load_settings

NOW_MS = 1_780_000_000_000


@pytest.fixture
def here(tmp_path):
    """Builds circumstances from ``section.key=value`` texts."""

    def build(*overrides, now_ms=NOW_MS, workdir=None, open_remote=open_remote, **variables):
        return Circumstances(
            settings=load_settings(None, overrides, {}),
            workdir=workdir or tmp_path / "work",
            environ={**trust_variables(tmp_path), **variables},
            now_ms=now_ms,
            open_remote=open_remote,
        )

    return build
