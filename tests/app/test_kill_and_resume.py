"""kill -9 at any moment of `huracan run`; starting again is the recovery, and nobody can tell afterwards."""

import os
import random
import shutil
import time

import pytest
from commands import Commands
from invariants import Case, check_agreement, check_private, check_same_end, check_visible, served
from nights import small_world
from sizes import size

from huracan.hamilton.source import FolderSource
from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

COINS = size(3, 20)
KILLS = {
    kind: int(os.environ.get("HURACAN_TEST_KILLS", size(few, 100)))
    for kind, few in (("asyncio", 2), ("dask", 1), ("ray", 1))
}
MOMENTS = [(kind, seed) for seed in range(max(KILLS.values())) for kind, most in KILLS.items() if seed < most]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    world = small_world(name="null", coins=COINS, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        yield Commands(folder=folder, urls=exchange.urls, workers=size(1, 2), max_coins=COINS)


@pytest.fixture(scope="module")
def sources():
    """Hash of the sources before the first run; every manifest holds it."""
    return compute_code_hash.__wrapped__()


@pytest.fixture(scope="module")
def unbroken(runs, sources):
    """The case that nobody disturbs, whole on worker processes of this machine."""
    runs.finish("unbroken")
    return Case(runs.folder / "unbroken")


@pytest.fixture(scope="module")
def seconds(runs):
    """Seconds that an undisturbed night of a backend takes, measured once each."""
    known = {}

    def of(kind):
        if kind not in known:
            started = time.monotonic()
            runs.finish(f"timed-{kind}", kind)
            known[kind] = time.monotonic() - started
        return known[kind]

    return of


@pytest.mark.guarantee("R1")
@pytest.mark.parametrize(("kind", "seed"), MOMENTS)
def test_a_killed_run_started_again_leaves_what_an_unbroken_one_leaves(runs, unbroken, seconds, sources, kind, seed):
    name, chance = f"killed-{kind}-{seed}", random.Random(f"{kind}-{seed}")
    case = Case(runs.folder / name)
    # Spread over the run: the first kill falls into its first part, the last one into its end.
    moment = seconds(kind) * (seed + chance.random()) / KILLS[kind]
    process = runs.start(name, kind)
    time.sleep(moment)
    process.kill()
    process.wait()
    check_visible(case, [None, served(FolderSource(unbroken.store), unbroken.root)])
    runs.finish(name, kind)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    check_same_end(case, unbroken)
    check_agreement(case)
    check_private(case.folder)
    assert list((case.store / ".tmp").iterdir()) == []
    shutil.rmtree(case.folder)
