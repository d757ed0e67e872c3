"""Step 2 of one pair (wave 1): the lake brought up to date, the bars validated, and what they are worth tonight."""

import math
from dataclasses import replace
from typing import Final

import numpy as np

from huracan.domain.frames import Bars, traded_bars
from huracan.domain.night_records import Done, EarlierRecord, IngestRecord, IngestTask, MarketTerms
from huracan.domain.records import Candidate, Skip, SkipCode
from huracan.domain.tiers import tier_of
from huracan.domain.time import DAY_MS
from huracan.errors import DamagedTableError, DataError
from huracan.features import DailyPrices, daily_prices, daily_volume
from huracan.ingest import (
    median_daily_quote,
    silence_minutes,
    staleness_minutes,
)
from huracan.night.jobs.clock import StepClock
from huracan.night.jobs.daily_series import DailySeries
from huracan.night.jobs.funding import known_settlements
from huracan.night.jobs.inputs import PairPorts, load_bars
from huracan.night.jobs.listings import earlier_candidates
from huracan.night.jobs.spread import known_spread
from huracan.night.jobs.tier_days import pool_days
from huracan.night.plan import NightPlan
from huracan.ports import FetchedFile, FetchedRows
from huracan.universe import HELD_BPS, HELD_DAYS, held_before

INGEST_STEP: Final = 2
_COUNTED_BEFORE: Final = frozenset({SkipCode.STALE, SkipCode.HALTED, SkipCode.PEGGED})
"""Reasons of tonight alone: on past days the pair was a member all the same."""


async def ingest_pair(ports: PairPorts, plan: NightPlan, coin: str, task: IngestTask) -> Done:
    """Step 2 for one pair: bring the lake up to date, validate, and say what the bars are worth.

    A damaged file fails the pair by its code; the files that are sound are stored all the same, so the next night asks
    for the damaged one alone. A damaged table of the lake is moved away, and all its rows are fetched again.
    """
    clock = StepClock()
    with clock.step(INGEST_STEP):
        record, quarantined = await _ingested(ports, plan, coin, task)
    return Done(record=record, seconds_by_step=clock.seconds, quarantined=quarantined)


async def _ingested(
    ports: PairPorts, plan: NightPlan, coin: str, task: IngestTask
) -> tuple[IngestRecord, tuple[str, ...]]:
    try:
        return await _ingest(ports, plan, coin, task), ()
    except DamagedTableError:
        moved = ports.lake.quarantine(plan.member(coin).instrument)
        if not moved:
            raise
        return await _ingest(ports, plan, coin, task), tuple(moved)


async def _ingest(ports: PairPorts, plan: NightPlan, coin: str, task: IngestTask) -> IngestRecord:
    instrument = plan.member(coin).instrument
    known = ports.lake.files(instrument)
    settled = known_settlements(ports.lake, ports.artefacts, plan, instrument, task.shared)
    batches: list[FetchedRows] = []
    refused: DataError | None = None
    try:
        async for batch in ports.market.fetch(instrument, plan.start_ms, plan.cutoff_ms, known, settled):
            batches.append(batch)  # noqa: PERF401  (a comprehension would lose what came before an error)
    except DataError as error:
        refused = error
    ports.lake.append(instrument, batches, "binance")
    if refused is not None:
        raise refused
    files = {**known, **{batch.file.name: batch.file for batch in batches if batch.file is not None}}
    held = ports.lake.holding(instrument)
    return replace(
        assess(ports, plan, coin),
        lost=tuple(sorted(name for name, file in files.items() if not file.sha256)),
        replaced=tuple(sorted(name for name, file in files.items() if name in known and _replaced(known[name], file))),
        lake_seal=held.seal,
        unproven=held.unproven,
    )


def _replaced(before: FetchedFile, now: FetchedFile) -> bool:
    """Whether a file has other bytes than those whose rows were stored before."""
    return bool(before.sha256) and before.sha256 != now.sha256


def assess(ports: PairPorts, plan: NightPlan, coin: str) -> IngestRecord:
    """What the bars in the lake are worth tonight: the record of wave 1, with a skip where they are not fit."""
    member = plan.member(coin)
    record = _worth(ports, plan, member)
    earlier = earlier_candidates(member.instrument, record.report.earlier)
    return replace(
        record,
        earlier=tuple(EarlierRecord(instrument=one.instrument, record=_worth(ports, plan, one)) for one in earlier),
    )


