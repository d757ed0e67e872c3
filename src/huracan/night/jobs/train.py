"""Wave 3: steps 5 to 7 of one pair, one cell per (recipe, horizon), each ending in a scorecard and a model."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from huracan.consensus import consensus_path
from huracan.domain.bundle import model_to_bytes
from huracan.domain.frames import Bars, FeatureFrame, LabelledSet
from huracan.domain.ids import random_seed, sha256_hex
from huracan.domain.model import ChampionModel, DecisionParameters
from huracan.domain.recipe import Recipe, TrainingPolicy
from huracan.domain.records import Skip, SkipCode
from huracan.domain.results import ConsensusPath, TrainedPair
from huracan.domain.time import Horizon
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.gating import gate_config, gate_rules, regime_map, regime_told
from huracan.night.jobs.inputs import PairPorts, load_bars, load_prepared, load_prior
from huracan.night.jobs.spread import BOOK, spread_notes
from huracan.night.plan import NightPlan, train_key
from huracan.regimes.gate import gate_path
from huracan.scoring import Simulation, row_costs, score_cells, simulate_decisions
from huracan.stats.evaluate import evaluate, regime_codes
from huracan.training import Design, PoolPrior, TrainingRefused, fit_pair, prepare

GOLDEN_ROWS = 8
MODEL_FILE: Final = "model.safetensors"
COST_ROWS = 24
"""The live round-trip cost is the median of the last day's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One (coin, horizon, recipe) on its way through steps 5 to 7; `spread_source` as `pipeline.spreads` names it.

    `ended`: no bar will ever follow, so the last day is scored to its last price.
    """

    coin: str
    horizon: Horizon
    recipe: Recipe
    features: FeatureFrame
    labels: LabelledSet
    bars: Bars
    spread_source: str = BOOK
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A cell after step 7: what was trained, what it decided, what that earned, and what would trade now."""

    cell: Cell
    trained: TrainedPair
    path: ConsensusPath
    simulation: Simulation
    model: ChampionModel
    gate: dict[str, Any]


def train_root(plan: NightPlan, facts: dict[str, Any]) -> str:
    """Where the record of wave 3 lies; `facts` as for `train_pair`."""
    priors = sorted((name, key) for name, (key, _) in facts["priors"].items())
    ended = facts["ended_ms"] is not None
    return train_key(plan, facts["prepared"]["key"], sha256_hex(repr(priors).encode()), ended=ended)


