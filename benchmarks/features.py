"""Sixty causal features of 150 days of minutes: ours against polars and pandas, CPU seconds, in one run.

Run: ``python benchmarks/features.py [BARS]``. One thread each, the same formulas everywhere. Peers compute them twice:
"alone", each feature by its own rolling and exponential windows, as feature libraries do, and "shared", with every
intermediate that two features have in common computed once by hand. Ours is timed with its joins to market and funding
and with `regime`, a state machine that only ours computes; theirs start from joined columns. Ours is also timed for
what a night asks, a row per hour; peers cannot skip bars. Ours is checked against `tests/features/reference.py` at a
few bars, and the peers against ours at all of them.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import pandas as pd
import polars as pl

from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.features import ALL_NAMES, build_context, build_features

FLOOR = 1e-6
TESTS = Path(__file__).parents[1] / "tests" / "features"


class Polars:
    """Rolling operations on polars expressions."""

    def column(self, name):
        return pl.col(name)

    def mean(self, x, w):
        return x.rolling_mean(w)

    def sum(self, x, w):
        return x.rolling_sum(w)

    def max(self, x, w):
        return x.rolling_max(w)

    def min(self, x, w):
        return x.rolling_min(w)

    def std(self, x, w):
        return x.rolling_std(w, ddof=0)

    def ewm(self, x, keep):
        return x.ewm_mean(alpha=1 - keep, adjust=True, ignore_nulls=True)

    def apply(self, x, name):
        return getattr(x, name)()

    def clip(self, x, low, high):
        return x.clip(low, high)


class Pandas:
    """The same on pandas series."""

    def __init__(self, frame):
        self.frame = frame

    def column(self, name):
        return self.frame[name]

    def mean(self, x, w):
        return x.rolling(w).mean()

    def sum(self, x, w):
        return x.rolling(w).sum()

    def max(self, x, w):
        return x.rolling(w).max()

    def min(self, x, w):
        return x.rolling(w).min()

    def std(self, x, w):
        return x.rolling(w).std(ddof=0)

    def ewm(self, x, keep):
        return x.ewm(alpha=1 - keep, adjust=True, ignore_na=True).mean()

    def apply(self, x, name):
        return getattr(np, name)(x)

    def clip(self, x, low, high):
        return x.clip(low, high)


class Later:
    """A pandas expression that is computed when asked, and again when asked again: nothing is shared."""

    def __init__(self, run):
        self.run = run

    def shift(self, w):
        return Later(lambda: self.run().shift(w))

    def __neg__(self):
        return Later(lambda: -self.run())


def _operator(name):
    def apply(self, other):
        return Later(lambda: getattr(self.run(), name)(other.run() if isinstance(other, Later) else other))

    return apply


for _name in ("add", "sub", "mul", "truediv", "mod", "radd", "rsub", "rmul", "rtruediv"):
    setattr(Later, f"__{_name}__", _operator(f"__{_name}__"))


class LaterPandas:
    """Pandas operations on `Later` expressions."""

    def __init__(self, frame):
        self.now = Pandas(frame)

    def column(self, name):
        return Later(lambda: self.now.column(name))

    def __getattr__(self, name):
        return lambda x, *rest: Later(lambda: getattr(self.now, name)(x.run(), *rest))


def price_formulas(o, c):
    """Features of a coin's own bars; `o` is a backend, `c` a function from column name to series."""
    p, close, quote, r = c("level"), c("close"), c("quote"), c("move")
    square, size, root = r * r, o.apply(r, "sign") * r, o.apply(c("quote"), "sqrt")

    def net(w):
        return p - p.shift(w)

    def ratio(a, b, limit=5.0):
        return o.clip(0.5 * o.apply((a + FLOOR**2) / (b + FLOOR**2), "log"), -limit, limit)

    def bound(x):
        return o.clip(x, -10.0, 10.0)

    sigma = o.apply(o.ewm(net(15) * net(15), 0.5 ** (1 / 1440)) / 15, "sqrt")
    variance = {w: o.mean(square, w) for w in (15, 60, 240, 1440, 4320)}
    walked = {w: o.sum(size, w) for w in (60, 240, 1440, 4320)}
    average = {w: o.ewm(p, 1 - 2 / (w + 1)) for w in (60, 240, 1440)}
    high = {w: o.max(c("high"), w) for w in (240, 1440, 4320)}
    low = {w: o.min(c("low"), w) for w in (240, 1440, 4320)}
    traded = {w: o.sum(quote, w) for w in (240, 4320)}
    values = {f"ret_{w}": bound(net(w) / (sigma * w**0.5)) for w in (5, 15, 60, 240, 1440, 4320)}
    values["sigma_day_bps"] = sigma * 1440**0.5 * 1e4
    for a, b in ((15, 240), (60, 1440), (240, 4320)):
        values[f"vol_ratio_{a}_{b}"] = ratio(variance[a], variance[b])
    fast, slow = (o.ewm(square, 0.5 ** (1 / w)) for w in (60, 1440))
    values["ewma_vol_ratio_60_1440"] = ratio(fast, slow)
    span = o.apply(c("high") / c("low"), "log")
    values["parkinson_ratio_1440"] = ratio(o.mean(span * span, 1440) / (4 * np.log(2)), variance[1440])
    values["downside_share_1440"] = o.mean(o.clip(r, -9, 0) * r, 1440) / variance[1440] - 0.5
    for w in (60, 240, 1440):
        values[f"efficiency_{w}"] = net(w) / walked[w]
        values[f"ema_distance_{w}"] = bound((p - average[w]) / (sigma * w**0.5))
    for w in (1440, 4320):
        mean = net(w) / w
        values[f"drift_t_{w}"] = bound(mean * w**0.5 / o.apply(variance[w] - mean * mean + FLOOR**2, "sqrt"))
    for a, b in ((60, 240), (240, 1440)):
        values[f"ema_cross_{a}_{b}"] = bound((average[a] - average[b]) / (sigma * b**0.5))
    for w in (240, 1440):
        values[f"zscore_{w}"] = bound((p - o.mean(p, w)) / o.std(p, w))
    for w in (240, 1440, 4320):
        values[f"range_position_{w}"] = (close - low[w]) / (high[w] - low[w]) - 0.5
    for w in (1440, 4320):
        values[f"max_distance_{w}"] = bound(o.apply(close / high[w], "log") / (sigma * w**0.5))
        values[f"min_distance_{w}"] = bound(o.apply(close / low[w], "log") / (sigma * w**0.5))
    for w in (60, 240):
        gain, loss = o.ewm(o.clip(r, 0, 9), 1 - 1 / w), o.ewm(o.clip(-r, 0, 9), 1 - 1 / w)
        values[f"rsi_{w}"] = (gain - loss) / (gain + loss)
        values[f"volume_z_{w}"] = bound((o.mean(root, w) - o.mean(root, 4320)) / o.std(root, 4320))
    values["signed_volume_240"] = o.sum(quote * o.apply(r, "sign"), 240) / traded[240]
    near, far = (o.apply((walked[w] / w + FLOOR) / (traded[w] / w), "log") for w in (240, 4320))
    values["amihud_240"] = o.clip(near - far, -5, 5)
    mean, spread = net(1440) / 1440, variance[1440] - (net(1440) / 1440) * (net(1440) / 1440)
    third, fourth = o.mean(square * r, 1440), o.mean(square * square, 1440)
    values["skew_1440"] = bound(
        (third - 3 * mean * variance[1440] + 2 * mean * mean * mean) / (spread * o.apply(spread, "sqrt"))
    )
    central = fourth - 4 * mean * third + 6 * mean * mean * variance[1440] - 3 * mean * mean * mean * mean
    values["kurtosis_1440"] = o.apply(1 + central / (spread * spread), "log")
    return values, sigma


