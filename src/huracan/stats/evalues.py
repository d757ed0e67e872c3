"""Evidence as wealth: the e-process, its ledger, its confidence sequence and the detector for champions that turn bad.

An e-process is the wealth of a gambler who bets that a difference D is positive. If D is not positive on average so
far, the expected wealth never exceeds the stake at any stopping time, so wealth 120 is evidence of strength 1/120
whenever one looks (Ramdas, Gruenwald, Vovk, Shafer 2023). Bets are fixed fractions: adaptive ones promote what was
never ahead. Wealth is kept as natural logarithms, one per fraction.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from huracan.domain.arrays import F64
from huracan.stats.kernel import kernel

FRACTIONS: Final = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 0.9)
GAIN_CAP: Final = 0.6
"""Gains above this share of the bound count as this much; losses are never capped."""
RUIN: Final = -1e9
"""Log-wealth of a bet that lost everything: its exponential is 0, and unlike minus infinity it has a JSON form."""
NEW_WEALTH: Final = (0.0,) * len(FRACTIONS)
"""Log-wealths of a gambler who has one unit on each fraction."""

_BETS: Final[F64] = np.array(FRACTIONS)
_E_MAX: Final = 1e300


def e_process_step(log_wealth: Sequence[float], difference: float, bound: float) -> tuple[float, ...]:
    """Log-wealths after one more day with this difference; same unit as the bound.

    >>> [round(math.exp(w), 4) for w in e_process_step(NEW_WEALTH, 100.0, 100.0)]
    [1.0375, 1.075, 1.15, 1.3, 1.54]
    """
    _check_bound(bound)
    if not math.isfinite(difference):
        raise ValueError(f"a difference of {difference} is no observation; void the day instead")
    gain = min(difference / bound, GAIN_CAP)
    stepped = []
    for wealth, fraction in zip(log_wealth, FRACTIONS, strict=True):
        factor = 1.0 + fraction * gain
        stepped.append(wealth + math.log(factor) if factor > 0.0 and wealth > RUIN else RUIN)
    return tuple(stepped)


def log_e_value(log_wealth: Sequence[float]) -> float:
    """Logarithm of the mean wealth over the fractions; RUIN when every bet is lost.

    >>> log_e_value(NEW_WEALTH)
    0.0
    """
    top = max(log_wealth)
    if top <= RUIN:
        return RUIN
    return top + math.log(math.fsum(math.exp(w - top) for w in log_wealth) / len(log_wealth))


def e_value(log_wealth: Sequence[float]) -> float:
    """Mean wealth over the fractions, at most 1e300."""
    return min(_E_MAX, math.exp(min(log_e_value(log_wealth), 700.0)))


def stake(e: float) -> tuple[float, ...]:
    """Log-wealths of a gambler who starts with e on every fraction; raises ValueError unless e > 0."""
    if not e > 0.0:
        raise ValueError(f"a start at e = {e} is no stake; wanted a number above 0")
    return (math.log(e),) * len(FRACTIONS)


def e_process_path(differences: F64, bound: float, start: float = 1.0) -> F64:
    """E-value after each day, shape (n,), of a gambler who starts with `start`; equals repeated `e_process_step`."""
    _check_bound(bound)
    gain = np.minimum(np.asarray(differences, dtype=np.float64) / bound, GAIN_CAP)
    factors = np.maximum(0.0, 1.0 + _BETS[:, None] * gain[None, :])
    with np.errstate(divide="ignore"):
        paths = np.cumsum(np.log(factors), axis=1)
    mean: F64 = np.minimum(start * np.exp(np.minimum(paths, 700.0)).mean(axis=0), _E_MAX)
    return mean


def detector_step(levels: Sequence[float], net: float, bound: float) -> tuple[float, ...]:
    """Shiryaev-Roberts levels, one per fraction, after one more day of a champion's net result.

    ``M = (1 + M) * max(0, 1 + f * min(-net / bound, .6))``; starts at zeros. A net result that is not worse than 0 on
    average reaches 1000 no sooner than after 1000 days in expectation (Shin, Ramdas, Rinaldo 2024).

    >>> detector_step((0.0,) * 5, 0.0, 100.0)
    (1.0, 1.0, 1.0, 1.0, 1.0)
    """
    _check_bound(bound)
    loss = min(-net / bound, GAIN_CAP)
    return tuple(
        min(_E_MAX, (1.0 + level) * max(0.0, 1.0 + fraction * loss))
        for level, fraction in zip(levels, FRACTIONS, strict=True)
    )


def detector_value(levels: Sequence[float]) -> float:
    """The detector's reading: mean level over the fractions; the alarm sounds at 1000."""
    return math.fsum(levels) / len(levels)


