"""Which coins of a promoted pool take the champion: those whose own shrunken edge is still there at its lower end.

A filter without a claim on false discoveries; the point estimate would let half of the worthless coins through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64
from huracan.domain.proof import FEWEST_ROUND_TRIPS
from huracan.stats.shrinkage import shrink

MIN_ROUND_TRIPS: Final = FEWEST_ROUND_TRIPS
LOWER_Z: Final = 1.6448536269514722
"""Normal quantile of 5% below."""
POOLED_SD_TRIPS: Final = 20.0
"""How many round trips' worth of weight the pool's typical sd has in a coin's own: few trades say little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinEdge:
    """Net edge of one coin in bps of notional per round trip; None where there are too few trips to say.

    `lower_bps` is the 5% point after shrinkage to the pool, `shrunk_bps` its centre, `measured_bps` the plain mean of
    `n` trips.
    """

    coin: str
    n: int
    measured_bps: float | None
    shrunk_bps: float | None
    lower_bps: float | None
    wanted_bps: float
    passed: bool


def coin_filter(trades_by_coin: Mapping[str, pl.DataFrame], min_edge_bps: float) -> dict[str, CoinEdge]:
    """One CoinEdge per coin, from realised out-of-sample round trips (TRADE_SCHEMA).

    A coin passes when its lower 5% point is at least `min_edge_bps`. Coins are shrunk to no edge (or to the pool's
    mean, if that is a loss), never to a gain: a pool of good coins must not carry a worthless one. A coin with fewer
    than 10 round trips fails and does not inform the others.
    """
    nets = {coin: _net(trades) for coin, trades in trades_by_coin.items()}
    measured = sorted(coin for coin, net in nets.items() if net.size >= MIN_ROUND_TRIPS)
    edges = {coin: _unknown(coin, net, min_edge_bps) for coin, net in nets.items()}
    if not measured:
        return edges
    means = np.array([nets[coin].mean() for coin in measured])
    errors = _standard_errors([nets[coin] for coin in measured])
    shrunk = shrink(means, errors, centre=min(0.0, shrink(means, errors).prior_mean))
    lower = shrunk.mean - LOWER_Z * shrunk.sd
    for at, coin in enumerate(measured):
        edges[coin] = CoinEdge(
            coin=coin,
            n=nets[coin].size,
            measured_bps=float(means[at]),
            shrunk_bps=float(shrunk.mean[at]),
            lower_bps=float(lower[at]),
            wanted_bps=min_edge_bps,
            passed=bool(lower[at] >= min_edge_bps),
        )
    return edges


def _net(trades: pl.DataFrame) -> F64:
    values = trades["net_bps"].to_numpy().astype(np.float64)
    finite: F64 = values[np.isfinite(values)]
    return finite


def _unknown(coin: str, net: F64, min_edge_bps: float) -> CoinEdge:
    return CoinEdge(
        coin=coin,
        n=net.size,
        measured_bps=float(net.mean()) if net.size else None,
        shrunk_bps=None,
        lower_bps=None,
        wanted_bps=min_edge_bps,
        passed=False,
    )


def _standard_errors(nets: list[F64]) -> F64:
    """Standard errors of the means, each coin's variance drawn towards the pool's median variance."""
    counts = np.array([net.size for net in nets], dtype=np.float64)
    variances = np.array([net.var(ddof=1) for net in nets])
    typical = float(np.median(variances))
    blended = ((counts - 1.0) * variances + POOLED_SD_TRIPS * typical) / (counts - 1.0 + POOLED_SD_TRIPS)
    # Trades without any spread would claim certainty; a tenth of a basis point is below every cost model's error.
    errors: F64 = np.maximum(np.sqrt(blended / counts), 0.1)
    return errors
