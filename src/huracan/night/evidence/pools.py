"""Pools of a night's pairs, and what every recipe earned in each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from huracan.domain.arrays import I64
from huracan.domain.recipe import Recipe
from huracan.domain.time import Horizon
from huracan.night.evidence.historical import draw, is_preferred
from huracan.night.evidence.missing_results import lost_pairs, pool_days_of, why_no_admission
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.train import cell_frame
from huracan.night.state import Night
from huracan.promotion import PoolEvidence
from huracan.scoring import pool_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Base assets of one market and liquidity tier; `panel` are those whose results are evidence, `coins` all that
    follow.
    """

    name: str
    market: str
    tier: str
    coins: tuple[str, ...]
    panel: tuple[str, ...]


def make_pools(night: Night, panel_size: int) -> tuple[Pool, ...]:
    """Pools of tonight's trained pairs. Evidence counts base assets once (the preferred instrument) and no copies,
    drawn by hash.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for coin in sorted(night.trained):
        instrument = night.plan.member(coin).instrument
        groups.setdefault((instrument.market, night.ingested[coin].tradable.tier), []).append(coin)
    pools = []
    for (market, tier), coins in sorted(groups.items()):
        preferred = [coin for coin in coins if is_preferred(night, coin) and coin not in night.copies]
        pools.append(
            Pool(
                name=f"{market}-{tier}",
                market=market,
                tier=tier,
                coins=tuple(coins),
                panel=tuple(draw(preferred, panel_size)),
            )
        )
    return tuple(pools)


def pool_evidence(store: Artefacts, night: Night, pools: tuple[Pool, ...], panel_size: int) -> Iterator[PoolEvidence]:
    """Every recipe's results in every pool. A past day counts every pair that was in the pool's tier on that day,
    members of tonight and historical constituents alike. A pair that was lost tonight counts as without valid data.
    """
    lost = lost_pairs(night)
    counted = [*night.all_trained(), *lost]
    for pool in pools:
        if not pool.panel:
            continue
        here = [coin for coin in counted if night.plan.member(coin).instrument.market == pool.market]
        days = {coin: of_tier for coin in here if (of_tier := pool_days_of(night, coin, pool.tier)).size}
        drawn = {coin: days[coin] for coin in draw(days, panel_size)}
        unready = why_no_admission(night, drawn, lost)
        for recipe in night.plan.recipes:
            for horizon in night.plan.horizons:
                evidence = _recipe_evidence(store, night, pool, drawn, recipe=recipe, horizon=horizon)
                if evidence is not None:
                    yield replace(evidence, unready=unready) if unready else evidence


def _recipe_evidence(
    store: Artefacts, night: Night, pool: Pool, days: dict[str, I64], *, recipe: Recipe, horizon: str
) -> PoolEvidence | None:
    trained = night.all_trained()
    cells = {coin: trained[coin].cell(recipe.id, horizon) for coin in days if coin in trained}
    here = {coin: cell for coin, cell in cells.items() if cell is not None}
    members = tuple(coin for coin in pool.panel if coin in here)
    if not members:
        return None
    largest = recipe.sizing.largest_position(Horizon.parse(horizon))
    result = pool_result(
        pool.name,
        horizon,
        recipe.id,
        {coin: cell_frame(store, cell, "panel") for coin, cell in here.items()},
        {coin: cell_frame(store, cell, "daily") for coin, cell in here.items()},
        net_cap=recipe.sizing.net_cap_share * largest,
        gross_cap=recipe.sizing.gross_cap_share * largest,
        membership={coin: days[coin] for coin in days if coin in here or coin not in trained},
    )
    return PoolEvidence(
        pool=pool.name,
        tier=pool.tier,
        market=pool.market,
        horizon=horizon,
        recipe=recipe,
        members=members,
        former=tuple(coin for coin in here if coin in night.historical.trained or not is_preferred(night, coin)),
        daily=result.daily,
        net_cap=result.net_cap,
        gross_cap=result.gross_cap,
    )
