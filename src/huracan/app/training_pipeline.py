"""The documented pipeline: nine steps, wired to the real exchange, lake, ledger and store."""

import asyncio
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from huracan.adapters.checks import last_check
from huracan.adapters.disk import disk_errors, make_folders
from huracan.adapters.progress import PROGRESS_FILE, ProgressFile
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.reports import sweep_reports
from huracan.adapters.snapshots import SnapshotArchive
from huracan.adapters.telemetry import StructlogTelemetry
from huracan.adapters.telemetry.on_loop import OnLoop
from huracan.app.accounts import night_decisions, spent_on, with_accounts, write_accounts, write_findings, write_refusal
from huracan.app.clock import MAX_SKEW_MS, clock_skew_ms
from huracan.app.config import TrainingPipelineConfig
from huracan.app.endings import emit_end, emit_refusal, finish, unfinished
from huracan.app.exchange import adapter_places
from huracan.app.ledger_guard import LEDGER_FILE, keys_here, open_ledger
from huracan.app.mirrors import Mirrors, PushState
from huracan.app.night_config import night_rules
from huracan.app.observing import Observers
from huracan.app.pair_adapters import pair_ports
from huracan.app.release import FolderRelease
from huracan.app.results import failure, night_summary, success
from huracan.app.wiring import OrchestratedWaves, SystemClock, worker_count
from huracan.errors import ClockSkewError, HuracanError, StaleDataError
from huracan.night.custom.injected import Injected, InjectedWaves
from huracan.night.ports import NightPorts
from huracan.night.promote import Promoted
from huracan.night.publish import Exported
from huracan.night.run import NightPipeline, all_steps
from huracan.night.stages import INTERRUPTED, STEPS, is_interruption
from huracan.night.state import Night, WaveRunner
from huracan.ports import Telemetry
from huracan.training import DataLoader, FeatureBuilder, ModelTrainer, Validator

FOLDERS = {"lake": 0o700, "artefacts": 0o700, "snapshots": 0o700, "reports": 0o777, "summaries": 0o777}
"""Below the workdir, with the mode each is made with: forecasts, and what kills leave of writes,
are for no other user."""


