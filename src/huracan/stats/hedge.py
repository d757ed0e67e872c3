"""Reliability by prediction with expert advice: Hedge with fixed share (Herbster & Warmuth 1998).

Weights stay close to equal by design: no weighting finds an edge faster than the promotion test does.
"""

import numpy as np
from numpy.typing import NDArray

from huracan.stats.kernel import kernel

F64 = NDArray[np.float64]

NEUTRAL_LOSS = 0.5
"""Loss of an expert that earned nothing: abstaining is neither reward nor punishment."""


def learning_rate(n_experts: int, rounds: int) -> float:
    """``sqrt(8 ln K / T)``, the rate of Hedge's regret bound; 0 for a single expert.

    >>> round(learning_rate(2, 100), 4)
    0.2355
    """
    return float(np.sqrt(8.0 * np.log(max(n_experts, 1)) / max(rounds, 1)))


def edge_loss(net_bps: F64, clip_bps: F64) -> F64:
    """Net edges as losses in [0, 1]: clipped to +-clip, a gain of clip or more is 0, nothing earned (or NaN) 0.5.

    `clip_bps` broadcasts against `net_bps`; where it is 0, everything is 0.5.

    >>> edge_loss(np.array([20.0, 5.0, -5.0, np.nan]), np.array(10.0)).tolist()
    [0.0, 0.25, 0.75, 0.5]
    """
    scale = np.where(clip_bps > 0.0, clip_bps, 1.0)
    share = np.clip(np.nan_to_num(net_bps, nan=0.0, posinf=np.inf, neginf=-np.inf) / scale, -1.0, 1.0)
    loss: F64 = NEUTRAL_LOSS * (1.0 - np.where(clip_bps > 0.0, share, 0.0))
    return loss


@kernel
def hedge_weights(loss: F64, eta: float, share: float) -> F64:
    """Weights before each round and after the last, shape (T + 1, K), rows sum to 1.

    loss (T, K) in [0, 1]. Every round multiplies a weight by ``exp(-eta * loss)`` and then gives the `share` of all
    weight back to everybody equally, so a fallen expert can return. All experts see the same map, hence one that
    never lost more than NEUTRAL_LOSS never weighs less than one that never spoke.
    """
    rounds, k = loss.shape
    out = np.empty((rounds + 1, k))
    for j in range(k):
        out[0, j] = 1.0 / k
    for t in range(rounds):
        total = 0.0
        for j in range(k):
            out[t + 1, j] = out[t, j] * np.exp(-eta * loss[t, j])
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
