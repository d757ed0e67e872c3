"""The documented reports as records: fields as users know them, ours after them, each checked once when built.

Rates and drawdowns are fractions, ``_bps`` are of notional per round trip, capacity is in quote currency, Sharpe and
Sortino are annualised over 365 days, None means undefined. `timestamp` is an ISO text or a datetime.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING

from huracan.domain.json import Json, JsonObject
from huracan.reports.plain import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Moment = datetime | str


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """How a champion did; `max_drawdown` and `hit_rate` lie in 0..1, others raise ValueError."""

    coin: str
    horizon: str
    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float | None
    hit_rate: float | None
    profit_factor: float | None
    turnover: float | None
    capacity_estimate: float | None
    timestamp: Moment
    without_best_day: JsonObject = field(default_factory=dict)
    details: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_share(self, "max_drawdown")
        _check_share(self, "hit_rate")

    @property
    def win_rate(self) -> float | None:
        """The same as `hit_rate`."""
        return self.hit_rate

    def as_dict(self) -> dict[str, Json]:
        """All fields as JSON types, with `win_rate`."""
        return {**_fields(self), "win_rate": plain(self.win_rate)}


@dataclass(frozen=True, slots=True)
class CostReport:
    """What a round trip costs, on average and at its quantiles, and what it leaves.

    gross edge (entry to exit price) + rebalance - fees - spread - slippage - funding = net. Fees are split by how
    orders were filled; `fees_if_maker_bps` is what the same fills would have paid as resting orders. `spread_source`
    says whose spread was charged: the pair's own order book, EDGE of its bars, its tier's median, or
    a user-supplied one.
    """

    coin: str
    horizon: str
    fees_bps: float | None
    spread_bps: float | None
    slippage_bps: float | None
    funding_bps: float | None
    net_edge_after_cost_bps: float | None
    timestamp: Moment
    maker_fees_bps: float | None = None
    taker_fees_bps: float | None = None
    gross_edge_bps: float | None = None
    p10_bps: float | None = None
    p50_bps: float | None = None
    p90_bps: float | None = None
    break_even_cost_bps: float | None = None
    round_trips: int | None = None
    spread_source: str | None = None
    rebalance_bps: float | None = None
    maker_fill_share: float | None = None
    fees_if_maker_bps: float | None = None
    maker_rate_bps: float | None = None
    taker_rate_bps: float | None = None

    def as_dict(self) -> dict[str, Json]:
        """All fields as JSON types."""
        return _fields(self)


@dataclass(frozen=True, slots=True)
class DecisionLog:
    """One simulated action and what led to it; `votes` maps engine to its calibrated edge in bps (None: abstained)."""

    timestamp: Moment
    coin: str
    horizon: str
    consensus_score: float | None
    votes: Json
    confidence: float | None
    action_taken: str
    edge_bps: float | None
    net_edge_bps: float | None
    position: float | None = None
    price: float | None = None

    def as_dict(self) -> dict[str, Json]:
        """All fields as JSON types."""
        return _fields(self)


@dataclass(frozen=True, slots=True)
class RegimeMapReport:
    """Which engines may vote in which regime: `horizons` maps horizon to the gate's map."""

    coin: str
    horizons: JsonObject
    timestamp: Moment

    def as_dict(self) -> dict[str, Json]:
        """All fields as JSON types."""
        return _fields(self)


@dataclass(frozen=True, slots=True)
class DataIntegrityReport:
    """What was wrong with the bars; `data_quality_score` is the share of expected bars that arrived real (0..1).

    `vendor_check` says what `vendor_mismatches` rests on: when (`checked`, None: never) the bars were compared with
    which sources (`compared_with`), and the `second_venue` among them. Without one the list is empty because nothing
    was compared.
    """

    coin: str
    horizon: str
    gaps: Sequence[JsonObject]
    outliers: Sequence[JsonObject]
    vendor_mismatches: Sequence[JsonObject]
    data_quality_score: float | None
    timestamp: Moment
    vendor: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    vendor_check: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_share(self, "data_quality_score")

    def as_dict(self) -> dict[str, Json]:
        """All fields as JSON types."""
        return _fields(self)


def _fields(report: "DataclassInstance") -> dict[str, Json]:
    return {f.name: plain(getattr(report, f.name)) for f in fields(report)}


def _check_share(report: MetricsReport | DataIntegrityReport, name: str) -> None:
    value = getattr(report, name)
    if value is not None and not math.isnan(value) and not 0 <= value <= 1:
        raise ValueError(f"{report.coin} {report.horizon}: {name} is {value}, wanted a share of 0 to 1")
