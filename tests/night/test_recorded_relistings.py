"""Recorded swaps and reused tickers, seen from the nights around them. Mechanics alone: nothing is trained or scored.

Before the break a coin is what it was. From its first bar on, the new listing has a history of its own: too short for forty
days, and any champion kept from the earlier one is retired. The earlier listing is an instrument that ended: its days until the
break are worth what they were worth to a night before it.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from plans import make_plan
from records import served

from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.night.delistings import retire_stale
from huracan.night.jobs.ingest import assess
from huracan.night.jobs.inputs import PairPorts, load_bars
from huracan.night.state import Night
from huracan.ports import FetchedRows

HISTORY = Path(__file__).parents[3] / "shared" / "market" / "history" / "spot"
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not HISTORY.is_dir(), reason="the recorded history is not here"),
]
BREAKS = {
    "BNX": ("2023-02-16", "2023-02-22T08:00:00Z"),
    "LUNA": ("2022-05-13", "2022-05-31T06:00:00Z"),
    "QUICK": ("2023-07-17", "2023-07-21T08:00:00Z"),
    "SUN": ("2021-06-14", "2021-06-18T04:00:00Z"),
    "VIDT": ("2022-10-31", "2022-11-09T08:00:00Z"),
}
"""Day of the last bar of the earlier listing, and the first bar of the later one."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    opened = DeltaLake(str(tmp_path_factory.mktemp("lake")))
    for name in BREAKS:
        frame = pl.read_parquet(HISTORY / f"{name}USDT" / "1h.parquet")
        absent = [
            pl.lit(None, dtype=kind).alias(column) for column, kind in BAR_SCHEMA.items() if column not in frame.columns
        ]
        rows = frame.with_columns(absent).select(pl.col(column).cast(kind) for column, kind in BAR_SCHEMA.items())
        opened.append(coin(name), [FetchedRows(kind="bars", rows=rows, source="archive")], "binance")
    return opened


def coin(name):
    return Instrument(market="spot", symbol=f"{name}USDT", base=name, quote="USDT", coin=name)


def plan_at(name, cutoff_ms):
    member = Candidate(instrument=coin(name), volume_24h_gbp=1e8, spread_bps=2.0)
    return make_plan(
        now_ms=cutoff_ms,
        cutoff_ms=cutoff_ms,
        interval_ms=HOUR_MS,
        history_days=200,
        members=(member,),
        horizons=("1h",),
        declared_spreads=tuple((tier, 9.0) for tier in "ABC"),
    )


def step2(lake, name, cutoff_ms):
    return assess(PairPorts(lake=lake, artefacts=None, market=None), plan_at(name, cutoff_ms), name)


def champion(name, cutoff_ms):
    return served(name, instrument=f"{name}USDT-spot", data_cutoff_ms=cutoff_ms)


def kept_after(night, row):
    excused = night.skipping([Skip(coin=row.coin, horizon="*", step=2, code=SkipCode.STALE, reason="late")])
    return [skip.code for skip in retire_stale(excused, [row]).skips] == [SkipCode.STALE]


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_a_new_listing_starts_a_history_of_its_own_and_retires_the_champion_of_the_earlier_one(lake, name):
    ended, began = (parse_iso(text) for text in BREAKS[name])
    before = step2(lake, name, ended - 2 * DAY_MS)
    assert (before.skip, before.relisted_ms) == (None, None)
    silent = step2(lake, name, began)
    assert silent.skip.code == SkipCode.STALE
    fresh = step2(lake, name, began + 10 * DAY_MS)
    assert (fresh.skip.code, fresh.relisted_ms) == (SkipCode.SHORT_HISTORY, began)
    grown = step2(lake, name, began + 60 * DAY_MS)
    assert (grown.skip, grown.relisted_ms) == (None, began)
    bars, _ = load_bars(lake, plan_at(name, began + 60 * DAY_MS), plan_at(name, began).member(name))
    assert bars.frame["open_time"][0] == began

    (old,) = grown.earlier
    instrument, old = old.instrument, old.record
    assert instrument.id == f"{name}USDT-spot~{BREAKS[name][0].replace('-', '')}"
    assert (old.skip, old.ended_ms) == (None, ended + DAY_MS)
    plan = plan_at(name, began + 60 * DAY_MS)
    last, _ = load_bars(
        lake, plan.until(old.ended_ms), Candidate(instrument=instrument, volume_24h_gbp=0.0, spread_bps=None)
    )
    alive, _ = load_bars(
        lake, replace(plan_at(name, ended), history_days=plan.until(ended).history_days), plan.member(name)
    )
    assert (last.frame["open_time"][0], last.frame["open_time"][-1] // DAY_MS) == (plan.start_ms, ended // DAY_MS)
    assert last.frame.filter(pl.col("open_time") < ended).equals(alive.frame)
    assert grown.pool_days.keys() & old.pool_days.keys()
    assert max(day for spans in old.pool_days.values() for span in spans for day in span) == ended // DAY_MS
    assert min(day for spans in grown.pool_days.values() for span in spans for day in span) > began // DAY_MS

    night = Night(
        run_id="r",
        plan=plan_at(name, began + 60 * DAY_MS),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=(name,),
        ingested={name: grown},
    )
    assert kept_after(night, champion(name, began + 59 * DAY_MS))
    assert not kept_after(night, champion(name, ended - 2 * DAY_MS))
