"""Positions over minute bars: one per (coin, horizon), entered, rolled, turned, stopped and marked.

Compiled and free of frames; `simulate` prepares its arrays and books what it returns.
"""

from typing import Final

import numpy as np

from huracan.domain.arrays import I64
from huracan.scoring.costs import impact_bps
from huracan.scoring.position_records import (
    CLOSE,
    END,
    ENTER,
    HOLD,
    ROLL,
    STOP,
    TURN,
    Account,
    Actions,
    BarArrays,
    DecisionArrays,
    Funding,
    FundingArrays,
    Liquidity,
    Moment,
    Order,
    Rows,
    SimulatedPositions,
    State,
    TradingRules,
    Trips,
)
from huracan.stats.decide import position_fraction, wants_entry
from huracan.stats.kernel import kernel

DAY: Final = 86_400_000
FOREVER: Final = 1 << 62
FLAT: Final = Account(
    rows=0,
    trips=0,
    actions=0,
    position=0.0,
    reference=1.0,
    row=Moment(time=0, price=0.0),
    label_end=0,
    day_bps=0.0,
)


def simulate_positions(
    bars: BarArrays,
    decisions: DecisionArrays,
    funding: FundingArrays,
    rules: TradingRules,
    *,
    first_day: int,
    last_day: int,
) -> SimulatedPositions:
    """Trade from the first real bar of `first_day` to the mark that closes `last_day`; flat before, cut off after.

    A day is marked at its first real open, or at the last close where it has no real bar at all. A row's return is
    relative to the price at entry or at the day's mark, whichever is later: the fraction of capital is what is
    held at the start of each day, so a day never loses more than position x price move. A trip that still runs at the
    end is cut off at the last row, at no cost.
    """
    out = _empty(decisions.bar.size, max(last_day - first_day + 3, 0))
    account = _trade(out, bars, decisions, funding, rules, first_day, last_day)
    if account.position != 0.0:
        out.trips.exit_time[account.trips - 1] = account.row.time
        out.trips.exit_price[account.trips - 1] = account.row.price
    return SimulatedPositions(
        rows=Rows._make(column[: account.rows] for column in out.rows),
        trips=Trips._make(column[: account.trips] for column in out.trips),
        actions=Actions._make(column[: account.actions] for column in out.actions),
    )


def _empty(decisions: int, days: int) -> SimulatedPositions:
    """Room for all that can happen: every decision may enter or turn, every day has a mark and a stop."""
    n, trips = decisions + 2 * days + 2, decisions + 1

    def whole(size: int, value: int = 0) -> I64:
        return np.full(size, value, np.int64)

    return SimulatedPositions(
        rows=Rows(whole(n), whole(n, -1), *np.zeros((6, n))),
        trips=Trips(whole(trips), whole(trips), whole(trips), whole(trips), whole(trips, END), *np.zeros((3, trips))),
        actions=Actions(whole(n), whole(n), whole(n, -1), *np.zeros((3, n))),
    )


@kernel
def _trade(
    out: SimulatedPositions,
    bars: BarArrays,
    decisions: DecisionArrays,
    funding: FundingArrays,
    rules: TradingRules,
    first_day: int,
    last_day: int,
) -> Account:
    """Write all that happens into `out`; the account at the end.

    Goes from one eventful bar to the next: the first of a day, one that fills a decision, the last, one after a loss
    that stops the day.
    """
    state = State(FLAT, Funding(0, 0.0), Liquidity(0.0, 0.0, 1.0))
    day, stop_day, stopping, last_close = first_day - 1, first_day - 1, False, 0.0
    unread, newest = 0, -1
    b = int(np.searchsorted(bars.time, first_day * DAY))
    while b < bars.time.size:
        if not bars.real[b]:
            b += 1
            continue
        now = Moment(bars.time[b], bars.open[b])
        today = now.time // DAY
        day, state = _mark_days(out.rows, state, funding, rules, now, day, last_day, last_close)
        if day > last_day:
            break
        unread, found, known = _read(decisions, unread, b, state.known)
        state = State(state.account, _settle(funding, state.paid, now.time), known)
        position, order = state.account.position, Order(state.account.position, HOLD, -1)
        if stopping:
            order = Order(0.0, STOP, newest)
        elif b == bars.last and position != 0.0:
            order = Order(0.0, CLOSE, max(found, newest))
        elif found >= 0:
            order = _decide(decisions, found, rules, state.account, now.time, stop_day >= today)
        newest = max(found, newest)
        if order.position != position or (position != 0.0 and order.decision >= 0):
            spread_multiple = rules.panic_multiple if bars.panic[b] else 1.0
            state = _execute(out, state, order, funding, rules, now, spread_multiple)
        until = decisions.bar[unread] if unread < decisions.bar.size else bars.time.size
        if b < bars.last:
            until = min(until, bars.last)
        stop_bps = rules.stop_bps if stop_day < today else np.inf
        b, last_close, state, lost = _hold(bars, b, until, state, funding, stop_bps)
        stopping = lost and state.account.position != 0.0
        if lost:
            stop_day = today
    return state.account


