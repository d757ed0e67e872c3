"""Steps 2 to 7 over all pairs: three waves of jobs, one job a pair, and what the driver does between them.

Jobs and driver read nothing but what is known to be ours. Where a file is gone or altered, what makes it is run again,
and then what wanted it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Final

from huracan.domain.frames import Bars
from huracan.domain.ids import content_hash
from huracan.domain.night_records import (
    ArtefactRef,
    ContextRecord,
    ContextRef,
    Failed,
    IngestRecord,
    IngestTask,
    NamedPrior,
    PrepareRecord,
    PrepareTask,
    SharedSettlements,
    TrainRecord,
    TrainTask,
    Wave,
)
from huracan.domain.records import SkipCode
from huracan.errors import DiskFullError, JobFailedError, StaleDataError, WorkerLostError
from huracan.features import build_context
from huracan.night.damage import mended
from huracan.night.evidence.historical import LAST, historical_coins, with_ingested, with_prepared, with_trained
from huracan.night.jobs.artefacts import RECORD
from huracan.night.jobs.inputs import CONTEXT_FILE, PairPorts, load_bars, load_grams
from huracan.night.jobs.prepare import prepare_root
from huracan.night.jobs.train import leak_skip, train_root
from huracan.night.ports import NightPorts
from huracan.night.remake import outcomes_of, unaltered
from huracan.night.state import Night, PairOutcome, PairWork, WaveRunner
from huracan.training import PairGrams, pool_prior

CONTEXT_MEMBERS: Final = 20
CHAMPIONS_FIRST: Final = 10**15
MIN_PRIOR_PAIRS: Final = 4
INJECTED_RECIPE: Final = "injected"
_SILENT: Final = {SkipCode.STALE, SkipCode.HALTED}
_OF_MACHINES: Final = {JobFailedError.code, WorkerLostError.code}


async def ingest_wave(
    runner: WaveRunner, night: Night, shared: SharedSettlements | None = None, *, historical: bool = True
) -> Night:
    """Step 2 for every member and historical constituent; `shared` are settlements that were read for all of them.

    With `historical` the earlier listings of their symbols are historical constituents from here on.
    """
    task = IngestTask(shared=shared)
    members = [member.instrument.coin for member in night.plan.members]
    work = [
        PairWork(coin=coin, task=task, priority=_value(night, coin, night.plan.member(coin).volume_24h_gbp))
        for coin in members
    ]
    work += [PairWork(coin=coin, task=task, priority=LAST) for coin in historical_coins(night)]
    every = await runner.run(night.plan, work)
    outcomes, others = _sound(every, len(members), Wave.INGEST)
    night = with_ingested(_spent(night, every), outcomes, others, counted=historical)
    found: dict[str, IngestRecord] = {}
    for outcome in outcomes:
        if isinstance(outcome.result, Failed):
            night = night.failing(outcome.coin, outcome.result, 2)
        elif isinstance(outcome.result.record, IngestRecord):
            record = found[outcome.coin] = outcome.result.record
            night = night.skipping([record.skip] if record.skip is not None else [])
    return replace(night, ingested=found)


def refuse_stale(night: Night, max_stale_share: float) -> None:
    """Raises StaleDataError when too many members are stale or halted to trust the night: then it is the exchange."""
    refused = [record.skip.code for record in night.ingested.values() if record.skip is not None]
    stale, members = sum(code in _SILENT for code in refused), len(night.plan.members)
    if members and stale / members > max_stale_share:
        raise StaleDataError(
            f"{stale} of {members} coins are stale or halted at {night.plan.now_ms}; at most {max_stale_share:.0%} may be. "
            "Nothing was trained; check the exchange and the archive, then run again"
        )


def alive(night: Night) -> list[str]:
    """Coins that passed step 2, most liquid first."""
    coins = [coin for coin, record in night.ingested.items() if record.skip is None]
    return sorted(coins, key=lambda coin: (-night.ingested[coin].tradable.volume_day_gbp, coin))


async def write_context(ports: NightPorts, night: Night) -> Night:
    """Build and store the market context from the most liquid members (BTC alone where it is one)."""
    coins = [coin for coin in alive(night) if coin not in night.copies]
    if not coins:
        return night
    chosen = coins[:CONTEXT_MEMBERS]
    if "BTC" in coins and "BTC" not in chosen:
        chosen = [*chosen[:-1], "BTC"]
    named = content_hash("context", [(c, night.ingested[c].data_hash) for c in chosen], night.plan.code_hash)
    key = f"context/{named}"
    sha256 = ports.ledger.artefact(f"{key}/{RECORD}")
    if sha256 is None or ports.pair.artefacts.believed(ContextRecord, key, sha256) is None:
        night, sha256 = await _build_context(ports.pair, night, key, chosen)
    ports.ledger.note_artefact(f"{key}/{RECORD}", sha256)
    context = ContextRef(key=key, content_hash=named, sha256=sha256)
    return replace(night, context=context, context_coins=tuple(chosen))


async def _build_context(ports: PairPorts, night: Night, key: str, chosen: list[str]) -> tuple[Night, str]:
    """Store the context and its record; the night with what was quarantined for it, and the record's sha256."""
    bars: dict[str, Bars] = {}
    quarantined = dict(night.quarantined)
    for coin in chosen:
        bars[coin], places = await _context_bars(ports, night, coin)
        if places:
            quarantined[coin] = (*quarantined.get(coin, ()), *places)
    context, store = build_context(bars, chosen), ports.artefacts
    record = ContextRecord(
        key=key,
        source=context.source,
        members=tuple(context.members),
        context_hash=context.context_hash,
        files={CONTEXT_FILE: store.write_frame(f"{key}/{CONTEXT_FILE}", context.frame)},
    )
    return replace(night, quarantined=quarantined), store.write_record(record)


