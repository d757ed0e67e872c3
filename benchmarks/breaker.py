"""How often the drawdown breaker suspends a champion whose edge is constant, and how soon it does where the edge is
gone.

    python benchmarks/breaker.py [--paths 400]

Worlds: Student-t(3) GARCH(1,1) days of unit variance, cut at the bound, with a planted daily Sharpe ratio. Each path is
promoted by the product's own e-process (e >= 120 after 60 days or more, within three years) and is champion for 365
days of the same world. The old rule (99% quantile of drawdowns resampled from the days that led to the promotion) and
the rule in force are tried on the same paths.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huracan.promotion.champions import breaker_limit, suspends
from huracan.promotion.gates import MIN_OBSERVED
from huracan.stats.bootstrap import drawdown_quantile
from huracan.stats.evalues import e_process_path

F64 = NDArray[np.float64]

YEAR, LONGEST, BURN_IN = 365, 1_095, 200
WANTED_E = 120.0
WORLDS = ((9.5, 0.15), (9.5, 0.31), (9.5, 0.5), (9.5, 1.0), (6.0, 0.31), (17.0, 1.0))
"""Bound in standard deviations, and planted daily Sharpe ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionYear:
    """Days (n,) that led to a promotion, and the 365 that follow, in standard deviations."""

    before: F64
    after: F64


def garch(rng: np.random.Generator, paths: int, days: int, bound: float) -> F64:
    """Days (paths, days) with t(3) tails and clustered volatility, unit variance, none beyond the bound."""
    noise = rng.standard_t(3, size=(paths, days + BURN_IN)) / np.sqrt(3.0)
    variance, out = np.ones(paths), np.empty_like(noise)
    for day in range(days + BURN_IN):
        out[:, day] = np.sqrt(variance) * noise[:, day]
        variance = 0.02 + 0.08 * np.minimum(out[:, day] ** 2, 50.0) + 0.9 * variance
    cut = np.clip(out[:, BURN_IN:] / out[:, BURN_IN:].std(), -bound, bound)
    return np.asarray(cut - cut.mean())


def champion_years(bound: float, sharpe: float, paths: int, seed: int) -> list[ChampionYear]:
    """The promoted ones."""
    world = garch(np.random.default_rng(seed), paths, LONGEST + YEAR, bound) + sharpe
    found = []
    for path in world:
        e = e_process_path(path[:LONGEST], bound)
        proven = np.flatnonzero((e >= WANTED_E) & (np.arange(LONGEST) >= MIN_OBSERVED - 1))
        if proven.size:
            day = int(proven[0]) + 1
            found.append(ChampionYear(before=path[:day], after=path[day : day + YEAR]))
    return found


def limits(year: ChampionYear, rng: np.random.Generator) -> tuple[float, float | None]:
    """The drawdown limit of the rule of before, and of the rule in force."""
    old = drawdown_quantile(year.before, quantile=0.99, length=YEAR, rng=rng)
    return old, breaker_limit(year.before, rng)


def old_trip(after: F64, limit: float) -> int | None:
    """Day on which the rule of before suspends."""
    total = np.cumsum(after)
    beyond = np.flatnonzero(np.maximum.accumulate(np.maximum(total, 0.0)) - total > limit)
    return int(beyond[0]) + 1 if beyond.size else None


def new_trip(after: F64, limit: float | None, bound: float) -> int | None:
    """Day on which the rule in force suspends."""
    drawdown, breaches = 0.0, 0
    for day, net in enumerate(after.tolist(), start=1):
        drawdown, breaches = max(0.0, drawdown - net), breaches + (net < -bound)
        if suspends(net, drawdown, limit_bps=limit, bound_bps=bound, breaches=breaches, suspended=False):
            return day
    return None


def events(sharpe: float, bound: float) -> dict[str, Callable[[F64], F64]]:
    """What becomes of the year after the promotion."""

    def crash(days: dict[int, float]) -> Callable[[F64], F64]:
        def change(year: F64) -> F64:
            changed = year.copy()
            for day, net in days.items():
                changed[day] = net * bound
            return changed

        return change

    return {
        "edge constant": lambda year: year,
        "edge gone": lambda year: year - sharpe,
        "edge reversed to -.2": lambda year: year - sharpe - 0.2,
        "edge reversed to -.5": lambda year: year - sharpe - 0.5,
        "one day of -2.1 B": crash({100: -2.1}),
        "three days of -1.1 B in a month": crash({100: -1.1, 110: -1.1, 125: -1.1}),
    }


def told(days: list[int | None]) -> str:
    """Share that was suspended, and the median day."""
    hit = [day for day in days if day is not None]
    return f"{len(hit) / len(days):6.1%} (day {np.median(hit):3.0f})" if hit else "  0.0%          "


def main() -> None:
    """Print one block a world."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--paths", type=int, default=400)
    wanted = parser.parse_args()
    for number, (bound, sharpe) in enumerate(WORLDS):
        rows = champion_years(bound, sharpe, wanted.paths, seed=number)
        median = np.median([row.before.size for row in rows])
        spread = np.mean([row.before.std() for row in rows]), np.mean([row.after.std() for row in rows])
        print(
            f"\nB = {bound} sd, daily Sharpe {sharpe}: {len(rows)} of {wanted.paths} promoted, median after {median:.0f} days; "
            f"sd before {spread[0]:.2f}, after {spread[1]:.2f}"
        )
        rng = np.random.default_rng(number)
        limited = [(row, *limits(row, rng)) for row in rows]
        for name, change in events(sharpe, bound).items():
            before = told([old_trip(change(row.after), old) for row, old, _ in limited])
            now = told([new_trip(change(row.after), new, bound) for row, _, new in limited])
            print(f"  {name:34s} before {before}   now {now}", flush=True)


if __name__ == "__main__":
    main()
