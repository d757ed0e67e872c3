"""Steps 2 to 7 over all pairs: three waves of jobs, one job a pair, and what the driver does between them.

Jobs and driver read nothing but what is known to be ours. Where a file is gone or altered, what makes it is run again, and then
what wanted it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from huracan.domain.frames import Bars
from huracan.domain.ids import content_hash
from huracan.domain.records import Skip, SkipCode
from huracan.errors import DiskFullError, JobFailedError, StaleDataError, WorkerLostError
from huracan.features import build_context
from huracan.night.damage import mended, with_set_aside
from huracan.night.evidence.historical import LAST, STEP_PREPARE, STEP_TRAIN, former_coins, received, with_ingested
from huracan.night.jobs.artefacts import RECORD
from huracan.night.jobs.inputs import CONTEXT_FILE, PairPorts, load_bars, load_grams
from huracan.night.jobs.prepare import prepare_root
from huracan.night.jobs.train import train_root
from huracan.night.ports import NightPorts
from huracan.night.remake import outcomes_of, unaltered
from huracan.night.state import Night, PairOutcome, PairWork, WaveRunner
from huracan.training import PairGrams, pool_prior

CONTEXT_MEMBERS = 20
CHAMPIONS_FIRST = 10**15
MIN_PRIOR_PAIRS = 4
_SILENT = {SkipCode.STALE, SkipCode.HALTED}
_OF_MACHINES = {JobFailedError.code, WorkerLostError.code}
INJECTED_RECIPE = "injected"


async def ingest_wave(
    runner: WaveRunner, night: Night, facts: dict[str, Any] | None = None, *, former_pairs: bool = True
) -> Night:
    """Step 2 for every member and former pair; `facts` are for all of them (see `settlements`).

    With `former_pairs` the earlier listings of their symbols are former pairs from here on.
    """
    shared = facts or {}
    work = [
        PairWork(
            wave="ingest",
            coin=member.instrument.coin,
            facts=shared,
            priority=_value(night, member.instrument.coin, member.volume_24h_gbp),
        )
        for member in night.plan.members
    ]
    work += [PairWork(wave="ingest", coin=coin, facts=shared, priority=LAST) for coin in former_coins(night)]
    outcomes, former = _sound(await runner.run(night.plan, work), len(night.plan.members), "ingest")
    night = with_ingested(night, outcomes, former, counted=former_pairs)
    found: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        if outcome.record is None:
            night = night.failing(outcome, 2)
            continue
        found[outcome.coin] = outcome.record
        refused = outcome.record["skip"]
        if refused is not None:
            night = night.skipping([Skip(**{**refused, "code": SkipCode(refused["code"])})])
    return replace(night, facts=found)


def refuse_stale(night: Night, max_stale_share: float) -> None:
    """Raises StaleDataError when too many members are stale or halted to trust the night: then it is the exchange."""
    refused = [facts["skip"]["code"] for facts in night.facts.values() if facts["skip"] is not None]
    stale, members = sum(code in _SILENT for code in refused), len(night.plan.members)
    if members and stale / members > max_stale_share:
        raise StaleDataError(
            f"{stale} of {members} coins are stale or halted at {night.plan.now_ms}; at most {max_stale_share:.0%} may be. "
            "Nothing was trained; check the exchange and the archive, then run again"
        )


def alive(night: Night) -> list[str]:
    """Coins that passed step 2, most liquid first."""
    coins = [coin for coin, facts in night.facts.items() if facts["skip"] is None]
    return sorted(coins, key=lambda coin: (-night.facts[coin]["volume_day_gbp"], coin))


async def write_context(ports: NightPorts, night: Night) -> Night:
    """Build and store the market context from the most liquid members (BTC alone where it is one)."""
    coins = [coin for coin in alive(night) if coin not in night.copies]
    if not coins:
        return night
    chosen = coins[:CONTEXT_MEMBERS]
    if "BTC" in coins and "BTC" not in chosen:
        chosen = [*chosen[:-1], "BTC"]
    named = content_hash("context", [(c, night.facts[c]["data_hash"]) for c in chosen], night.plan.code_hash)
    key = f"context/{named}"
    sha256 = ports.ledger.artefact(f"{key}/{RECORD}")
    if ports.pair.artefacts.believed(key, sha256) is None:
        night, sha256 = await _build_context(ports.pair, night, key, chosen)
    ports.ledger.note_artefact(f"{key}/{RECORD}", sha256)
    return replace(night, context_key=key, context_hash=named, context_sha256=sha256 or "", context_coins=tuple(chosen))


async def _build_context(ports: PairPorts, night: Night, key: str, chosen: list[str]) -> tuple[Night, str]:
    """Store the context and its record; the night with what was set aside for it, and the record's sha256."""
    bars: dict[str, Bars] = {}
    for coin in chosen:
        bars[coin], places = await _context_bars(ports, night, coin)
        if places:
            night = replace(night, facts={**night.facts, coin: with_set_aside(night.facts[coin], places)})
    context, store = build_context(bars, chosen), ports.artefacts
    files = {CONTEXT_FILE: store.write_frame(f"{key}/{CONTEXT_FILE}", context.frame)}
    meta = {"source": context.source, "members": context.members, "context_hash": context.context_hash}
    return night, store.write_record(key, {**meta, "files": files})


