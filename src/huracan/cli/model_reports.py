"""The reports in a model's bundle as records, for the cards that show them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from pydantic import TypeAdapter

from huracan.domain.json import JsonObject
from huracan.reports.night_summary import Number
from huracan.reports.reading import record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What was measured besides the documented numbers."""

    days: Number | None = None
    round_trips: Number | None = None
    net_bps_a_day: Number | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetrics:
    """``metrics.json``; shares are fractions, the ratios a year."""

    sharpe_ratio: Number | None = None
    sortino_ratio: Number | None = None
    max_drawdown: Number | None = None
    hit_rate: Number | None = None
    profit_factor: Number | None = None
    capacity_estimate: Number | None = None
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCosts:
    """``cost_report.json``, bps of notional a round trip."""

    fees_bps: Number | None = None
    spread_bps: Number | None = None
    slippage_bps: Number | None = None
    funding_bps: Number | None = None
    gross_edge_bps: Number | None = None
    rebalance_bps: Number | None = None
    net_edge_after_cost_bps: Number | None = None
    p10_bps: Number | None = None
    p50_bps: Number | None = None
    p90_bps: Number | None = None
    break_even_cost_bps: Number | None = None
    round_trips: Number | None = None
    spread_source: str | None = None

    @property
    def parts(self) -> tuple[tuple[str, Number | None], ...]:
        """What a round trip pays for, by name."""
        return (
            ("fees", self.fees_bps),
            ("spread", self.spread_bps),
            ("slippage", self.slippage_bps),
            ("funding", self.funding_bps),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeRow:
    """The engines that may vote in a regime."""

    enabled_engines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The regime gate of one horizon, by regime."""

    regimes: Mapping[str, RegimeRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeMap:
    """``regime_map.json``: a gate by horizon."""

    horizons: Mapping[str, Gate] = field(default_factory=dict)


def metrics_in(body: JsonObject) -> ModelMetrics:
    """The record of a ``metrics.json``."""
    return record_of(_metrics(), body)


def costs_in(body: JsonObject) -> ModelCosts:
    """The record of a ``cost_report.json``."""
    return record_of(_costs(), body)


def gate_in(body: JsonObject, horizon: str) -> Gate:
    """The gate of a horizon in a ``regime_map.json``."""
    return record_of(_regime_map(), body).horizons.get(horizon, Gate())


@cache
def _metrics() -> TypeAdapter[ModelMetrics]:
    return TypeAdapter(ModelMetrics)


@cache
def _costs() -> TypeAdapter[ModelCosts]:
    return TypeAdapter(ModelCosts)


@cache
def _regime_map() -> TypeAdapter[RegimeMap]:
    return TypeAdapter(RegimeMap)
