"""The simulation of positions as one compiled function, frozen: what the cut kernels must give bit for bit, as fast."""

from typing import Final, NamedTuple

import numpy as np

from huracan.scoring.costs import impact_bps
from huracan.scoring.position_records import (
    CLOSE,
    END,
    ENTER,
    F64,
    I64,
    ROLL,
    STOP,
    TURN,
    BarArrays,
    DecisionArrays,
    FundingArrays,
    TradingRules,
)
from huracan.stats.decide import position_fraction, wants_entry
from huracan.stats.kernel import kernel

DAY: Final = 86_400_000


class Walk(NamedTuple):
    """What happened. Rows: see PANEL_SCHEMA. Trips: one per round trip. Actions: one per ENTER ... STOP."""

    row_time: I64
    row_trip: I64
    rows: F64  # position, return, funding, fee, half spread, impact
    trip_entry_time: I64
    trip_exit_time: I64
    trip_decision: I64
    trip_rolls: I64
    trip_reason: I64
    trip: F64  # signed position, entry price, exit price
    action_time: I64
    action_kind: I64
    action_decision: I64
    action: F64  # side acted on, position after, price


def columns(result: Walk) -> list[bytes]:
    """All arrays, in the order of SimulatedPositions."""
    arrays = [result.row_time, result.row_trip, *result.rows.T, result.trip_entry_time, result.trip_exit_time]
    arrays += [result.trip_decision, result.trip_rolls, result.trip_reason, *result.trip.T]
    arrays += [result.action_time, result.action_kind, result.action_decision, *result.action.T]
    return [array.tobytes() for array in arrays]


@kernel
def _wanted(decisions: DecisionArrays, q: int, rules: TradingRules) -> float:
    """Signed position decision q wants, 0 for none."""
    if not decisions.ok[q]:
        return 0.0
    side = wants_entry(
        decisions.score[q],
        decisions.edge_bps[q],
        decisions.confidence[q],
        decisions.cost_bps[q],
        decisions.threshold[q],
        rules.cost_multiple,
        rules.min_edge_bps,
        rules.min_confidence,
        rules.allow_short,
    )
    if side == 0:
        return 0.0
    size = position_fraction(
        decisions.score[q],
        decisions.threshold[q],
        decisions.sigma_day_bps[q],
        rules.horizon_days,
        rules.per_trade_risk,
        rules.leverage_cap,
        rules.sigma_floor,
        rules.largest,
    )
    return side * size


@kernel
def _decide(
    decisions: DecisionArrays, q: int, rules: TradingRules, position: float, due: bool, stopped: bool
) -> tuple[float, int]:
    """(new position, action) at decision q; action -1 = nothing happens.

    A position runs until its label ends (`due`); then it rolls over while the forecast keeps its side, else it turns
    when the other side is wanted, else it closes. `stopped`: no entry before the next UTC day.
    """
    if position == 0.0:
        wanted = 0.0 if stopped else _wanted(decisions, q, rules)
        return wanted, ENTER if wanted != 0.0 else -1
    if not due:
        return position, -1
    if decisions.ok[q] and decisions.edge_bps[q] * position > 0.0:
        return position, ROLL
    wanted = 0.0 if stopped else _wanted(decisions, q, rules)
    if wanted * position < 0.0:
        return wanted, TURN
    return 0.0, CLOSE


@kernel
def _accrue(funding: FundingArrays, pointer: int, until: int) -> tuple[int, float]:
    """Advance over settlements up to and including `until`: (new pointer, their sum)."""
    total = 0.0
    while pointer < funding.time.size and funding.time[pointer] <= until:
        total += funding.rate_bps[pointer]
        pointer += 1
    return pointer, total


@kernel
def _funded(funding: FundingArrays, position: float, settled: float, start: int, end: int) -> float:
    """Funding a long pays over (start, end]: what was settled, and the worst case for the side held where nothing is known."""
    if funding.hole_start.size == 0:
        return settled
    worst = 0.0
    for hole in range(np.searchsorted(funding.hole_end, start), funding.hole_start.size):
        if funding.hole_start[hole] >= end:
            break
        overlap = min(end, funding.hole_end[hole]) - max(start, funding.hole_start[hole])
        worst += funding.hole_bps_per_ms[hole] * overlap
    return settled + (worst if position > 0.0 else -worst)