class TrainingPipeline:
    """Trains every eligible pair and exports what is proven.

    Four callables are optional; None means the built-in one. `data_loader` is async (coin, lookback_days),
    `feature_builder` async (coin, data), and `validator` takes (coin, data). `model_trainer` takes a job dict, sync or
    async. It is called once per fold with train rows only, and once for the final fit. `huracan.DataLoader` and the
    others say what each gets and returns.

    Invalid output of any of them becomes a skip with its reason. One that raises for every pair that reached it ends
    the night with USER_CODE and its traceback. Raises ConfigError at once for what cannot be called so.

    >>> config = TrainingPipelineConfig(horizons=["1h"], dry_run=True)
    >>> pipeline = TrainingPipeline(config)
    """

    def __init__(
        self,
        config: TrainingPipelineConfig,
        data_loader: DataLoader | None = None,
        feature_builder: FeatureBuilder | None = None,
        model_trainer: ModelTrainer | None = None,
        validator: Validator | None = None,
        *,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.config = config
        self.injected = Injected(
            data_loader=data_loader, feature_builder=feature_builder, model_trainer=model_trainer, validator=validator
        )
        self.telemetry = telemetry or StructlogTelemetry(progress=False)
        self.result: dict[str, Any] | None = None
        """What `run` returns, once step 9 has ended."""
        self._open: _OpenNight | None = None
        self._observers: Observers | None = None
        self._whole = False
        self._page: Path | None = None

    async def run(self) -> dict[str, Any]:
        """Run all nine steps; the result says what was promoted, what was skipped and why. Never raises our errors."""
        started = time.monotonic()
        self._whole = True
        try:
            async with self:
                await all_steps(self)
        except HuracanError as error:
            return failure(self.config, error, time.monotonic() - started, self._page)
        finally:
            self._whole = False
        assert self.result is not None
        return self.result

    async def __aenter__(self) -> Self:
        """For steps one by one: whatever they have opened is closed at the end, after an error too."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(error)

    async def step1_build_coin_universe(self) -> Night:
        """Open the adapters and decide who may be trained; the other steps go on from its result.

        Raises LockedError while another run is at work, and holds nothing afterwards: step 2 takes the lock for all
        later ones.
        """
        await self.aclose()
        self.result = self._page = None
        observers = self._observers = self._observe()
        try:
            opened = self._open = await self._opened(observers.telemetry)
            if self._whole:
                opened.work()
            universe = await opened.pipeline.step1_build_coin_universe()
        except BaseException as error:
            await self.aclose(error)
            raise
        if not self._whole:
            opened.rest()
        return universe

    async def step2_ingest_and_validate_data(self, universe: Night) -> Night:
        """Bars and settlements in the lake, validated. A night that is refused for its data leaves what was found."""
        steps = self._steps()
        try:
            return await steps.step2_ingest_and_validate_data(universe)
        except StaleDataError:
            assert steps.ingested is not None
            write_findings(self.config.folder(), steps.ingested)
            raise

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
        """Bundles, remote copies, and the night's end: summary, reports, the ledger's run. Closes the adapters."""
        exported = await self._steps().step9_export_champions(promoted)
        assert self._open is not None
        self.result = await self._open.conclude(promoted, exported)
        await self.aclose()
        return exported

    async def aclose(self, error: BaseException | None = None) -> None:
        """Release what single steps have opened, the lock among it; `error` is what ended them.

        A night that is left before step 9 has ended counts as interrupted. Also safe where nothing is open.
        """
        opened, self._open = self._open, None
        observers, self._observers = self._observers, None
        left = None if opened is None else opened.left
        try:
            if opened is not None:
                await opened.close(error)
                self._page = opened.page
        except HuracanError as of_closing:
            error = of_closing
            raise
        finally:
            if observers is not None:
                emit_end(observers, error, left)

    async def _opened(self, telemetry: Telemetry) -> "_OpenNight":
        opened = _OpenNight(self.config, self.injected, telemetry)
        try:
            await opened.open()
        finally:
            self._page = opened.page
        return opened

    def _observe(self) -> Observers:
        try:
            return Observers(self.config.resolve(), self.config.folder(), self.telemetry)
        except HuracanError as error:  # of the configuration, before anybody else could listen
            emit_refusal(self.telemetry, error)
            raise

    def _steps(self) -> NightPipeline:
        if self._open is None:
            raise RuntimeError("call step1_build_coin_universe first; it opens the exchange, the lake and the store")
        self._open.work()
        return self._open.pipeline


class _OpenNight:
    """All adapters of one run, opened together and closed together. Holds the store's lock but between `rest` and
    `work`.
    """

    def __init__(self, config: TrainingPipelineConfig, injected: Injected, telemetry: Telemetry) -> None:
        self.settings = config.resolve()
        self.workdir = config.folder()
        self.rules = night_rules(self.settings, config.as_of_ms(), injected)
        self.injected = injected
        self.telemetry: Telemetry = telemetry
        self.clock = SystemClock()
        self.deadline_ms = config.deadline_ms(self.clock.now_ms())
        self.store_path = self.workdir / "store"
        self._asking = self._concluded = False
        self._began = time.monotonic()
        self.page: Path | None = None
        """That of a refusal."""

    async def open(self) -> None:
        """Open everything, or raise and leave nothing open."""
        with disk_errors(self.workdir):
            make_folders(self.workdir)
            for name, mode in FOLDERS.items():
                make_folders(self.workdir / name, mode)
        self.store = FolderStore(self.store_path)
        self.store.acquire()
        self.telemetry = self.progress = self._progress()
        try:
            sweep_reports(self.workdir)
            self._wire()
            self.pair_ports.artefacts.store.sweep()
        except BaseException as error:
            self._end_progress(error)
            self.store.close()
            raise
        try:
            if isinstance(self.waves, OrchestratedWaves):  # a night without workers is refused before anything is asked
                await self.waves.start()
        except BaseException as error:
            await self.close(error)
            raise

    def work(self) -> None:
        """Hold the lock from here on, and begin to ask the remote copies; raises LockedError, and ConfigError for a
        copy that cannot be opened.
        """
        self.store.acquire()
        if not self.rules.dry_run and not self._asking:
            self._asking = True
            self.release.begin()

    def rest(self) -> None:
        """Give the lock back; nothing is written until `work`."""
        self.store.close()

    def _progress(self) -> ProgressFile:
        path, backend = self.workdir / PROGRESS_FILE, self.settings.training.training_backend
        return ProgressFile(path, self.telemetry, workers=worker_count(self.settings), backend=backend)

    @property
    def left(self) -> str | None:
        """After which step the night was left, so far; None once it is concluded."""
        reached = self.pipeline.reached
        where = f"left after step {reached} ({STEPS[reached - 1]})" if reached else "left in step 1"
        return None if self._concluded else f"{where}; start again to go on"

    def _end_progress(self, error: BaseException | None) -> None:
        if error is None and self._concluded:
            self.progress.close(state="finished")
        elif error is None:
            self.progress.close(state="interrupted", code=INTERRUPTED, error=self.left)
        elif is_interruption(error):
            self.progress.close(state="interrupted", code=INTERRUPTED, error="start again to go on")
        elif isinstance(error, HuracanError):
            self.page = write_refusal(self.workdir, self.progress, error, self.clock.now_ms())
            self.progress.close(state="refused", code=error.code, error=str(error))
        else:
            self.progress.close(state="failed", code="UNEXPECTED", error=type(error).__name__)

    async def conclude(self, promoted: Promoted, exported: Exported) -> dict[str, Any]:
        """The end of a night: remote copies, summary, reports, the ledger's run. Returns what `run` returns."""
        states = await self.mirror(exported)
        decisions = night_decisions(self.pair_ports.artefacts, exported.night)
        summary = night_summary(
            promoted.night,
            promoted,
            exported,
            states,
            artefacts=self.pair_ports.artefacts,
            dry_run=self.rules.dry_run,
            former_pairs=self.rules.historical,
        )
        spent = spent_on(self.progress, time.monotonic() - self._began)
        summary, integrity = with_accounts(self.workdir, summary, exported.night, spent)
        places = write_accounts(
            self.workdir,
            self.release,
            decisions,
            self.clock,
            self.telemetry,
            summary=summary,
            integrity=integrity,
            promoted=promoted,
            exported=exported,
        )
        if not self.rules.dry_run:
            await asyncio.to_thread(self.release.mirrors.push_summaries)
        finish(self.ledger, self.telemetry, self.clock.now_ms(), summary, exported)
        self._concluded = True
        return success(exported.night, exported, summary, time.monotonic() - self._began, places)

    async def mirror(self, exported: Exported) -> dict[str, PushState]:
        """Bring the remote copies up to date, by store its state; a dry run says what it would push and opens none."""
        if self.rules.dry_run:
            return self.release.mirrors.planned([*exported.champions, *exported.candidates])
        return await asyncio.to_thread(self.release.mirror)

    def _wire(self) -> None:
        self.ledger = open_ledger(self.workdir / LEDGER_FILE, self.store, keys_here(os.environ), self.telemetry)
        mirrors = Mirrors.of(self.settings, self.store, self.clock, OnLoop(self.telemetry), os.environ)
        places = adapter_places(self.settings, self.workdir)
        if self.injected.data_loader is not None:
            places["lake"] += "-injected"  # a user's data must never pass for the exchange's
        self.pair_ports = pair_ports(places)
        self.pair_ports.artefacts.on_mismatch = lambda key: self.telemetry.event("artefact_mismatched", key=key)
        self.release = FolderRelease(
            self.store, self.clock, self.telemetry, os.environ, mirrors=mirrors, ledger=self.ledger
        )
        self.telemetry.event("workdir_opened", folder=str(self.workdir), last_success_ms=self.ledger.last_success_ms())
        self.waves: WaveRunner = (
            InjectedWaves(ports=self.pair_ports, injected=self.injected, telemetry=self.telemetry, ledger=self.ledger)
            if self.injected.any
            else OrchestratedWaves(
                settings=self.settings,
                folder=self.workdir,
                wiring=places,
                telemetry=self.telemetry,
                ledger=self.ledger,
                artefacts=self.pair_ports.artefacts,
                deadline_ms=self.deadline_ms,
            )
        )
        self.pipeline = NightPipeline(
            NightPorts(
                pair=self.pair_ports,
                snapshots=SnapshotArchive(self.workdir / "snapshots"),
                waves=self.waves,
                ledger=self.ledger,
                release=self.release,
                telemetry=self.telemetry,
                clock=self.clock,
                check_clock=self._check_clock,
                workdir=self.workdir,
                last_check=partial(last_check, self.workdir),
            ),
            self.rules,
        )

    def _check_clock(self, server_ms: int) -> None:
        skew = clock_skew_ms(self.settings.binance.rest_url, server_ms, self.clock.now_ms())
        if skew is not None and skew > MAX_SKEW_MS:
            raise ClockSkewError(
                f"exchange and system clock differ by {skew / 1000:.1f} s, at most 5 s allowed; "
                "synchronise this machine's clock (NTP), then run again"
            )

    def _hold_again(self) -> bool:
        """Whether the lock is ours; a resting night takes it back for its last word, unless another run is at work."""
        with suppress(HuracanError):
            self.store.acquire()
        return self.store.held

    async def close(self, error: BaseException | None) -> None:
        """Close everything, after the last word on a night that was not concluded: `error` ended it, or it was left."""
        ours = self._hold_again()  # else another run may be at work, and what it says of itself is left alone
        if ours:
            self._end_progress(error)
        try:
            if ours:
                with suppress(HuracanError):  # the reason of the refusal matters more than its record
                    self.ledger.abandon_run(finished_ms=self.clock.now_ms(), **unfinished(error, self.left))
            if isinstance(self.waves, OrchestratedWaves):
                await self.waves.stop()
            await self.pair_ports.market.aclose()
        finally:
            self.release.mirrors.close()
            self.ledger.close()
            self.store.close()