def weighted_ebh(e_values: Sequence[float], gammas: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Indices whose hypotheses are rejected: the largest R with R of them at ``e >= 1 / (alpha * gamma * R)``.

    The false discovery rate is at most alpha under any dependence when the gammas sum to at most 1 (Wang, Ramdas 2022).
    Raises ValueError when they sum to more.

    >>> weighted_ebh([120.0, 50.0, 119.0], [1 / 6, 1 / 6, 1 / 6], 0.05)  # three at 40
    (0, 1, 2)
    >>> weighted_ebh([120.0, 39.0, 119.0], [1 / 6, 1 / 6, 1 / 6], 0.05)  # two at 60
    (0, 2)
    """
    if math.fsum(gammas) > 1.0 + 1e-9:
        raise ValueError(f"the gammas sum to {math.fsum(gammas)}, wanted at most 1")
    for size in range(len(e_values), 0, -1):
        chosen = tuple(
            j
            for j, (e, gamma) in enumerate(zip(e_values, gammas, strict=True))
            if gamma > 0.0 and e >= (1.0 / (alpha * gamma * size)) * (1.0 - 1e-12)
        )
        if len(chosen) >= size:
            return chosen
    return ()


def confidence_sequence(differences: F64, bound: float, delta: float) -> tuple[float, float]:
    """Interval that holds the average mean difference at every time at once, with probability 1 - delta.

    `differences` has shape (n,), in the unit of `bound`, with absolute values up to `bound`; so is the interval, and it
    is [-bound, bound] before the first day. A value m is left out when betting on "the mean is above (below) m" has
    earned 2 / delta. Raises ValueError unless 0 < delta < 1.
    """
    _check_bound(bound)
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta is {delta}, wanted a number between 0 and 1")
    values = np.asarray(differences, dtype=np.float64)
    if values.size == 0:
        return -bound, bound
    goal = math.log(2.0 / delta)
    return _lowest_mean(values, bound, goal), -_lowest_mean(-values, bound, goal)


def growth_rate(differences: F64, bound: float, assumed_mean: float) -> float:
    """Best log-growth a night if the differences kept their shape around an assumed mean (rule 15's g).

    ``max over f of mean ln(1 + f min(D - mean(D) + d, .6 B) / B)``; minus infinity where a day would ruin every bet.
    """
    _check_bound(bound)
    centred = np.asarray(differences, dtype=np.float64) - float(np.mean(differences)) + assumed_mean
    return float(_log_growth(centred / bound).mean(axis=1).max())


def nights_until_decidable(
    differences: F64, bound: float, *, log_e: float, wanted_e: float, assumed_mean: float
) -> float | None:
    """Nights until the e-value is expected to reach `wanted_e` at an assumed mean; None when it never grows.

    ``n = (ln wanted - ln e) / g``; 0 when it is there already.
    """
    missing = math.log(wanted_e) - log_e
    if missing <= 0.0:
        return 0.0
    if len(differences) == 0 or assumed_mean <= 0.0:
        return None
    rate = growth_rate(differences, bound, assumed_mean)
    return missing / rate if rate > 0.0 else None


def _log_growth(scaled: F64) -> F64:
    """Log factors, shape (fractions, n), of differences given in units of the bound."""
    factors = np.maximum(0.0, 1.0 + _BETS[:, None] * np.minimum(scaled, GAIN_CAP)[None, :])
    with np.errstate(divide="ignore"):
        logs: F64 = np.log(factors)
    return logs


def _lowest_mean(values: F64, bound: float, goal: float) -> float:
    """Largest m such that betting on "the mean exceeds m" has reached the goal; -bound when none has."""
    low, high = -bound, bound
    if _log_e_above(values, low, bound) < goal:
        return -bound
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _log_e_above(values, middle, bound) >= goal:
            low = middle
        else:
            high = middle
    return low


def _log_e_above(values: F64, mean: float, bound: float) -> float:
    # A day may lie bound + mean below m; the largest bet must survive it, or truncation at 0 would hand out free
    # wealth.
    scale = max(bound, FRACTIONS[-1] * (bound + mean))
    totals = np.empty(_BETS.shape[0])
    log_wealths_above(values, mean, scale, _BETS, GAIN_CAP, totals)
    return log_e_value(totals.tolist())


@kernel
def log_wealths_above(values: F64, mean: float, scale: float, bets: F64, cap: float, out: F64) -> None:
    """Fill `out` with the log-wealth of each bet on "the mean of values (n,) exceeds `mean`"; RUIN where one is
    lost.
    """
    for at in range(bets.shape[0]):
        total, product = 0.0, 1.0
        for day in range(values.shape[0]):
            gain = min((values[day] - mean) / scale, cap)
            product *= max(0.0, 1.0 + bets[at] * gain)
            if product < 1e-100 or product > 1e100:
                if product == 0.0:
                    break
                total += np.log(product)
                product = 1.0
        out[at] = RUIN if product == 0.0 else total + np.log(product)


def _check_bound(bound: float) -> None:
    if not (bound > 0.0 and math.isfinite(bound)):
        raise ValueError(f"the bound is {bound}, wanted a finite number above 0")
