"""One template process and one exchange for all cases of a module."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import FaultServer, Nights
from nights import small_world

from huracan.worlds.exchange import ReplayExchange


@pytest.fixture(scope="session")
def server() -> Iterator[FaultServer]:
    with FaultServer() as opened:
        yield opened


@pytest.fixture(scope="session")
def room(tmp_path_factory) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of synced writes."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path_factory.mktemp("faults")
        return
    folder = Path(tempfile.mkdtemp(prefix="huracan-faults-", dir=memory))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def nights(server, room) -> Iterator[Nights]:
    """Three coins, 42 days of hourly bars, one horizon, ridge alone: the smallest night that does every step."""
    world = small_world(name="null", coins=3, days=42, interval_minutes=60)
    with ReplayExchange(world, stress_file=room / "stress.json") as exchange:
        yield Nights(server, room, exchange, training__max_coins=3)