def other_formulas(o, c, sigma):
    """Features against the market, of time, of taker flow and of funding."""
    p, m = c("level"), c("market")

    def net(x, w):
        return x - x.shift(w)

    def bound(x):
        return o.clip(x, -10.0, 10.0)

    keep = 0.5 ** (1 / 1440)
    variance = o.ewm(net(m, 15) * net(m, 15), keep)
    beta = o.clip(o.ewm(net(p, 15) * net(m, 15), keep) / variance, -5, 5)
    values = {"beta": beta}
    for w in (60, 240, 1440):
        values[f"relative_strength_{w}"] = bound((net(p, w) - net(m, w)) / (sigma * w**0.5))
    for w in (240, 1440):
        values[f"residual_{w}"] = bound((net(p, w) - beta * net(m, w)) / (sigma * w**0.5))
    for w in (60, 240):
        values[f"market_ret_{w}"] = bound(net(m, w) / (o.apply(variance / 15, "sqrt") * w**0.5))
    spread = c("dispersion")
    values["dispersion"] = o.clip(o.apply((spread + 1e-8) / (o.mean(spread, 4320) + 1e-8), "log"), -5, 5)
    for name, length in (("hour", DAY_MS), ("week", 7 * DAY_MS)):
        angle = (c("known") % length) * (2 * np.pi / length)
        values[f"{name}_sin"], values[f"{name}_cos"] = o.apply(angle, "sin"), o.apply(angle, "cos")
    taker, volume = c("taker"), c("volume")
    for w in (60, 240, 1440):
        values[f"taker_imbalance_{w}"] = 2 * o.sum(taker, w) / o.sum(volume, w) - 1
    keep = 0.5 ** (1 / 240)
    values["taker_imbalance_ewma"] = 2 * o.ewm(taker, keep) / o.ewm(volume, keep) - 1
    values["funding_last"] = c("rate") * 3e4
    values["funding_mean_4320"] = o.sum(c("settled"), 4320) * 1e4 / 3
    return values


