"""Step 8 over all pairs: pools, their evidence, the verdict, and what it means for every (coin, horizon)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from huracan.domain.codec import from_json, to_json
from huracan.domain.proof import FEWEST_ROUND_TRIPS
from huracan.domain.recipe import Recipe
from huracan.domain.records import Skip, SkipCode
from huracan.night.config import NightConfig
from huracan.night.edges import MeasuredEdges, PoolEdges
from huracan.night.evidence.copies import ALIKE
from huracan.night.evidence.pools import Pool, make_pools, pool_evidence
from huracan.night.hypotheses import HypothesisRow, hypothesis_rows
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.ports import NightPorts
from huracan.night.rereading import Reading, reading_of, restatement_notes
from huracan.night.state import Night
from huracan.night.waves import INJECTED_RECIPE
from huracan.ports import Telemetry
from huracan.promotion import CoinEdge, EvidenceKey, NightContext, PoolHorizon, Verdict, evaluate_night

NOTHING = "none"

PRIMARY_RECIPE = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which recipe's model a (coin, horizon) publishes, as a champion or as a candidate for paper trading.

    `edge` is what decided about a champion, `measured` what the recipe's round trips say of the coin in each regime.
    """

    coin: str
    horizon: str
    pool: str
    recipe: Recipe
    champion: bool
    edge: CoinEdge | None
    evidence: HypothesisRow | None
    measured: MeasuredEdges = field(default_factory=MeasuredEdges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """The night after step 8. `evidence` is one row per lineage, `dailies` the pools' daily results by
    pool/horizon/recipe.
    """

    night: Night
    verdict: Verdict
    pools: tuple[Pool, ...]
    evidence: tuple[HypothesisRow, ...]
    assignments: tuple[Assignment, ...]
    dailies: Mapping[EvidenceKey, pl.DataFrame] = field(default_factory=dict)


def decide(ports: NightPorts, config: NightConfig, night: Night) -> Promoted:
    """Evidence of every recipe in every pool, the ledger's verdict on it, and its coins; writes the ledger."""
    pools = make_pools(night, config.panel_size)
    evidence = list(pool_evidence(ports.pair.artefacts, night, pools, config.panel_size))
    looked = NightContext(
        day=night.plan.end_day - 1,
        stress_table=config.stress_table,
        primary_recipe=primary_recipe(night.plan.recipes[0].name),
    )
    verdict = evaluate_night(ports.ledger.load_state(), evidence, looked)
    reading = reading_of(night, config)
    earlier = [from_json(Reading, noted) for noted in ports.ledger.readings()]
    verdict = replace(verdict, notes=(*verdict.notes, *restatement_notes(verdict.restated, reading, earlier)))
    rows = hypothesis_rows(verdict.table, evidence)
    # Every file that the verdict's consequences rest on is read before a word of it is stored.
    night, assignments = _assign(ports.pair.artefacts, night, pools, verdict, rows)
    if not config.dry_run:
        ports.ledger.append_verdict(verdict)
        ports.ledger.note_reading(night.run_id, to_json(reading))
    _emit(ports.telemetry, verdict, rows)
    return Promoted(
        night=night,
        verdict=verdict,
        pools=pools,
        evidence=rows,
        assignments=tuple(assignments),
        dailies={EvidenceKey(item.pool, item.horizon, item.recipe.id): item.daily for item in evidence},
    )


def primary_recipe(first: str) -> str:
    """The recipe that holds the primary slots: `linear`, or injected code in its place. A user's own draw from the
    others.
    """
    return first if first == INJECTED_RECIPE else PRIMARY_RECIPE


def _emit(telemetry: Telemetry, verdict: Verdict, rows: tuple[HypothesisRow, ...]) -> None:
    """The verdict as events: what was admitted, evaluated, expired, promoted and demoted, and the frozen pools."""
    for lineage in verdict.lineages:
        telemetry.event(
            "lineage_admitted",
            pool=lineage.pool,
            horizon=lineage.horizon,
            recipe=lineage.recipe_name,
            gamma=lineage.gamma,
        )
    for row in rows:
        view = row.view
        telemetry.event(
            "pool_evaluated",
            pool=view.pool,
            horizon=view.horizon,
            recipe=view.recipe,
            e=view.e,
            needed=view.needed,
            status=view.status,
            nights_until_decidable=view.nights_until_decidable,
        )
    expired = {row.lineage_id for row in verdict.rows if row.status == "expired"}
    for row in rows:
        view = row.view
        if view.lineage_id in expired:
            telemetry.event(
                "lineage_expired", pool=view.pool, horizon=view.horizon, recipe=view.recipe, reason=view.reason
            )
    for name, events in (("pool_promoted", verdict.promotions), ("champion_demoted", verdict.demotions)):
        for event in events:
            fields = {"pool": event.pool, "horizon": event.horizon, "recipe_id": event.recipe_id}
            telemetry.event(name, **fields, predecessor=event.predecessor, reason=event.reason, detail=event.detail)
    for pool in verdict.frozen_pools:
        telemetry.event("pool_frozen", pool=pool)


def _assign(
    store: Artefacts,
    night: Night,
    pools: tuple[Pool, ...],
    verdict: Verdict,
    rows: tuple[HypothesisRow, ...],
) -> tuple[Night, list[Assignment]]:
    assignments: list[Assignment] = []
    for pool in pools:
        for horizon in night.plan.horizons:
            here = [row for row in rows if (row.view.pool, row.view.horizon) == (pool.name, horizon)]
            champion = verdict.champions.get(PoolHorizon(pool.name, horizon), NOTHING)
            edges = PoolEdges(store=store, night=night, coins=pool.coins, horizon=horizon)
            waits = next((one.reason for one in verdict.waiting if (one.pool, one.horizon) == (pool.name, horizon)), "")
            for coin in pool.coins:
                night, assigned = _assign_coin(
                    night, pool, horizon, coin, champion=champion, edges=edges, rows=here, waits=waits
                )
                assignments += [assigned] if assigned else []
    return night, assignments


def _assign_coin(
    night: Night,
    pool: Pool,
    horizon: str,
    coin: str,
    *,
    champion: str,
    edges: PoolEdges,
    rows: list[HypothesisRow],
    waits: str,
) -> tuple[Night, Assignment | None]:
    record = night.trained[coin]
    trained = [recipe for recipe in night.plan.recipes if record.cell(recipe.id, horizon) is not None]
    if not trained:
        return night.skipping([_not_scored(coin, horizon, "no recipe gave a result")]), None
    edge = edges.of(champion, coin).overall
    if edge is not None and edge.passed and coin not in night.copies:
        recipe = next(recipe for recipe in trained if recipe.id == champion)
        row = next((row for row in rows if row.view.recipe_id == champion), None)
        return night, Assignment(
            coin=coin,
            horizon=horizon,
            pool=pool.name,
            recipe=recipe,
            champion=True,
            edge=edge,
            evidence=row,
            measured=edges.of(champion, coin),
        )
    best = _nearest(rows, trained)
    refused = _copy(night, coin, horizon) or _not_champion(
        coin, horizon, champion=champion, edge=edge, best=best, waits=waits
    )
    night = night.skipping([refused])
    recipe = next((recipe for recipe in trained if best and recipe.id == best.view.recipe_id), trained[0])
    return night, Assignment(
        coin=coin,
        horizon=horizon,
        pool=pool.name,
        recipe=recipe,
        champion=False,
        edge=edge if recipe.id == champion else None,
        evidence=best,
        measured=edges.of(recipe.id, coin),
    )


def _copy(night: Night, coin: str, horizon: str) -> Skip | None:
    """A copy has no champion of its own, proven or not: with its leader's it would be the same bet twice."""
    leader = night.copies.get(coin)
    if leader is None:
        return None
    reason = f"its returns are those of {leader}, which is traded for both (correlation over 30 days)"
    return Skip(coin=coin, horizon=horizon, step=8, code=SkipCode.COPY, reason=reason, wanted=ALIKE)


def _nearest(rows: list[HypothesisRow], trained: list[Recipe]) -> HypothesisRow | None:
    """The lineage with the largest e-value among recipes this coin has; the first recipe wins ties."""
    order = {recipe.id: place for place, recipe in enumerate(trained)}
    known = [row for row in rows if row.view.recipe_id in order]
    return min(known, key=lambda row: (-row.view.e, order[row.view.recipe_id])) if known else None


def _not_champion(
    coin: str, horizon: str, *, champion: str, edge: CoinEdge | None, best: HypothesisRow | None, waits: str
) -> Skip:
    if champion != NOTHING:
        if edge is None:
            return _not_scored(
                coin, horizon, f"the pool's proven recipe {champion} gave no result for this coin tonight"
            )
        few = edge.lower_bps is None
        reason = (
            "too few round trips to tell this coin's edge"
            if few
            else "lower 5% point of the coin's own shrunken net edge is below the minimum (bps)"
        )
        measured = edge.lower_bps if edge.lower_bps is not None else float(edge.n)
        return Skip(
            coin=coin,
            horizon=horizon,
            step=8,
            code=SkipCode.EDGE_BELOW_MIN,
            reason=reason,
            measured=measured,
            wanted=float(FEWEST_ROUND_TRIPS) if few else edge.wanted_bps,
        )
    if best is None:
        reason = f"nothing is tested in this coin's pool: {waits or 'its base assets count where they are preferred'}"
        return Skip(coin=coin, horizon=horizon, step=8, code=SkipCode.NOT_PROVEN, reason=reason)
    return Skip(
        coin=coin,
        horizon=horizon,
        step=8,
        code=SkipCode.NOT_PROVEN,
        reason="no recipe is proven in this coin's pool",
        measured=float(best.view.e),
        wanted=float(best.view.needed),
    )


def _not_scored(coin: str, horizon: str, reason: str) -> Skip:
    return Skip(coin=coin, horizon=horizon, step=8, code=SkipCode.NOT_SCORED, reason=reason)
