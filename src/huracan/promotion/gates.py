"""Gates a challenger must pass besides its e-value; a closed gate multiplies e by 0 before the ledger sees it."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.arrays import F64
from huracan.domain.recipe import DRAWDOWN_LIMIT, RiskPreset
from huracan.stats.bootstrap import max_drawdown

MIN_OBSERVED: Final = 60
MIN_WITH_POSITION: Final = 30
COST_STRESS: Final = 1.5
CHAMPION_DRAWDOWN_MULTIPLE: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReading:
    """What the gates look at; days are those that count in full, results are bps of capital a day."""

    observed: int
    with_position: int
    stressed_net_bps: float  # mean a day at 1.5 times fees, spread and impact
    drawdown: float  # fraction of capital
    drawdown_limit: float


def read_gates(
    net_bps: F64, stressed_bps: F64, champion_bps: F64, *, with_position: int, preset: RiskPreset
) -> GateReading:
    """The reading from daily results (n,) of the challenger, and of the champion on the same days (zeros: none)."""
    limit = max(CHAMPION_DRAWDOWN_MULTIPLE * max_drawdown(champion_bps) * 1e-4, DRAWDOWN_LIMIT[preset])
    return GateReading(
        observed=net_bps.size,
        with_position=with_position,
        stressed_net_bps=float(stressed_bps.mean()) if stressed_bps.size else 0.0,
        drawdown=max_drawdown(net_bps) * 1e-4,
        drawdown_limit=limit,
    )


def closed_gates(reading: GateReading) -> tuple[str, ...]:
    """Why the gates are closed, in words; empty when all are open."""
    reasons = []
    if reading.observed < MIN_OBSERVED:
        reasons.append(f"{reading.observed} observed days, {MIN_OBSERVED} wanted")
    if reading.with_position < MIN_WITH_POSITION:
        reasons.append(f"{reading.with_position} days with a position, {MIN_WITH_POSITION} wanted")
    if not reading.stressed_net_bps > 0.0:
        reasons.append(f"{reading.stressed_net_bps:+.2f} bps a day at {COST_STRESS} x costs, more than 0 wanted")
    if reading.drawdown > reading.drawdown_limit:
        reasons.append(f"drawdown {reading.drawdown:.1%}, at most {reading.drawdown_limit:.1%} wanted")
    return tuple(reasons)
