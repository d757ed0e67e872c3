"""The same small night on worker processes, Dask and Ray: the same bytes; and a backend that is not there is said at once."""

import json
import os
import subprocess
import sys

import pytest
from nights import accounted, night_overrides, night_settings, run_pipeline, small_world, tree_hashes, trust_variables

from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

COINS = int(os.environ.get("HURACAN_TEST_NIGHT_COINS", "3"))
SIZES = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 2}


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    world = small_world(name="null", coins=COINS, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=tmp_path_factory.mktemp("world") / "stress.json") as exchange:
        yield exchange.urls


def test_bundles_are_the_same_bytes_whatever_ran_the_jobs(urls, tmp_path):
    bundles, sources = {}, compute_code_hash.__wrapped__()
    for kind in ("asyncio", "dask", "ray"):
        settings = night_settings(urls, training__training_backend=kind, **SIZES)
        result, _ = run_pipeline(tmp_path / kind, settings)
        assert result["success"], result["error"]
        accounted(result)
        bundles[kind] = tree_hashes(tmp_path / kind / "workdir" / "store" / "models")
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert bundles["asyncio"] == bundles["dask"] == bundles["ray"] != {}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--backend", "dask", "--address", "tcp://10.9.8.7:8786"], "without TLS"),
        (["--backend", "ray", "--address", "127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_a_backend_that_cannot_be_had_is_refused_before_the_exchange_is_asked(options, wanted, tmp_path):
    closed = dict.fromkeys(("rest", "futures", "archive"), "http://127.0.0.1:9")
    overrides = [text for text in night_overrides({**closed, "stress": ""}) if "stress_table" not in text]
    sets = [part for text in overrides for part in ("--set", text)]
    command = [sys.executable, "-m", "huracan.cli.main", "run", "--json", "--workdir", str(tmp_path / "w"), *options]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HURACAN_", "RAY_", "DASK_"))}
    ran = subprocess.run(
        [*command, *sets],
        check=False,
        env={**kept, **trust_variables(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 4, ran.stderr[-2000:]
    answer = json.loads(ran.stdout)
    assert answer["code"] == "BACKEND_LOST"
    assert wanted in answer["error"]
