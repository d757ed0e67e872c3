"""kill -9 at any moment of `huracan run`; starting again is the recovery, and nobody can tell afterwards."""

import os
import random
import subprocess
import sys
import time

import pytest
from nights import ledger_rows, night_overrides, small_world, tree_hashes, trust_variables, variables
from sizes import size

from huracan.hamilton import HamiltonInterface
from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HURACAN_TEST_KILLS", size(2, 100)))


class Runs:
    """Starts the command in a folder, against one exchange."""

    def __init__(self, folder, urls):
        self.folder = folder
        sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 1}
        self.sets = [part for text in night_overrides(urls, **sizes) for part in ("--set", text)]

    def start(self, name):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HURACAN_")}
        command = [sys.executable, "-m", "huracan.cli.main", "run", "--json", "--workdir", str(folder / "workdir")]
        with (folder / "out.json").open("w") as out, (folder / "err.txt").open("a") as err:
            return subprocess.Popen(
                [*command, *self.sets], stdout=out, stderr=err, env={**kept, **trust_variables(folder)}
            )

    def finish(self, name):
        status = self.start(name).wait(timeout=200)
        assert status == 0, (self.folder / name / "err.txt").read_text()[-2000:]

    def models(self, name):
        return tree_hashes(self.folder / name / "workdir" / "store" / "models")

    def ledger(self, name):
        return ledger_rows(self.folder / name / "workdir" / "ledger.sqlite")

    def served(self, name):
        """What Hamilton serves: a whole set that verifies, or None where nothing is published yet."""
        store = self.folder / name / "workdir" / "store"
        if not (store / "metadata" / "timestamp.json").exists():
            return None
        with variables(trust_variables(self.folder / name)):
            hamilton = HamiltonInterface(model_base_path=store, allow_candidates=True)
            members = hamilton.get_members()
            for member in members:
                hamilton.load_model(member.coin, member.horizon)
        return {(member.coin, member.horizon): member.version for member in members}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    world = small_world(name="null", coins=3, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        yield Runs(folder, exchange.urls)


@pytest.fixture(scope="module")
def sources():
    """Hash of the sources before the first run; every manifest holds it."""
    return compute_code_hash.__wrapped__()


@pytest.fixture(scope="module")
def unbroken(runs, sources):
    """Seconds that a run takes which nobody disturbs."""
    started = time.monotonic()
    runs.finish("unbroken")
    return time.monotonic() - started


@pytest.mark.guarantee("R1")
@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_run_started_again_leaves_what_an_unbroken_one_leaves(runs, unbroken, sources, seed):
    name, chance = f"killed-{seed}", random.Random(seed)
    # Spread over the run: the first kill falls into its first part, the last one into its end.
    process = runs.start(name)
    time.sleep(unbroken * (seed + chance.random()) / KILLS)
    process.kill()
    process.wait()
    left = runs.served(name)
    assert left in (None, runs.served("unbroken"))
    runs.finish(name)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert runs.models(name) == runs.models("unbroken") != {}
    assert runs.served(name) == runs.served("unbroken")
    assert runs.ledger(name) == runs.ledger("unbroken")
    temporary = runs.folder / name / "workdir" / "store" / ".tmp"
    assert list(temporary.iterdir()) == []