@kernel
def walk(
    bars: BarArrays,
    decisions: DecisionArrays,
    funding: FundingArrays,
    rules: TradingRules,
    first_day: int,
    last_day: int,
) -> Walk:
    """Walk from the first real bar of `first_day` to the mark that closes `last_day`; flat before, cut off after.

    A day is marked at its first real open, or at the last close where it has no real bar at all. A row's return is
    relative to the price at entry or at the day's mark, whichever is later: the fraction of capital is what is
    held at the start of each day, so a day never loses more than position x price move.
    """
    n = decisions.bar.size
    capacity = n + 2 * max(last_day - first_day + 3, 0) + 2
    row_time, row_trip = np.zeros(capacity, np.int64), np.full(capacity, -1, np.int64)
    rows = np.zeros((capacity, 6))
    entry_time, exit_time = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    entry_decision, rolls = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    reason, trip = np.full(n + 1, END, np.int64), np.zeros((n + 1, 3))
    act_time, act_kind = np.zeros(capacity, np.int64), np.zeros(capacity, np.int64)
    act_decision, act = np.full(capacity, -1, np.int64), np.zeros((capacity, 3))

    k, trips, acts, q = 0, 0, 0, 0
    pointer, settled = 0, 0.0
    position, reference, row_price, last_close = 0.0, 1.0, 0.0, 0.0
    label_end, day, stop_day = 0, first_day - 1, first_day - 1
    day_net, pending, finished = 0.0, False, False
    half, sigma, volume, last_decision = 0.0, 0.0, 1.0, -1

    for b in range(np.searchsorted(bars.time, first_day * DAY), bars.time.size):
        if not bars.real[b]:
            continue
        time, price = bars.time[b], bars.open[b]
        today = time // DAY
        while day < today:
            day += 1
            if k == 0 and day < today:
                continue
            mark_time = time if day == today else day * DAY
            mark = price if day == today else last_close
            pointer, more = _accrue(funding, pointer, mark_time)
            if k > 0:
                rows[k - 1, 1] = (mark - row_price) / reference * 1e4
                rows[k - 1, 2] = _funded(funding, position, settled + more, row_time[k - 1], mark_time)
            settled = 0.0
            row_time[k], row_trip[k] = mark_time, trips - 1 if position != 0.0 else -1
            rows[k, 0] = position
            rows[k, 3], rows[k, 4] = rules.fee_bps, half
            rows[k, 5] = impact_bps(sigma, volume, abs(position) * rules.capital_quote, rules.impact_y)
            reference = row_price = mark
            day_net = 0.0
            k += 1
            if day > last_day:
                finished = True
                break
        if finished:
            break
        last_close = bars.close[b]

        new, kind, decision = position, -1, -1
        if pending:
            new, kind, decision = 0.0, STOP, last_decision
            pending = False
        while q < n and decisions.bar[q] <= b:
            if decisions.bar[q] == b:
                decision = q if kind != STOP else decision
                last_decision = q
                if decisions.ok[q]:
                    half = decisions.half_spread_bps[q]
                    sigma = decisions.sigma_day_bps[q]
                    volume = decisions.volume_day_quote[q]
            q += 1
        if decision >= 0 and kind != STOP:
            new, kind = _decide(decisions, decision, rules, position, time >= label_end, stop_day >= today)
        if b == bars.last and position != 0.0 and kind != STOP:
            new, kind, decision = 0.0, CLOSE, last_decision

        pointer, more = _accrue(funding, pointer, time)
        settled += more
        if new != position or (position != 0.0 and decision >= 0):
            if row_time[k - 1] != time:
                rows[k - 1, 1] = (price - row_price) / reference * 1e4
                rows[k - 1, 2] = _funded(funding, position, settled, row_time[k - 1], time)
                day_net += position * (rows[k - 1, 1] - rows[k - 1, 2])
                settled = 0.0
                row_price = price
                row_time[k] = time
                k += 1
            traded = abs(new - position)
            size = traded if traded > 0.0 else abs(position)
            rows[k - 1, 3] = rules.fee_bps
            rows[k - 1, 4] = half * rules.panic_multiple if bars.panic[b] else half
            rows[k - 1, 5] = impact_bps(sigma, volume, size * rules.capital_quote, rules.impact_y)
            day_net -= traded * (rows[k - 1, 3] + rows[k - 1, 4] + rows[k - 1, 5])
            if new != position:
                if position != 0.0:
                    exit_time[trips - 1], reason[trips - 1] = time, kind
                    trip[trips - 1, 2] = price
                if new != 0.0:
                    entry_time[trips], entry_decision[trips] = time, decision
                    trip[trips, 0], trip[trips, 1] = new, price
                    reference = price
                    trips += 1
            if kind in (ENTER, TURN, ROLL):
                label_end = time + rules.horizon_ms
            if kind == ROLL:
                rolls[trips - 1] += 1
            if kind >= 0:
                act_time[acts], act_kind[acts], act_decision[acts] = time, kind, decision
                side = new if new != 0.0 else position
                act[acts, 0] = 1.0 if side > 0.0 else -1.0
                act[acts, 1], act[acts, 2] = new, price
                acts += 1
            position = new
            rows[k - 1, 0], row_trip[k - 1] = position, trips - 1 if position != 0.0 else -1

        so_far = _funded(funding, position, settled, row_time[k - 1], time)
        held = position * ((bars.close[b] - row_price) / reference * 1e4 - so_far)
        if stop_day < today and day_net + held <= -rules.stop_bps:
            stop_day = today
            pending = position != 0.0

    if k > 0 and position != 0.0:
        exit_time[trips - 1] = row_time[k - 1]
        trip[trips - 1, 2] = row_price
    return Walk(
        row_time[:k],
        row_trip[:k],
        rows[:k],
        entry_time[:trips],
        exit_time[:trips],
        entry_decision[:trips],
        rolls[:trips],
        reason[:trips],
        trip[:trips],
        act_time[:acts],
        act_kind[:acts],
        act_decision[:acts],
        act[:acts],
    )