def raw_columns(bars, context):
    """What a peer starts from: the bars joined with market and funding (not timed: ours is timed with its joins)."""
    frame = bars.frame.join(context.frame, on="open_time", how="left")
    funding = bars.funding.select((pl.col("funding_time") - MINUTE_MS).alias("open_time"), "rate")
    frame = frame.join(funding.rename({"rate": "settled"}), on="open_time", how="left")
    frame = frame.join_asof(funding, on="open_time")
    level = np.log(frame["close"].to_numpy() / frame["open"][0])
    return frame.select(
        "close", "high", "low", "volume", "dispersion", "rate",
        pl.Series("level", level),
        pl.Series("move", np.diff(level, prepend=0.0)),
        pl.col("quote_volume").alias("quote"),
        pl.col("taker_base").alias("taker"),
        pl.col("market_close").log().alias("market"),
        pl.col("settled").fill_null(0.0),
        (pl.col("open_time") + MINUTE_MS).alias("known"),
    )  # fmt: skip


def formulas(o):
    """All features but the regime, as the backend's expressions."""
    values, sigma = price_formulas(o, o.column)
    return values | other_formulas(o, o.column, sigma)


def peers(columns):
    """Name of a way to compute all features, and the function that does."""
    table = columns.to_pandas()
    alone = formulas(Polars())
    later = formulas(LaterPandas(table))
    return {
        "polars, alone": lambda: pl.DataFrame({n: columns.select(e).to_series() for n, e in alone.items()}),
        "polars, shared": lambda: columns.select(**formulas(Polars())),
        "pandas, alone": lambda: pd.DataFrame({name: value.run() for name, value in later.items()}),
        "pandas, shared": lambda: pd.DataFrame(formulas(Pandas(table))),
    }


def cpu(function, repeats=3):
    """Least CPU seconds of a few runs, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def load(name):
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(n):
    simulate, reference = load("conftest").simulate, load("reference")
    bars = simulate(n, seed=1)
    rank = ["BTC", "ETH", "SOL"]
    context = build_context({key: simulate(n, seed=2 + index) for index, key in enumerate(rank)}, rank)
    every = bars.frame["open_time"].to_numpy() + MINUTE_MS
    names = [name for name in ALL_NAMES if name != "regime"]
    ours, built = cpu(lambda: build_features(bars, context, every), repeats=5)
    hourly, _ = cpu(lambda: build_features(bars, context), repeats=5)
    mine = built.frame.select(names).to_numpy()
    rows = np.random.default_rng(0).choice(np.arange(4500, min(n, 40_000)), 3, replace=False)
    wanted = reference.features(bars, context, every[rows].tolist(), names)
    np.testing.assert_allclose(mine[rows], wanted, rtol=1e-9, atol=1e-9)
    print(f"{n} bars x {len(ALL_NAMES)} features, one core, CPU seconds, least of several runs")
    print(f"{'ours, every bar':16s} {ours:7.3f}   equal to the reference to 1e-9")
    print(f"{'ours, every hour':16s} {hourly:7.3f}")
    for label, run in peers(raw_columns(bars, context)).items():
        seconds, values = cpu(run, repeats=2)
        gap = np.nanmax(
            np.abs(values[names].to_numpy()[4500:] - mine[4500:]) / np.maximum(np.abs(mine[4500:]), 1e-3), axis=0
        )
        print(
            f"{label:16s} {seconds:7.3f}   {seconds / ours:5.1f} x every bar, {seconds / hourly:5.1f} x every hour; "
            f"worst gap {gap.max():.1e} ({names[int(gap.argmax())]})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 216_000)
