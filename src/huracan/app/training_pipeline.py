"""The documented pipeline: nine steps, wired to the real exchange, lake, ledger and store."""

import os
import time
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from huracan.adapters.disk import disk_errors, make_folders
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.reports import sweep_reports
from huracan.adapters.telemetry import StructlogTelemetry
from huracan.app.accounts import write_accounts
from huracan.app.config import TrainingPipelineConfig
from huracan.app.release import FolderRelease
from huracan.app.results import failure, night_summary, success
from huracan.app.rules import night_rules
from huracan.app.wiring import OrchestratedWaves, SystemClock, pair_ports, wiring_facts
from huracan.errors import ClockSkewError, HuracanError
from huracan.pipeline.injected import Injected, InjectedWaves
from huracan.pipeline.night import Night, WaveRunner
from huracan.pipeline.promotion import Promoted
from huracan.pipeline.publication import Exported
from huracan.pipeline.rules import NightPorts
from huracan.pipeline.story import NightPipeline
from huracan.ports import Telemetry

MAX_SKEW_MS = 5_000
FOLDERS = {"lake": 0o700, "artefacts": 0o700, "reports": 0o777, "summaries": 0o777}
"""Below the workdir, with the mode each is made with: forecasts, and what kills leave of writes, are nobody else's."""


