"""The same night computed with another processor's linear algebra: recorded days read as they were recorded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nights import small_world

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

NIGHT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nights import in_this_process, night_settings, run_pipeline
import huracan.night.promote as promotion

seen = {}
def looked(state, pools, tonight, _judge=promotion.evaluate_night):
    verdict = _judge(state, pools, tonight)
    seen["restated"] = [one.sentence() for one in verdict.restated]
    seen["empty"] = verdict.is_empty
    seen["net"] = {f"{pool.pool}/{pool.horizon}": pool.daily["net_bps"].to_list() for pool in pools}
    return verdict
promotion.evaluate_night = looked
with in_this_process():
    result, _ = run_pipeline(Path(sys.argv[2]), night_settings(json.loads(sys.argv[3])))
print(json.dumps({**seen, "success": result["success"], "error": result.get("error"), "notes": result["summary"].get("notes")}))
"""


def night(folder, urls, kernels):
    here = str(Path(__file__).parents[1] / "support")
    environ = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    command = [sys.executable, "-c", NIGHT, here, str(folder), json.dumps(urls)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_night_on_another_processor_records_nothing_again_and_says_nothing(tmp_path):
    """Nothing in the workdir may decide by the last digits of a sum; with its artefacts gone, everything is computed anew."""
    with ReplayExchange(small_world(coins=5), stress_file=tmp_path / "stress.json") as exchange:
        first = night(tmp_path, exchange.urls, "Haswell")
        shutil.rmtree(tmp_path / "workdir" / "artefacts")
        again = night(tmp_path, exchange.urls, "Nehalem")
    assert first["success"], first["error"]
    assert again["success"], again["error"]
    assert first["net"].keys() == again["net"].keys()
    assert (again["restated"], again["empty"]) == ([], True)
    assert not [note for note in again["notes"] if "read differently" in note]