async def _context_bars(ports: PairPorts, night: Night, coin: str) -> tuple[Bars, tuple[str, ...]]:
    record, member = night.ingested[coin], night.plan.member(coin)
    data_hash = record.data_hash if record.ended_ms is None else None

    async def step() -> Bars:
        return load_bars(ports.lake, night.plan, member, data_hash=data_hash)[0]

    return await mended(ports, night.plan, coin, step)


async def prepare_wave(ports: NightPorts, night: Night) -> Night:
    """Steps 3 and 4 for every pair that is alive."""
    return await _prepare(ports, night, alive(night), night.historical.drawn)


async def prepare_again(ports: NightPorts, night: Night) -> Night:
    """The night after a look at every file of its context and of wave 2; what was altered is made again."""
    coins, drawn = tuple(night.prepared), tuple(night.historical.prepared)
    again = await _prepare(ports, await write_context(ports, night), coins, drawn)
    return replace(again, cache=night.cache)


async def _prepare(ports: NightPorts, night: Night, coins: Sequence[str], drawn: Sequence[str]) -> Night:
    def work(night: Night, coin: str) -> PairWork:
        record = night.ingested.get(coin) or night.historical.ingested[coin]
        task = PrepareTask(
            data_hash=record.data_hash,
            spread_bps=record.tradable.spread_bps,
            spread_source=record.tradable.spread_source,
            ended_ms=record.ended_ms,
            context=night.context,
        )
        known = ports.ledger.artefact(f"{prepare_root(night.plan, coin, task)}/{RECORD}")
        return PairWork(coin=coin, task=replace(task, known=known), priority=_priority(night, coin))

    night, every = await outcomes_of(ports, night, (*coins, *drawn), work, partial(write_context, ports))
    outcomes, others = _sound(every, len(coins), Wave.PREPARE)
    night = with_prepared(_spent(night, every, coins), others)
    prepared: dict[str, PrepareRecord] = {}
    for outcome in outcomes:
        if isinstance(outcome.result, Failed):
            night = night.failing(outcome.coin, outcome.result, 3)
        elif isinstance(outcome.result.record, PrepareRecord):
            prepared[outcome.coin] = outcome.result.record
    return replace(night, prepared=prepared)


def refuse_leaks(night: Night) -> Night:
    """The night with a skip for every horizon at which a feature knows the future."""
    found = (leak_skip(coin, horizon, record) for coin, record in night.prepared.items() for horizon in record.horizons)
    return night.skipping([skip for skip in found if skip is not None])


async def prior_wave(ports: NightPorts, night: Night) -> Night:
    """The night with the pools' priors; Gram matrices that were altered are made again."""
    return await unaltered(partial(write_priors, ports), partial(prepare_again, ports), night)


def write_priors(ports: NightPorts, night: Night) -> Night:
    """Sum the pairs' Gram matrices into pool priors, one per (market, tier) and horizon; a small pool joins all others.

    Historical constituents are in them: past folds may not learn from survivors alone. Tonight's copies are not.
    """
    if night.plan.recipes[0].name == INJECTED_RECIPE:
        return night
    groups: dict[tuple[str, str], list[str]] = {}
    prepared, ingested = night.all_prepared(), night.all_ingested()
    for coin in prepared:
        market = night.plan.member(coin).instrument.market
        groups.setdefault((market, ingested[coin].tradable.tier), []).append(coin)
    priors: dict[str, tuple[NamedPrior, ...]] = {}
    for coins in groups.values():
        members = [coin for coin in coins if coin not in night.copies]
        if len(members) < MIN_PRIOR_PAIRS:
            members = [coin for coin in prepared if coin not in night.copies]
        of_members = [prepared[coin] for coin in sorted(members)]
        named = tuple(
            prior for horizon in night.plan.horizons for prior in _write_prior(ports, night, of_members, horizon)
        )
        priors |= dict.fromkeys(coins, named)
    return replace(night, priors=priors)