async def _context_bars(ports: PairPorts, night: Night, coin: str) -> tuple[Bars, list[str]]:
    facts, member = night.facts[coin], night.plan.member(coin)
    data_hash = facts["data_hash"] if facts["ended_ms"] is None else None

    async def step() -> Bars:
        return load_bars(ports.lake, night.plan, member, data_hash=data_hash)[0]

    return await mended(ports, night.plan, coin, step)


async def prepare_wave(ports: NightPorts, night: Night) -> Night:
    """Steps 3 and 4 for every pair that is alive."""
    return await _prepare(ports, night, alive(night), night.former.drawn)


async def prepare_again(ports: NightPorts, night: Night) -> Night:
    """The night after a look at every file of its context and of wave 2; what was altered is made again."""
    coins, drawn = tuple(night.prepared), tuple(night.former.prepared)
    again = await _prepare(ports, await write_context(ports, night), coins, drawn)
    return replace(again, cache=night.cache)


async def _prepare(ports: NightPorts, night: Night, coins: Sequence[str], drawn: Sequence[str]) -> Night:
    def work(night: Night, coin: str) -> PairWork:
        known = night.facts.get(coin) or night.former.facts[coin]
        facts = {key: known[key] for key in ("data_hash", "spread_bps", "spread_source", "ended_ms")}
        facts |= {name: getattr(night, name) for name in ("context_key", "context_hash", "context_sha256")}
        facts["known"] = ports.ledger.artefact(f"{prepare_root(night.plan, coin, facts)}/{RECORD}")
        return PairWork(wave="prepare", coin=coin, facts=facts, priority=_priority(night, coin))

    night, every = await outcomes_of(ports, night, (*coins, *drawn), work, partial(write_context, ports))
    outcomes, former = _sound(every, len(coins), "prepare")
    night = received(night, STEP_PREPARE, former)
    prepared: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        if outcome.record is None:
            night = night.failing(outcome, 3)
        else:
            prepared[outcome.coin] = outcome.record
    return replace(night.counting(list(prepared.values())), prepared=prepared)


async def prior_wave(ports: NightPorts, night: Night) -> Night:
    """The night with the pools' priors; Gram matrices that were altered are made again."""
    return await unaltered(partial(write_priors, ports), partial(prepare_again, ports), night)


def write_priors(ports: NightPorts, night: Night) -> Night:
    """Sum the pairs' Gram matrices into pool priors, one per (market, tier) and horizon; a small pool joins all others.

    Former pairs are in them: past folds may not learn from survivors alone. Tonight's copies are not. Returns the night with,
    for each coin, the prior's key and sha256 by ``recipe_id/horizon``.
    """
    if night.plan.recipes[0].name == INJECTED_RECIPE:
        return night
    groups: dict[tuple[str, str], list[str]] = {}
    prepared, facts = {**night.prepared, **night.former.prepared}, {**night.facts, **night.former.facts}
    for coin in prepared:
        market = night.plan.member(coin).instrument.market
        groups.setdefault((market, facts[coin]["tier"]), []).append(coin)
    priors: dict[str, dict[str, tuple[str, str]]] = {coin: {} for coin in prepared}
    for coins in groups.values():
        members = [coin for coin in coins if coin not in night.copies]
        if len(members) < MIN_PRIOR_PAIRS:
            members = [coin for coin in prepared if coin not in night.copies]
        for horizon in night.plan.horizons:
            of_members = [prepared[coin] for coin in sorted(members)]
            for recipe_id, named in _write_prior(ports, night, of_members, horizon).items():
                for coin in coins:
                    priors[coin][f"{recipe_id}/{horizon}"] = named
    return replace(night, priors=priors)


