"""When an engine may vote in a regime: manual word first, then evidence, then defaults (closed in ILLIQUID).

`RegimeGate` is the gate; `gate_path` walks the very same class forward through out-of-fold outcomes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite, nan, sqrt
from typing import NamedTuple, TypedDict

import numpy as np

from huracan.domain.arrays import I64
from huracan.domain.results import CellScores
from huracan.domain.time import DAY_MS, day_iso, iso
from huracan.errors import ConfigError, DataError
from huracan.regimes.evidence import DAYS_A_YEAR, CellEvidence, cell_evidence


class EnabledEngines(TypedDict):
    """Engines that may vote in a regime."""

    enabled_engines: list[str]
    engine_count: int


class EnginePerformance(TypedDict):
    """What an engine earned in a regime, as a report gives it."""

    win_rate: float
    sharpe_ratio: float
    avg_return_bps: float
    sample_size: int


class RegimeMap(TypedDict):
    """The gate of a coin as JSON: engines by regime, performance by ``regime_engine``."""

    coin: str
    regimes: dict[str, EnabledEngines]
    performance: dict[str, EnginePerformance]


class RegimeType(StrEnum):
    """The four regimes, in the order of their codes."""

    TREND = "trend"
    RANGE = "range"
    PANIC = "panic"
    ILLIQUID = "illiquid"


@dataclass(frozen=True, slots=True)
class RegimeGateConfig:
    """When evidence opens or closes an engine in a regime.

    With `use_limits` an engine must reach `min_win_rate` and `min_sharpe` (annualised over 365 days); without it, hit
    rate and Sharpe are ignored, because a trend engine earns with few, large wins. Either way it closes when its mean
    net edge plus `close_errors` standard errors is below zero, and opens again only when the mean exceeds
    `reopen_edge_bps`: limits come on top and open nothing. `hysteresis` is the share of a limit by which an open engine
    may fall short before it closes. Evidence of fewer than `min_sample_size` outcomes decides nothing.
    """

    min_win_rate: float = 0.55
    min_sharpe: float = 1.0
    min_sample_size: int = 50
    enable_all_by_default: bool = True
    use_limits: bool = True
    hysteresis: float = 0.0
    close_errors: float = 1.0
    reopen_edge_bps: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_win_rate <= 1 or self.min_sample_size < 1:
            raise ConfigError(
                f"regime gate: min_win_rate {self.min_win_rate} and min_sample_size {self.min_sample_size}, "
                "wanted a share of 0 to 1 and at least 1"
            )
        if not 0 <= self.hysteresis < 1 or self.close_errors < 0:
            raise ConfigError(
                f"regime gate: hysteresis {self.hysteresis} and close_errors {self.close_errors}, "
                "wanted a share below 1 and a number of standard errors >= 0"
            )


@dataclass(frozen=True, slots=True)
class RegimePerformance:
    """What an engine did in a regime; returns in bps of notional, Sharpe annualised over 365 days.

    `standard_error_bps` is that of `avg_return_bps`; NaN when the caller gave none.
    """

    regime: RegimeType
    engine_type: str
    win_rate: float
    sharpe_ratio: float
    avg_return_bps: float
    sample_size: int
    last_updated: datetime | None = None
    standard_error_bps: float = nan


class RegimeGate:
    """Decides which engines may vote in which regime, and remembers what it decided (hysteresis).

    >>> gate = RegimeGate()
    >>> gate.update_performance(RegimeType.TREND, "trend", 0.6, 1.5, 12.0, 80)
    >>> gate.is_engine_enabled("trend", "trend"), gate.is_engine_enabled("illiquid", "trend")
    (True, False)
    """

    def __init__(self, config: RegimeGateConfig | None = None) -> None:
        self.config = config or RegimeGateConfig()
        self._performance: dict[tuple[RegimeType, str], RegimePerformance] = {}
        self._open: dict[tuple[RegimeType, str], bool] = {}
        self._manual: dict[tuple[RegimeType, str], bool] = {}
        self._defaults: frozenset[str] | None = None

    def update_performance(
        self,
        regime: RegimeType | str,
        engine_type: str,
        win_rate: float,
        sharpe_ratio: float,
        avg_return_bps: float,
        sample_size: int,
        *,
        standard_error_bps: float | None = None,
        last_updated: datetime | None = None,
    ) -> None:
        """Take in all evidence so far for one engine in one regime; DataError when it is not a possible one.

        Without `standard_error_bps` the uncertainty follows from the Sharpe ratio as if every outcome took a day.
        """
        key = (_regime(regime), engine_type)
        numbers = (win_rate, sharpe_ratio, avg_return_bps)
        if not (0 <= win_rate <= 1 and sample_size >= 0 and all(map(isfinite, numbers))):
            raise DataError(
                f"regime gate, {engine_type} in {key[0]}: win rate {win_rate}, Sharpe {sharpe_ratio}, mean "
                f"{avg_return_bps} bps of {sample_size} outcomes; wanted finite numbers and a win rate of 0 to 1"
            )
        error = _implied_error(sharpe_ratio, avg_return_bps, sample_size)
        seen = RegimePerformance(
            regime=key[0],
            engine_type=engine_type,
            win_rate=win_rate,
            sharpe_ratio=sharpe_ratio,
            avg_return_bps=avg_return_bps,
            sample_size=sample_size,
            last_updated=last_updated,
            standard_error_bps=error if standard_error_bps is None else standard_error_bps,
        )
        self._performance[key] = seen
        if sample_size >= self.config.min_sample_size:
            open_now = self._open.get(key, self._by_default(key))
            self._open[key] = self._earns(seen, open_now=open_now) and self._within_limits(seen, open_now=open_now)
        else:
            self._open.pop(key, None)

    def is_engine_enabled(self, regime: RegimeType | str, engine: str) -> bool:
        """Whether the engine may vote there: manual word, else evidence, else defaults."""
        key = (_regime(regime), engine)
        for source in (self._manual, self._open):
            decided = source.get(key)
            if decided is not None:
                return decided
        return self._by_default(key)

    def get_enabled_engines(self, regime: RegimeType | str) -> set[str]:
        """Known engines (with evidence, a manual word, or default) that may vote in a regime."""
        return {engine for engine in self._known() if self.is_engine_enabled(regime, engine)}

    def get_all_enabled_engines(self) -> dict[RegimeType, set[str]]:
        """The same for every regime."""
        return {regime: self.get_enabled_engines(regime) for regime in RegimeType}

    def get_regime_map(self, coin: str) -> RegimeMap:
        """A JSON-able account of the gate for a coin's report."""
        enabled = {regime.value: sorted(engines) for regime, engines in self.get_all_enabled_engines().items()}
        return {
            "coin": coin,
            "regimes": {
                regime: {"enabled_engines": engines, "engine_count": len(engines)}
                for regime, engines in enabled.items()
            },
            "performance": {
                f"{regime.value}_{engine}": {
                    "win_rate": seen.win_rate,
                    "sharpe_ratio": seen.sharpe_ratio,
                    "avg_return_bps": seen.avg_return_bps,
                    "sample_size": seen.sample_size,
                }
                for (regime, engine), seen in self._performance.items()
            },
        }

    def set_default_engines(self, engines: Collection[str]) -> None:
        """Engines that may vote without evidence, instead of all or none; never in ILLIQUID."""
        self._defaults = frozenset(engines)

    def enable_engine_for_regime(self, regime: RegimeType | str, engine: str) -> None:
        """Open by hand, with or without evidence; stands until the opposite word."""
        self._manual[_regime(regime), engine] = True

    def disable_engine_for_regime(self, regime: RegimeType | str, engine: str) -> None:
        """Close by hand; no later evidence opens it."""
        self._manual[_regime(regime), engine] = False

    def _known(self) -> set[str]:
        seen = {engine for source in (self._performance, self._manual) for _, engine in source}
        return seen | (self._defaults or frozenset())

    def _by_default(self, key: tuple[RegimeType, str]) -> bool:
        if key[0] is RegimeType.ILLIQUID:
            return False
        return key[1] in self._defaults if self._defaults is not None else bool(self.config.enable_all_by_default)

    def _earns(self, seen: RegimePerformance, *, open_now: bool) -> bool:
        if not open_now and seen.avg_return_bps <= self.config.reopen_edge_bps:
            return False
        error = seen.standard_error_bps
        return not (isfinite(error) and seen.avg_return_bps + self.config.close_errors * error < 0)

    def _within_limits(self, seen: RegimePerformance, *, open_now: bool) -> bool:
        if not self.config.use_limits:
            return True
        slack = 1.0 - self.config.hysteresis if open_now else 1.0
        return seen.win_rate >= self.config.min_win_rate * slack and seen.sharpe_ratio >= self.config.min_sharpe * slack


