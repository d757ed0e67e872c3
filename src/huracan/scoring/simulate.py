"""Simulated trading of one consensus path on one coin's bars, with every cost: a scorecard."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import (
    HOLES_SCHEMA,
    PANIC,
    REPAIRED,
    TRADE_SCHEMA,
    Bars,
    FeatureFrame,
    LabelledSet,
    traded_bars,
)
from huracan.domain.recipe import Recipe
from huracan.domain.results import ConsensusPath, Scorecard
from huracan.domain.time import DAY_MS, MINUTE_MS, Horizon
from huracan.errors import DataError
from huracan.scoring.book import daily_frame, panel_frame, trip_frame
from huracan.scoring.capacity import Capacity, edge_capacity
from huracan.scoring.costs import fees_bps, known_liquidity
from huracan.scoring.events import event_frame
from huracan.scoring.metrics import scorecard_metrics
from huracan.scoring.position_records import (
    STOP,
    Actions,
    BarArrays,
    DecisionArrays,
    FundingArrays,
    TradingRules,
)
from huracan.scoring.positions import simulate_positions
from huracan.scoring.round_trips import round_trip_costs

FOREVER_MS = 1 << 62
MISSING_SHARE = 0.05
"""A day that lacks more than this share of its bars is void."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A scorecard and what was done when: `events` has EVENT_SCHEMA, one row per enter, roll, close, turn, stop."""

    card: Scorecard
    events: pl.DataFrame


def simulate_decisions(
    path: ConsensusPath,
    bars: Bars,
    labels: LabelledSet,
    features: FeatureFrame,
    *,
    recipe: Recipe,
    horizon: Horizon,
    allow_short: bool,
    start_day: int,
    end_day: int,
    coin: str,
    ended: bool = False,
) -> Simulation:
    """Trade the path over the whole UTC days start_day..end_day, flat at the start.

    Fills are those of the labels, which are known long before the label's outcome. A day is closed by the next day's
    first real price, so the last day is scored only when that price is known: a day's result never changes afterwards.
    An open position is cut off there with reason ``end``, at no cost. An instrument that has `ended` (delisted: no bar
    will ever follow) is scored to its last day: what is still held is closed at the close of its last real bar, at all
    costs. Raises DataError when a decision of the path has no row of features or labels, and CostUnknownError when a
    valid row has no spread or volume.
    """
    real = traded_bars(bars.frame)
    last_day = min(end_day, _newest_day(bars, real) - (0 if ended else 1))
    decisions = _decisions(path, bars, real, labels, features)
    simulated = simulate_positions(
        _ending(_bar_arrays(bars, real), bars.interval_ms) if ended else _bar_arrays(bars, real),
        decisions,
        _funding(bars, recipe),
        _rules(recipe, horizon, features.instrument.market, allow_short=allow_short),
        first_day=start_day,
        last_day=last_day,
    )
    panel = panel_frame(simulated.rows)
    valid = _valid_days(bars, real, start_day, last_day, ended=ended)
    daily = daily_frame(panel, start_day, valid)
    trips = trip_frame(simulated, decisions.edge_bps, decisions.score, path.frame["regime"].to_numpy())
    trades = trips.select(list(TRADE_SCHEMA))
    card = Scorecard(
        coin=coin,
        horizon=str(horizon),
        recipe_id=recipe.id,
        panel=panel,
        daily=daily,
        trades=trades,
        metrics=scorecard_metrics(daily, trades, _capacity(trips, decisions, recipe, horizon)),
        costs=round_trip_costs(trips, fees_bps(recipe.costs, features.instrument.market)),
        notes=_notes(bars, recipe, simulated.actions),
    )
    return Simulation(card=card, events=event_frame(simulated.actions, path.frame, coin, str(horizon), recipe.id))


def _newest_day(bars: Bars, real: Bool) -> int:
    times = bars.frame["open_time"].to_numpy()[real]
    return int(times[-1]) // DAY_MS if times.size else -1