def _write_prior(
    ports: NightPorts, night: Night, members: list[dict[str, Any]], horizon: str
) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    store, grams = ports.pair.artefacts, list[PairGrams]()
    for recipe in night.plan.recipes:
        named = content_hash(
            "prior", [prepared["key"] for prepared in members], horizon, asdict(recipe), night.plan.code_hash
        )
        key = f"prior/{named}.safetensors"
        sha256 = ports.ledger.artefact(key)
        if sha256 is None or not store.holds(key, sha256):
            grams = grams or [load_grams(store, prepared, horizon) for prepared in members]
            sha256 = store.write(key, pool_prior(grams, recipe).to_bytes())
        ports.ledger.note_artefact(key, sha256)
        found[recipe.id] = (key, sha256)
    return found


async def train_wave(ports: NightPorts, night: Night) -> Night:
    """Steps 5 to 7 for every prepared pair; a (coin, horizon) that no recipe could train is skipped."""
    return await _train(ports, night, tuple(night.prepared), tuple(night.former.prepared))


async def train_again(ports: NightPorts, night: Night) -> Night:
    """The night after a look at every file of wave 3; what was altered is made again."""
    again = await _train(ports, night, tuple(night.trained), tuple(night.former.trained))
    return replace(again, cache=night.cache)


async def _train(ports: NightPorts, night: Night, coins: Sequence[str], drawn: Sequence[str]) -> Night:
    def work(night: Night, coin: str) -> PairWork | None:
        prepared = night.prepared.get(coin) or night.former.prepared.get(coin)
        if prepared is None:
            return None
        ended_ms = None if coin in night.prepared else night.former.facts[coin]["ended_ms"]
        facts = {"prepared": prepared, "priors": night.priors.get(coin, {}), "ended_ms": ended_ms}
        facts["known"] = ports.ledger.artefact(f"{train_root(night.plan, facts)}/{RECORD}")
        return PairWork(wave="train", coin=coin, facts=facts, priority=_priority(night, coin))

    async def inputs(night: Night) -> Night:
        return await prior_wave(ports, await prepare_again(ports, night))

    night, every = await outcomes_of(ports, night, (*coins, *drawn), work, inputs)
    outcomes, former = _sound(every, len(coins), "train")
    night = received(night, STEP_TRAIN, former)
    trained: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        if outcome.record is None:
            night = night.failing(outcome, 5)
            continue
        trained[outcome.coin] = outcome.record
        scored = {name.rpartition("/")[2] for name in outcome.record["cells"]}
        refused = [Skip(**{**row, "code": SkipCode(row["code"])}) for row in outcome.record["skips"]]
        night = night.skipping([skip for skip in refused if skip.horizon not in scored])
    return replace(night.counting(list(trained.values())), trained=trained)


def _sound(outcomes: list[PairOutcome], members: int, wave: str) -> tuple[list[PairOutcome], list[PairOutcome]]:
    """A wave's outcomes, those of its `members` (the first ones) and those of former pairs.

    A full disk is no coin's fault and ends the night, yesterday's champions untouched; neither is it any coin's fault when the
    job of every member fails: then it is the machines'.
    """
    full = next((outcome for outcome in outcomes if outcome.code == DiskFullError.code), None)
    if full is not None:
        raise DiskFullError(f"{full.coin}: {full.error}")
    lost = [outcome for outcome in outcomes[:members] if outcome.code in _OF_MACHINES]
    if len(lost) == members > 1:
        raise JobFailedError(
            f"all {members} jobs of the {wave} wave failed, the first ({lost[0].coin}) with {lost[0].code}: {lost[0].error}. "
            "Nothing was published; see what is wrong with the workers, then run again"
        )
    return outcomes[:members], outcomes[members:]


def _priority(night: Night, coin: str) -> int:
    """Priority of a pair's job once its bars are known; former pairs come last."""
    return _value(night, coin, night.facts[coin]["volume_day_gbp"]) if coin in night.facts else LAST


def _value(night: Night, coin: str, volume: float) -> int:
    """Priority of a pair: coins with a champion first, then what is liquid."""
    liquid = int(volume // 1_000) if math.isfinite(volume) else 0
    return liquid + (CHAMPIONS_FIRST if coin in night.incumbents else 0)
