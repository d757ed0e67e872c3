"""Steps 3 and 4 of one pair (wave 2): features, labels per horizon, and the Gram matrices of its pool prior."""

from dataclasses import replace
from typing import Any

import polars as pl

from huracan.domain.frames import Bars, FeatureFrame, MarketContext
from huracan.domain.time import Horizon
from huracan.features import build_features, leak_canary
from huracan.labels import label_forward_returns
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.inputs import FEATURES_FILE, GRAMS_FILE, LABELS_FILE, PairPorts, load_bars, load_context
from huracan.night.plan import NightPlan, prepare_key
from huracan.training import pair_grams


def prepare_root(plan: NightPlan, coin: str, facts: dict[str, Any]) -> str:
    """Where the record of wave 2 lies; `facts` as for `prepare_pair`."""
    spread = facts["spread_bps"], facts["spread_source"]
    instrument_id = plan.member(coin).instrument.id
    return prepare_key(
        plan.until(facts["ended_ms"]), instrument_id, facts["data_hash"], facts["context_hash"] or "", *spread
    )


def prepare_pair(ports: PairPorts, plan: NightPlan, coin: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Steps 3 and 4 for one pair: features, labels per horizon, and the Gram matrices of its pool prior.

    `facts`: what wave 1 found, the context by key, hash and sha256 of its record, and `known`: the sha256 of the record that a
    job has written already (None: none is known). The answer's `sha256` is that of the record now.
    """
    store, member = ports.artefacts, plan.member(coin)
    root = prepare_root(plan, coin, facts)
    plan = plan.until(facts["ended_ms"])
    done = store.believed(root, facts["known"])
    if done is not None:
        return {**done, "cached": True, "sha256": facts["known"]}
    bars, _ = load_bars(ports.lake, plan, member, data_hash=facts["data_hash"])
    context = load_context(store, facts["context_key"], facts["context_sha256"])
    features = prepared_features(bars, context, plan, facts["spread_bps"])
    files = {FEATURES_FILE: store.write_frame(f"{root}/{FEATURES_FILE}", features.frame)}
    horizons, labelled = label_horizons(store, root, plan, bars, features)
    result = {
        "coin": coin,
        "key": root,
        "data_hash": bars.data_hash,
        "recipe_id": features.recipe_id,
        "names": list(features.names),
        "absent": list(features.absent),
        "rows": int(features.frame["valid"].sum()),
        "spread_source": facts["spread_source"],
        "horizons": horizons,
        "files": files | labelled,
    }
    return {**result, "cached": False, "sha256": store.write_record(root, result)}


def prepared_features(bars: Bars, context: MarketContext | None, plan: NightPlan, spread_bps: float) -> FeatureFrame:
    """Features of a pair with the spread that step 1 or 2 measured."""
    built = build_features(bars, context, interval_minutes=plan.recipes[0].decision_interval_minutes)
    return replace(built, frame=built.frame.with_columns(pl.lit(spread_bps, dtype=pl.Float64).alias("spread_bps")))


def label_horizons(
    store: Artefacts, root: str, plan: NightPlan, bars: Bars, features: FeatureFrame, *, grams: bool = True
) -> tuple[dict[str, Any], dict[str, str]]:
    """Labels (and Gram matrices for the pool) of every horizon, stored under `root`; counts and leaks by horizon, and the
    sha256 of each file by name.
    """
    horizons: dict[str, Any] = {}
    files: dict[str, str] = {}
    for text in plan.horizons:
        horizons[text], written = _label_horizon(store, root, plan, bars, features, text, grams=grams)
        files |= written
    return horizons, files


def _label_horizon(
    store: Artefacts, root: str, plan: NightPlan, bars: Bars, features: FeatureFrame, text: str, *, grams: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    shared = plan.recipes[0]
    times = features.frame["decision_time"].to_numpy()
    labels = label_forward_returns(bars, times, Horizon.parse(text), shared.execution_latency_s)
    name = f"{text}/{LABELS_FILE}"
    files = {name: store.write_frame(f"{root}/{name}", labels.frame)}
    leaks = leak_canary(features, labels, plan.leak_exempt)
    if grams:
        sums = pair_grams(features, labels, plan.recipes[0], cutoff_ms=plan.cutoff_ms)
        name = f"{text}/{GRAMS_FILE}"
        files[name] = store.write(f"{root}/{name}", sums.to_bytes())
    known = int(labels.frame["forward_bps"].is_not_null().sum())
    return {"labels": known, "leaks": [[name, float(ic), float(limit)] for name, ic, limit in leaks]}, files
