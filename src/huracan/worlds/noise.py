"""Compiled loops of the wide world: every number is a function of a key and a place, so any bar can be had alone."""

import numpy as np

from huracan.domain.arrays import F64
from huracan.stats.kernel import kernel

OCTAVES = 9
"""Waves of 1, 4, 16 ... 65,536 minutes, each twice as high as the one before: about a random walk up to six weeks."""

AMPLITUDE = 8e-4
"""Height of the shortest wave, as a log return: a day's volatility of about 4.5%."""

REACH = 3e-4
"""A bar's high and low go beyond its open and close by less than this share."""


@kernel
def uniform(key: np.uint64, place: np.uint64) -> float:
    """A number in [0, 1) that belongs to a place (SplitMix64, Steele et al. 2014)."""
    z = key + place * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@kernel
def uniforms(key: np.uint64, first: int, n: int) -> F64:
    """Numbers of the places first .. first + n - 1, shape (n,)."""
    out = np.empty(n)
    for i in range(n):
        out[i] = uniform(key, np.uint64(first + i))
    return out


@kernel
def log_path(key: np.uint64, minute: int) -> float:
    """Log price relative to the level at the start of a minute: waves of linear interpolation between drawn points."""
    total, period, height = 0.0, 1, AMPLITUDE
    for octave in range(OCTAVES):
        wave = key + np.uint64(octave + 1) * np.uint64(0xD1B54A32D192ED03)
        place, share = minute // period, (minute % period) / period
        left, right = uniform(wave, np.uint64(place)), uniform(wave, np.uint64(place + 1))
        total += height * (2.0 * (left + share * (right - left)) - 1.0)
        period *= 4
        height *= 2.0
    return total


@kernel
def wide_bars(key: np.uint64, first: int, n: int, price: tuple[float, float, float], trades: float, lot: float) -> F64:
    """Minutes first .. first + n - 1, shape (9, n): open, high, low, close, volume, quote volume, trades, taker base,
    quote.

    A bar opens where the one before closed. `price` is (level, scale, waves): prices are whole multiples of 1 / scale,
    and move `waves` times as much as an ordinary coin's. `trades` are expected a minute
    (one at least), each of about `lot` in quote currency; volumes have one decimal for prices below 10, else three.
    """
    level, scale, waves = price
    out = np.empty((9, n))
    unit = 1000.0 if level >= 10.0 else 10.0
    close = max(np.round(level * np.exp(waves * log_path(key, first)) * scale), 1.0)
    for i in range(n):
        minute = first + i
        place = np.uint64(4 * minute)
        open_, close = close, max(np.round(level * np.exp(waves * log_path(key, minute + 1)) * scale), 1.0)
        top, bottom = max(open_, close), min(open_, close)
        high = np.ceil(top * (1.0 + waves * REACH * uniform(key, place)))
        low = max(np.floor(bottom * (1.0 - waves * REACH * uniform(key, place + np.uint64(1)))), 1.0)
        mean = (open_ + high + low + close) / 4.0 / scale
        activity = uniform(key, place + np.uint64(2))
        count = max(np.floor(trades * (0.5 + activity)), 1.0)
        volume = max(np.round(count * lot / mean * unit), 1.0) / unit
        taker = np.round(volume * (0.3 + 0.4 * uniform(key, place + np.uint64(3))) * unit) / unit
        out[0, i], out[1, i], out[2, i], out[3, i] = open_ / scale, high / scale, low / scale, close / scale
        out[4, i], out[5, i], out[6, i] = volume, np.round(volume * mean * 1e8) / 1e8, count
        out[7, i], out[8, i] = taker, np.round(taker * mean * 1e8) / 1e8
    return out