def _bar_arrays(bars: Bars, real: Bool) -> BarArrays:
    frame = bars.frame
    return BarArrays(
        time=_own(frame["open_time"]),
        open=_own(frame["open"]),
        close=_own(frame["close"]),
        real=real,
        panic=(frame["flags"].to_numpy() & PANIC) != 0,
        last=-1,
    )


def _ending(bars: BarArrays, interval_ms: int) -> BarArrays:
    """Bars up to the last real one, and two moments at its close: the end, and the midnight that closes the last
    day.
    """
    kept = int(np.flatnonzero(bars.real)[-1]) + 1 if bars.real.any() else 0
    if not kept:
        return bars
    end = bars.time[kept - 1] + interval_ms - 1  # the close belongs to the bar's own day
    price, panic = bars.close[kept - 1], bars.panic[kept - 1]
    return BarArrays(
        time=np.append(bars.time[:kept], [end, (end // DAY_MS + 1) * DAY_MS]),
        open=np.append(bars.open[:kept], [price, price]),
        close=np.append(bars.close[:kept], [price, price]),
        real=np.append(bars.real[:kept], [True, True]),
        panic=np.append(bars.panic[:kept], [panic, panic]),
        last=kept,
    )


def _own(column: pl.Series) -> Any:
    """A copy that may be written: a view of polars memory may not, which numba takes for another type and compiles
    again.
    """
    return np.array(column.to_numpy())


def _decisions(
    path: ConsensusPath, bars: Bars, real: Bool, labels: LabelledSet, features: FeatureFrame
) -> DecisionArrays:
    known_liquidity(features)
    sides = features.frame.select("decision_time", "sigma_day_bps", "spread_bps", "volume_day_quote", "valid")
    fills = labels.frame.select("decision_time", "fill_time", pl.lit(value=True).alias("labelled"))
    joined = (
        path.frame.lazy()
        .join(sides.lazy(), on="decision_time", how="left", maintain_order="left")
        .join(fills.lazy(), on="decision_time", how="left", maintain_order="left")
        .collect()
    )
    lost = joined["valid"].is_null() | joined["labelled"].is_null()
    if joined.height != path.frame.height or lost.any():
        raise DataError(
            f"{bars.instrument.id}: {lost.sum()} of {path.frame.height} decisions have no row of features or labels, or "
            "several: all three must come from the same decisions"
        )

    def column(name: str) -> F64:
        own: F64 = _own(joined[name].cast(pl.Float64))
        return own

    score, edge, cost = column("score"), column("edge_bps"), column("cost_bps")
    sigma = column("sigma_day_bps")
    usable = np.isfinite(score) & np.isfinite(edge) & np.isfinite(cost) & np.isfinite(sigma)
    return DecisionArrays(
        bar=_fill_bars(joined["fill_time"], bars, real),
        ok=joined["valid"].to_numpy() & usable,
        score=score,
        edge_bps=edge,
        confidence=column("confidence"),
        cost_bps=cost,
        threshold=column("threshold"),
        sigma_day_bps=sigma,
        half_spread_bps=0.5 * column("spread_bps"),
        volume_day_quote=column("volume_day_quote"),
    )


def _fill_bars(fill_time: pl.Series, bars: Bars, real: Bool) -> I64:
    """Index of the bar whose open fills each decision, -1 = none; raises DataError for one that could not fill."""
    times = bars.frame["open_time"].to_numpy()
    wanted = fill_time.fill_null(-1).to_numpy()
    index = np.searchsorted(times, wanted).astype(np.int64)
    inside = np.minimum(index, max(times.size - 1, 0))
    filled = wanted >= 0
    wrong = filled & ((times[inside] != wanted) | ~real[inside]) if times.size else filled
    if wrong.any():
        raise DataError(
            f"{bars.instrument.id}: {int(wrong.sum())} fills (first at {int(wanted[wrong][0])}) are not at the open of a "
            "real bar: labels and bars must come from the same data"
        )
    return np.where(filled, index, -1).astype(np.int64)


def _funding(bars: Bars, recipe: Recipe) -> FundingArrays:
    holes = bars.funding_holes
    if bars.instrument.market == "um" and not bars.funding_known and holes.is_empty():
        holes = pl.DataFrame([(0, FOREVER_MS, 1, 0.0)], schema=HOLES_SCHEMA, orient="row")
    worst = np.maximum(holes["worst_bps_per_day"].to_numpy(), recipe.costs.worst_funding_bps_per_day)
    return FundingArrays(
        time=_own(bars.funding["funding_time"]),
        rate_bps=bars.funding["rate"].to_numpy() * 1e4,
        hole_start=_own(holes["start_ms"]),
        hole_end=_own(holes["end_ms"]),
        hole_bps_per_ms=worst / DAY_MS,
    )


def _rules(recipe: Recipe, horizon: Horizon, market: str, *, allow_short: bool) -> TradingRules:
    costs, sizing = recipe.costs, recipe.sizing
    return TradingRules(
        horizon_ms=horizon.ms,
        horizon_days=horizon.days,
        allow_short=allow_short,
        cost_multiple=sizing.entry_cost_multiple,
        min_edge_bps=sizing.min_edge_after_cost_bps,
        min_confidence=sizing.min_confidence,
        per_trade_risk=sizing.per_trade_risk,
        leverage_cap=sizing.leverage_cap,
        sigma_floor=sizing.sigma_floor_day_bps,
        largest=sizing.largest_position(horizon),
        stop_bps=sizing.daily_loss_stop * 1e4,
        fee_bps=fees_bps(costs, market)[1],
        panic_multiple=costs.panic_spread_multiple,
        impact_y=costs.impact_y,
        capital_quote=costs.capital_quote,
    )


def _valid_days(bars: Bars, real: Bool, first_day: int, last_day: int, *, ended: bool) -> Bool:
    """Days whose data are whole: enough bars of the exchange, and at least one real price. A life's last day may be
    short.
    """
    n_days = max(last_day - first_day + 1, 0)
    day = bars.frame["open_time"].to_numpy() // DAY_MS - first_day
    inside = (day >= 0) & (day < n_days)
    delivered = inside & ((bars.frame["flags"].to_numpy() & REPAIRED) == 0)
    arrived = np.bincount(day[delivered], minlength=n_days)
    traded = np.bincount(day[inside & real], minlength=n_days)
    expected = np.full(n_days, DAY_MS // bars.interval_ms)
    if ended and n_days and last_day == _newest_day(bars, real):
        expected[-1] = (bars.frame["open_time"].to_numpy()[real][-1] % DAY_MS) // bars.interval_ms + 1
    valid: Bool = (arrived >= (1.0 - MISSING_SHARE) * expected) & (traded > 0)
    return valid


def _capacity(trips: pl.DataFrame, decisions: DecisionArrays, recipe: Recipe, horizon: Horizon) -> Capacity | None:
    """What the mean round trip's net edge before impact can carry; None without round trips."""
    if trips.is_empty() or not decisions.ok.any():
        return None
    return edge_capacity(
        edge_bps=float((trips["net_bps"] + trips["impact_bps"]).to_numpy().mean()),
        sigma_day_bps=float(np.median(decisions.sigma_day_bps[decisions.ok])),
        volume_day_quote=float(np.median(decisions.volume_day_quote[decisions.ok])),
        impact_y=recipe.costs.impact_y,
        horizon_days=horizon.days,
    )


def _notes(bars: Bars, recipe: Recipe, actions: Actions) -> tuple[str, ...]:
    notes = []
    if bars.interval_ms != MINUTE_MS:
        minutes = bars.interval_ms // MINUTE_MS
        notes.append(f"bars of {minutes} minutes: a fill is the next bar's open, stops look at bar closes only")
    if bars.instrument.market == "um" and not bars.funding_known:
        holes, worst = bars.funding_holes, recipe.costs.worst_funding_bps_per_day
        days = (holes["end_ms"] - holes["start_ms"]).sum() / DAY_MS
        where = f"in {holes.height} stretches of {days:.1f} days" if holes.height else "throughout"
        notes.append(f"funding unknown {where}: at least {worst:g} bps a day charged to the side held")
    stops = int((actions.kind == STOP).sum())
    if stops:
        notes.append(f"daily loss stop closed {stops} positions")
    return tuple(notes)
