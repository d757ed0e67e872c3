"""Compiled loops of the simulator. Each is plain Python underneath (`.py_func`), which the tests compare.

Steps are fractions of the price at the day's start; `per_day` is the number of bars of a UTC day.
"""

import numpy as np
from numpy.typing import NDArray

from huracan.domain.arrays import F64, I64
from huracan.stats.kernel import kernel

I8 = NDArray[np.int8]

SHOCK_LIMIT = 8.0
"""Shocks are clipped here, in standard deviations; the bound of a day rests on it."""


@kernel
def regime_chain(leave: F64, choose: F64, hazard: F64, entry: F64) -> I64:
    """Regime code of every bar, shape (n,).

    A regime i is left when the uniform `leave` falls below `hazard[i]`; the next one is drawn from the cumulative
    shares `entry` by the uniform `choose` (it may be the same), so its long-run share is entry share x mean duration.
    """
    n = leave.shape[0]
    codes = np.empty(n, np.int64)
    now = 1
    for t in range(n):
        if t == 0 or leave[t] < hazard[now]:
            now = 0
            while now < entry.shape[0] - 1 and choose[t] >= entry[now]:
                now += 1
        codes[t] = now
    return codes


@kernel
def slow_signal(normal: F64, decay: float) -> F64:
    """A stationary AR(1) of unit variance, shape (n,): its first value is drawn from the long-run distribution."""
    n = normal.shape[0]
    out = np.empty(n)
    noise = np.sqrt(1.0 - decay * decay)
    value = 0.0
    for t in range(n):
        value = normal[t] if t == 0 else decay * value + noise * normal[t]
        out[t] = value
    return out


@kernel
def bounded_steps(
    shock: F64, scale: F64, drift: F64, cap: float, per_day: int, pull: float, push: float
) -> tuple[F64, F64]:
    """(steps, step sizes), both (n,): a path whose sum since the day's start never leaves [-cap, cap].

    Step = drift + size * shock with size = min(scale * sqrt(h), room / 8): shocks are within +-8, so no step can
    cross, and the size depends on the past alone, so without drift the path is a martingale. The drift is cut to a
    tenth of the room. h is a GARCH(1,1)-like variance: pulled back to 1 by `pull`, moved by squared shocks by `push`.
    """
    n = shock.shape[0]
    steps = np.empty(n)
    sizes = np.empty(n)
    path, variance = 0.0, 1.0
    for t in range(n):
        if t % per_day == 0:
            path = 0.0
        room = max(cap - abs(path), 0.0)
        lead = min(max(drift[t], -0.1 * room), 0.1 * room)
        size = min(scale[t] * np.sqrt(variance), (room - abs(lead)) / 8.0)
        steps[t] = lead + size * shock[t]
        sizes[t] = size
        path += steps[t]
        variance += pull * (1.0 - variance) + push * variance * (shock[t] * shock[t] - 1.0)
        variance = min(max(variance, 0.2), 5.0)
    return steps, sizes


@kernel
def crash_steps(uniform: F64, hazard: float, jump: float, per_day: int) -> F64:
    """Small gains and rare crashes whose mean is exactly 0 in every minute, shape (n,).

    Until the day's crash each bar falls by `jump` with probability `hazard`, else gains what makes the mean 0;
    after it the day is still. At most one crash a day, so a day lies within [-jump - gains, gains].
    """
    n = uniform.shape[0]
    out = np.zeros(n)
    gain = jump * hazard / (1.0 - hazard)
    crashed = False
    for t in range(n):
        if t % per_day == 0:
            crashed = False
        if not crashed:
            crashed = uniform[t] < hazard
            out[t] = -jump if crashed else gain
    return out


@kernel
def draw_bars(
    steps: F64,
    sizes: F64,
    basis: F64,
    half_spread: F64,
    sides: I8,
    reach_up: F64,
    reach_down: F64,
    trades: F64,
    start_price: float,
    floor: float,
    ceiling: float,
    per_day: int,
    decimals_scale: float,
) -> tuple[F64, F64, F64, F64]:
    """(open, high, low, close), each (n,), on the tick grid 1 / decimals_scale.

    The mid is day start x (1 + sum of the day's steps): additive within the day, so simple returns are a martingale
    and a day's return is the sum itself. Open and close trade at the bid or the ask (`sides`, bits 0 and 1). High and
    low are a Brownian bridge's extremes (`reach_*` are -log of uniforms), kept within [floor, ceiling]. Bars without
    trades repeat the previous close, as the exchange does.
    """
    n = steps.shape[0]
    opens, highs, lows, closes = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    day_price, path = start_price, 0.0
    last = np.floor(start_price * decimals_scale + 0.5) / decimals_scale
    for t in range(n):
        if t % per_day == 0:
            day_price *= 1.0 + path
            path = 0.0
        before, path = path, path + steps[t]
        if trades[t] == 0.0:
            opens[t] = highs[t] = lows[t] = closes[t] = last
            continue
        move, variance = steps[t], sizes[t] * sizes[t]
        top = before + 0.5 * (move + np.sqrt(move * move + 2.0 * variance * reach_up[t]))
        bottom = before + 0.5 * (move - np.sqrt(move * move + 2.0 * variance * reach_down[t]))
        top = max(min(top, ceiling), before, path)
        bottom = min(max(bottom, floor), before, path)
        unit = day_price * (1.0 + basis[t])
        half = half_spread[t]
        first = half if sides[t] & 1 else -half
        final = half if sides[t] & 2 else -half
        opens[t] = np.floor(unit * (1.0 + before) * (1.0 + first) * decimals_scale + 0.5) / decimals_scale
        closes[t] = np.floor(unit * (1.0 + path) * (1.0 + final) * decimals_scale + 0.5) / decimals_scale
        high = np.floor(unit * (1.0 + top) * (1.0 + half) * decimals_scale + 0.5) / decimals_scale
        low = np.floor(unit * (1.0 + bottom) * (1.0 - half) * decimals_scale + 0.5) / decimals_scale
        highs[t] = max(high, opens[t], closes[t])
        lows[t] = min(low, opens[t], closes[t])
        last = closes[t]
    return opens, highs, lows, closes
