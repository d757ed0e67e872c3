"""A Dask and a Ray cluster over two machines (network namespaces joined by a cable); one of them is lost at work."""

import json
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from machines import Machines, certificates, dask_cluster, needs_machines, ray_cluster, ray_folder

from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.ports import FetchedRows

HERE = Path(__file__).parent
JOBS = 12

pytestmark = [pytest.mark.slow, needs_machines]


@pytest.fixture
def lake(tmp_path):
    instrument = Instrument(symbol="BTCUSDT", market="um", base="BTC", quote="USDT", coin="BTC")
    row = {name: 1.0 if dtype.is_float() else 60_000 for name, dtype in BAR_SCHEMA.items()}
    rows = pl.DataFrame([row], schema=BAR_SCHEMA)
    DeltaLake(str(tmp_path / "lake")).append(
        instrument, [FetchedRows(kind="bars", rows=rows, source="rest")], "binance"
    )
    return {"lake": str(tmp_path / "lake"), "instrument": asdict(instrument), "seconds": 1.0}


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_jobs_of_a_machine_that_is_lost_end_on_the_other(kind, lake, tmp_path):
    nothing = ({}, {})
    with ray_folder() as temporary, Machines(tmp_path, (HERE / "workers",)) as machines:
        if kind == "dask":
            certificates(tmp_path)
            address, environment, nodes = dask_cluster(machines, tmp_path, nothing, (tmp_path, tmp_path))
        else:
            address, environment, nodes = ray_cluster(machines, nothing, temporary)
        time.sleep(6)  # both machines have joined; one that joins later is used too, but then there is less to lose
        wanted = json.dumps({"kind": kind, "address": address, "payload": lake, "jobs": JOBS})
        driver = machines.start(
            0,
            [str(HERE / "workers" / "two_machines_driver.py"), wanted],
            environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        places = []
        for line in driver.stdout:
            told = json.loads(line)
            if "done" not in told:
                break
            places.append(told["done"]["place"])
            if len(places) == 4:
                machines.kill(nodes[1])
        else:
            raise AssertionError((tmp_path / f"{len(machines.started) - 1}.log").read_text()[-3000:])
        assert driver.wait(60) == 0
    assert (told["completed"], told["failed"]) == (JOBS, 0)
    assert all(result["rows"] == 1 for result in told["results"].values())
    assert len(set(places[:4])) == 2, "one machine did all the work before the other was lost"
    assert len(set(places[6:])) == 1
    assert told["retried"] <= 2
