"""User-supplied loaders, features and trainers in place of the built-in ones, in this process.

Whatever such a callable returns is checked for form first; invalid output becomes a skip with its reason, never a
champion and never a crash of the run.
"""

import asyncio
import hashlib
import inspect
import time
import traceback
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import polars as pl

from huracan.domain.ids import content_hash
from huracan.domain.night_records import (
    CellRecord,
    Done,
    Failed,
    IngestRecord,
    IngestTask,
    JobResult,
    PrepareRecord,
    PrepareTask,
    TrainRecord,
    TrainTask,
    Wave,
)
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.records import Skip, SkipCode
from huracan.domain.results import TrainedPair
from huracan.errors import HuracanError
from huracan.night.custom.faults import UserFaults, UserRaised
from huracan.night.custom.frames import (
    INJECTED_VENDOR,
    InvalidOutput,
    Refused,
    bars_from,
    features_from,
    padded_trainer,
    trimmed,
)
from huracan.night.damage import mended_job
from huracan.night.jobs.artefacts import RECORD
from huracan.night.jobs.clock import StepClock
from huracan.night.jobs.ingest import INGEST_STEP, assess, ingest_pair
from huracan.night.jobs.inputs import FEATURES_FILE, PairPorts, load_bars, load_context, load_prepared
from huracan.night.jobs.prepare import FEATURES_STEP, TRAIN_STEP, label_horizons, prepare_pair
from huracan.night.jobs.train import Cell, evaluate_cell, leak_skip, refusal, train_pair
from huracan.night.plan import NightPlan
from huracan.night.ports import ArtefactNotes
from huracan.night.state import PairOutcome, PairWork
from huracan.ports import FetchedRows, Telemetry
from huracan.training import TrainingRefused, UserCallable, UserFault, check_callable, fit_injected, place_of
from huracan.training.jobs import compute_features_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """The callables a user passed to `TrainingPipeline`; None means the built-in one."""

    data_loader: Any = None
    feature_builder: Any = None
    model_trainer: Any = None
    validator: Any = None

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be called as it would be."""
        for name in get_args(UserCallable):
            check_callable(name, getattr(self, name))

    @property
    def any(self) -> bool:
        """Whether anything was injected."""
        return any((self.data_loader, self.feature_builder, self.model_trainer, self.validator))

    @property
    def changes_recipe(self) -> bool:
        """Whether features or models are the user's, so that the built-in recipes do not describe them."""
        return self.feature_builder is not None or self.model_trainer is not None


def injected_recipe(base: Recipe, injected: Injected, seen_until: str | None) -> Recipe:
    """The recipe of user-supplied features and models; its id hashes their source where there is one.

    Which days its maker looked at cannot be known, so all days count as seen until a declaration says otherwise
    (`promotion.injected_seen_until`): then promotion rests on days after the first night alone.
    """
    features = (
        base.feature_recipe if injected.feature_builder is None else f"injected-{_source(injected.feature_builder)}"
    )
    trainer = "built-in" if injected.model_trainer is None else _source(injected.model_trainer)
    return replace(
        base,
        name="injected",
        engines=(EngineUse(name=f"injected-{trainer}"),),
        feature_recipe=features,
        seen=(("1970-01-01", seen_until or "9999-12-31"),),
    )


