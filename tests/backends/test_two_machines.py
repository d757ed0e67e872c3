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
SLOTS = 2
"""Jobs that a machine may have taken when it is lost."""

pytestmark = [pytest.mark.slow, needs_machines]


@pytest.fixture
def lake(tmp_path):
    instrument = Instrument(symbol="BTCUSDT", market="um", base="BTC", quote="USDT", coin="BTC")
    row = {name: 1.0 if dtype.is_float() else 60_000 for name, dtype in BAR_SCHEMA.items()}
    rows = pl.DataFrame([row], schema=BAR_SCHEMA)
    DeltaLake(str(tmp_path / "lake")).append(
        instrument, [FetchedRows(kind="bars", rows=rows, source="rest")], "binance"
    )
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    return {"lake": str(tmp_path / "lake"), "instrument": asdict(instrument), "meeting": str(meeting)}


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_jobs_of_a_machine_that_is_lost_end_on_the_other(kind, lake, tmp_path):
    nothing = ({}, {})
    with ray_folder() as temporary, Machines(tmp_path, (HERE / "workers",)) as machines:
        if kind == "dask":
            certificates(tmp_path)
            address, environment, nodes = dask_cluster(machines, tmp_path, nothing, (tmp_path, tmp_path))
        else:
            address, environment, nodes = ray_cluster(machines, nothing, temporary)
        wanted = json.dumps({"kind": kind, "address": address, "payload": lake, "jobs": JOBS})
        driver = machines.start(
            0,
            [str(HERE / "workers" / "two_machines_driver.py"), wanted],
            environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        meeting = Path(lake["meeting"])
        while len(list(meeting.glob("at-*"))) < 2:
            assert driver.poll() is None, (tmp_path / f"{len(machines.started) - 1}.log").read_text()[-3000:]
            time.sleep(0.05)
        machines.kill(nodes[1])
        (meeting / "lost").touch()
        *ends, told = [json.loads(line) for line in driver.stdout]
        assert driver.wait(300) == 0
    assert (told["completed"], told["failed"]) == (JOBS, 0)
    assert all(result["rows"] == 1 for result in told["results"].values())
    assert len({end["done"]["place"] for end in ends}) == 1, "a machine that was lost went on answering"
    assert 1 <= told["retried"] <= SLOTS
