"""Data of every age: a coin is stale, or halted, exactly above its limit, and the night is refused exactly above its share."""

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from records import done, ingested

from huracan.domain.frames import BAR_SCHEMA, CLEAN_SCHEMA, FUNDING_SCHEMA, Bars, empty
from huracan.domain.ids import DELISTED, Instrument
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import StaleDataError
from huracan.ingest import IngestConfig, validate_bars
from huracan.night.jobs.ingest import _unfit
from huracan.night.plan import NightPlan
from huracan.night.state import Night
from huracan.night.waves import ingest_wave, refuse_stale

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


def bars(age_minutes, instrument=None):
    """Fifty days of hours, the last of which closed so long before now."""
    times = NOW - age_minutes * MINUTE_MS - HOUR_MS * np.arange(50 * 24, 0, -1)
    columns = {name: np.ones(times.size) for name in CLEAN_SCHEMA if name not in {"open_time", "flags", "segment"}}
    still = np.zeros(times.size)
    return Bars(
        instrument=instrument or member(0).instrument,
        interval_ms=HOUR_MS,
        frame=pl.DataFrame({"open_time": times, **columns, "flags": still, "segment": still}).cast(CLEAN_SCHEMA),
    )


def minutes(traded, age_minutes=0, days=41):
    """Validated minutes up to so long before now, flat and without volume except where `traded(minutes before now)`."""
    before = np.arange(days * 1440 + age_minutes, age_minutes, -1)
    busy = np.array([traded(int(minute)) for minute in before])
    price = {name: np.ones(before.size) for name in ("open", "high", "low", "close")}
    amount = dict.fromkeys(("volume", "quote_volume", "trades", "taker_base", "taker_quote"), busy * 1.0)
    raw = pl.DataFrame({"open_time": NOW - before * MINUTE_MS, **price, **amount}).cast(BAR_SCHEMA)
    rules, start = IngestConfig(interval_ms=MINUTE_MS), NOW - 100 * DAY_MS
    return validate_bars(
        member(0).instrument, raw, empty(FUNDING_SCHEMA), rules, start_ms=start, end_ms=NOW, vendor="test"
    )[0]


@pytest.mark.slow
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


@pytest.mark.guarantee("R8")
@pytest.mark.parametrize("silent", [0, 1, 10, 179, 180, 181, 240, 1200, 4320])
def test_a_coin_that_nobody_trades_is_halted_above_the_limit_however_fresh_its_flat_bars(silent):
    skip = _unfit(plan(), member(0), minutes(lambda minute: minute > silent))
    if silent > 180:
        assert (skip.code, skip.measured, skip.wanted) == (SkipCode.HALTED, float(silent), 180.0)
        assert skip.reason == "bars arrive and nobody trades (minutes since the last trade)"
    else:
        assert skip is None


@pytest.mark.parametrize(("delivered", "code"), [(0, "HALTED"), (180, "HALTED"), (181, "STALE"), (600, "STALE")])
def test_what_the_exchange_does_not_deliver_is_stale_and_not_halted(delivered, code):
    skip = _unfit(plan(), member(0), minutes(lambda minute: minute > 600, age_minutes=delivered))
    assert (skip.code, skip.measured) == (code, float(delivered if code == "STALE" else 600))


def test_a_coin_that_never_traded_is_halted_and_its_age_is_unknown():
    skip = _unfit(plan(), member(0), minutes(lambda _: False))
    assert (skip.code, skip.measured) == (SkipCode.HALTED, None)


def test_a_coin_that_trades_once_in_nine_minutes_is_not_refused():
    assert _unfit(plan(), member(0), minutes(lambda minute: minute % 9 == 8)) is None


def test_a_delisted_coin_is_neither_stale_nor_halted():
    gone = replace(member(0), instrument=replace(member(0).instrument, status=DELISTED))
    assert _unfit(plan(), gone, bars(72 * 60, gone.instrument)) is None


class Runner:
    """Ingests nothing: so many coins are stale, or halted, the others are fit."""

    def __init__(self, stale, code=SkipCode.STALE):
        self.stale, self.code = stale, code

    async def run(self, night_plan, work):
        outcomes = []
        for number, item in enumerate(work):
            skip = Skip(coin=item.coin, horizon="*", step=2, code=self.code, reason="old")
            outcomes.append(done(ingested(item.coin, skip=skip if number < self.stale else None)))
        return outcomes


@pytest.mark.guarantee("R8")
async def test_a_night_is_refused_exactly_above_a_fifth_of_stale_coins(counted):
    universe = Universe(now_ms=NOW, members=plan().members, skips=())
    night = Night(run_id="r", plan=plan(), universe=universe, pairs=tuple(f"C{number}" for number in range(COINS)))
    for stale, code in itertools.product(range(COINS + 1), (SkipCode.STALE, SkipCode.HALTED)):
        if stale / COINS > SHARE:
            with pytest.raises(StaleDataError, match=f"{stale} of {COINS} coins are stale or halted"):
                refuse_stale(await ingest_wave(Runner(stale, code), night), SHARE)
        else:
            after = await ingest_wave(Runner(stale, code), replace(night))
            refuse_stale(after, SHARE)
            assert [skip.code for skip in after.skips] == [code] * stale
            assert len(after.ingested) == COINS
        counted()
