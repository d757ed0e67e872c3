"""The lake is damaged between two waves of a night: the rows come again first, and all of it is counted."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.night_records import Done, IngestTask
from huracan.domain.records import Candidate, Universe
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.errors import DamagedTableError, SchemaError
from huracan.night.damage import lake_damage, mended
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts, load_bars
from huracan.night.plan import NightPlan
from huracan.night.state import Night, PairOutcome
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
    done = await ingest_pair(ports, plan(), "AAA", IngestTask())
    record = done.record
    assert (record.unproven, len(record.lake_seal), done.quarantined) == (0, 64, ())
    path = flip(tmp_path)

    async def step():
        return load_bars(ports.lake, plan(), COIN, data_hash=record.data_hash)[0].data_hash

    with pytest.raises(DamagedTableError, match="sha256"):
        await step()
    found, places = await mended(ports, plan(), "AAA", step)
    assert found == record.data_hash
    assert [path.name in place for place in places] == [True]
    assert ports.market.asked == 3, "once for wave 1, once before the damage was met, once after"
    night = Night(run_id="r", plan=plan(), universe=Universe(now_ms=0, members=(), skips=()), pairs=("AAA",))
    known = dataclasses.replace(night, ingested={"AAA": record})
    counted = known.counting([PairOutcome(coin="AAA", result=Done(record=record, quarantined=places))], members=())
    assert lake_damage(counted).as_dict() == {
        "set_aside": {"AAA": list(places)},
        "set_aside_count": 1,
        "unproven_pairs": 0,
        "unproven_files": 0,
    }


async def test_bars_that_another_process_has_changed_since_wave_one_are_not_trained_on(ports):
    record = (await ingest_pair(ports, plan(), "AAA", IngestTask())).record
    changed = ports.market.raw.head(1).with_columns(trades=pl.lit(99.0))
    ports.lake.append(COIN.instrument, [FetchedRows(kind="bars", rows=changed, source="rest")], "binance")
    with pytest.raises(SchemaError, match="another process has changed the lake"):
        load_bars(ports.lake, plan(), COIN, data_hash=record.data_hash)


async def test_the_seal_in_a_record_changes_with_any_file_and_with_nothing_else(ports):
    async def seal():
        return (await ingest_pair(ports, plan(), "AAA", IngestTask())).record.lake_seal

    first = await seal()
    assert await seal() == first
    ports.market.raw = ports.market.raw.with_columns(trades=pl.col("trades") + 1.0)
    assert await seal() != first
