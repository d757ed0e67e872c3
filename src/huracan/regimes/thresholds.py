"""When a market trends, ranges, panics or dries up: the constants of the classifier."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeThresholds:
    """Quantiles are of a coin's own trailing hours; `*_leave` are where a regime ends again (hysteresis).

    `dwell_hours` is the least stay, which only panic and illiquid cut short.
    """

    version: int = 1
    quantile_hours: int = 720  # trailing window, hourly samples
    least_hours: int = 24  # samples before a quantile is believed; until then a level cannot be exceeded
    dwell_hours: int = 3
    illiquid_enter: float = 0.90
    illiquid_leave: float = 0.80
    panic_enter: float = 0.90
    panic_leave: float = 0.80
    panic_drawdown_enter: float = -2.0  # in daily sigmas, from the one-day high
    panic_drawdown_leave: float = -1.0
    trend_enter: float = 0.70
    trend_leave: float = 0.60
