"""Steps 2 to 7 over all pairs: three waves of jobs, one job a pair, and what the driver does between them."""

import math
from dataclasses import asdict, replace
from typing import Any

from huracan.domain.frames import Bars
from huracan.domain.ids import content_hash
from huracan.domain.records import Skip, SkipCode
from huracan.errors import DiskFullError, JobFailedError, StaleDataError, WorkerLostError
from huracan.features import build_context
from huracan.pipeline.artefacts import put_frame, put_json
from huracan.pipeline.damage import mended, with_set_aside
from huracan.pipeline.former import LAST, STEP_PREPARE, STEP_TRAIN, former_coins, received, with_ingested
from huracan.pipeline.night import Night, PairOutcome, PairWork, WaveRunner
from huracan.pipeline.pair import PairPorts, load_bars, load_grams
from huracan.training import pool_prior

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
    outcomes, former = await _outcomes(runner, night, work, "ingest", dict.fromkeys(former_coins(night), shared))
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


async def write_context(ports: PairPorts, night: Night) -> Night:
    """Build and store the market context from the most liquid members (BTC alone where it is one)."""
    coins = [coin for coin in alive(night) if coin not in night.copies]
    if not coins:
        return night
    chosen = coins[:CONTEXT_MEMBERS]
    if "BTC" in coins and "BTC" not in chosen:
        chosen = [*chosen[:-1], "BTC"]
    named = content_hash("context", [(c, night.facts[c]["data_hash"]) for c in chosen], night.plan.code_hash)
    key = f"context/{named}"
    if ports.artefacts.get(f"{key}/context.json") is None:
        bars: dict[str, Bars] = {}
        for coin in chosen:
            bars[coin], places = await _context_bars(ports, night, coin)
            if places:
                night = replace(night, facts={**night.facts, coin: with_set_aside(night.facts[coin], places)})
        context = build_context(bars, chosen)
        put_frame(ports.artefacts, f"{key}/context.parquet", context.frame)
        meta = {"source": context.source, "members": context.members, "context_hash": context.context_hash}
        put_json(ports.artefacts, f"{key}/context.json", meta)
    return replace(night, context_key=key, context_hash=named, context_coins=tuple(chosen))


async def _context_bars(ports: PairPorts, night: Night, coin: str) -> tuple[Bars, list[str]]:
    facts, member = night.facts[coin], night.plan.member(coin)
    data_hash = facts["data_hash"] if facts["ended_ms"] is None else None

    async def step() -> Bars:
        return load_bars(ports.lake, night.plan, member, data_hash=data_hash)[0]

    return await mended(ports, night.plan, coin, step)


async def prepare_wave(runner: WaveRunner, night: Night) -> Night:
    """Steps 3 and 4 for every pair that is alive."""
    work = [
        PairWork(
            wave="prepare",
            coin=coin,
            facts=_prepare_facts(night, night.facts[coin]),
            priority=_value(night, coin, night.facts[coin]["volume_day_gbp"]),
        )
        for coin in alive(night)
    ]
    asked = {coin: _prepare_facts(night, night.former.facts[coin]) for coin in night.former.drawn}
    outcomes, former = await _outcomes(runner, night, work, "prepare", asked)
    night = received(night, STEP_PREPARE, former)
    prepared: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        if outcome.record is None:
            night = night.failing(outcome, 3)
        else:
            prepared[outcome.coin] = outcome.record
    return replace(night.counting(list(prepared.values())), prepared=prepared)


def _prepare_facts(night: Night, facts: dict[str, Any]) -> dict[str, Any]:
    """What wave 2 needs of what wave 1 found."""
    found = {key: facts[key] for key in ("data_hash", "spread_bps", "spread_source", "ended_ms")}
    return {**found, "context_key": night.context_key, "context_hash": night.context_hash}


