"""The summary of a night as records: what its surfaces read of it, whichever release wrote it.

Names in a summary's file are those of the `alias` where a field has one. What a file lacks has its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, Field

from huracan.domain.json import Json
from huracan.reports.morning import Morning, readable_or_none

Number = int | float
"""A number as its file has it: an integer stays one."""


def _or_nothing(value: Json) -> Json:
    return value or None


def _as_error(value: Json) -> Json:
    return value if isinstance(value, Mapping) else {"error": str(value)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisRow:
    """One recipe in one pool at one horizon, as the ledger has it.

    Days count observations unless they are dates. Means and limits are bps of the pool's capital a day. `e` is None
    where it is infinite. Confidence intervals are against the champion, and against nothing. `former` are historical
    constituents of the pool.
    """

    pool: str
    horizon: str
    recipe: str
    recipe_id: str = ""
    status: str = ""
    reason: str = ""
    champion_id: str = "none"
    is_champion: Annotated[bool, Field(alias="reigns")] = False
    suspended: bool = False
    e: Number | None = None
    needed: Number | None = None
    bound_over_sd: Number | None = None
    mean_bps: Number | None = None
    sharpe_day: Number | None = None
    confidence_champion_bps: tuple[Number | None, Number | None] = (None, None)
    confidence_nothing_bps: tuple[Number | None, Number | None] = (None, None)
    nights_until_decidable: Number | None = None
    observed_days: int = 0
    days_wanted: int = 0
    position_days: int = 0
    position_days_wanted: int = 0
    history_days: int = 0
    live_days: int = 0
    looked_at_days: int = 0
    looked_at_by: str = ""
    backtest_days: Annotated[int, Field(alias="walk_days")] = 0
    backtest_mean_bps: Annotated[Number | None, Field(alias="walk_mean_bps")] = None
    backtest_low_bps: Annotated[Number | None, Field(alias="walk_low_bps")] = None
    backtest_high_bps: Annotated[Number | None, Field(alias="walk_high_bps")] = None
    nights: int = 0
    block_days: int = 1
    earliest_day: str | None = None
    waits_for: str = ""
    closed_gates: tuple[str, ...] = ()
    tonight: str = ""
    alpha: float = 0.0
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Pool, horizon and recipe as one name."""
        return f"{self.pool}/{self.horizon}/{self.recipe}"

    @property
    def is_open(self) -> bool:
        """Whether it may still be promoted."""
        return self.status == "open"

    @property
    def against_champion(self) -> bool:
        """Whether it has to beat a champion rather than nothing."""
        return self.champion_id != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutBestDay:
    """What is left of the metrics without the best day."""

    sharpe_ratio: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How a model did in simulation; shares are fractions, capacity is in quote currency."""

    sharpe_ratio: Number | None = None
    max_drawdown: Number | None = None
    hit_rate: Number | None = None
    capacity_estimate: Number | None = None
    without_best_day: Annotated[WithoutBestDay | None, BeforeValidator(_or_nothing)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Means of a round trip, bps of notional; funding below zero is income."""

    fees: Number | None = None
    spread: Number | None = None
    slippage: Number | None = None
    funding: Number | None = None
    gross: Number | None = None
    rebalance: Number | None = None
    net: Number | None = None
    break_even: Number | None = None
    round_trips: int | None = None
    spread_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """A champion or a candidate; edges are bps of notional a round trip, `costs` None where none were measured
    tonight.
    """

    coin: str
    horizon: str
    recipe: str = ""
    recipe_id: str = ""
    pool: str = ""
    status: str = ""
    version: int | None = None
    edge_bps: Number | None = None
    edge_after_cost_bps: Number | None = None
    lower_bps: Number | None = None
    metrics: Metrics = field(default_factory=Metrics)
    costs: Annotated[Costs | None, BeforeValidator(_or_nothing)] = None
    e_value: Number | None = None
    nights_missing: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRow:
    """A (coin, horizon) without a champion, and why."""

    coin: str
    code: str
    horizon: str = ""
    step: int | None = None
    reason: str = ""
    measured: Number | str | None = None
    wanted: Number | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """What went wrong, and where that is known."""

    error: str
    code: str = ""
    coin: str = ""
    step: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool's coins of tonight."""

    pool: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    """A hypothesis of a pool that was not admitted tonight, and why."""

    pool: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A champion of a pool that came or went tonight; `predecessor` was the champion before."""

    pool: str
    horizon: str
    recipe_id: str
    predecessor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedRow:
    """A coin on the do-not-trade list."""

    coin: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of a year's error budget is used."""

    year: int
    used: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounts:
    """Jobs of the night, and those of them that came from the cache."""

    hits: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NightSummary:
    """A night's summary.

    `now` is the ISO instant of the night, `data_cutoff` that of its data's end. Counts are None in a file that lacks
    them. `morning` is the story that stands in the file: None where an earlier release wrote it.
    """

    run_id: str | None = None
    now: str = ""
    data_cutoff: str = ""
    dry_run: bool = False
    verdict: str = ""
    horizons: tuple[str, ...] = ()
    coin_universe_size: int | None = None
    coins_processed: int | None = None
    champions_count: int | None = None
    candidates_count: int | None = None
    skipped_count: int | None = None
    hypotheses: Annotated[tuple[HypothesisRow, ...], Field(alias="evidence")] = ()
    champions: tuple[SummaryRow, ...] = ()
    candidates: tuple[SummaryRow, ...] = ()
    skipped: tuple[SkippedRow, ...] = ()
    errors: tuple[Annotated[ErrorRow, BeforeValidator(_as_error)], ...] = ()
    pools: tuple[PoolRow, ...] = ()
    waiting: tuple[WaitingRow, ...] = ()
    promotions: tuple[ChangeRow, ...] = ()
    demotions: tuple[ChangeRow, ...] = ()
    frozen_pools: tuple[str, ...] = ()
    do_not_trade: tuple[BlockedRow, ...] = ()
    budget: Budget | None = None
    cache: CacheCounts = field(default_factory=CacheCounts)
    notes: tuple[str, ...] = ()
    morning: Annotated[Morning | None, readable_or_none] = None