class GatePath(NamedTuple):
    """The gate as it stood on every fold day, `enabled` (d, E, R) of 0 and 1 and `days` (d,), and as of the cut-off,
    `live` (E, R).

    `evidence` is what it knew: its last moment is the cut-off.
    """

    enabled: I64
    days: I64
    live: I64
    evidence: CellEvidence


def gate_path(
    cells: CellScores,
    decision_time: I64,
    regime: I64,
    fold_day: I64,
    *,
    engines: Sequence[str],
    config: RegimeGateConfig,
    cutoff_ms: int,
) -> GatePath:
    """The gate on every fold day and as of the cut-off.

    Rows (n,) align with the cells. On a day the gate knows the outcomes closed before that day's start, live those
    closed before `cutoff_ms`: on long bars an exit at midnight is the fill of the day's first decision. So an outcome
    changes no earlier decision. Rows with a negative regime teach nothing. Raises DataError when an outcome is older
    than its decision, or a fold day begins after the cut-off.
    """
    scored = np.isfinite(cells.net_bps).any(axis=1)
    if np.any(cells.closed_ms[scored] < decision_time[scored]):
        raise DataError("regime gate: an outcome closed before its decision; align closed_ms with decision_time")
    days = np.unique(fold_day)
    if days.size and int(days[-1]) * DAY_MS > cutoff_ms:
        raise DataError(
            f"regime gate: fold day {day_iso(int(days[-1]))} begins after the cut-off {iso(cutoff_ms)}; "
            "score only days that have begun"
        )
    evidence = cell_evidence(cells, regime, np.append(days * DAY_MS, cutoff_ms), len(RegimeType))
    gate = RegimeGate(config)
    names, regimes = list(engines), list(RegimeType)
    changes = np.full((days.size + 1, len(names), len(regimes)), -1, dtype=np.int64)
    changes[0] = [[gate.is_engine_enabled(regime, engine) for regime in regimes] for engine in names]
    for moment, engine, code, performance in evidence.updates():
        gate.update_performance(regimes[code], names[engine], **performance)
        changes[moment, engine, code] = gate.is_engine_enabled(regimes[code], names[engine])
    enabled = _carry_forward(changes)
    return GatePath(enabled[:-1], days, enabled[-1], evidence)


def _carry_forward(changes: I64) -> I64:
    """Each -1 replaced by the last value before it, along the first axis; the first row has none."""
    moment = np.arange(changes.shape[0])[:, None, None]
    last = np.maximum.accumulate(np.where(changes >= 0, moment, 0), axis=0)
    return np.take_along_axis(changes, last, axis=0)


def _regime(regime: RegimeType | str) -> RegimeType:
    try:
        return RegimeType(regime)
    except ValueError as error:
        raise DataError(f"{regime!r} is no regime; known are {[known.value for known in RegimeType]}") from error


def _implied_error(sharpe_ratio: float, avg_return_bps: float, sample_size: int) -> float:
    t = sharpe_ratio / sqrt(DAYS_A_YEAR) * sqrt(sample_size)
    return avg_return_bps / t if avg_return_bps * t > 0 else nan
