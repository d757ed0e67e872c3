"""Owner-supplied loaders, features and trainers in place of the built-in ones, in this process.

Whatever such a callable returns is checked for form first; nonsense becomes a skip with its reason, never a champion and never a crash of the run.
"""

import asyncio
import hashlib
import inspect
import time
import traceback
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, get_args

from huracan.domain.ids import content_hash
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.records import SkipCode
from huracan.domain.time import Horizon
from huracan.errors import HuracanError
from huracan.night.custom.faults import UserFaults, UserRaised
from huracan.night.custom.frames import (
    INJECTED_VENDOR,
    Nonsense,
    Refused,
    bars_from,
    features_from,
    padded_trainer,
    trimmed,
)
from huracan.night.damage import mended, with_set_aside
from huracan.night.jobs.artefacts import RECORD
from huracan.night.jobs.ingest import ingest_pair, settle
from huracan.night.jobs.inputs import FEATURES_FILE, PairPorts, load_bars, load_context, load_prepared
from huracan.night.jobs.prepare import label_horizons, prepare_pair
from huracan.night.jobs.train import Cell, judge_cell, leak_skip, refusal, train_pair
from huracan.night.plan import NightPlan
from huracan.night.state import PairOutcome, PairWork
from huracan.ports import FetchedRows, Telemetry
from huracan.training import TrainingRefused, UserCallable, UserFault, check_callable, fit_injected, place_of
from huracan.training.jobs import compute_features_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """The callables an owner passed to `TrainingPipeline`; None means the built-in one."""

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
        """Whether features or models are the owner's, so that the built-in recipes do not describe them."""
        return self.feature_builder is not None or self.model_trainer is not None


