"""Wave 3: steps 5 to 7 of one pair, one cell per (recipe, horizon), each ending in a scorecard and a model."""

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import polars as pl

from huracan.consensus import consensus_path
from huracan.domain.arrays import F64, I64
from huracan.domain.bundle import model_to_bytes
from huracan.domain.frames import Bars, FeatureFrame, LabelledSet
from huracan.domain.ids import random_seed, sha256_hex
from huracan.domain.json import JsonObject
from huracan.domain.model import ChampionModel, DecisionParameters
from huracan.domain.night_records import (
    CellRecord,
    Done,
    LiveDecision,
    PrepareRecord,
    RegimeGate,
    SpreadSource,
    TrainRecord,
    TrainTask,
)
from huracan.domain.recipe import Recipe, TrainingPolicy
from huracan.domain.records import Skip, SkipCode
from huracan.domain.results import ConsensusPath, TrainedPair
from huracan.domain.time import Horizon
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.clock import StepClock
from huracan.night.jobs.gating import gate_config, regime_gate, regime_name
from huracan.night.jobs.inputs import PairPorts, load_bars, load_prepared, load_prior
from huracan.night.jobs.prepare import TRAIN_STEP
from huracan.night.jobs.spread import spread_notes
from huracan.night.plan import NightPlan, train_key
from huracan.regimes.gate import gate_path
from huracan.scoring import Simulation, row_costs, score_cells, simulate_decisions
from huracan.stats.evaluate import evaluate, regime_codes
from huracan.training import Design, PoolPrior, TrainingRefused, fit_pair, prepare