def _source(function: Any) -> str:
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(type(function)))}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(kw_only=True)
class InjectedWaves:
    """Implements `WaveRunner` with the user's callables, in this process, `limit` pairs at a time."""

    ports: PairPorts
    injected: Injected
    telemetry: Telemetry
    ledger: ArtefactNotes
    limit: int = 10
    _data: dict[str, object] = field(default_factory=dict)
    _faults: UserFaults = field(init=False)

    def __post_init__(self) -> None:
        self._faults = UserFaults(telemetry=self.telemetry)

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """One outcome for each job, in order; raises UserCodeError where a callable raised for every pair that reached
        it.
        """
        free, done = asyncio.Semaphore(self.limit), 0
        wave = work[0].task.wave.value if work else ""
        began = time.monotonic()
        self.telemetry.event("wave_started", wave=wave, jobs=len(work))

        async def one(item: PairWork) -> PairOutcome:
            nonlocal done
            async with free:
                outcome = await self._outcome(plan, item)
            done += 1
            self.telemetry.progress(item.task.wave.value, done, len(work))
            return outcome

        outcomes = list(await asyncio.gather(*(one(item) for item in work)))
        self.ledger.flush_jobs()
        self.telemetry.event("wave_finished", wave=wave, seconds=round(time.monotonic() - began, 3))
        self._faults.check()
        return outcomes

    async def _outcome(self, plan: NightPlan, item: PairWork) -> PairOutcome:
        place: dict[str, Any] = {"coin": item.coin, "wave": item.task.wave.value, "attempt": 1}
        self.telemetry.event("job_started", **place)
        began = time.monotonic()
        result = await self._guarded(plan, item)
        if isinstance(result, Done):
            if result.sha256 and not isinstance(result.record, IngestRecord):
                self.ledger.note_artefact(f"{result.record.key}/{RECORD}", result.sha256)
            spent = {"seconds": time.monotonic() - began, "peak_memory_bytes": None}
            self.telemetry.event("job_finished", **place, **spent, cached=result.cached)
        else:
            self.telemetry.event("job_refused", **place, code=result.code, error=result.error)
        return PairOutcome(coin=item.coin, result=result)

    async def _guarded(self, plan: NightPlan, item: PairWork) -> JobResult:
        wave, task = item.task.wave, item.task
        try:
            if isinstance(task, IngestTask):
                return await self._ingest(plan, item.coin, task)
            if isinstance(task, PrepareTask):
                return await mended_job(self.ports, plan, item.coin, partial(self._prepare, plan, item.coin, task))
            return await mended_job(self.ports, plan, item.coin, partial(self._train, plan, item.coin, task))
        except (InvalidOutput, Refused) as error:
            return Failed(code=error.skip_code, error=str(error))
        except UserRaised as error:
            code = _BLAME[wave]
            self._faults.emit(error.fault, coin=item.coin, wave=wave.value, code=code)
            return Failed(code=code, error=str(error))
        except HuracanError as error:
            return Failed(code=error.code, error=str(error))
        except Exception as error:  # the job boundary: what the user's code returned may raise anything
            code, text = _BLAME[wave], f"{type(error).__name__}: {error} ({place_of(error)})"
            trace = "".join(traceback.format_exception(error))
            self.telemetry.event("pair_failed", coin=item.coin, wave=wave.value, code=code, error=text, traceback=trace)
            return Failed(code=code, error=text)

    async def _ingest(self, plan: NightPlan, coin: str, task: IngestTask) -> Done:
        if self.injected.data_loader is None:
            done = await ingest_pair(self.ports, plan, coin, task)
        else:
            clock = StepClock()
            with clock.step(INGEST_STEP):
                days = plan.recipes[0].training.lookback_days
                loaded = await self._faults.call("data_loader", coin, self.injected.data_loader, coin, days)
                self._data[coin] = loaded
                rows = FetchedRows(kind="bars", rows=bars_from(loaded), source=INJECTED_VENDOR)
                self.ports.lake.append(plan.member(coin).instrument, [rows], INJECTED_VENDOR)
                record = assess(self.ports, plan, coin)
            done = Done(record=record, seconds_by_step=clock.seconds)
        fit = isinstance(done.record, IngestRecord) and done.record.skip is None
        if self.injected.validator is not None and fit:
            data = self._user_data(plan, coin)
            verdict = await self._faults.call("validator", coin, self.injected.validator, coin, data)
            if verdict is False:
                raise Refused("the injected validator refused the data")
        return done

    def _user_data(self, plan: NightPlan, coin: str) -> object:
        """What the loader gave, else the validated bars."""
        if coin in self._data:
            return self._data[coin]
        return load_bars(self.ports.lake, plan, plan.member(coin))[0].frame

    async def _prepare(self, plan: NightPlan, coin: str, task: PrepareTask) -> Done:
        if not self.injected.changes_recipe:
            return await asyncio.to_thread(prepare_pair, self.ports, plan, coin, task)
        store, clock = self.ports.artefacts, StepClock()
        with clock.step(FEATURES_STEP):
            bars, _ = load_bars(self.ports.lake, plan, plan.member(coin))
            context = load_context(store, task.context)
            given = None
            if self.injected.feature_builder is not None:
                data = self._user_data(plan, coin)
                given = await self._faults.call("feature_builder", coin, self.injected.feature_builder, coin, data)
            features = features_from(given, bars, context, plan.recipes[0], task.spread_bps)
            parts = (coin, task.data_hash, _frame_hash(features.frame), plan.recipes[0].id, plan.code_hash)
            key = f"prepare/{content_hash('injected', *parts)}"
            files = {FEATURES_FILE: store.write_frame(f"{key}/{FEATURES_FILE}", features.frame)}
        horizons, labelled = label_horizons(store, key, plan, bars=bars, features=features, clock=clock, grams=False)
        record = PrepareRecord(
            coin=coin,
            key=key,
            recipe_id=plan.recipes[0].feature_recipe,
            names=tuple(features.names),
            absent=(),
            rows=int(features.frame["valid"].sum()),
            spread_source=task.spread_source,
            data_hash=task.data_hash,
            horizons=horizons,
            files=files | labelled,
        )
        return Done(record=record, seconds_by_step=clock.seconds)

    async def _train(self, plan: NightPlan, coin: str, task: TrainTask) -> Done:
        if not self.injected.changes_recipe:
            return await asyncio.to_thread(train_pair, self.ports, plan, coin, task)
        prepared, recipe, clock = task.prepared, plan.recipes[0], StepClock()
        root = f"train/{content_hash(prepared.key, recipe.id, plan.seed, plan.cutoff_ms, plan.gate, plan.code_hash)}"
        with clock.step(TRAIN_STEP):
            bars, _ = load_bars(self.ports.lake, plan, plan.member(coin))
        cells: list[CellRecord] = []
        skips: list[Skip] = []
        faults: list[UserFault | None] = []
        for horizon in plan.horizons:
            leak = leak_skip(coin, horizon, prepared)
            if leak is not None:
                skips.append(leak)
                continue
            features, labels = load_prepared(self.ports.artefacts, plan, prepared, horizon)
            cell = Cell(
                coin=coin,
                named=horizon,
                recipe=recipe,
                features=features,
                labels=labels,
                bars=bars,
                spread_source=prepared.spread_source,
            )
            try:
                with clock.step(TRAIN_STEP):
                    own = await self._fitted(plan, cell)
            except TrainingRefused as error:
                skips.append(refusal(coin, horizon, recipe, error))
                faults.append(error.fault)
                continue
            faults.append(None)
            # Two callables may share their source (closures, partials) and still train different models.
            place = f"{root}/{horizon}/{compute_features_hash(own)[:16]}"
            cells.append(evaluate_cell(self.ports.artefacts, plan, cell, own, root=place, clock=clock))
        self._note_trainer(coin, faults)
        record = TrainRecord(coin=coin, key=root, cells=tuple(cells), skips=tuple(skips))
        return Done(record=record, seconds_by_step=clock.seconds)

    async def _fitted(self, plan: NightPlan, cell: Cell) -> TrainedPair:
        trained = await fit_injected(
            padded_trainer(self.injected.model_trainer, cell.features),
            cell.features,
            cell.labels,
            cell.recipe,
            coin=cell.coin,
            cutoff_ms=plan.cutoff_ms,
            seed=plan.seed,
        )
        return trimmed(trained, cell.features, owned=self.injected.feature_builder is not None)

    def _note_trainer(self, coin: str, faults: list[UserFault | None]) -> None:
        """A pair has failed in the user's trainer when every horizon that reached it has."""
        raised = [fault for fault in faults if fault is not None]
        if self.injected.model_trainer is None or not faults:
            return
        for fault in raised[:1]:
            self._faults.emit(fault, coin=coin, wave=Wave.TRAIN.value, code=_BLAME[Wave.TRAIN])
        self._faults.note("model_trainer", coin, raised[0] if len(raised) == len(faults) else None)


_BLAME = {
    Wave.INGEST: SkipCode.BAD_DATA.value,
    Wave.PREPARE: SkipCode.BAD_FEATURES.value,
    Wave.TRAIN: SkipCode.TRAINING_FAILED.value,
}


def _frame_hash(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.hash_rows(seed=0).to_numpy().tobytes()).hexdigest()[:16]
