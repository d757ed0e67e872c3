"""The nine steps over ports. `all_steps` is the story; each step takes the night so far and returns the next."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from typing import Final, Protocol

from huracan.domain.ids import Instrument
from huracan.domain.night_records import Files
from huracan.domain.records import Snapshot, Universe
from huracan.domain.time import DAY_MS, HOUR_MS, iso
from huracan.errors import AlteredArtefactError, ClockSkewError, ConfigError, DataError
from huracan.night.config import NightConfig
from huracan.night.damage import lake_damage
from huracan.night.delistings import without_delisted
from huracan.night.evidence.copies import without_copies
from huracan.night.evidence.historical import with_drawn
from huracan.night.evidence.one_per_base import once_a_base
from huracan.night.jobs.funding import share_settlements
from huracan.night.plan import NightPlan, cutoff
from huracan.night.ports import NightPorts
from huracan.night.promote import Promoted, decide
from huracan.night.publish import Exported, publish
from huracan.night.remake import unaltered
from huracan.night.stages import Stage
from huracan.night.state import Night
from huracan.night.waves import (
    ingest_wave,
    prepare_wave,
    prior_wave,
    refuse_leaks,
    refuse_stale,
    train_again,
    train_wave,
    write_context,
)
from huracan.universe import archived_instruments, build_universe, delisted_members

LONGEST_SNAPSHOT_MS: Final = HOUR_MS // 4
"""A listing and its quotes take seconds, minutes where requests have to wait for their budget."""


NODES_APART_MS: Final = 1_000
"""Two answers of one exchange come from two machines, whose clocks are milliseconds apart: time may seem to step
back.
"""


class NineSteps(Protocol):
    """The steps of a night, each from the result of the one before."""

    async def step1_build_coin_universe(self) -> Night:
        """Who may be trained."""
        ...

    async def step2_ingest_and_validate_data(self, universe: Night, /) -> Night:
        """Bars, validated."""
        ...

    async def step3_generate_features(self, ingested: Night, /) -> Night:
        """What is known at each bar."""
        ...

    async def step4_label_forward_returns(self, featured: Night, /) -> Night:
        """What came of it."""
        ...

    async def step5_train_models(self, labelled: Night, /) -> Night:
        """Models of every pair."""
        ...

    async def step6_score_edge_after_costs(self, trained: Night, /) -> Night:
        """What they earned."""
        ...

    async def step7_run_consensus(self, scored: Night, /) -> Night:
        """What they say together."""
        ...

    async def step8_shadow_test_challengers(self, agreed: Night, /) -> Promoted:
        """What is proven."""
        ...

    async def step9_export_champions(self, promoted: Promoted, /) -> Exported:
        """The signed set."""
        ...


async def all_steps(steps: NineSteps) -> Exported:
    """The whole story; raises HuracanError where a night must be refused."""
    universe = await steps.step1_build_coin_universe()
    ingested = await steps.step2_ingest_and_validate_data(universe)
    featured = await steps.step3_generate_features(ingested)
    labelled = await steps.step4_label_forward_returns(featured)
    trained = await steps.step5_train_models(labelled)
    scored = await steps.step6_score_edge_after_costs(trained)
    agreed = await steps.step7_run_consensus(scored)
    promoted = await steps.step8_shadow_test_challengers(agreed)
    return await steps.step9_export_champions(promoted)


class NightPipeline:
    """One night. Steps are called in order, one by one or by `all_steps`, and recover from any earlier crash.

    Steps 3 and 4 of a pair are one job, and so are 5 to 7: the methods hand out their parts as they are reached.
    """

    def __init__(self, ports: NightPorts, config: NightConfig) -> None:
        self.ports = ports
        self.config = config
        self.ingested: Night | None = None
        """The night after its ingest, refused or not: what is known of the data outlives a refusal."""
        self.reached = 0
        """Number of the last step that ended well."""

    async def step1_build_coin_universe(self) -> Night:
        """Who may be trained today, from the exchange's own listing, and the plan of the night."""
        with self._stage(1):
            return self._counted(await self._universe())

    async def _universe(self) -> Night:
        config = self.config
        server_ms = await self.ports.pair.market.server_time()
        self.ports.check_clock(server_ms)
        now_ms = config.as_of_ms if config.as_of_ms is not None else server_ms
        snapshot = await self._snapshot(now_ms, server_ms)
        since_ms = now_ms - config.history_days * DAY_MS
        universe = build_universe(snapshot, config.universe, config.horizons, await self._archived(), since_ms)
        plan = self._plan(now_ms, snapshot, universe)
        rejected = {skip.coin for skip in universe.skips}
        pairs = tuple(sorted({member.instrument.coin for member in universe.members} | rejected))
        run_id = f"{iso(plan.cutoff_ms)[:16].replace('-', '').replace(':', '')}-{self.ports.clock.now_ms():x}"
        self.ports.telemetry.event("run_started", run_id=run_id, horizons=config.horizons, dry_run=config.dry_run)
        self.ports.telemetry.event(
            "universe_built",
            members=len(universe.members),
            pairs=len(pairs),
            former=len(plan.historical),
            now=iso(now_ms),
            source=snapshot.source,
        )
        self.ports.ledger.record_run(
            run_id, started_ms=self.ports.clock.now_ms(), facts={"now": iso(now_ms), "config_hash": config.config_hash}
        )
        night = Night(
            run_id=run_id,
            plan=plan,
            universe=universe,
            pairs=pairs,
            gbp_source=snapshot.gbp_source,
            universe_source=snapshot.source,
            incumbents=self._incumbents(),
        )
        return night.skipping(list(universe.skips))

    async def _snapshot(self, now_ms: int, server_ms: int) -> Snapshot:
        """The exchange as it was known at `now_ms`: asked now, or for a past moment what was stored or can still be
        known.
        """
        if now_ms > server_ms:
            raise ConfigError(f"as of {iso(now_ms)} lies in the future: the exchange's clock says {iso(server_ms)}")
        market, snapshots = self.ports.pair.market, self.ports.snapshots
        if server_ms - now_ms < HOUR_MS:
            snapshot = await market.snapshot(now_ms)
            moved_ms = await market.server_time() - server_ms
            if not -NODES_APART_MS <= moved_ms < LONGEST_SNAPSHOT_MS:
                raise ClockSkewError(
                    f"the exchange's clock moved by {moved_ms / 1000:.0f} s while it listed its pairs; wanted an answer of one "
                    "moment. Run again"
                )
            snapshots.keep(snapshot)
            return snapshot
        stored = snapshots.as_of(now_ms)
        if stored is not None:
            return replace(stored, now_ms=now_ms, source=f"stored at {iso(stored.now_ms)}")
        return await market.snapshot_as_of(now_ms, self.config.universe.quote_assets)

    async def _archived(self) -> list[Instrument]:
        """Everything of the quote assets that the archive has bars of, what the exchange has forgotten included."""
        config, found = self.config, list[Instrument]()
        if config.historical:
            for market in ("spot", "um"):
                symbols = await self.ports.pair.market.archived_symbols(market)
                found += archived_instruments(symbols, market, config.universe.quote_assets)[0]
        return found

    def _plan(self, now_ms: int, snapshot: Snapshot, universe: Universe) -> NightPlan:
        config = self.config
        return NightPlan(
            now_ms=now_ms,
            cutoff_ms=cutoff(now_ms, config.recipes[0].decision_interval_minutes),
            history_days=config.history_days,
            min_history_days=config.min_history_days,
            interval_ms=config.interval_ms,
            horizons=config.horizons,
            recipes=config.recipes,
            members=universe.members,
            historical=universe.historical if config.historical else (),
            min_liquidity_gbp=config.universe.min_liquidity_gbp,
            max_spread_bps=config.max_spread_bps,
            stale_after_minutes=config.stale_after_minutes,
            quote_per_gbp=tuple(sorted(snapshot.quote_per_gbp.items())),
            tier_spreads=universe.tier_spreads,
            declared_spreads=config.declared_spreads,
            leak_exempt=config.leak_exempt,
            gate=config.gate,
            seed=config.seed,
            code_hash=config.code_hash,
        )

    async def step2_ingest_and_validate_data(self, night: Night) -> Night:
        """The lake brought up to date, bars validated; the market context for the next step."""
        with self._stage(2) as stage:
            pair, telemetry = self.ports.pair, self.ports.telemetry
            shared = await share_settlements(pair.market, pair.artefacts, telemetry, night.plan)
            self.ingested = found = await ingest_wave(
                self.ports.waves, night, shared, historical=self.config.historical
            )
            self._emit_data(found)
            self._emit_quarantined(night, found)
            refuse_stale(found, self.config.max_stale_share)
            counted = without_copies(once_a_base(found, self.config.universe.market))
            self._emit_copies(counted)
            ready = await write_context(self.ports, with_drawn(counted, self.config.panel_size))
            self._emit_quarantined(found, ready)
            return stage.ending(self._counted(ready))

    async def step3_generate_features(self, night: Night) -> Night:
        """Features of every pair that is alive (and, in the same jobs, step 4's labels)."""
        with self._stage(3) as stage:
            featured = await prepare_wave(self.ports, night)
            self._emit_quarantined(night, featured)
            return stage.ending(self._counted(featured))

    async def step4_label_forward_returns(self, night: Night) -> Night:
        """Labels, which the pairs' jobs have made beside their features; horizons with a leak are refused."""
        with self._stage(4) as stage:
            known = sum(horizon.labels for record in night.prepared.values() for horizon in record.horizons.values())
            self.ports.telemetry.event("labels_made", pairs=len(night.prepared), labels=known)
            return stage.ending(self._counted(refuse_leaks(night)))

    async def step5_train_models(self, night: Night) -> Night:
        """The pools' priors, then every engine and recipe of every pair in walk-forward folds (and, in the same jobs,
        steps 6 and 7).
        """
        with self._stage(5) as stage:
            # A remote copy may have brought champions since step 1; theirs are the pairs that a deadline should spare.
            ready = replace(await prior_wave(self.ports, night), incumbents=self._incumbents())
            trained = await train_wave(self.ports, ready)
            self._emit_quarantined(night, trained)
            self.ports.telemetry.event("pairs_trained", pairs=len(trained.trained))
            return stage.ending(self._counted(trained))

    async def step6_score_edge_after_costs(self, night: Night) -> Night:
        """Scorecards, which step 5's jobs have made; one telemetry event per cell says what it earned."""
        with self._stage(6) as stage:
            for coin, cell in night.cells():
                costs = {"net_bps": cell.costs.get("net"), "trips": cell.costs.get("trips")}
                place = {"recipe_id": cell.recipe_id, "horizon": cell.horizon}
                self.ports.telemetry.event("recipe_scored", coin=coin, **place, engines=list(cell.engines), **costs)
            return stage.ending(night)

    async def step7_run_consensus(self, night: Night) -> Night:
        """The consensus of every cell as of the cut-off, as events."""
        with self._stage(7) as stage:
            for coin, cell in night.cells():
                if cell.live is not None:
                    place = {"recipe_id": cell.recipe_id, "horizon": cell.horizon}
                    live = {**asdict(cell.live), "regime": cell.regime}
                    self.ports.telemetry.event("consensus_reached", coin=coin, **place, **live)
            return stage.ending(night)

    async def step8_shadow_test_challengers(self, night: Night) -> Promoted:
        """Pools, e-values, ledger, gates: who is proven, who is demoted, which coins follow."""
        with self._stage(8):
            # From here on the night decides and signs by what the store holds, so what others hold must be here by now.
            await asyncio.to_thread(self.ports.release.await_copies)
            self.ports.release.compare()
            night = replace(night, incumbents=self._incumbents())
            return await unaltered(partial(decide, self.ports, self.config), partial(train_again, self.ports), night)

    async def step9_export_champions(self, promoted: Promoted) -> Exported:
        """Bundles, signatures and the pointer; nothing is written in a dry run."""
        with self._stage(9):
            gone = await self._delisted(promoted.night)
            known = replace(promoted, night=replace(promoted.night, checked=self.ports.last_check()))
            final = without_delisted(known, gone)
            return await unaltered(partial(publish, self.ports, self.config), self._train_again, final)

    async def _train_again(self, promoted: Promoted) -> Promoted:
        """What was promoted, with altered files made again; they must be those that step 8 has evaluated."""
        again = await train_again(self.ports, promoted.night)
        if _files(again) != _files(promoted.night):
            raise AlteredArtefactError(
                "artefacts were altered between steps 8 and 9, and what was made again has other bytes than what was evaluated; "
                "nothing was published: run again"
            )
        return replace(promoted, night=again)

    def _incumbents(self) -> frozenset[str]:
        """Coins with a champion in the store as it stands now."""
        return frozenset(row.coin for row in self.ports.release.current_champions())

    async def _delisted(self, night: Night) -> dict[str, str]:
        """Members that the exchange dropped since step 1, with the reason; an as-of night cannot know any."""
        if self.config.as_of_ms is not None:
            return {}
        try:
            gone = delisted_members(night.plan.members, await self.ports.pair.market.listed())
        except DataError as error:
            self.ports.telemetry.event("listing_unknown", code=error.code, error=str(error))
            return {}
        for coin, reason in gone.items():
            self.ports.telemetry.event("member_delisted", coin=coin, reason=reason)
        return gone

    @contextmanager
    def _stage(self, number: int) -> Iterator[Stage]:
        with Stage(self.ports.telemetry, number) as stage:
            yield stage
        self.reached = number

    def _counted(self, night: Night) -> Night:
        """The night, with its skips so far counted."""
        cells = len(night.pairs) * len(night.plan.horizons)
        self.ports.telemetry.event("skips_counted", skips=len(night.skips), cells=cells)
        return night

    def _emit_data(self, night: Night) -> None:
        """What step 2 found of every pair, and how old the newest bars are; before anything is refused for it."""
        event = self.ports.telemetry.event
        for coin, record in night.ingested.items():
            report = record.report
            event(
                "pair_ingested",
                coin=coin,
                age_minutes=record.age_minutes,
                rows_out=report.rows_out,
                repaired=report.repaired,
                cut=report.cut,
                quality=report.quality,
            )
            if report.repaired:
                event("bars_repaired", coin=coin, bars=report.repaired)
        damage = lake_damage(night)
        if damage.unproven_files:
            event("lake_unproven", pairs=damage.unproven_pairs, files=damage.unproven_files)
        ages = [record.age_minutes for record in night.ingested.values() if record.age_minutes is not None]
        if ages:
            event("data_aged", pairs=len(ages), max_minutes=max(ages), median_minutes=median(ages))

    def _emit_quarantined(self, before: Night, after: Night) -> None:
        """Files and tables of the lake that were moved away since."""
        for coin, places in after.quarantined.items():
            added = places[len(before.quarantined.get(coin, ())) :]
            if added:
                self.ports.telemetry.event("lake_table_quarantined", coin=coin, folders=list(added))

    def _emit_copies(self, night: Night) -> None:
        for coin, leader in night.copies.items():
            self.ports.telemetry.event("copy_found", coin=coin, leader=leader)


def _files(night: Night) -> dict[tuple[str, str, str], Files]:
    """The sha256 of every file of every cell."""
    return {(coin, cell.recipe_id, cell.horizon): cell.files for coin, cell in night.cells()}