def _worth(ports: PairPorts, plan: NightPlan, member: Candidate) -> IngestRecord:
    instrument = member.instrument
    bars, report = load_bars(ports.lake, plan, member)
    ended_ms = _ended(plan, bars)
    if ended_ms is not None:
        bars, report = load_bars(ports.lake, plan.until(ended_ms), member)
    age = silence_minutes(bars, plan.now_ms)
    record = IngestRecord(
        coin=instrument.coin,
        report=report,
        data_hash=bars.data_hash,
        age_minutes=age if math.isfinite(age) else None,
        ended_ms=ended_ms,
        relisted_ms=report.earlier[-1].until_ms if report.earlier else None,
    )
    rate = dict(plan.quote_per_gbp).get(instrument.quote, float("nan"))
    prices, volume = daily_prices(bars.frame), daily_volume(bars.frame)
    counted = replace(
        record,
        pool_days=pool_days(volume, prices, rate, plan.min_liquidity_gbp),
        series=DailySeries.of(prices, volume, rate).encoded(),
    )
    refused = _unfit(plan, member, bars) or _held(plan, instrument.coin, prices)
    if refused is not None:
        return replace(counted if refused.code in _COUNTED_BEFORE else record, skip=refused)
    gbp = (median_daily_quote(bars) or 0.0) / rate
    spread = known_spread(plan, member, bars, gbp)
    if isinstance(spread, Skip):
        return replace(record, skip=spread)
    terms = MarketTerms(
        spread_bps=spread.bps,
        spread_source=spread.source,
        volume_day_gbp=gbp,
        tier=tier_of(gbp),
        funding_known=bars.funding_known,
    )
    return replace(counted, terms=terms)


def _ended(plan: NightPlan, bars: Bars) -> int | None:
    """The midnight after the last real bar of an instrument that trades no more; None while that day is not over."""
    if bars.instrument.trades:
        return None
    real = bars.frame["open_time"].to_numpy()[traded_bars(bars.frame)]
    if not real.size:
        return None
    midnight = (int(real[-1]) // DAY_MS + 1) * DAY_MS
    return midnight if midnight <= plan.cutoff_ms else None


def _unfit(plan: NightPlan, member: Candidate, bars: Bars) -> Skip | None:
    coin = member.instrument.coin
    if bars.frame.is_empty():
        return Skip(coin=coin, horizon="*", step=2, code=SkipCode.NO_DATA, reason="no usable bar in the window")
    silent = _silent(plan, bars) if member.instrument.trades else None
    if silent is not None:
        return silent
    times = bars.frame["open_time"]
    days = (int(times[-1]) + bars.interval_ms - int(times[0])) / DAY_MS
    if days < plan.min_history_days:
        return Skip(
            coin=coin,
            horizon="*",
            step=2,
            code=SkipCode.SHORT_HISTORY,
            reason="too few days of bars",
            measured=round(days, 2),
            wanted=float(plan.min_history_days),
        )
    return None


def _held(plan: NightPlan, coin: str, prices: DailyPrices) -> Skip | None:
    """The skip of a member whose price was held over the last 30 days; of a historical constituent, the days say so."""
    tonight = np.array([plan.end_day])
    if not plan.is_member(coin) or not held_before(prices.day, prices.range_bps, tonight)[0]:
        return None
    recent = (prices.day >= plan.end_day - HELD_DAYS) & (prices.day < plan.end_day)
    return Skip(
        coin=coin,
        horizon="*",
        step=2,
        code=SkipCode.PEGGED,
        reason=f"the price is held: no day of the last {HELD_DAYS} ranged further (bps)",
        measured=round(float(prices.range_bps[recent].max()), 2),
        wanted=HELD_BPS,
    )


def _silent(plan: NightPlan, bars: Bars) -> Skip | None:
    """STALE where the exchange delivers nothing, HALTED where it delivers bars without a trade; one limit for
    both.

    What is stale says nothing about the coin. A halted market has no price to leave at, so no model may send anybody
    there.
    """
    limit = plan.stale_after_minutes
    delivered, traded = staleness_minutes(bars, plan.now_ms), silence_minutes(bars, plan.now_ms)
    if traded <= limit:
        return None
    stale = delivered > limit
    age = delivered if stale else traded
    return Skip(
        coin=bars.instrument.coin,
        horizon="*",
        step=2,
        code=SkipCode.STALE if stale else SkipCode.HALTED,
        reason="newest bar is too old (minutes)"
        if stale
        else "bars arrive and nobody trades (minutes since the last trade)",
        measured=age if math.isfinite(age) else None,
        wanted=limit,
    )
