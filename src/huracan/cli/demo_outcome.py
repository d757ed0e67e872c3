"""What a demo found against what its world's maker knows, and one prediction of its models by Hamilton."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from huracan.app.demos import REGULAR_COINS
from huracan.cli.demo_ending import Ending, FirstPrediction
from huracan.cli.run_result import RunResult
from huracan.domain.time import parse_iso
from huracan.hamilton import HamiltonInterface
from huracan.worlds.simulated import Truth, simulate
from huracan.worlds.spec import WorldName, regular_bases, world_spec

REGULAR: Final = tuple(sorted(regular_bases(REGULAR_COINS)))
BOUND_OVER_SD: Final = (8.0, 10.0)
"""What the demo's world is built for at 1h and 4h: a bound of so many sd makes 85 days decidable, and is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Coins with a champion at one horizon: those with a planted edge, and others."""

    planted: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundRatio:
    """B/sd of a champion, and whether it is what the world is built for."""

    ratio: float
    as_built: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A finished demo."""

    world: WorldName
    seed: int
    days: int
    truth: Truth
    regular: tuple[str, ...]
    champions_by_horizon: Mapping[str, Found]
    bound_over_sd: Mapping[str, BoundRatio]
    prediction: FirstPrediction | None
    seconds: float
    next: Ending


def truth_of(world: WorldName, days: int, seed: int) -> Truth:
    """What was planted."""
    return simulate(world_spec(world, coins=REGULAR_COINS, days=days, seed=seed)).truth()


def found_by_horizon(result: RunResult, planted: set[str]) -> dict[str, Found]:
    """The champions of the world's regular coins by horizon."""
    found = {}
    for horizon in result.horizons:
        champions = {row.coin for row in result.champions.values() if row.horizon == horizon}
        found[horizon] = Found(
            planted=tuple(sorted(champions & planted)), others=tuple(sorted(champions.intersection(REGULAR) - planted))
        )
    return found


def bounds(result: RunResult) -> dict[str, BoundRatio]:
    """B/sd of the recipe that is the champion at 1h and 4h."""
    low, high = BOUND_OVER_SD
    return {
        row.horizon: BoundRatio(ratio=row.bound_over_sd, as_built=low <= row.bound_over_sd <= high)
        for row in result.summary.hypotheses
        if row.is_champion and row.pool == "um-A" and row.horizon in {"1h", "4h"} and row.bound_over_sd is not None
    }


def first_prediction(result: RunResult) -> FirstPrediction | None:
    """Hamilton's answer for one champion (else one candidate); one that trades, if any."""
    rows = list(result.champions.values()) or list(result.candidates.values())
    chosen = next((row for row in rows if row.live and row.live.side), rows[0] if rows else None)
    if chosen is None or chosen.live is None:
        return None
    now_ms = parse_iso(result.summary.now)
    with tempfile.TemporaryDirectory(prefix="huracan-demo-") as state:  # the world's time is no time this user has seen
        hamilton = HamiltonInterface(
            model_base_path=result.store, allow_candidates=True, state_dir=state, now_ms=lambda: now_ms
        )
        prediction = hamilton.predict(chosen.coin, chosen.horizon, chosen.live_features)
    return FirstPrediction(
        coin=chosen.coin,
        horizon=chosen.horizon,
        direction=prediction.direction,
        edge_bps=prediction.edge_bps,
        net_edge_bps=prediction.net_edge_bps,
        confidence=prediction.confidence,
        position_fraction=prediction.position_fraction,
        blocked_reason=prediction.blocked_reason,
        equals_training=prediction.edge_bps == chosen.live.edge_bps,
    )