def write_priors(ports: PairPorts, night: Night) -> Night:
    """Sum the pairs' Gram matrices into pool priors, one per (market, tier) and horizon; a small pool joins all others.

    Former pairs are in them: past folds may not learn from survivors alone. Tonight's copies are not. Returns the night with, for each coin, the
    prior's artefact key by ``recipe_id/horizon``.
    """
    if night.plan.recipes[0].name == INJECTED_RECIPE:
        return night
    groups: dict[tuple[str, str], list[str]] = {}
    prepared, facts = {**night.prepared, **night.former.prepared}, {**night.facts, **night.former.facts}
    for coin in prepared:
        market = night.plan.member(coin).instrument.market
        groups.setdefault((market, facts[coin]["tier"]), []).append(coin)
    priors: dict[str, dict[str, str]] = {coin: {} for coin in prepared}
    for coins in groups.values():
        members = [coin for coin in coins if coin not in night.copies]
        if len(members) < MIN_PRIOR_PAIRS:
            members = [coin for coin in prepared if coin not in night.copies]
        for horizon in night.plan.horizons:
            of_members = [prepared[coin] for coin in sorted(members)]
            for recipe_id, key in _write_prior(ports, night, of_members, horizon).items():
                for coin in coins:
                    priors[coin][f"{recipe_id}/{horizon}"] = key
    return replace(night, priors=priors)


def _write_prior(ports: PairPorts, night: Night, members: list[dict[str, Any]], horizon: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    grams = None
    for recipe in night.plan.recipes:
        named = content_hash(
            "prior", [prepared["key"] for prepared in members], horizon, asdict(recipe), night.plan.code_hash
        )
        key = f"prior/{named}.safetensors"
        if ports.artefacts.get(key) is None:
            grams = grams or [load_grams(ports.artefacts, prepared, horizon) for prepared in members]
            ports.artefacts.put(key, pool_prior(grams, recipe).to_bytes())
        keys[recipe.id] = key
    return keys


async def train_wave(runner: WaveRunner, night: Night) -> Night:
    """Steps 5 to 7 for every prepared pair; a (coin, horizon) that no recipe could train is skipped."""
    work = [
        PairWork(
            wave="train",
            coin=coin,
            facts={"prepared": night.prepared[coin], "priors": night.priors.get(coin, {}), "ended_ms": None},
            priority=_value(night, coin, night.facts[coin]["volume_day_gbp"]),
        )
        for coin in night.prepared
    ]
    asked = {
        coin: {
            "prepared": record,
            "priors": night.priors.get(coin, {}),
            "ended_ms": night.former.facts[coin]["ended_ms"],
        }
        for coin, record in night.former.prepared.items()
    }
    outcomes, former = await _outcomes(runner, night, work, "train", asked)
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


async def _outcomes(
    runner: WaveRunner, night: Night, work: list[PairWork], wave: str, asked: dict[str, dict[str, Any]]
) -> tuple[list[PairOutcome], list[PairOutcome]]:
    """The wave's outcomes, of members (`work`) and of former pairs (`asked`: facts by coin).

    A full disk is no coin's fault and ends the night, yesterday's champions untouched; neither is it any coin's fault when the
    job of every member fails: then it is the machines'.
    """
    behind = [PairWork(wave=wave, coin=coin, facts=facts, priority=LAST) for coin, facts in asked.items()]
    outcomes = await runner.run(night.plan, [*work, *behind])
    full = next((outcome for outcome in outcomes if outcome.code == DiskFullError.code), None)
    if full is not None:
        raise DiskFullError(f"{full.coin}: {full.error}")
    lost = [outcome for outcome in outcomes[: len(work)] if outcome.code in _OF_MACHINES]
    if len(lost) == len(work) > 1:
        raise JobFailedError(
            f"all {len(work)} jobs of the {wave} wave failed, the first ({lost[0].coin}) with {lost[0].code}: {lost[0].error}. "
            "Nothing was published; see what is wrong with the workers, then run again"
        )
    return outcomes[: len(work)], outcomes[len(work) :]


def _value(night: Night, coin: str, volume: float) -> int:
    """Priority of a pair: coins with a champion first, then what is liquid."""
    liquid = int(volume // 1_000) if math.isfinite(volume) else 0
    return liquid + (CHAMPIONS_FIRST if coin in night.incumbents else 0)
