"""The simulation of positions in named kernels beside the one function it was cut from, bit for bit, one core.

    python benchmarks/positions.py [--days 1125] [--rounds 9]

States minute bars, hourly decisions, half of them wanting a position, of one coin at three horizons, once with three
holes in its funding. Milliseconds of CPU are those of the best round of each side, because the machine is shared; the
sides take turns. `first call` is the CPU it takes to compile all of it, each in a fresh process without a cache. Ends
with 1 when a bit differs, or when the kernels take more than 1.1 times the time of the one function.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from os import environ
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import positions_in_one_piece as one_piece

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.scoring.position_records import BarArrays, DecisionArrays, FundingArrays, TradingRules
from huracan.scoring.positions import simulate_positions

FIRST_DAY = 19_000
SIDES = ("one function", "named kernels")


def market(days, rng):
    """Minute bars of a random walk with panics and minutes without trades; settlements every eight hours."""
    n = days * DAY_MS // MINUTE_MS
    close = 100.0 * np.exp(np.cumsum(8e-4 * rng.standard_normal(n)))
    bars = BarArrays(
        time=FIRST_DAY * DAY_MS + np.arange(n, dtype=np.int64) * MINUTE_MS,
        open=np.concatenate(([100.0], close[:-1])),
        close=close,
        real=rng.random(n) >= 0.01,
        panic=rng.random(n) < 0.02,
        last=-1,
    )
    settled = np.arange(FIRST_DAY * DAY_MS, (FIRST_DAY + days) * DAY_MS, 8 * HOUR_MS, dtype=np.int64)
    hole_days = np.array([days // 5, days // 2, days - 20], dtype=np.int64)
    start = (FIRST_DAY + hole_days) * DAY_MS
    funding = FundingArrays(
        time=settled,
        rate_bps=rng.standard_normal(settled.size),
        hole_start=start,
        hole_end=start + 3 * DAY_MS,
        hole_bps_per_ms=np.full(start.size, 30.0 / DAY_MS),
    )
    return bars, funding


def decide(bars, rng):
    """Hourly decisions, filled at the next real minute."""
    n = bars.time.size // 60
    real = np.flatnonzero(bars.real)
    score = rng.uniform(-1.0, 1.0, n)
    return DecisionArrays(
        bar=real[np.minimum(np.searchsorted(real, np.arange(n) * 60 + 1), real.size - 1)],
        ok=rng.random(n) >= 0.02,
        score=score,
        edge_bps=np.sign(score) * rng.uniform(0.0, 80.0, n),
        confidence=np.full(n, 0.9),
        cost_bps=np.full(n, 14.0),
        threshold=np.full(n, 0.3),
        sigma_day_bps=300.0 + 300.0 * rng.random(n),
        half_spread_bps=0.5 + rng.random(n),
        volume_day_quote=np.full(n, 1e8),
    )


def rules_of(hours):
    return TradingRules(
        horizon_ms=hours * HOUR_MS,
        horizon_days=hours / 24.0,
        allow_short=True,
        cost_multiple=1.5,
        min_edge_bps=5.0,
        min_confidence=0.55,
        per_trade_risk=0.005,
        leverage_cap=2.0,
        sigma_floor=100.0,
        largest=1.0,
        stop_bps=150.0,
        fee_bps=5.0,
        panic_multiple=3.0,
        impact_y=1.0,
        capital_quote=1e5,
    )


def run(side, inputs, days):
    last_day = FIRST_DAY + days - 2
    if side == "one function":
        return one_piece.walk(*inputs, FIRST_DAY, last_day)
    return simulate_positions(*inputs, first_day=FIRST_DAY, last_day=last_day)


def as_bytes(result):
    """All arrays of a result, in the order of SimulatedPositions."""
    if isinstance(result, one_piece.Walk):
        return one_piece.columns(result)
    return [column.tobytes() for table in result for column in table]


def first_call(side):
    """CPU seconds of the first call in a fresh process whose cache is empty."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import positions; positions.tell_first({side!r})"
    with tempfile.TemporaryDirectory() as cache:
        own = {**environ, "XDG_CACHE_HOME": cache}
        return float(subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, check=True).stdout)


def tell_first(side):
    rng = np.random.default_rng(0)
    bars, funding = market(30, rng)
    inputs = bars, decide(bars, rng), funding, rules_of(1)
    start = time.process_time()
    run(side, inputs, 30)
    print(time.process_time() - start)


def best_of(rounds, inputs, days):
    """CPU milliseconds of each side's best round; the sides take turns."""
    best = dict.fromkeys(SIDES, np.inf)
    for number in range(rounds):
        for side in SIDES[:: 1 if number % 2 else -1]:
            start = time.process_time()
            run(side, inputs, days)
            best[side] = min(best[side], (time.process_time() - start) * 1e3)
    return best


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--days", type=int, default=1125)
    arguments.add_argument("--rounds", type=int, default=9)
    options = arguments.parse_args()
    rng = np.random.default_rng(0)
    bars, funding = market(options.days, rng)
    whole = funding._replace(
        **{name: getattr(funding, name)[:0] for name in ("hole_start", "hole_end", "hole_bps_per_ms")}
    )
    decisions = decide(bars, rng)
    print(
        f"{bars.time.size:,} minute bars, {decisions.bar.size:,} decisions, one core; CPU ms of the best of {options.rounds}"
    )
    failed = False
    for name, hours, paid in (("1 h", 1, whole), ("4 h", 4, whole), ("24 h", 24, whole), ("4 h, holes", 4, funding)):
        inputs = bars, decisions, paid, rules_of(hours)
        results = [run(side, inputs, options.days) for side in SIDES]
        same = as_bytes(results[0]) == as_bytes(results[1])
        best = best_of(options.rounds, inputs, options.days)
        ratio = best["named kernels"] / best["one function"]
        failed |= not same or ratio > 1.1
        told = "  ".join(f"{side} {best[side]:6.2f}" for side in SIDES)
        trips = results[0].trip_rolls.size
        print(f"{name:10} {trips:5} trips:  {told}  ratio {ratio:.3f}  {'same bits' if same else 'BITS DIFFER'}")
    told = "  ".join(f"{side} {first_call(side):.1f} s" for side in SIDES)
    print(f"first call without a cache:  {told}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