def train_pair(ports: PairPorts, plan: NightPlan, coin: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Steps 5 to 7 for one pair: every recipe at every horizon, as scorecards, models and a short record.

    `facts`: `prepared` (the record of wave 2), `priors` (key and sha256 of the pool prior per recipe and horizon), `ended_ms`
    (the midnight at which the instrument was gone for good, else None) and `known` (the sha256 of the record that a job has
    written already, else None). The answer's `sha256` is that of the record now.
    """
    store = ports.artefacts
    prepared, priors, ended_ms = facts["prepared"], facts["priors"], facts["ended_ms"]
    plan, ended, root = plan.until(ended_ms), ended_ms is not None, train_root(plan, facts)
    done = store.believed(root, facts["known"])
    if done is not None:
        return {**done, "cached": True, "sha256": facts["known"]}
    bars, _ = load_bars(ports.lake, plan, plan.member(coin), data_hash=prepared["data_hash"])
    cells: dict[str, Any] = {}
    refused: list[dict[str, Any]] = []
    designs: dict[TrainingPolicy, Design] = {}
    for horizon in plan.horizons:
        features, labels = load_prepared(store, plan, prepared, horizon)
        leak = leak_skip(coin, horizon, prepared)
        if leak is not None:
            refused.append(asdict(leak))
            continue
        for recipe in plan.recipes:
            cell = Cell(
                coin=coin,
                horizon=Horizon.parse(horizon),
                recipe=recipe,
                features=features,
                labels=labels,
                bars=bars,
                spread_source=prepared["spread_source"],
                ended=ended,
            )
            prior = load_prior(store, priors.get(f"{recipe.id}/{horizon}"))
            try:
                if recipe.training not in designs:
                    designs[recipe.training] = prepare(features, recipe.training, cutoff_ms=plan.cutoff_ms)
                design = designs[recipe.training]
                cells[f"{recipe.id}/{horizon}"] = _run_cell(
                    ports, plan, cell, prior, design, f"{root}/{recipe.id}/{horizon}"
                )
            except TrainingRefused as error:
                refused.append(refusal(coin, horizon, recipe, error))
    result = {"coin": coin, "key": root, "cells": cells, "skips": refused}
    return {**result, "cached": False, "sha256": store.write_record(root, result)}


def cell_frame(store: Artefacts, cell: dict[str, Any], name: str) -> pl.DataFrame:
    """A frame of a cell (`panel`, `daily`, `trades`, `path`, `edges`, `events`, `golden`), by the hash of its record."""
    return store.frame(f"{cell['root']}/{name}.parquet", cell["files"][f"{name}.parquet"])


def cell_model(store: Artefacts, cell: dict[str, Any]) -> bytes:
    """The model file of a cell, by the hash of its record."""
    return store.read(f"{cell['root']}/{MODEL_FILE}", cell["files"][MODEL_FILE])


def leak_skip(coin: str, horizon: str, prepared: dict[str, Any]) -> Skip | None:
    """The skip of a horizon at which wave 2 found a feature that knows the future, else None."""
    leaks = prepared["horizons"][horizon]["leaks"]
    if not leaks:
        return None
    name, ic, limit = leaks[0]
    return Skip(
        coin=coin,
        horizon=horizon,
        step=3,
        code=SkipCode.LEAK,
        reason=f"feature {name} predicts too well to be true",
        measured=round(ic, 4),
        wanted=round(limit, 4),
    )


def refusal(coin: str, horizon: str, recipe: Recipe, error: TrainingRefused) -> dict[str, Any]:
    """Why a recipe could not be trained on a (coin, horizon), as the record of a Skip."""
    skip = Skip(
        coin=coin,
        horizon=horizon,
        step=5,
        code=error.code,
        reason=f"{recipe.name}: {error.reason}",
        measured=error.measured,
        wanted=error.wanted,
    )
    return asdict(skip)


def _run_cell(
    ports: PairPorts, plan: NightPlan, cell: Cell, prior: PoolPrior | None, design: Design, root: str
) -> dict[str, Any]:
    seed = random_seed(plan.seed, cell.coin, str(cell.horizon), cell.recipe.name) % 2**31
    trained = fit_pair(
        cell.features, cell.labels, cell.recipe, prior, cutoff_ms=plan.cutoff_ms, seed=seed, design=design
    )
    return judge_cell(ports, plan, cell, trained, root)


def judge_cell(ports: PairPorts, plan: NightPlan, cell: Cell, trained: TrainedPair, root: str) -> dict[str, Any]:
    """Steps 6 and 7 of a trained cell: costs, gate, consensus, simulation, live model; stored under `root`."""
    costs = row_costs(cell.features, cell.recipe, cell.horizon)
    scores = score_cells(trained, cell.labels, _aligned(costs, cell.features, trained))
    head = trained.edges
    gate = gate_path(
        scores,
        head["decision_time"].to_numpy(),
        head["regime"].to_numpy(),
        head["fold_day"].to_numpy(),
        trained.engines,
        gate_config(plan),
        plan.cutoff_ms,
    )
    path = consensus_path(
        trained,
        scores,
        enabled_by_fold=gate.enabled,
        fold_days=gate.days,
        live_enabled=gate.live,
        policy=cell.recipe.consensus,
        cutoff_ms=plan.cutoff_ms,
    )
    allow_short = cell.bars.instrument.market == "um"
    simulation = simulate_decisions(
        path,
        cell.bars,
        cell.labels,
        cell.features,
        cell.recipe,
        cell.horizon,
        allow_short=allow_short,
        start_day=int(head["fold_day"][0]),
        end_day=plan.end_day,
        coin=cell.coin,
        ended=cell.ended,
    )
    model = assemble_model(trained, path, cell, allow_short=allow_short)
    gate_map = {**regime_map(cell.coin, trained.engines, path.enabled, gate.evidence), "gate": gate_rules(plan)}
    return _store_cell(
        ports, root, Judged(cell=cell, trained=trained, path=path, simulation=simulation, model=model, gate=gate_map)
    )


def _aligned(costs: Any, features: FeatureFrame, trained: TrainedPair) -> Any:
    by_time = pl.DataFrame({"decision_time": features.frame["decision_time"], "cost": costs})
    return trained.edges.select("decision_time").join(by_time, on="decision_time", how="left")["cost"].to_numpy()


def assemble_model(trained: TrainedPair, path: ConsensusPath, cell: Cell, *, allow_short: bool) -> ChampionModel:
    """The live arrays of a cell with the gate, weights, threshold and costs as of the cut-off."""
    sizing = cell.recipe.sizing
    costs = path.frame["cost_bps"].drop_nulls().drop_nans().tail(COST_ROWS).to_numpy()
    cost = float(np.median(costs)) if costs.size else 0.0
    return ChampionModel(
        feature_names=trained.feature_names,
        engines=trained.engines,
        coef=trained.coef,
        intercept=trained.intercept,
        clip_low=trained.clip_low,
        clip_high=trained.clip_high,
        enabled=path.enabled,
        slope=trained.slope,
        weight=path.weight,
        tree_of=trained.tree_of,
        forests=trained.forests,
        decision=DecisionParameters(
            horizon_minutes=cell.horizon.minutes,
            threshold=path.threshold,
            cost_bps=cost,
            min_edge_after_cost_bps=sizing.min_edge_after_cost_bps,
            entry_cost_multiple=sizing.entry_cost_multiple,
            min_confidence=sizing.min_confidence,
            per_trade_risk=sizing.per_trade_risk,
            leverage_cap=sizing.leverage_cap,
            sigma_floor_day_bps=_sigma_floor(cell, trained),
            largest_position=sizing.largest_position(cell.horizon),
            correlation_penalty=path.penalty,
            correlation_penalty_weight=cell.recipe.consensus.correlation_penalty_weight,
            allow_short=allow_short,
        ),
    )


def _sigma_floor(cell: Cell, trained: TrainedPair) -> float:
    """The floor of the sizing's volatility; the coin's own of tonight where the model's features do not tell it."""
    floor = cell.recipe.sizing.sigma_floor_day_bps
    if "sigma_day_bps" in trained.feature_names:
        return floor
    known = cell.features.frame.filter(cell.features.warm)["sigma_day_bps"]
    return max(floor, float(known[-1])) if known.len() else floor


def golden_inputs(model: ChampionModel, features: FeatureFrame) -> tuple[Any, Any]:
    """The last rows on which all its features are known, as (x (n, p), regime (n,)), for golden rows and the live prediction."""
    known = pl.all_horizontal(pl.col(name).is_finite() for name in model.feature_names)
    rows = features.frame.filter(features.warm).filter(known).tail(GOLDEN_ROWS)
    x = np.ascontiguousarray(rows.select(model.feature_names).to_numpy(), dtype=np.float64)
    return x, regime_codes(model, x)


def _store_cell(ports: PairPorts, root: str, judged: Judged) -> dict[str, Any]:
    store, cell, trained, path, model = ports.artefacts, judged.cell, judged.trained, judged.path, judged.model
    card = judged.simulation.card
    frames = {
        "panel": card.panel,
        "daily": card.daily,
        "trades": card.trades,
        "path": path.frame,
        "forecasts": trained.forecasts,
        "edges": trained.edges,
        "events": judged.simulation.events,
    }
    x, regime = golden_inputs(model, cell.features)
    frames["golden"] = pl.DataFrame(x, schema=list(model.feature_names))
    files = {f"{name}.parquet": store.write_frame(f"{root}/{name}.parquet", frame) for name, frame in frames.items()}
    files[MODEL_FILE] = store.write(f"{root}/{MODEL_FILE}", model_to_bytes(model))
    live = evaluate(model, x[-1:], regime[-1:]) if len(x) else None
    return {
        "root": root,
        "files": files,
        "metrics": card.metrics,
        "gate": judged.gate,
        "costs": {**card.costs, "spread_source": cell.spread_source},
        "notes": [*trained.notes, *card.notes, *spread_notes(cell.spread_source)],
        "stopped": list(trained.stopped),
        "engines": list(trained.engines),
        "reliability": path.reliability,
        "threshold": path.threshold,
        "penalty": path.penalty,
        "n_effective": trained.n_effective,
        "window_ms": list(trained.window_ms),
        "decisions": judged.simulation.events.height,
        "regime": regime_told(model, regime),
        "round_trip_cost_bps": model.decision.cost_bps,
        "live": None
        if live is None
        else {
            "score": float(live.score[0]),
            "edge_bps": float(live.edge_bps[0]),
            "confidence": float(live.confidence[0]),
            "side": int(live.side[0]),
            "regime": int(regime[-1]),
        },
    }
