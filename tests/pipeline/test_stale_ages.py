"""Data of every age: a coin is stale exactly above its limit, and the night is refused exactly above its share."""

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import CLEAN_SCHEMA, Bars
from huracan.domain.ids import Instrument
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import StaleDataError
from huracan.pipeline.night import Night, PairOutcome
from huracan.pipeline.pair import _unfit
from huracan.pipeline.plan import NightPlan
from huracan.pipeline.waves import ingest_wave, refuse_stale

NOW = 20_000 * DAY_MS
LIMITS_MINUTES = (60.0, 180.0, 1440.0)
COINS = 20
SHARE = 0.2


def member(number):
    name = f"C{number}"
    instrument = Instrument(coin=name, symbol=f"{name}USDT", base=name, quote="USDT", market="um")
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=1.0)


def plan(limit=180.0):
    return NightPlan(
        now_ms=NOW,
        cutoff_ms=NOW,
        history_days=100,
        min_history_days=40,
        interval_ms=HOUR_MS,
        horizons=("1h",),
        recipes=(Recipe(name="linear", engines=(EngineUse(name="trend"),), feature_recipe="f"),),
        members=tuple(member(number) for number in range(COINS)),
        max_spread_bps=8.0,
        stale_after_minutes=limit,
        quote_per_gbp=(("USDT", 1.3),),
        leak_exempt=(),
        gate=(),
        seed=0,
        code_hash="c",
    )


def bars(age_minutes):
    """Fifty days of hours, the last of which closed so long before now."""
    times = NOW - age_minutes * MINUTE_MS - HOUR_MS * np.arange(50 * 24, 0, -1)
    columns = {name: np.ones(times.size) for name in CLEAN_SCHEMA if name != "open_time"}
    return Bars(
        instrument=member(0).instrument,
        interval_ms=HOUR_MS,
        frame=pl.DataFrame({"open_time": times, **columns}).cast(CLEAN_SCHEMA),
    )


@pytest.mark.guarantee("R8")
def test_a_coin_is_stale_exactly_above_the_limit_at_every_age_to_three_days(counted):
    for limit in LIMITS_MINUTES:
        for age in (*range(0, 72 * 60 + 1, 15), int(limit) - 1, int(limit), int(limit) + 1):
            skip = _unfit(plan(limit), member(0), bars(age))
            if age > limit:
                assert (skip.code, skip.measured, skip.wanted) == (SkipCode.STALE, age, limit)
            else:
                assert skip is None
            counted()


class Runner:
    """Ingests nothing: so many coins are stale, the others are fit."""

    def __init__(self, stale):
        self.stale = stale

    async def run(self, night_plan, work):
        outcomes = []
        for number, item in enumerate(work):
            skip = Skip(coin=item.coin, horizon="*", step=2, code=SkipCode.STALE, reason="old")
            record = {"skip": asdict(skip) if number < self.stale else None, "earlier": []}
            outcomes.append(PairOutcome(coin=item.coin, record=record))
        return outcomes


@pytest.mark.guarantee("R8")
async def test_a_night_is_refused_exactly_above_a_fifth_of_stale_coins(counted):
    universe = Universe(now_ms=NOW, members=plan().members, skips=())
    night = Night(run_id="r", plan=plan(), universe=universe, pairs=tuple(f"C{number}" for number in range(COINS)))
    for stale in range(COINS + 1):
        if stale / COINS > SHARE:
            with pytest.raises(StaleDataError, match=f"{stale} of {COINS} coins are stale"):
                refuse_stale(await ingest_wave(Runner(stale), night), SHARE)
        else:
            after = await ingest_wave(Runner(stale), replace(night))
            refuse_stale(after, SHARE)
            assert [skip.code for skip in after.skips] == [SkipCode.STALE] * stale
            assert len(after.facts) == COINS
        counted()