def injected_recipe(base: Recipe, injected: Injected, seen_until: str | None) -> Recipe:
    """The recipe of owner-supplied features and models; its id hashes their source where there is one.

    Nobody can know which days its maker looked at, so all days count as seen until a declaration says otherwise
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
    """Implements `WaveRunner` with the owner's callables, in this process, `limit` pairs at a time."""

    ports: PairPorts
    injected: Injected
    telemetry: Telemetry
    ledger: Any
    limit: int = 10
    _data: dict[str, Any] = field(default_factory=dict)
    _faults: UserFaults = field(init=False)

    def __post_init__(self) -> None:
        self._faults = UserFaults(telemetry=self.telemetry)

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """One outcome for each job, in order; raises UserCodeError where a callable raised for every pair that reached it."""
        free, done = asyncio.Semaphore(self.limit), 0
        wave = work[0].wave if work else ""
        began = time.monotonic()
        self.telemetry.event("wave_started", wave=wave, jobs=len(work))

        async def one(item: PairWork) -> PairOutcome:
            nonlocal done
            async with free:
                outcome = await self._outcome(plan, item)
            done += 1
            self.telemetry.progress(item.wave, done, len(work))
            return outcome

        outcomes = list(await asyncio.gather(*(one(item) for item in work)))
        self.ledger.settle_jobs()
        self.telemetry.event("wave_finished", wave=wave, seconds=round(time.monotonic() - began, 3))
        self._faults.check()
        return outcomes

    async def _outcome(self, plan: NightPlan, item: PairWork) -> PairOutcome:
        facts: dict[str, Any] = {"coin": item.coin, "wave": item.wave, "attempt": 1}
        self.telemetry.event("job_started", **facts)
        began = time.monotonic()
        outcome = await self._guarded(plan, item)
        if outcome.record is not None:
            if "sha256" in outcome.record:
                self.ledger.note_artefact(f"{outcome.record['key']}/{RECORD}", outcome.record["sha256"])
            spent = {"seconds": time.monotonic() - began, "peak_memory_bytes": None}
            self.telemetry.event("job_finished", **facts, **spent, cached=outcome.record.get("cached"))
        else:
            self.telemetry.event("job_refused", **facts, code=outcome.code, error=outcome.error)
        return outcome

    async def _guarded(self, plan: NightPlan, item: PairWork) -> PairOutcome:
        steps = {"prepare": self._prepare, "train": self._train}
        try:
            if item.wave == "ingest":
                return PairOutcome(coin=item.coin, record=await self._ingest(plan, item))
            found = await mended(self.ports, plan, item.coin, partial(steps[item.wave], plan, item))
            return PairOutcome(coin=item.coin, record=with_set_aside(*found))
        except (Nonsense, Refused) as error:
            return PairOutcome(coin=item.coin, record=None, code=error.skip_code, error=str(error))
        except UserRaised as error:
            code = _BLAME[item.wave]
            self._faults.tell(error.fault, coin=item.coin, wave=item.wave, code=code)
            return PairOutcome(coin=item.coin, record=None, code=code, error=str(error))
        except HuracanError as error:
            return PairOutcome(coin=item.coin, record=None, code=error.code, error=str(error))
        except Exception as error:  # the job boundary: what the owner's code returned may raise anything
            code, text = _BLAME[item.wave], f"{type(error).__name__}: {error} ({place_of(error)})"
            trace = "".join(traceback.format_exception(error))
            self.telemetry.event("pair_failed", coin=item.coin, wave=item.wave, code=code, error=text, traceback=trace)
            return PairOutcome(coin=item.coin, record=None, code=code, error=text)

    async def _ingest(self, plan: NightPlan, item: PairWork) -> dict[str, Any]:
        if self.injected.data_loader is None:
            record = await ingest_pair(self.ports, plan, item.coin, item.facts)
        else:
            days = plan.recipes[0].training.lookback_days
            loaded = await self._faults.call("data_loader", item.coin, self.injected.data_loader, item.coin, days)
            self._data[item.coin] = loaded
            member = plan.member(item.coin)
            rows = FetchedRows(kind="bars", rows=bars_from(loaded), source=INJECTED_VENDOR)
            self.ports.lake.append(member.instrument, [rows], INJECTED_VENDOR)
            record = settle(self.ports, plan, item.coin)
        if self.injected.validator is not None and record["skip"] is None:
            data = self._owner_data(plan, item.coin)
            verdict = await self._faults.call("validator", item.coin, self.injected.validator, item.coin, data)
            if verdict is False:
                raise Refused("the injected validator refused the data")
        return record

    def _owner_data(self, plan: NightPlan, coin: str) -> Any:
        """What the loader gave, else the validated bars."""
        if coin in self._data:
            return self._data[coin]
        return load_bars(self.ports.lake, plan, plan.member(coin))[0].frame

    async def _prepare(self, plan: NightPlan, item: PairWork) -> dict[str, Any]:
        if not self.injected.changes_recipe:
            return await asyncio.to_thread(prepare_pair, self.ports, plan, item.coin, item.facts)
        bars, _ = load_bars(self.ports.lake, plan, plan.member(item.coin))
        context = load_context(self.ports.artefacts, item.facts["context_key"], item.facts["context_sha256"])
        given = None
        if self.injected.feature_builder is not None:
            data = self._owner_data(plan, item.coin)
            given = await self._faults.call(
                "feature_builder", item.coin, self.injected.feature_builder, item.coin, data
            )
        features = features_from(given, bars, context, plan.recipes[0], item.facts["spread_bps"])
        parts = (item.coin, item.facts["data_hash"], _frame_hash(features.frame), plan.recipes[0].id, plan.code_hash)
        key = f"prepare/{content_hash('injected', *parts)}"
        files = {FEATURES_FILE: self.ports.artefacts.write_frame(f"{key}/{FEATURES_FILE}", features.frame)}
        horizons, labelled = label_horizons(self.ports.artefacts, key, plan, bars, features, grams=False)
        return {
            "coin": item.coin,
            "key": key,
            "recipe_id": plan.recipes[0].feature_recipe,
            "names": list(features.names),
            "absent": [],
            "rows": int(features.frame["valid"].sum()),
            "spread_source": item.facts["spread_source"],
            "data_hash": item.facts["data_hash"],
            "horizons": horizons,
            "files": files | labelled,
            "cached": False,
        }

    async def _train(self, plan: NightPlan, item: PairWork) -> dict[str, Any]:
        if not self.injected.changes_recipe:
            return await asyncio.to_thread(train_pair, self.ports, plan, item.coin, item.facts)
        prepared, recipe = item.facts["prepared"], plan.recipes[0]
        root = f"train/{content_hash(prepared['key'], recipe.id, plan.seed, plan.cutoff_ms, plan.gate, plan.code_hash)}"
        bars, _ = load_bars(self.ports.lake, plan, plan.member(item.coin))
        cells: dict[str, Any] = {}
        refused: list[dict[str, Any]] = []
        faults: list[UserFault | None] = []
        for horizon in plan.horizons:
            leak = leak_skip(item.coin, horizon, prepared)
            if leak is not None:
                refused.append(asdict(leak))
                continue
            features, labels = load_prepared(self.ports.artefacts, plan, prepared, horizon)
            cell = Cell(
                coin=item.coin,
                horizon=Horizon.parse(horizon),
                recipe=recipe,
                features=features,
                labels=labels,
                bars=bars,
                spread_source=prepared["spread_source"],
            )
            try:
                trained = await fit_injected(
                    padded_trainer(self.injected.model_trainer, features),
                    features,
                    labels,
                    recipe,
                    coin=item.coin,
                    cutoff_ms=plan.cutoff_ms,
                    seed=plan.seed,
                )
            except TrainingRefused as error:
                refused.append(refusal(item.coin, horizon, recipe, error))
                faults.append(error.fault)
                continue
            faults.append(None)
            own = trimmed(trained, features, owned=self.injected.feature_builder is not None)
            # Two callables may share their source (closures, partials) and still train different models.
            place = f"{root}/{horizon}/{compute_features_hash(own)[:16]}"
            cells[f"{recipe.id}/{horizon}"] = judge_cell(self.ports, plan, cell, own, place)
        self._note_trainer(item, faults)
        return {"coin": item.coin, "key": root, "cells": cells, "skips": refused, "cached": False}

    def _note_trainer(self, item: PairWork, faults: list[UserFault | None]) -> None:
        """A pair has failed in the owner's trainer when every horizon that reached it has."""
        raised = [fault for fault in faults if fault is not None]
        if self.injected.model_trainer is None or not faults:
            return
        for fault in raised[:1]:
            self._faults.tell(fault, coin=item.coin, wave=item.wave, code=_BLAME[item.wave])
        self._faults.note("model_trainer", item.coin, raised[0] if len(raised) == len(faults) else None)


_BLAME = {
    "ingest": SkipCode.BAD_DATA.value,
    "prepare": SkipCode.BAD_FEATURES.value,
    "train": SkipCode.TRAINING_FAILED.value,
}


def _frame_hash(frame: Any) -> str:
    return hashlib.sha256(frame.hash_rows(seed=0).to_numpy().tobytes()).hexdigest()[:16]
