"""Settlements read once for a whole night: what a job is told, and that the lake is the same either way."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_store import in_memory
from nights import in_this_process, later, night_settings, run_pipeline, small_world
from plans import make_plan

from huracan.adapters.lake import DeltaLake
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.domain.frames import FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import UpstreamError
from huracan.ingest import IngestConfig
from huracan.night.jobs import funding as settlements
from huracan.night.jobs.funding import SHARED_FROM, _last_stretch, known_settlements, share_settlements
from huracan.worlds.exchange import ReplayExchange


def perpetual(number):
    name = f"C{number}"
    instrument = Instrument(market="um", symbol=f"{name}USDT", base=name, quote="USDT", coin=name)
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=1.0)


class Market:
    def __init__(self, frame=None):
        self.frame, self.asked = frame, []

    async def recent_settlements(self, start_ms, end_ms):
        self.asked.append((start_ms, end_ms))
        if self.frame is None:
            raise UpstreamError("no answer")
        return self.frame


class Lake:
    def __init__(self, *times):
        self.times = times

    def funding(self, instrument, start_ms, end_ms):
        frame = pl.DataFrame({"funding_time": self.times, "rate": [0.0] * len(self.times)}, strict=False)
        frame = frame.with_columns(interval_hours=pl.lit(None, pl.Float64)).cast(FUNDING_SCHEMA)
        return frame.filter(pl.col("funding_time").is_between(start_ms, end_ms, closed="left"))


def of_all(plan, *symbols):
    time = plan.cutoff_ms - 8 * HOUR_MS
    columns = {"symbol": symbols, "funding_time": [time] * len(symbols), "rate": [1e-4] * len(symbols)}
    return pl.DataFrame(columns).with_columns(interval_hours=pl.lit(None, pl.Float64))


async def test_many_perpetuals_are_read_for_together_and_few_alone():
    few = make_plan(members=tuple(perpetual(n) for n in range(SHARED_FROM - 1)))
    market, store, telemetry = Market(of_all(few, "C1USDT")), in_memory(), RecordingTelemetry()
    assert await share_settlements(market, store, telemetry, few) is None
    many = make_plan(members=few.members, historical=(perpetual(SHARED_FROM),))
    shared = await share_settlements(market, store, telemetry, many)
    assert market.asked == [(many.cutoff_ms - 3 * DAY_MS, many.cutoff_ms)]
    lake = Lake(many.cutoff_ms - 16 * HOUR_MS, many.cutoff_ms - 8 * HOUR_MS)
    told = known_settlements(lake, store, many, many.members[1].instrument, shared)
    assert told.stored == (many.cutoff_ms - 16 * HOUR_MS, many.cutoff_ms - 8 * HOUR_MS)
    assert told.rows["rate"].to_list() == [1e-4]
    assert list(told.rows.columns) == list(FUNDING_SCHEMA)
    unnamed = known_settlements(Lake(), store, many, many.members[2].instrument, shared)
    assert (unnamed.stored, unnamed.rows, unnamed.since_ms) == (None, None, market.asked[0][0])
    store.store[shared.artefact.key] += b"x"
    alone = known_settlements(lake, store, many, many.members[1].instrument, shared)
    assert (alone.rows, alone.since_ms, alone.stored) == (None, many.cutoff_ms, told.stored)
    assert store.mismatched == [shared.artefact.key]
    assert known_settlements(lake, store, few, few.members[0].instrument, None).rows is None
    spot = Instrument(market="spot", symbol="AUSDT", base="A", quote="USDT")
    assert known_settlements(lake, store, many, spot, shared) is None


async def test_a_read_that_fails_is_told_and_every_pair_asks_alone():
    plan = make_plan(members=tuple(perpetual(n) for n in range(SHARED_FROM)))
    telemetry = RecordingTelemetry()
    assert await share_settlements(Market(), in_memory(), telemetry, plan) is None
    assert telemetry.named("settlements_unshared")[0]["code"] == "UPSTREAM"


@given(st.sampled_from([1, 4, 8]), st.sets(st.integers(1, 28)), st.booleans())
def test_what_is_stored_counts_back_to_the_last_hole(interval, missing, stated):
    """Of settlements an hour apart a single one that is missing is a hole, too."""
    missing = {one for one in missing if not {one - 3, one - 2, one - 1, one + 1, one + 2, one + 3} & missing}
    kept = [n for n in range(33) if n not in missing]
    rows = [(n * interval * HOUR_MS, 1e-4, float(interval) if stated else None) for n in kept]
    stored = pl.DataFrame(rows, schema=FUNDING_SCHEMA, orient="row")
    found = _last_stretch(stored, IngestConfig(interval_ms=HOUR_MS))
    assert found == ((max(missing, default=-1) + 1) * interval * HOUR_MS, 32 * interval * HOUR_MS)
    assert _last_stretch(stored.clear(), IngestConfig(interval_ms=HOUR_MS)) is None


@pytest.mark.slow
def test_a_lake_is_the_same_either_way_and_the_second_night_asks_a_handful_of_times(tmp_path, monkeypatch):
    world = small_world(coins=SHARED_FROM, days=45, interval_minutes=60)
    sizes = {"training__base_interval": "1h", "training__lookback_days": 34, "training__dry_run": True}
    found = {}
    for name, least in (("together", SHARED_FROM), ("alone", 10**9)):
        monkeypatch.setattr(settlements, "SHARED_FROM", least)
        for day in (-1, 0):
            requests = []
            hook = lambda request, seen=requests: seen.append(request)  # noqa: E731 (answers None: no fault)
            exchange = ReplayExchange(later(world, day), stress_file=tmp_path / "stress.json", faults=hook)
            with exchange, in_this_process():
                result, _ = run_pipeline(tmp_path / name, night_settings(exchange.urls, **sizes))
            assert result["success"], result.get("error")
        lake = DeltaLake(str(tmp_path / name / "workdir" / "lake" / "1h"))
        names = sorted(lake.instruments("funding"))
        asked = [
            request
            for request in requests
            if "fundingRate" in request and "/data/" not in request and "prefix" not in request
        ]
        found[name] = (
            len(asked),
            {
                one: lake.funding(
                    Instrument(market="um", symbol=one.removesuffix("-um"), base="", quote=""), 0, 1 << 60
                )
                for one in names
            },
        )
    (few, together), (many, alone) = found["together"], found["alone"]
    assert together.keys() == alone.keys()
    assert len(together) >= SHARED_FROM
    for one, rows in together.items():
        assert rows.equals(alone[one]), one
    assert few <= 4 < SHARED_FROM <= many, json.dumps({"few": few, "many": many})