class TrainingPipeline:
    """Trains every eligible pair and exports what is proven.

    `data_loader` async (coin, lookback_days), `feature_builder` async (coin, data), `model_trainer` sync or async
    (job dict), called once per fold with train rows only and once for the final fit, and `validator` (coin, data) are
    optional; None means the built-in one. Nonsense from any of them becomes a skip with its reason.

    >>> config = TrainingPipelineConfig(horizons=["1h"], dry_run=True)
    >>> pipeline = TrainingPipeline(config)
    """

    def __init__(
        self,
        config: TrainingPipelineConfig,
        data_loader: Any = None,
        feature_builder: Any = None,
        model_trainer: Any = None,
        validator: Any = None,
        *,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.config = config
        self.injected = Injected(
            data_loader=data_loader, feature_builder=feature_builder, model_trainer=model_trainer, validator=validator
        )
        self.telemetry = telemetry or StructlogTelemetry(progress=False)
        self._open: _OpenNight | None = None

    async def run(self) -> dict[str, Any]:
        """Run all nine steps; the result says what was promoted, what was skipped and why. Never raises our errors."""
        started = time.monotonic()
        try:
            async with _OpenNight(self.config, self.injected, self.telemetry) as opened:
                night, promoted, exported = await opened.pipeline.run()
                summary = night_summary(night, promoted, exported, dry_run=opened.rules.dry_run)
                places = write_accounts(
                    opened.workdir,
                    opened.release,
                    opened.pair_ports.artefacts,
                    opened.clock,
                    self.telemetry,
                    summary,
                    promoted,
                    exported,
                )
                finish(opened, summary, exported)
                return success(exported.night, exported, summary, time.monotonic() - started, places)
        except HuracanError as error:
            self.telemetry.event("run_refused", code=error.code, error=str(error))
            return failure(self.config, error, time.monotonic() - started)

    async def step1_build_coin_universe(self) -> Night:
        """Open the adapters and decide who may be trained; the other steps go on from its result."""
        self._open = await _OpenNight(self.config, self.injected, self.telemetry).__aenter__()
        return await self._steps().step1_build_coin_universe()

    async def step2_ingest_and_validate_data(self, universe: Night) -> Night:
        """Bars and settlements in the lake, validated."""
        return await self._steps().step2_ingest_and_validate_data(universe)

    async def step3_generate_features(self, ingested: Night) -> Night:
        """Features of every pair that passed step 2."""
        return await self._steps().step3_generate_features(ingested)

    async def step4_label_forward_returns(self, featured: Night) -> Night:
        """Forward returns per horizon."""
        return await self._steps().step4_label_forward_returns(featured)

    async def step5_train_models(self, labelled: Night) -> Night:
        """Purged walk-forward per engine, regime and horizon."""
        return await self._steps().step5_train_models(labelled)

    async def step6_score_edge_after_costs(self, trained: Night) -> Night:
        """Edges after fees, spread, slippage and funding."""
        return await self._steps().step6_score_edge_after_costs(trained)

    async def step7_run_consensus(self, scored: Night) -> Night:
        """One score S per cell."""
        return await self._steps().step7_run_consensus(scored)

    async def step8_shadow_test_challengers(self, agreed: Night) -> Promoted:
        """Challengers against champions and against nothing."""
        return await self._steps().step8_shadow_test_challengers(agreed)

    async def step9_export_champions(self, promoted: Promoted) -> Exported:
        """Bundles and reports; closes the adapters."""
        exported = await self._steps().step9_export_champions(promoted)
        await self.aclose()
        return exported

    async def aclose(self) -> None:
        """Release what single steps have opened."""
        if self._open is not None:
            await self._open.__aexit__(None, None, None)
            self._open = None

    def _steps(self) -> NightPipeline:
        if self._open is None:
            raise RuntimeError("call step1_build_coin_universe first; it opens the exchange, the lake and the store")
        return self._open.pipeline


def finish(opened: "_OpenNight", summary: dict[str, Any], exported: Exported) -> None:
    """Record the end of the run in the ledger, and tell its outcome as events."""
    counts = {key: summary[key] for key in ("champions_count", "candidates_count", "coins_processed", "skip_counts")}
    opened.ledger.finish_run(
        summary["run_id"],
        finished_ms=opened.clock.now_ms(),
        status="finished",
        summary={**counts, "dry_run": summary["dry_run"]},
    )
    for row in exported.champions.values():
        name = {"promoted": "champion_promoted", "refreshed": "champion_refreshed"}.get(row["status"], "champion_kept")
        opened.telemetry.event(name, coin=row["coin"], horizon=row["horizon"], version=row["version"])
    opened.telemetry.event("run_finished", run_id=summary["run_id"], champions=summary["champions_count"])


class _OpenNight:
    """All adapters of one run, opened together and closed together; holds the store's lock."""

    def __init__(self, config: TrainingPipelineConfig, injected: Injected, telemetry: Telemetry) -> None:
        self.settings = config.resolve()
        self.workdir = config.folder()
        self.rules = night_rules(self.settings, config.as_of_ms(), injected)
        self.injected = injected
        self.telemetry = telemetry
        self.clock = SystemClock()
        self.deadline_ms = config.deadline_ms(self.clock.now_ms())
        self.store_path = self.workdir / "store"

    async def __aenter__(self) -> Self:
        with disk_errors(self.workdir):
            make_folders(self.workdir)
            for name, mode in FOLDERS.items():
                make_folders(self.workdir / name, mode)
        self.store = FolderStore(self.store_path)
        self.store.acquire()
        try:
            sweep_reports(self.workdir)
            self._wire()
            self.pair_ports.artefacts.sweep()
        except BaseException:
            self.store.close()
            raise
        return self

    def _wire(self) -> None:
        facts = wiring_facts(self.settings, self.workdir)
        if self.injected.data_loader is not None:
            facts["lake"] += "-injected"  # an owner's data must never pass for the exchange's
        self.pair_ports = pair_ports(facts)
        self.release = FolderRelease(self.store, self.clock, self.telemetry, os.environ)
        self.ledger = SqliteLedger(self.workdir / "ledger.sqlite")
        self.waves: WaveRunner = (
            InjectedWaves(ports=self.pair_ports, injected=self.injected, telemetry=self.telemetry)
            if self.injected.any
            else OrchestratedWaves(
                settings=self.settings,
                folder=self.workdir,
                facts=facts,
                telemetry=self.telemetry,
                started=self.ledger.record_attempt,
                deadline_ms=self.deadline_ms,
            )
        )
        self.pipeline = NightPipeline(
            NightPorts(
                pair=self.pair_ports,
                waves=self.waves,
                ledger=self.ledger,
                release=self.release,
                telemetry=self.telemetry,
                clock=self.clock,
                check_clock=self._check_clock,
                workdir=self.workdir,
            ),
            self.rules,
        )

    def _check_clock(self, server_ms: int) -> None:
        skew = abs(server_ms - self.clock.now_ms())
        if skew > MAX_SKEW_MS and not _is_loopback(self.settings.binance.rest_url):
            raise ClockSkewError(
                f"exchange and system clock differ by {skew / 1000:.1f} s, at most 5 s allowed; "
                "synchronise this machine's clock (NTP), then run again"
            )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with suppress(HuracanError):  # the reason of the refusal matters more than its record
                    self.ledger.abandon_run(finished_ms=self.clock.now_ms(), reason=f"{type(error).__name__}: {error}")
            if isinstance(self.waves, OrchestratedWaves):
                await self.waves.stop()
            await self.pair_ports.market.aclose()
        finally:
            self.ledger.close()
            self.store.close()


def _is_loopback(url: str) -> bool:
    """Whether a URL names this machine by address; a name that only begins like one (127.example) does not."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
