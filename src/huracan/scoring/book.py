"""From simulated positions to the panel, whole days and round trips; every sum of money is the same one."""

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import DAILY_SCHEMA, PANEL_SCHEMA, TRADE_SCHEMA
from huracan.domain.time import DAY_MS
from huracan.scoring.position_records import CLOSE, END, STOP, TURN, Rows, SimulatedPositions

REASONS = {CLOSE: "closed", TURN: "turned", STOP: "stopped", END: "end"}

COST_COLUMNS = ("fees_bps", "spread_bps", "impact_bps", "funding_bps")
"""Parts of a round trip's cost, bps of notional, that a trip frame has after TRADE_SCHEMA."""


def panel_frame(rows: Rows) -> pl.DataFrame:
    """The rows as PANEL_SCHEMA."""
    columns = {"open_trade" if name == "trip" else name: column for name, column in rows._asdict().items()}
    return pl.DataFrame({name: columns[name] for name in PANEL_SCHEMA}, schema=PANEL_SCHEMA)


def daily_frame(panel: pl.DataFrame, first_day: int, valid: Bool) -> pl.DataFrame:
    """DAILY_SCHEMA for `valid.size` whole days from `first_day`; a row of the panel belongs to the day it stands in.

    The panel ends with the mark that closes the last day. Days without a position are zero and kept.
    """
    time = panel["time"].to_numpy()
    inside = slice(0, max(len(time) - 1, 0))  # the last row closes the last day and belongs to none
    day = time[inside] // DAY_MS - first_day
    position = panel["position"].to_numpy()
    turnover = np.abs(np.diff(position, prepend=0.0))[inside]

    def total(values: F64) -> F64:
        sums: F64 = np.bincount(day, weights=values, minlength=valid.size)[: valid.size].astype(np.float64)
        return sums

    def column(name: str) -> F64:
        return panel[name].to_numpy()[inside]

    held, elapsed = position[inside], np.diff(time).astype(np.float64)
    gross, funding = total(held * column("return_bps")), total(held * column("funding_bps"))
    fees = total(turnover * column("fee_bps"))
    spread = total(turnover * column("spread_bps"))
    impact = total(turnover * column("impact_bps"))
    span = total(elapsed)
    return pl.DataFrame(
        {
            "day": np.arange(first_day, first_day + valid.size),
            "net_bps": gross - fees - spread - impact - funding,
            "gross_bps": gross,
            "fees_bps": fees,
            "spread_bps": spread,
            "impact_bps": impact,
            "funding_bps": funding,
            "turnover": total(turnover),
            "exposure": total(np.abs(held) * elapsed) / np.where(span > 0.0, span, 1.0),
            "valid": valid,
        },
        schema=DAILY_SCHEMA,
    )


def trip_frame(simulated: SimulatedPositions, forecast_bps: F64, score: F64, regime: I64) -> pl.DataFrame:
    """Round trips: TRADE_SCHEMA, then COST_COLUMNS. forecast, score and regime are per decision.

    Per trip, ``position * net_bps`` is what it added to the panel, in bps of capital. The panel books every day on the
    same share of capital, so a position that loses shrinks in between: `rebalance_bps` is the difference to the prices'
    own move.
    """
    rows, trips = simulated.rows, simulated.trips
    size, notional = trips.rolls.size, np.abs(trips.position)
    booked, funding = _held(rows, rows.return_bps, size), _held(rows, rows.funding_bps, size)
    parts = [_paid(rows, column, size) for column in (rows.fee_bps, rows.spread_bps, rows.impact_bps)]
    per_notional = {
        name: values / np.where(notional > 0.0, notional, 1.0)
        for name, values in zip(COST_COLUMNS, [*parts, funding], strict=True)
    }
    cost = sum(per_notional.values(), np.zeros(size))
    earned = booked / np.where(notional > 0.0, notional, 1.0)
    side, entry, leave = np.sign(trips.position), trips.entry_price, trips.exit_price
    gross = side * (leave / entry - 1.0) * 1e4
    decision = trips.decision
    trades = pl.DataFrame(
        {
            "entry_time": trips.entry_time,
            "exit_time": trips.exit_time,
            "side": side.astype(np.int64),
            "position": notional,
            "entry_price": entry,
            "exit_price": leave,
            "gross_bps": gross,
            "rebalance_bps": earned - gross,
            "cost_bps": cost,
            "net_bps": earned - cost,
            "rolls": trips.rolls,
            "forecast_bps": forecast_bps[decision],
            "score": score[decision],
            "regime": regime[decision],
            "reason": [REASONS[int(code)] for code in trips.reason],
        },
        schema=TRADE_SCHEMA,
    )
    return trades.with_columns([pl.Series(name, values) for name, values in per_notional.items()])


def _held(rows: Rows, column: F64, size: int) -> F64:
    """Position times a row's value, summed over the rows of each trip; bps of capital."""
    inside = rows.trip >= 0
    earned = rows.position[inside] * column[inside]
    sums: F64 = np.bincount(rows.trip[inside], weights=earned, minlength=size).astype(np.float64)
    return sums


def _paid(rows: Rows, rate: F64, size: int) -> F64:
    """A cost per unit of turnover, charged to the trip that ends at a row and the one that starts there."""
    trip, position = rows.trip, np.abs(rows.position)
    before, before_size = np.roll(trip, 1), np.roll(position, 1)
    before[:1], before_size[:1] = -1, 0.0
    ends = (before >= 0) & (before != trip)
    starts = (trip >= 0) & (before != trip)
    closing = np.bincount(before[ends], weights=rate[ends] * before_size[ends], minlength=size)
    opening = np.bincount(trip[starts], weights=rate[starts] * position[starts], minlength=size)
    sums: F64 = (closing + opening).astype(np.float64)
    return sums
