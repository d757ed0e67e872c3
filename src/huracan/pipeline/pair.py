"""The work on one pair: step 2 (wave 1), steps 3 and 4 (wave 2), steps 5 to 7 (wave 3).

Each function takes ports, the plan and a coin, and returns a small JSON-able record; frames travel as artefacts under content
keys. A record that a job of ours is known to have written is the answer: that is resume, cache and reproducibility at once.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from huracan.domain.frames import Bars, FeatureFrame, LabelledSet, MarketContext, traded_bars
from huracan.domain.records import Candidate, IntegrityReport, Skip, SkipCode
from huracan.domain.tiers import tier_of
from huracan.domain.time import DAY_MS, Horizon
from huracan.errors import DamagedTableError, DataError, SchemaError
from huracan.features import DailyPrices, build_features, daily_prices, daily_volume, leak_canary
from huracan.ingest import (
    IngestRules,
    median_daily_quote,
    silence_minutes,
    staleness_minutes,
    validate_bars,
)
from huracan.labels import label_forward_returns
from huracan.pipeline.artefacts import Artefacts
from huracan.pipeline.copies import DailySeries
from huracan.pipeline.listings import earlier_candidates
from huracan.pipeline.membership import pool_days
from huracan.pipeline.plan import NightPlan, prepare_key
from huracan.pipeline.settlements import known_settlements
from huracan.pipeline.spreads import known_spread
from huracan.ports import FetchedFile, FetchedRows, Lake, MarketData
from huracan.training import PairGrams, PoolPrior, pair_grams
from huracan.universe import HELD_BPS, HELD_DAYS, held_before

_COUNTED_BEFORE = frozenset({SkipCode.STALE, SkipCode.HALTED, SkipCode.PEGGED})
"""Reasons of tonight alone: on past days the pair was a member all the same."""

CONTEXT_FILE: Final = "context.parquet"
FEATURES_FILE: Final = "features.parquet"
LABELS_FILE: Final = "labels.parquet"
GRAMS_FILE: Final = "grams.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPorts:
    """What a pair's work touches of the outside world."""

    lake: Lake
    artefacts: Artefacts
    market: MarketData


def load_bars(
    lake: Lake, plan: NightPlan, member: Candidate, *, data_hash: str | None = None
) -> tuple[Bars, IntegrityReport]:
    """Validated bars of a member or former pair up to the cut-off, from the lake alone.

    Raises SchemaError where `data_hash` is given and these are not the bars that have it: the lake has changed meanwhile.
    """
    instrument = member.instrument
    bars, report = validate_bars(
        instrument,
        lake.bars(instrument, plan.start_ms, plan.cutoff_ms),
        lake.funding(instrument, plan.start_ms, plan.cutoff_ms),
        IngestRules(interval_ms=plan.interval_ms),
        plan.start_ms,
        plan.cutoff_ms,
        "binance",
        lake.doubles(instrument, plan.start_ms, plan.cutoff_ms),
    )
    if data_hash is not None and bars.data_hash != data_hash:
        raise SchemaError(
            f"{instrument.id}: the lake's bars have the hash {bars.data_hash[:16]}, those that were validated tonight had "
            f"{data_hash[:16]}; another process has changed the lake, run again"
        )
    return bars, report


