"""The lake is damaged between two waves of a night: the rows come again first, and all of it is counted."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Universe
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.errors import DamagedTableError, SchemaError
from huracan.night.damage import lake_summary, mended, with_set_aside
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts, load_bars
from huracan.night.plan import NightPlan
from huracan.night.state import Night
from huracan.ports import FetchedRows

START, BARS = 20_000 * DAY_MS, 2 * 1440
COIN = Candidate(
    instrument=Instrument(market="spot", symbol="AAAUSDT", base="AAA", quote="USDT", coin="AAA"),
    volume_24h_gbp=1e6,
    spread_bps=1.0,
)


class Rest:
    """A market that gives all bars by REST, and counts how often it was asked."""

    def __init__(self):
        close = np.round(100.0 + np.sin(np.arange(BARS) / 50.0), 2)
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        sizes = {name: np.full(BARS, 5.0) for name in list(BAR_SCHEMA)[5:]}
        times = START + np.arange(BARS) * MINUTE_MS
        self.raw, self.asked = pl.DataFrame({"open_time": times, **prices, **sizes}, schema=BAR_SCHEMA), 0

    async def fetch(self, instrument, start_ms, end_ms, known, settled=None):
        self.asked += 1
        yield FetchedRows(kind="bars", rows=self.raw, source="rest")


def plan():
    end = START + BARS * MINUTE_MS
    return NightPlan(
        now_ms=end,
        cutoff_ms=end,
        history_days=2,
        min_history_days=1,
        interval_ms=MINUTE_MS,
        horizons=("1h",),
        recipes=(),
        members=(COIN,),
        max_spread_bps=8.0,
        stale_after_minutes=180.0,
        quote_per_gbp=(),
        leak_exempt=(),
        gate=(),
        seed=7,
        code_hash="c",
    )


@pytest.fixture
def ports(tmp_path):
    lake = DeltaLake(str(tmp_path / "lake"))
    return PairPorts(lake=lake, artefacts=Artefacts(LocalArtefacts(tmp_path / "artefacts")), market=Rest())


def flip(tmp_path):
    (path,) = (tmp_path / "lake" / "bars" / "AAAUSDT-spot").glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(bytes(data))
    return path


async def test_a_later_wave_gets_the_bars_that_were_validated_or_none(ports, tmp_path):
    record = await ingest_pair(ports, plan(), "AAA", {})
    assert (record["unproven"], len(record["lake_seal"]), "set_aside" in record) == (0, 64, False)
    path = flip(tmp_path)

    async def step():
        return load_bars(ports.lake, plan(), COIN, data_hash=record["data_hash"])[0].data_hash

    with pytest.raises(DamagedTableError, match="sha256"):
        await step()
    found, places = await mended(ports, plan(), "AAA", step)
    assert found == record["data_hash"]
    assert [path.name in place for place in places] == [True]
    assert ports.market.asked == 3, "once for wave 1, once before the damage was met, once after"
    night = Night(run_id="r", plan=plan(), universe=Universe(now_ms=0, members=(), skips=()), pairs=("AAA",))
    told = dataclasses.replace(night, facts={"AAA": record}, prepared={"AAA": with_set_aside({}, places)})
    assert lake_summary(told) == {
        "set_aside": {"AAA": places},
        "set_aside_count": 1,
        "unproven_pairs": 0,
        "unproven_files": 0,
    }


async def test_bars_that_another_process_has_changed_since_wave_one_are_not_trained_on(ports):
    record = await ingest_pair(ports, plan(), "AAA", {})
    changed = ports.market.raw.head(1).with_columns(trades=pl.lit(99.0))
    ports.lake.append(COIN.instrument, [FetchedRows(kind="bars", rows=changed, source="rest")], "binance")
    with pytest.raises(SchemaError, match="another process has changed the lake"):
        load_bars(ports.lake, plan(), COIN, data_hash=record["data_hash"])


async def test_the_seal_in_a_record_changes_with_any_file_and_with_nothing_else(ports):
    first = await ingest_pair(ports, plan(), "AAA", {})
    again = await ingest_pair(ports, plan(), "AAA", {})
    assert again["lake_seal"] == first["lake_seal"]
    ports.market.raw = ports.market.raw.with_columns(trades=pl.col("trades") + 1.0)
    assert (await ingest_pair(ports, plan(), "AAA", {}))["lake_seal"] != first["lake_seal"]
