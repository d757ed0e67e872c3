"""What tests of whole nights share."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

import canaries
import guarantee_plugin
from guarantee_plugin import counted
from home import stay_at_home

if TYPE_CHECKING:
    from nights import FinishedNight

__all__ = ["counted"]

gc.set_threshold(50_000, 20, 50)
"""Thousands of collected tests stay alive: to look through them every 700 objects costs a fifth of the time."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for the table of guarantees."""
    guarantee_plugin.add_options(parser)
    canaries.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """The marker `guarantee`; and a process of tests talks to this machine alone."""
    stay_at_home()
    guarantee_plugin.configure(config)
    canaries.configure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever reads the shared night is slow: the first to ask has it run."""
    for item in items:
        if "finished_night" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all test processes of this session."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "shared"


@pytest.fixture(scope="session")
def finished_night(shared_folder: Path) -> "FinishedNight":
    """A whole night in a small market with planted edges, run once for all test processes. Read only."""
    from nights import build_night, built_once, read_night

    return read_night(built_once(shared_folder, "night", build_night))


@pytest.fixture
def own_trust(tmp_path: Path) -> Iterator[Path]:
    """Keys, trusted root and state below the test's own folder."""
    from nights import trust_variables, variables

    with variables(trust_variables(tmp_path)):
        yield tmp_path