SCORE_STEP: Final = 6
CONSENSUS_STEP: Final = 7
GOLDEN_ROWS: Final = 8
MODEL_FILE: Final = "model.safetensors"
COST_ROWS = 24
"""The live round-trip cost is the median of the last day's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One (coin, horizon, recipe) on its way through steps 5 to 7; `named` is the horizon as the plan writes it,
    `spread_source` as `jobs.spread` finds it.

    `ended`: no bar will ever follow, so the last day is scored to its last price.
    """

    coin: str
    named: str
    recipe: Recipe
    features: FeatureFrame
    labels: LabelledSet
    bars: Bars
    spread_source: SpreadSource = SpreadSource.BOOK
    ended: bool = False

    @property
    def horizon(self) -> Horizon:
        """The horizon as a length of time."""
        return Horizon.parse(self.named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A cell after step 7: what was trained, what it decided, what that earned, and what would trade now."""

    cell: Cell
    trained: TrainedPair
    path: ConsensusPath
    simulation: Simulation
    model: ChampionModel
    gate: RegimeGate


def train_root(plan: NightPlan, task: TrainTask) -> str:
    """Where the record of wave 3 lies."""
    priors = sorted((f"{one.recipe_id}/{one.horizon}", one.artefact.key) for one in task.priors)
    ended = task.ended_ms is not None
    return train_key(plan, task.prepared.key, sha256_hex(repr(priors).encode()), ended=ended)


def train_pair(ports: PairPorts, plan: NightPlan, coin: str, task: TrainTask) -> Done:
    """Steps 5 to 7 for one pair: every recipe at every horizon, as scorecards, models and a short record.

    A record that a job has written already, with all its files, is the answer.
    """
    store, clock = ports.artefacts, StepClock()
    plan, root = plan.until(task.ended_ms), train_root(plan, task)
    known = store.believed(TrainRecord, root, task.known)
    if known is not None and task.known is not None:
        return Done(record=known, sha256=task.known, cached=True)
    with clock.step(TRAIN_STEP):
        bars, _ = load_bars(ports.lake, plan, plan.member(coin), data_hash=task.prepared.data_hash)
    cells: list[CellRecord] = []
    skips: list[Skip] = []
    designs: dict[TrainingPolicy, Design] = {}
    for horizon in plan.horizons:
        leak = leak_skip(coin, horizon, task.prepared)
        if leak is not None:
            skips.append(leak)
            continue
        with clock.step(TRAIN_STEP):
            features, labels = load_prepared(store, plan, task.prepared, horizon)
        for recipe in plan.recipes:
            cell = Cell(
                coin=coin,
                named=horizon,
                recipe=recipe,
                features=features,
                labels=labels,
                bars=bars,
                spread_source=task.prepared.spread_source,
                ended=task.ended_ms is not None,
            )
            try:
                with clock.step(TRAIN_STEP):
                    if recipe.training not in designs:
                        designs[recipe.training] = prepare(features, recipe.training, cutoff_ms=plan.cutoff_ms)
                    prior = load_prior(store, task.prior(recipe.id, horizon))
                    trained = _fit(plan, cell, prior, designs[recipe.training])
            except TrainingRefused as error:
                skips.append(refusal(coin, horizon, recipe, error))
            else:
                cells.append(
                    evaluate_cell(store, plan, cell, trained, root=f"{root}/{recipe.id}/{horizon}", clock=clock)
                )
    record = TrainRecord(coin=coin, key=root, cells=tuple(cells), skips=tuple(skips))
    return Done(record=record, sha256=store.write_record(record), seconds_by_step=clock.seconds)


def cell_frame(store: Artefacts, cell: CellRecord, name: str) -> pl.DataFrame:
    """A frame of a cell (`panel`, `daily`, `trades`, `path`, `edges`, `events`, `golden`), by the hash of its
    record.
    """
    return store.frame(f"{cell.root}/{name}.parquet", cell.files[f"{name}.parquet"])


def cell_model(store: Artefacts, cell: CellRecord) -> bytes:
    """The model file of a cell, by the hash of its record."""
    return store.read(f"{cell.root}/{MODEL_FILE}", cell.files[MODEL_FILE])


def leak_skip(coin: str, horizon: str, prepared: PrepareRecord) -> Skip | None:
    """The skip of a horizon at which wave 2 found a feature that knows the future, else None."""
    leaks = prepared.horizons[horizon].leaks
    if not leaks:
        return None
    return Skip(
        coin=coin,
        horizon=horizon,
        step=4,
        code=SkipCode.LEAK,
        reason=f"feature {leaks[0].feature} predicts too well to be true",
        measured=round(leaks[0].ic, 4),
        wanted=round(leaks[0].limit, 4),
    )


def refusal(coin: str, horizon: str, recipe: Recipe, error: TrainingRefused) -> Skip:
    """Why a recipe could not be trained on a (coin, horizon)."""
    return Skip(
        coin=coin,
        horizon=horizon,
        step=5,
        code=error.code,
        reason=f"{recipe.name}: {error.reason}",
        measured=error.measured,
        wanted=error.wanted,
    )


def _fit(plan: NightPlan, cell: Cell, prior: PoolPrior | None, design: Design) -> TrainedPair:
    seed = random_seed(plan.seed, cell.coin, str(cell.horizon), cell.recipe.name) % 2**31
    return fit_pair(cell.features, cell.labels, cell.recipe, prior, cutoff_ms=plan.cutoff_ms, seed=seed, design=design)


def evaluate_cell(
    store: Artefacts, plan: NightPlan, cell: Cell, trained: TrainedPair, *, root: str, clock: StepClock
) -> CellRecord:
    """Steps 6 and 7 of a trained cell: costs, gate, consensus, simulation, live model; stored under `root`.

    Simulated decisions are scored after costs (step 6), and follow the consensus (step 7).
    """
    with clock.step(SCORE_STEP):
        costs = row_costs(cell.features, cell.recipe, cell.horizon)
        scores = score_cells(trained, cell.labels, _aligned(costs, cell.features, trained))
    with clock.step(CONSENSUS_STEP):
        head = trained.edges
        gate = gate_path(
            scores,
            head["decision_time"].to_numpy(),
            head["regime"].to_numpy(),
            head["fold_day"].to_numpy(),
            engines=trained.engines,
            config=gate_config(plan),
            cutoff_ms=plan.cutoff_ms,
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
    with clock.step(SCORE_STEP):
        allow_short = cell.bars.instrument.market == "um"
        simulation = simulate_decisions(
            path,
            cell.bars,
            cell.labels,
            cell.features,
            recipe=cell.recipe,
            horizon=cell.horizon,
            allow_short=allow_short,
            start_day=int(head["fold_day"][0]),
            end_day=plan.end_day,
            coin=cell.coin,
            ended=cell.ended,
        )
        evaluated = Evaluated(
            cell=cell,
            trained=trained,
            path=path,
            simulation=simulation,
            model=assemble_model(trained, path, cell, allow_short=allow_short),
            gate=regime_gate(plan, cell.coin, trained.engines, path.enabled, gate.evidence),
        )
        return _store_cell(store, root, evaluated)


def _aligned(costs: F64, features: FeatureFrame, trained: TrainedPair) -> F64:
    by_time = pl.DataFrame({"decision_time": features.frame["decision_time"], "cost": costs})
    joined = trained.edges.select("decision_time").join(by_time, on="decision_time", how="left")
    aligned: F64 = joined["cost"].to_numpy()
    return aligned


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
    """The floor of the sizing's volatility; the coin's own of tonight where the model's features do not have it."""
    floor = cell.recipe.sizing.sigma_floor_day_bps
    if "sigma_day_bps" in trained.feature_names:
        return floor
    known = cell.features.frame.filter(cell.features.warm)["sigma_day_bps"]
    return max(floor, float(known[-1])) if known.len() else floor


def golden_inputs(model: ChampionModel, features: FeatureFrame) -> tuple[F64, I64]:
    """The last rows on which all its features are known, as (x (n, p), regime (n,)), for golden rows and the live
    prediction.
    """
    known = pl.all_horizontal(pl.col(name).is_finite() for name in model.feature_names)
    rows = features.frame.filter(features.warm).filter(known).tail(GOLDEN_ROWS)
    x = np.ascontiguousarray(rows.select(model.feature_names).to_numpy(), dtype=np.float64)
    return x, regime_codes(model, x)


def _store_cell(store: Artefacts, root: str, evaluated: Evaluated) -> CellRecord:
    cell, trained, path, model = evaluated.cell, evaluated.trained, evaluated.path, evaluated.model
    card, events = evaluated.simulation.card, evaluated.simulation.events
    x, regime = golden_inputs(model, cell.features)
    frames = {
        "panel": card.panel,
        "daily": card.daily,
        "trades": card.trades,
        "path": path.frame,
        "forecasts": trained.forecasts,
        "edges": trained.edges,
        "events": events,
        "golden": pl.DataFrame(x, schema=list(model.feature_names)),
    }
    files = {f"{name}.parquet": store.write_frame(f"{root}/{name}.parquet", frame) for name, frame in frames.items()}
    files[MODEL_FILE] = store.write(f"{root}/{MODEL_FILE}", model_to_bytes(model))
    return CellRecord(
        recipe_id=cell.recipe.id,
        horizon=cell.named,
        root=root,
        files=files,
        metrics=cast("JsonObject", card.metrics),
        costs={**card.costs, "spread_source": cell.spread_source.value},
        gate=evaluated.gate,
        notes=(*trained.notes, *card.notes, *spread_notes(cell.spread_source)),
        stopped=tuple(trained.stopped),
        engines=tuple(trained.engines),
        reliability=path.reliability,
        threshold=path.threshold,
        penalty=path.penalty,
        n_effective=trained.n_effective,
        window_ms=trained.window_ms,
        decisions=events.height,
        regime=regime_name(model, regime),
        round_trip_cost_bps=model.decision.cost_bps,
        live=_live(model, x, regime),
    )


def _live(model: ChampionModel, x: F64, regime: I64) -> LiveDecision | None:
    """The model's decision on the last row whose features are all known."""
    if not len(x):
        return None
    live = evaluate(model, x[-1:], regime[-1:])
    return LiveDecision(
        score=float(live.score[0]),
        edge_bps=float(live.edge_bps[0]),
        confidence=float(live.confidence[0]),
        side=int(live.side[0]),
        regime=int(regime[-1]),
    )