@kernel
def _hold(
    bars: BarArrays, b: int, until: int, state: State, funding: FundingArrays, stop_bps: float
) -> tuple[int, float, State, bool]:
    """Pass over the bars from b while nothing happens: (the next bar to look at, the last close, state, day is lost).

    Ends before bar `until` and before the next day; after a close at which the day's loss has reached `stop_bps`.
    """
    account, paid = state.account, state.paid
    close, midnight = bars.close[b], (bars.time[b] // DAY + 1) * DAY
    hole = np.searchsorted(funding.hole_end, account.row.time)
    hole_start = funding.hole_start[hole] if hole < funding.hole_start.size else FOREVER
    settlement = funding.time[paid.next] if paid.next < funding.time.size else FOREVER
    for i in range(b, bars.time.size):
        if not bars.real[i]:
            continue
        time = bars.time[i]
        if i > b and (i >= until or time >= midnight):
            return i, close, State(account, paid, state.known), False
        close = bars.close[i]
        if settlement <= time:
            paid = _settle(funding, paid, time)
            settlement = funding.time[paid.next] if paid.next < funding.time.size else FOREVER
        so_far = paid.bps
        if hole_start < time:
            so_far = _funded(funding, account.position, paid.bps, account.row.time, time)
        move = (close - account.row.price) / account.reference * 1e4
        if account.day_bps + account.position * (move - so_far) <= -stop_bps:
            return i + 1, close, State(account, paid, state.known), True
    return bars.time.size, close, State(account, paid, state.known), False


@kernel
def _mark_days(
    rows: Rows,
    state: State,
    funding: FundingArrays,
    rules: TradingRules,
    now: Moment,
    day: int,
    last_day: int,
    last_close: float,
) -> tuple[int, State]:
    """Mark the days after `day` that have begun by now, to the mark that closes `last_day`."""
    today = now.time // DAY
    while day < today and (day <= last_day or state.account.rows == 0):
        day += 1
        if day == today or state.account.rows > 0:
            mark = now if day == today else Moment(day * DAY, last_close)
            state = _mark(rows, state, funding, rules, mark)
    return day, state


@kernel
def _mark(rows: Rows, state: State, funding: FundingArrays, rules: TradingRules, mark: Moment) -> State:
    """Close the open row at a day's mark and begin the day's first; costs are noted, nothing is traded."""
    account, paid = state.account, _settle(funding, state.paid, mark.time)
    if account.rows > 0:
        _close_row(rows, account, funding, paid, mark)
    k = account.rows
    rows.time[k] = mark.time
    rows.position[k] = account.position
    rows.trip[k] = account.trips - 1 if account.position != 0.0 else -1
    _charge(rows, k, rules, state.known, 1.0, abs(account.position))
    marked = Account(
        rows=k + 1,
        trips=account.trips,
        actions=account.actions,
        position=account.position,
        reference=mark.price,
        row=mark,
        label_end=account.label_end,
        day_bps=0.0,
    )
    return State(marked, Funding(paid.next, 0.0), state.known)


@kernel
def _read(decisions: DecisionArrays, unread: int, b: int, known: Liquidity) -> tuple[int, int, Liquidity]:
    """(next unread decision, the one that bar b fills, liquidity) after all decisions up to bar b; -1 = none."""
    found = -1
    while unread < decisions.bar.size and decisions.bar[unread] <= b:
        if decisions.bar[unread] == b:
            found = unread
            if decisions.ok[unread]:
                known = Liquidity(
                    decisions.half_spread_bps[unread],
                    decisions.sigma_day_bps[unread],
                    decisions.volume_day_quote[unread],
                )
        unread += 1
    return unread, found, known


@kernel
def _decide(
    decisions: DecisionArrays, q: int, rules: TradingRules, account: Account, time: int, stopped: bool
) -> Order:
    """The order of decision q.

    A position runs until its label ends; then it rolls over while the forecast keeps its side, else it turns when the
    other side is wanted, else it closes. `stopped`: no entry before the next UTC day.
    """
    position = account.position
    if position == 0.0:
        wanted = 0.0 if stopped else _wanted(decisions, q, rules)
        return Order(wanted, ENTER if wanted != 0.0 else HOLD, q)
    if time < account.label_end:
        return Order(position, HOLD, q)
    if decisions.ok[q] and decisions.edge_bps[q] * position > 0.0:
        return Order(position, ROLL, q)
    wanted = 0.0 if stopped else _wanted(decisions, q, rules)
    if wanted * position < 0.0:
        return Order(wanted, TURN, q)
    return Order(0.0, CLOSE, q)


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
def _execute(
    out: SimulatedPositions,
    state: State,
    order: Order,
    funding: FundingArrays,
    rules: TradingRules,
    now: Moment,
    spread_multiple: float,
) -> State:
    """Begin a row at a fill, or at a decision that keeps the position, and charge what is traded there."""
    account, paid, rows = state.account, state.paid, out.rows
    count, row, day_bps = account.rows, account.row, account.day_bps
    if row.time != now.time:
        day_bps += _close_row(rows, account, funding, paid, now)
        row, paid = now, Funding(paid.next, 0.0)
        rows.time[count] = now.time
        count += 1
    traded = abs(order.position - account.position)
    size = traded if traded > 0.0 else abs(account.position)
    day_bps -= traded * _charge(rows, count - 1, rules, state.known, spread_multiple, size)
    trips, changes = account.trips, order.position != account.position
    if changes:
        trips = _book_trip(out.trips, account, order, now)
    if order.action == ROLL:
        out.trips.rolls[trips - 1] += 1
    actions = account.actions
    if order.action != HOLD:
        actions = _log_action(out.actions, account, order, now)
    rows.position[count - 1] = order.position
    rows.trip[count - 1] = trips - 1 if order.position != 0.0 else -1
    executed = Account(
        rows=count,
        trips=trips,
        actions=actions,
        position=order.position,
        reference=now.price if changes and order.position != 0.0 else account.reference,
        row=row,
        label_end=now.time + rules.horizon_ms if order.action in (ENTER, TURN, ROLL) else account.label_end,
        day_bps=day_bps,
    )
    return State(executed, paid, state.known)


@kernel
def _book_trip(trips: Trips, account: Account, order: Order, now: Moment) -> int:
    """End the trip that is held, begin the one ordered; how many there are now."""
    count = account.trips
    if account.position != 0.0:
        trips.exit_time[count - 1] = now.time
        trips.reason[count - 1] = order.action
        trips.exit_price[count - 1] = now.price
    if order.position == 0.0:
        return count
    trips.entry_time[count] = now.time
    trips.decision[count] = order.decision
    trips.position[count] = order.position
    trips.entry_price[count] = now.price
    return count + 1


@kernel
def _log_action(actions: Actions, account: Account, order: Order, now: Moment) -> int:
    """Write an action down; how many there are now."""
    count = account.actions
    side = order.position if order.position != 0.0 else account.position
    actions.time[count] = now.time
    actions.kind[count] = order.action
    actions.decision[count] = order.decision
    actions.side[count] = 1.0 if side > 0.0 else -1.0
    actions.position[count] = order.position
    actions.price[count] = now.price
    return count + 1


@kernel
def _close_row(rows: Rows, account: Account, funding: FundingArrays, paid: Funding, end: Moment) -> float:
    """Book the open row's return and funding up to its end: the result, in bps of capital."""
    k = account.rows - 1
    rows.return_bps[k] = (end.price - account.row.price) / account.reference * 1e4
    rows.funding_bps[k] = _funded(funding, account.position, paid.bps, account.row.time, end.time)
    return float(account.position * (rows.return_bps[k] - rows.funding_bps[k]))


@kernel
def _charge(rows: Rows, k: int, rules: TradingRules, known: Liquidity, spread_multiple: float, size: float) -> float:
    """Costs of row k per unit of turnover, in bps, for an order of `size`."""
    rows.fee_bps[k], rows.spread_bps[k] = rules.fee_bps, known.half_spread_bps * spread_multiple
    quote = size * rules.capital_quote
    rows.impact_bps[k] = impact_bps(known.sigma_day_bps, known.volume_day_quote, quote, rules.impact_y)
    return float(rows.fee_bps[k] + rows.spread_bps[k] + rows.impact_bps[k])


@kernel
def _settle(funding: FundingArrays, paid: Funding, until: int) -> Funding:
    """Pass over the settlements up to and including `until`."""
    position, total = paid.next, 0.0
    while position < funding.time.size and funding.time[position] <= until:
        total += funding.rate_bps[position]
        position += 1
    return Funding(position, paid.bps + total)


@kernel
def _funded(funding: FundingArrays, position: float, settled: float, start: int, end: int) -> float:
    """Funding a long pays over (start, end]: what was settled, and the worst case for the side held in the holes."""
    if funding.hole_start.size == 0:
        return settled
    worst = 0.0
    for hole in range(np.searchsorted(funding.hole_end, start), funding.hole_start.size):
        if funding.hole_start[hole] >= end:
            break
        overlap = min(end, funding.hole_end[hole]) - max(start, funding.hole_start[hole])
        worst += funding.hole_bps_per_ms[hole] * overlap
    return settled + (worst if position > 0.0 else -worst)