def _write_prior(ports: NightPorts, night: Night, members: Sequence[PrepareRecord], horizon: str) -> list[NamedPrior]:
    found: list[NamedPrior] = []
    store, grams = ports.pair.artefacts, list[PairGrams]()
    for recipe in night.plan.recipes:
        parts = [prepared.key for prepared in members], horizon, asdict(recipe), night.plan.code_hash
        key = f"prior/{content_hash('prior', *parts)}.safetensors"
        sha256 = ports.ledger.artefact(key)
        if sha256 is None or not store.holds(key, sha256):
            grams = grams or [load_grams(store, prepared, horizon) for prepared in members]
            sha256 = store.write(key, pool_prior(grams, recipe).to_bytes())
        ports.ledger.note_artefact(key, sha256)
        found.append(NamedPrior(recipe_id=recipe.id, horizon=horizon, artefact=ArtefactRef(key=key, sha256=sha256)))
    return found


async def train_wave(ports: NightPorts, night: Night) -> Night:
    """Steps 5 to 7 for every prepared pair; a (coin, horizon) that no recipe could train is skipped."""
    return await _train(ports, night, tuple(night.prepared), tuple(night.historical.prepared))


async def train_again(ports: NightPorts, night: Night) -> Night:
    """The night after a look at every file of wave 3; what was altered is made again."""
    again = await _train(ports, night, tuple(night.trained), tuple(night.historical.trained))
    return replace(again, cache=night.cache)


async def _train(ports: NightPorts, night: Night, coins: Sequence[str], drawn: Sequence[str]) -> Night:
    def work(night: Night, coin: str) -> PairWork | None:
        prepared = night.prepared.get(coin) or night.historical.prepared.get(coin)
        if prepared is None:
            return None
        ended_ms = None if coin in night.prepared else night.historical.ingested[coin].ended_ms
        task = TrainTask(prepared=prepared, priors=night.priors.get(coin, ()), ended_ms=ended_ms)
        known = ports.ledger.artefact(f"{train_root(night.plan, task)}/{RECORD}")
        return PairWork(coin=coin, task=replace(task, known=known), priority=_priority(night, coin))

    async def inputs(night: Night) -> Night:
        return await prior_wave(ports, await prepare_again(ports, night))

    night, every = await outcomes_of(ports, night, (*coins, *drawn), work, inputs)
    outcomes, others = _sound(every, len(coins), Wave.TRAIN)
    night = with_trained(_spent(night, every, coins), others)
    trained: dict[str, TrainRecord] = {}
    for outcome in outcomes:
        if isinstance(outcome.result, Failed):
            night = night.failing(outcome.coin, outcome.result, 5)
        elif isinstance(outcome.result.record, TrainRecord):
            record = trained[outcome.coin] = outcome.result.record
            scored = {cell.horizon for cell in record.cells}
            night = night.skipping([skip for skip in record.skips if skip.horizon not in scored])
    return replace(night, trained=trained)


def _spent(night: Night, outcomes: Sequence[PairOutcome], cacheable: Sequence[str] = ()) -> Night:
    return night.counting(outcomes, members=cacheable)


def _sound(outcomes: list[PairOutcome], members: int, wave: Wave) -> tuple[list[PairOutcome], list[PairOutcome]]:
    """A wave's outcomes, those of its `members` (the first ones) and those of historical constituents.

    A full disk is no coin's fault and ends the night, yesterday's champions untouched; neither is it any coin's fault
    when the job of every member fails: then it is the machines'.
    """
    failed = {outcome.coin: outcome.result for outcome in outcomes if isinstance(outcome.result, Failed)}
    for coin, result in failed.items():
        if result.code == DiskFullError.code:
            raise DiskFullError(f"{coin}: {result.error}")
    own = {outcome.coin for outcome in outcomes[:members]}
    lost = {coin: result for coin, result in failed.items() if coin in own and result.code in _OF_MACHINES}
    if len(lost) == members > 1:
        coin, result = next(iter(lost.items()))
        raise JobFailedError(
            f"all {members} jobs of the {wave} wave failed, the first ({coin}) with {result.code}: {result.error}. "
            "Nothing was published; see what is wrong with the workers, then run again"
        )
    return outcomes[:members], outcomes[members:]


def _priority(night: Night, coin: str) -> int:
    """Priority of a pair's job once its bars are known; historical constituents come last."""
    record = night.ingested.get(coin)
    return LAST if record is None else _value(night, coin, record.tradable.volume_day_gbp)


def _value(night: Night, coin: str, volume: float) -> int:
    """Priority of a pair: coins with a champion first, then what is liquid."""
    liquid = int(volume // 1_000) if math.isfinite(volume) else 0
    return liquid + (CHAMPIONS_FIRST if coin in night.incumbents else 0)
