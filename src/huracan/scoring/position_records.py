"""What the simulation of positions reads and fills: named tuples of arrays and scalars, because numba compiles
those.
"""

from typing import Final, NamedTuple

from huracan.domain.arrays import F64, I64, Bool

HOLD: Final = -1
ENTER: Final = 0
ROLL: Final = 1
CLOSE: Final = 2
TURN: Final = 3
STOP: Final = 4
END: Final = 5


class BarArrays(NamedTuple):
    """Bars, ascending; `real` minutes have trades and were not repaired: only they fill, mark or stop.

    At the open of bar `last` every position is closed for good (-1 = nothing ends): the instrument stopped trading.
    """

    time: I64
    open: F64
    close: F64
    real: Bool
    panic: Bool
    last: int


class DecisionArrays(NamedTuple):
    """Decisions, ascending. `bar`: index of the bar that fills it, -1 = none. `ok`: features valid and costs known."""

    bar: I64
    ok: Bool
    score: F64
    edge_bps: F64
    confidence: F64
    cost_bps: F64
    threshold: F64
    sigma_day_bps: F64
    half_spread_bps: F64
    volume_day_quote: F64


class FundingArrays(NamedTuple):
    """Settlements, ascending, bps of notional that a long pays.

    In a hole they are unknown: either side then pays `hole_bps_per_ms` on top.
    """

    time: I64
    rate_bps: F64
    hole_start: I64
    hole_end: I64
    hole_bps_per_ms: F64


class TradingRules(NamedTuple):
    """Scalars of a recipe at a horizon; `stop_bps` is a loss of capital within one marked day."""

    horizon_ms: int
    horizon_days: float
    allow_short: bool
    cost_multiple: float
    min_edge_bps: float
    min_confidence: float
    per_trade_risk: float
    leverage_cap: float
    sigma_floor: float
    largest: float
    stop_bps: float
    fee_bps: float
    panic_multiple: float
    impact_y: float
    capital_quote: float


class Moment(NamedTuple):
    """A time and the price there."""

    time: int
    price: float


class Liquidity(NamedTuple):
    """Half spread, volatility and volume of the last decision that knew them."""

    half_spread_bps: float
    sigma_day_bps: float
    volume_day_quote: float


class Order(NamedTuple):
    """The signed position wanted, by which action (HOLD ... STOP), and the decision behind it; -1 = none."""

    position: float
    action: int
    decision: int


class Funding(NamedTuple):
    """The next settlement, and the bps a long has paid since the open row began."""

    next: int
    bps: float


class Account(NamedTuple):
    """What is held between two bars, and how much has been written.

    `position` is a signed fraction of capital at `reference`, the price of the entry or of the day's mark, whichever is
    later. `row` is where the open row began, `label_end` the end of the position's label, `day_bps` the result of the
    day's closed rows.
    """

    rows: int
    trips: int
    actions: int
    position: float
    reference: float
    row: Moment
    label_end: int
    day_bps: float


class State(NamedTuple):
    """All that changes from bar to bar."""

    account: Account
    paid: Funding
    known: Liquidity


class Rows(NamedTuple):
    """The panel, one row per mark, decision and fill while something is held; see PANEL_SCHEMA. `trip` -1 = flat."""

    time: I64
    trip: I64
    position: F64
    return_bps: F64
    funding_bps: F64
    fee_bps: F64
    spread_bps: F64
    impact_bps: F64


class Trips(NamedTuple):
    """Round trips, by entry. `decision`: the one that entered. `reason`: CLOSE, TURN, STOP or END."""

    entry_time: I64
    exit_time: I64
    decision: I64
    rolls: I64
    reason: I64
    position: F64
    entry_price: F64
    exit_price: F64


class Actions(NamedTuple):
    """Actions ENTER ... STOP, ascending. `side`: of the position after it, or of the one that it closed."""

    time: I64
    kind: I64
    decision: I64
    side: F64
    position: F64
    price: F64


class SimulatedPositions(NamedTuple):
    """All that happened."""

    rows: Rows
    trips: Trips
    actions: Actions
