"""Steps 3 and 4 of one pair (wave 2): features, labels per horizon, and the Gram matrices of its pool prior."""

from dataclasses import replace
from typing import Final

import polars as pl

from huracan.domain.frames import Bars, FeatureFrame, LabelledSet, MarketContext
from huracan.domain.night_records import Done, HorizonLabels, Leak, PrepareRecord, PrepareTask
from huracan.domain.time import Horizon
from huracan.features import build_features, leak_canary
from huracan.labels import label_forward_returns
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.clock import StepClock
from huracan.night.jobs.inputs import FEATURES_FILE, GRAMS_FILE, LABELS_FILE, PairPorts, load_bars, load_context
from huracan.night.plan import NightPlan, prepare_key
from huracan.training import pair_grams

FEATURES_STEP: Final = 3
LABELS_STEP: Final = 4
TRAIN_STEP: Final = 5
"""Gram matrices are what the pool priors of step 5 are summed from."""


def prepare_root(plan: NightPlan, coin: str, task: PrepareTask) -> str:
    """Where the record of wave 2 lies."""
    context_hash = task.context.content_hash if task.context is not None else ""
    spread = task.spread_bps, task.spread_source
    instrument_id = plan.member(coin).instrument.id
    return prepare_key(plan.until(task.ended_ms), instrument_id, task.data_hash, context_hash, spread)


def prepare_pair(ports: PairPorts, plan: NightPlan, coin: str, task: PrepareTask) -> Done:
    """Steps 3 and 4 for one pair: features, labels per horizon, and the Gram matrices of its pool prior.

    A record that a job has written already, with all its files, is the answer.
    """
    store, member, clock = ports.artefacts, plan.member(coin), StepClock()
    root = prepare_root(plan, coin, task)
    plan = plan.until(task.ended_ms)
    known = store.believed(PrepareRecord, root, task.known)
    if known is not None and task.known is not None:
        return Done(record=known, sha256=task.known, cached=True)
    with clock.step(FEATURES_STEP):
        bars, _ = load_bars(ports.lake, plan, member, data_hash=task.data_hash)
        features = prepared_features(bars, load_context(store, task.context), plan, task.spread_bps)
        files = {FEATURES_FILE: store.write_frame(f"{root}/{FEATURES_FILE}", features.frame)}
    horizons, labelled = label_horizons(store, root, plan, bars=bars, features=features, clock=clock)
    record = PrepareRecord(
        coin=coin,
        key=root,
        data_hash=bars.data_hash,
        recipe_id=features.recipe_id,
        names=features.names,
        absent=features.absent,
        rows=int(features.frame["valid"].sum()),
        spread_source=task.spread_source,
        horizons=horizons,
        files=files | labelled,
    )
    return Done(record=record, sha256=store.write_record(record), seconds_by_step=clock.seconds)


def prepared_features(bars: Bars, context: MarketContext | None, plan: NightPlan, spread_bps: float) -> FeatureFrame:
    """Features of a pair with the spread that step 1 or 2 measured."""
    built = build_features(bars, context, interval_minutes=plan.recipes[0].decision_interval_minutes)
    return replace(built, frame=built.frame.with_columns(pl.lit(spread_bps, dtype=pl.Float64).alias("spread_bps")))


def label_horizons(
    store: Artefacts,
    root: str,
    plan: NightPlan,
    *,
    bars: Bars,
    features: FeatureFrame,
    clock: StepClock,
    grams: bool = True,
) -> tuple[dict[str, HorizonLabels], dict[str, str]]:
    """Labels (and Gram matrices for the pool) of every horizon, stored under `root`; counts and leaks by horizon, and
    the sha256 of each file by name.
    """
    horizons: dict[str, HorizonLabels] = {}
    files: dict[str, str] = {}
    for text in plan.horizons:
        with clock.step(LABELS_STEP):
            labels, horizons[text] = _labelled(plan, bars, features, Horizon.parse(text))
            name = f"{text}/{LABELS_FILE}"
            files[name] = store.write_frame(f"{root}/{name}", labels.frame)
        if grams:
            with clock.step(TRAIN_STEP):
                sums = pair_grams(features, labels, plan.recipes[0], cutoff_ms=plan.cutoff_ms)
                name = f"{text}/{GRAMS_FILE}"
                files[name] = store.write(f"{root}/{name}", sums.to_bytes())
    return horizons, files


def _labelled(
    plan: NightPlan, bars: Bars, features: FeatureFrame, horizon: Horizon
) -> tuple[LabelledSet, HorizonLabels]:
    """Labels of one horizon, how many are known, and the features that know the future."""
    times = features.frame["decision_time"].to_numpy()
    labels = label_forward_returns(bars, times, horizon, plan.recipes[0].execution_latency_s)
    leaks = leak_canary(features, labels, plan.leak_exempt)
    known = int(labels.frame["forward_bps"].is_not_null().sum())
    found = tuple(Leak(feature=name, ic=float(ic), limit=float(limit)) for name, ic, limit in leaks)
    return labels, HorizonLabels(labels=known, leaks=found)
