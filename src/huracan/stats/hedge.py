"""Reliability by prediction with expert advice: Hedge with fixed share (Herbster & Warmuth 1998).

Weights stay close to equal by design: no weighting finds an edge faster than the promotion test does.
"""

import numpy as np

from huracan.domain.arrays import F64
from huracan.stats.kernel import kernel

NEUTRAL_LOSS = 0.5
"""Loss of an expert that earned nothing."""


def learning_rate(n_experts: int, rounds: int) -> float:
    """``sqrt(8 ln K / T)``, the rate of Hedge's regret bound; 0 for a single expert.

    >>> round(learning_rate(2, 100), 4)
    0.2355
    """
    return float(np.sqrt(8.0 * np.log(max(n_experts, 1)) / max(rounds, 1)))


def edge_loss(net_bps: F64, clip_bps: F64) -> F64:
    """Net edges as losses in [0, 1]: clipped to +-clip, a gain of clip or more is 0, nothing earned 0.5; NaN stays NaN.

    `clip_bps` broadcasts against `net_bps`; where it is 0, everything is 0.5.

    >>> edge_loss(np.array([20.0, 5.0, -5.0, np.nan]), np.array(10.0)).tolist()
    [0.0, 0.25, 0.75, nan]
    """
    scale = np.where(clip_bps > 0.0, clip_bps, np.inf)
    loss: F64 = NEUTRAL_LOSS * (1.0 - np.clip(net_bps / scale, -1.0, 1.0))
    return loss


@kernel
def hedge_weights(loss: F64, eta: float, share: float) -> F64:
    """Weights before each round and after the last, shape (T + 1, K), rows sum to 1.

    loss (T, K) in [0, 1], NaN = silent in that round. Every round multiplies a weight by ``exp(-eta * loss)`` and then
    gives the `share` of all weight back to everybody equally, so a fallen expert can return. Silence is no merit: a
    silent expert loses what the others lost on average, but at least NEUTRAL_LOSS. So in a market where
    everybody pays costs for nothing the weights stay put, and an expert that never lost more than NEUTRAL_LOSS
    never weighs less than one that never spoke.
    """
    rounds, k = loss.shape
    out = np.empty((rounds + 1, k))
    for j in range(k):
        out[0, j] = 1.0 / k
    for t in range(rounds):
        awake, lost = 0.0, 0.0
        for j in range(k):
            if not np.isnan(loss[t, j]):
                awake += out[t, j]
                lost += out[t, j] * loss[t, j]
        silent = max(NEUTRAL_LOSS, lost / awake) if awake > 0.0 else NEUTRAL_LOSS
        total = 0.0
        for j in range(k):
            own = silent if np.isnan(loss[t, j]) else loss[t, j]
            out[t + 1, j] = out[t, j] * np.exp(-eta * own)
            total += out[t + 1, j]
        for j in range(k):
            out[t + 1, j] = (1.0 - share) * out[t + 1, j] / total + share / k
    return out


def reliability_of(losses: F64, window: int) -> float:
    """Hedge weight of one engine, losses (T,), against an expert that always loses NEUTRAL_LOSS; 0.5 when unseen.

    >>> reliability_of(np.empty(0), 100), reliability_of(np.zeros(20), 100) > 0.5 > reliability_of(np.ones(20), 100)
    (0.5, True)
    """
    pair = np.column_stack((losses, np.full(losses.size, NEUTRAL_LOSS)))
    return float(hedge_weights(pair, learning_rate(2, window), 1.0 / max(window, 1))[-1, 0])
