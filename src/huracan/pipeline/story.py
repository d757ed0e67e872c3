"""The nine steps over ports. `run` is the story; each step takes the night so far and returns the next."""

from typing import Any

from huracan.domain.records import Snapshot
from huracan.domain.time import iso
from huracan.pipeline.night import Night
from huracan.pipeline.plan import NightPlan, cutoff
from huracan.pipeline.promotion import Promoted, judge
from huracan.pipeline.publication import Exported, publish
from huracan.pipeline.rules import NightPorts, NightRules
from huracan.pipeline.waves import ingest_wave, prepare_wave, train_wave, write_context, write_priors
from huracan.universe import build_universe


class NightPipeline:
    """One night. Steps may be called one by one, in order; `run` calls them all and recovers from any earlier crash.

    Steps 3 and 4 of a pair are one job, and so are 5 to 7: the methods hand out their parts as they are reached.
    """

    def __init__(self, ports: NightPorts, rules: NightRules) -> None:
        self.ports = ports
        self.rules = rules

    async def run(self) -> tuple[Night, Promoted, Exported]:
        """The whole story; raises HuracanError where a night must be refused."""
        universe = await self.step1_build_coin_universe()
        ingested = await self.step2_ingest_and_validate_data(universe)
        featured = await self.step3_generate_features(ingested)
        labelled = await self.step4_label_forward_returns(featured)
        trained = await self.step5_train_models(labelled)
        scored = await self.step6_score_edge_after_costs(trained)
        agreed = await self.step7_run_consensus(scored)
        promoted = await self.step8_shadow_test_challengers(agreed)
        exported = await self.step9_export_champions(promoted)
        return promoted.night, promoted, exported

    async def step1_build_coin_universe(self) -> Night:
        """Who may be trained today, from the exchange's own listing, and the plan of the night."""
        rules, market = self.rules, self.ports.pair.market
        server_ms = await market.server_time()
        self.ports.check_clock(server_ms)
        now_ms = rules.as_of_ms if rules.as_of_ms is not None else server_ms
        snapshot = await market.snapshot(now_ms)
        universe = build_universe(snapshot, rules.universe, rules.horizons)
        plan = self._plan(now_ms, snapshot, universe.members)
        rejected = {skip.coin for skip in universe.skips}
        pairs = tuple(sorted({member.instrument.coin for member in universe.members} | rejected))
        run_id = f"{iso(plan.cutoff_ms)[:16].replace('-', '').replace(':', '')}-{self.ports.clock.now_ms():x}"
        self.ports.telemetry.event(
            "universe_built", run_id=run_id, members=len(universe.members), pairs=len(pairs), now=iso(now_ms)
        )
        self.ports.ledger.record_run(
            run_id, started_ms=self.ports.clock.now_ms(), facts={"now": iso(now_ms), "config_hash": rules.config_hash}
        )
        night = Night(
            run_id=run_id,
            plan=plan,
            universe=universe,
            pairs=pairs,
            gbp_source=snapshot.gbp_source,
            incumbents=frozenset(row["coin"] for row in self.ports.release.current_champions()),
        )
        return night.skipping(list(universe.skips))

    def _plan(self, now_ms: int, snapshot: Snapshot, members: tuple[Any, ...]) -> NightPlan:
        rules = self.rules
        return NightPlan(
            now_ms=now_ms,
            cutoff_ms=cutoff(now_ms, rules.recipes[0].decision_interval_minutes),
            history_days=rules.history_days,
            min_history_days=rules.min_history_days,
            interval_ms=rules.interval_ms,
            horizons=rules.horizons,
            recipes=rules.recipes,
            members=members,
            max_spread_bps=rules.max_spread_bps,
            stale_after_minutes=rules.stale_after_minutes,
            quote_per_gbp=tuple(sorted(snapshot.quote_per_gbp.items())),
            leak_exempt=rules.leak_exempt,
            gate=rules.gate,
            seed=rules.seed,
            code_hash=rules.code_hash,
        )

    async def step2_ingest_and_validate_data(self, night: Night) -> Night:
        """The lake brought up to date, bars validated; the market context for the next step."""
        night = await ingest_wave(self.ports.waves, night, self.rules.max_stale_share)
        for coin, facts in night.facts.items():
            if "set_aside" in facts:
                self.ports.telemetry.event("lake_table_set_aside", coin=coin, folders=facts["set_aside"])
        return write_context(self.ports.pair, night)

    async def step3_generate_features(self, night: Night) -> Night:
        """Features of every pair that is alive (and, in the same jobs, step 4's labels)."""
        return await prepare_wave(self.ports.waves, night)

    async def step4_label_forward_returns(self, night: Night) -> Night:
        """Labels are on disk since step 3's jobs; this sums the pairs' Gram matrices into the pools' priors."""
        return write_priors(self.ports.pair, night)

    async def step5_train_models(self, night: Night) -> Night:
        """Every engine and recipe of every pair, walked forward (and, in the same jobs, steps 6 and 7)."""
        return await train_wave(self.ports.waves, night)

    async def step6_score_edge_after_costs(self, night: Night) -> Night:
        """Scorecards are on disk since step 5's jobs; one telemetry event per cell says what it earned."""
        for coin, name, cell in night.cells():
            self.ports.telemetry.event(
                "cell_scored", coin=coin, cell=name, net_bps=cell["costs"].get("net"), trips=cell["costs"].get("trips")
            )
        return night

    async def step7_run_consensus(self, night: Night) -> Night:
        """The consensus of every cell as of the cut-off, as events."""
        for coin, name, cell in night.cells():
            if cell["live"] is not None:
                self.ports.telemetry.event("consensus_reached", coin=coin, cell=name, **cell["live"])
        return night

    async def step8_shadow_test_challengers(self, night: Night) -> Promoted:
        """Pools, e-values, ledger, gates: who is proven, who is demoted, which coins follow."""
        return judge(self.ports, self.rules, night)

    async def step9_export_champions(self, promoted: Promoted) -> Exported:
        """Bundles, signatures and the pointer; nothing is written in a dry run."""
        return publish(self.ports, self.rules, promoted)