async def ingest_pair(ports: PairPorts, plan: NightPlan, coin: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Step 2 for one pair: bring the lake up to date, validate, and say what the bars are worth.

    A damaged file fails the pair by its code; the files that are sound are stored all the same, so the next night asks for
    the damaged one alone. `facts` say where the market's settlements lie, if they were read for all.
    """
    try:
        return await _ingest(ports, plan, coin, facts)
    except DamagedTableError:
        moved = ports.lake.set_aside(plan.member(coin).instrument)
        if not moved:
            raise
        return {**await _ingest(ports, plan, coin, facts), "set_aside": moved}


async def _ingest(ports: PairPorts, plan: NightPlan, coin: str, facts: dict[str, Any]) -> dict[str, Any]:
    instrument = plan.member(coin).instrument
    known = ports.lake.files(instrument)
    settled = known_settlements(ports.lake, ports.artefacts, plan, instrument, facts)
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
    lost = sorted(name for name, file in files.items() if not file.sha256)
    replaced = sorted(name for name, file in files.items() if name in known and _replaced(known[name], file))
    held = ports.lake.holding(instrument)
    sealed = {"lake_seal": held.seal, "unproven": held.unproven}
    return {**settle(ports, plan, coin), "lost": lost, "replaced": replaced, **sealed}


def _replaced(before: FetchedFile, now: FetchedFile) -> bool:
    """Whether a file has other bytes than those whose rows were stored before."""
    return bool(before.sha256) and before.sha256 != now.sha256


def settle(ports: PairPorts, plan: NightPlan, coin: str) -> dict[str, Any]:
    """What the bars in the lake are worth tonight: the record of wave 1, with a skip where they are not fit.

    `earlier` are the records of the symbol's earlier listings, each with its `instrument`.
    """
    member = plan.member(coin)
    record, report = _worth(ports, plan, member)
    before = earlier_candidates(member.instrument, report.earlier)
    facts = [{"instrument": asdict(one.instrument), **_worth(ports, plan, one)[0]} for one in before]
    return {**record, "earlier": facts}


def _worth(ports: PairPorts, plan: NightPlan, member: Candidate) -> tuple[dict[str, Any], IntegrityReport]:
    instrument = member.instrument
    bars, report = load_bars(ports.lake, plan, member)
    ended_ms = _ended(plan, bars)
    if ended_ms is not None:
        bars, report = load_bars(ports.lake, plan.until(ended_ms), member)
    age = silence_minutes(bars, plan.now_ms)
    record: dict[str, Any] = {
        "coin": instrument.coin,
        "report": asdict(report),
        "data_hash": bars.data_hash,
        "age_minutes": age if math.isfinite(age) else None,
        "ended_ms": ended_ms,
        "relisted_ms": report.earlier[-1].until_ms if report.earlier else None,
        "skip": None,
    }
    rate = dict(plan.quote_per_gbp).get(instrument.quote, float("nan"))
    prices, volume = daily_prices(bars.frame), daily_volume(bars.frame)
    past = {
        "pool_days": pool_days(volume, prices, rate, plan.min_liquidity_gbp),
        "days": DailySeries.of(prices, volume, rate).to_record(),
    }
    refused = _unfit(plan, member, bars) or _held(plan, instrument.coin, prices)
    if refused is not None:
        counted = past if refused.code in _COUNTED_BEFORE else {}
        return {**record, **counted, "skip": asdict(refused)}, report
    gbp = (median_daily_quote(bars) or 0.0) / rate
    known = known_spread(plan, member, bars, gbp)
    if isinstance(known, Skip):
        return {**record, "skip": asdict(known)}, report
    facts = {
        **record,
        "spread_bps": known.bps,
        "spread_source": known.source,
        "volume_day_gbp": gbp,
        "tier": tier_of(gbp),
        **past,
        "funding_known": bars.funding_known,
    }
    return facts, report


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
    """The skip of a member whose price was held over the last 30 days; of a former pair, the days say so."""
    tonight = np.array([plan.end_day])
    if not plan.is_member(coin) or not held_before(prices.day, prices.range_bps, tonight)[0]:
        return None
    recent = (prices.day >= plan.end_day - HELD_DAYS) & (prices.day < plan.end_day)
    return Skip(
        coin=coin,
        horizon="*",
        step=2,
        code=SkipCode.PEGGED,
        reason=f"somebody holds the price: no day of the last {HELD_DAYS} ranged further (bps)",
        measured=round(float(prices.range_bps[recent].max()), 2),
        wanted=HELD_BPS,
    )


def _silent(plan: NightPlan, bars: Bars) -> Skip | None:
    """STALE where the exchange delivers nothing, HALTED where it delivers bars in which nobody trades; one limit for both.

    What is stale says nothing about the coin. A halted market has no price to leave at, so no model may send anybody there.
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


def load_context(store: Artefacts, key: str | None, sha256: str) -> MarketContext | None:
    """The night's market context, by the sha256 of its record, or None when there is none."""
    if key is None:
        return None
    meta = store.record(key, sha256)
    return MarketContext(
        frame=store.frame(f"{key}/{CONTEXT_FILE}", meta["files"][CONTEXT_FILE]),
        source=meta["source"],
        members=tuple(meta["members"]),
        context_hash=meta["context_hash"],
    )


def prepare_root(plan: NightPlan, coin: str, facts: dict[str, Any]) -> str:
    """Where the record of wave 2 lies; `facts` as for `prepare_pair`."""
    spread = facts["spread_bps"], facts["spread_source"]
    instrument_id = plan.member(coin).instrument.id
    return prepare_key(
        plan.until(facts["ended_ms"]), instrument_id, facts["data_hash"], facts["context_hash"] or "", *spread
    )


def prepare_pair(ports: PairPorts, plan: NightPlan, coin: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Steps 3 and 4 for one pair: features, labels per horizon, and the Gram matrices of its pool prior.

    `facts`: what wave 1 found, the context by key, hash and sha256 of its record, and `known`: the sha256 of the record that a
    job has written already (None: none is known). The answer's `sha256` is that of the record now.
    """
    store, member = ports.artefacts, plan.member(coin)
    root = prepare_root(plan, coin, facts)
    plan = plan.until(facts["ended_ms"])
    done = store.believed(root, facts["known"])
    if done is not None:
        return {**done, "cached": True, "sha256": facts["known"]}
    bars, _ = load_bars(ports.lake, plan, member, data_hash=facts["data_hash"])
    context = load_context(store, facts["context_key"], facts["context_sha256"])
    features = prepared_features(bars, context, plan, facts["spread_bps"])
    files = {FEATURES_FILE: store.write_frame(f"{root}/{FEATURES_FILE}", features.frame)}
    horizons, labelled = label_horizons(store, root, plan, bars, features)
    result = {
        "coin": coin,
        "key": root,
        "data_hash": bars.data_hash,
        "recipe_id": features.recipe_id,
        "names": list(features.names),
        "absent": list(features.absent),
        "rows": int(features.frame["valid"].sum()),
        "spread_source": facts["spread_source"],
        "horizons": horizons,
        "files": files | labelled,
    }
    return {**result, "cached": False, "sha256": store.write_record(root, result)}


def prepared_features(bars: Bars, context: MarketContext | None, plan: NightPlan, spread_bps: float) -> FeatureFrame:
    """Features of a pair with the spread that step 1 or 2 measured."""
    built = build_features(bars, context, interval_minutes=plan.recipes[0].decision_interval_minutes)
    return replace(built, frame=built.frame.with_columns(pl.lit(spread_bps, dtype=pl.Float64).alias("spread_bps")))


def label_horizons(
    store: Artefacts, root: str, plan: NightPlan, bars: Bars, features: FeatureFrame, *, grams: bool = True
) -> tuple[dict[str, Any], dict[str, str]]:
    """Labels (and Gram matrices for the pool) of every horizon, stored under `root`; counts and leaks by horizon, and the
    sha256 of each file by name.
    """
    horizons: dict[str, Any] = {}
    files: dict[str, str] = {}
    for text in plan.horizons:
        horizons[text], written = _label_horizon(store, root, plan, bars, features, text, grams=grams)
        files |= written
    return horizons, files


def _label_horizon(
    store: Artefacts, root: str, plan: NightPlan, bars: Bars, features: FeatureFrame, text: str, *, grams: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    shared = plan.recipes[0]
    times = features.frame["decision_time"].to_numpy()
    labels = label_forward_returns(bars, times, Horizon.parse(text), shared.execution_latency_s)
    name = f"{text}/{LABELS_FILE}"
    files = {name: store.write_frame(f"{root}/{name}", labels.frame)}
    leaks = leak_canary(features, labels, plan.leak_exempt)
    if grams:
        sums = pair_grams(features, labels, plan.recipes[0], cutoff_ms=plan.cutoff_ms)
        name = f"{text}/{GRAMS_FILE}"
        files[name] = store.write(f"{root}/{name}", sums.to_bytes())
    known = int(labels.frame["forward_bps"].is_not_null().sum())
    return {"labels": known, "leaks": [[name, float(ic), float(limit)] for name, ic, limit in leaks]}, files


def load_prepared(
    store: Artefacts, plan: NightPlan, prepared: dict[str, Any], horizon: str
) -> tuple[FeatureFrame, LabelledSet]:
    """Features and labels that wave 2 made, by the hashes of its record."""
    member, key, files = plan.member(prepared["coin"]), prepared["key"], prepared["files"]
    features = FeatureFrame(
        instrument=member.instrument,
        recipe_id=prepared["recipe_id"],
        names=tuple(prepared["names"]),
        absent=tuple(prepared["absent"]),
        frame=store.frame(f"{key}/{FEATURES_FILE}", files[FEATURES_FILE]),
    )
    name = f"{horizon}/{LABELS_FILE}"
    labels = store.frame(f"{key}/{name}", files[name])
    return features, LabelledSet(horizon=Horizon.parse(horizon), frame=labels)


def load_prior(store: Artefacts, named: tuple[str, str] | None) -> PoolPrior | None:
    """The pool's prior by key and sha256, or None where a pair stands alone."""
    return None if named is None else PoolPrior.from_bytes(store.read(*named))


def load_grams(store: Artefacts, prepared: dict[str, Any], horizon: str) -> PairGrams:
    """A pair's Gram matrices, by the hash of its record."""
    name = f"{horizon}/{GRAMS_FILE}"
    return PairGrams.from_bytes(store.read(f"{prepared['key']}/{name}", prepared["files"][name]))
