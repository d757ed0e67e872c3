"""Every feature of recipe `core` from its definition, one at a time, slowly, from bars that closed before the decision.

Nothing is shared with the implementation but names and constants: windows are slices, averages are weighted sums.
"""

import numpy as np

from huracan.domain.frames import HALT, REPAIRED
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.features.names import ALL_NAMES, REGIME_THRESHOLDS, SPECS
from huracan.regimes.classify import RegimeInputs, classify_hours

FLOOR = 1e-6
NEED = {spec.name: spec for spec in SPECS}


class Past:
    """What is known at a decision: the bars of its segment that closed by then, cleaned of what never happened."""

    def __init__(self, bars, context, time):
        frame = bars.frame.filter(bars.frame["open_time"] + bars.interval_ms <= time)
        frame = frame.filter(frame["segment"] == frame["segment"][-1])
        self.time, self.minutes, self.bars = time, bars.interval_ms // MINUTE_MS, bars
        raw = {name: frame[name].to_numpy() for name in frame.columns}
        self.open_time = raw["open_time"]
        self.real = (raw["flags"] & (REPAIRED | HALT)) == 0
        close, top, bottom = raw["close"].copy(), raw["high"].copy(), raw["low"].copy()
        first = raw["open"][0] if self.real[0] else raw["close"][0]
        for i in np.flatnonzero(~self.real):
            close[i] = close[i - 1] if i else raw["close"][0]
            top[i] = bottom[i] = close[i]
        self.close, self.top, self.bottom = close, top, bottom
        self.prices = np.append(first, close)  # one longer: the price before the first bar
        self.r = np.log(self.prices[1:] / self.prices[:-1])
        quote = raw["quote_volume"]
        self.quote = np.where(np.isnan(quote), raw["close"] * raw["volume"], quote)
        taken = raw["taker_base"]
        self.taken_known = self.real & ~np.isnan(taken)
        self.taken, self.volume = np.where(self.taken_known, taken, 0.0), np.where(self.taken_known, raw["volume"], 0.0)
        if context is not None:
            self.market = as_of(
                context, "market_close", np.append(self.open_time[0] - bars.interval_ms, self.open_time)
            )
            self.dispersion = as_of(context, "dispersion", self.open_time)

    def w(self, minutes):
        return max(1, minutes // self.minutes)

    def net(self, minutes, prices=None):
        prices = self.prices if prices is None else prices
        return np.log(prices[-1] / prices[-1 - self.w(minutes)])

    def tail(self, values, minutes):
        return values[-self.w(minutes) :]

    def steps(self, prices):
        """Overlapping returns over 15 minutes (one bar, where bars are longer)."""
        step = self.w(15)
        return np.log(prices[step:] / prices[:-step])

    @property
    def sigma(self):
        square = self.steps(self.prices) ** 2 / self.w(15)
        return np.sqrt(max(decayed(square, half_life(1440, self.minutes)), FLOOR**2))


def as_of(context, column, times):
    known = context.frame["open_time"].to_numpy()
    values = context.frame[column].to_numpy()
    index = np.searchsorted(known, times, side="right") - 1
    fresh = (index >= 0) & (times - known[np.maximum(index, 0)] <= HOUR_MS)
    return np.where(fresh, values[np.maximum(index, 0)], np.nan)


def half_life(minutes, bar_minutes):
    return 0.5 ** (1 / max(1, minutes / bar_minutes))


def decayed(values, keep):
    values = values[~np.isnan(values)]
    weights = keep ** np.arange(values.size - 1, -1, -1.0)
    return np.sum(weights * values) / np.sum(weights)


def bound(value, limit=10.0):
    return float(np.clip(value, -limit, limit))


def log_vol_ratio(a, b):
    return bound(0.5 * np.log((a + FLOOR**2) / (b + FLOOR**2)), 5)


def ret(p, w):
    return bound(p.net(w) / (p.sigma * np.sqrt(p.w(w))))


def sigma_day_bps(p):
    return p.sigma * np.sqrt(1440 / p.minutes) * 1e4


def vol_ratio(p, a, b):
    return log_vol_ratio(np.mean(p.tail(p.r, a) ** 2), np.mean(p.tail(p.r, b) ** 2))


def ewma_vol_ratio(p, a, b):
    return log_vol_ratio(*(decayed(p.r**2, half_life(m, p.minutes)) for m in (a, b)))


def parkinson_ratio(p, w):
    span = np.where(p.real, np.log(p.top / p.bottom), 0.0)
    return log_vol_ratio(np.mean(p.tail(span, w) ** 2) / (4 * np.log(2)), np.mean(p.tail(p.r, w) ** 2))


def downside_share(p, w):
    r = p.tail(p.r, w)
    return np.sum(r[r < 0] ** 2) / np.sum(r**2) - 0.5 if np.any(r) else 0.0


def efficiency(p, w):
    r = p.tail(p.r, w)
    return p.net(w) / np.sum(np.abs(r)) if np.any(r) else 0.0


def drift_t(p, w):
    r = p.tail(p.r, w)
    return bound(np.mean(r) * np.sqrt(r.size) / np.sqrt(np.var(r) + FLOOR**2))


def ema(p, w):
    return decayed(np.log(p.close / p.prices[0]), 1 - 2 / (p.w(w) + 1))


def ema_distance(p, w):
    return bound((np.log(p.close[-1] / p.prices[0]) - ema(p, w)) / (p.sigma * np.sqrt(p.w(w))))


def ema_cross(p, a, b):
    return bound((ema(p, a) - ema(p, b)) / (p.sigma * np.sqrt(p.w(b))))


def zscore(p, w):
    level = p.tail(np.log(p.close), w)
    return bound((level[-1] - level.mean()) / max(level.std(), FLOOR))


def range_position(p, w):
    high, low = p.tail(p.top, w).max(), p.tail(p.bottom, w).min()
    return (p.close[-1] - low) / (high - low) - 0.5 if high > low else 0.0


def max_distance(p, w):
    return bound(np.log(p.close[-1] / p.tail(p.top, w).max()) / (p.sigma * np.sqrt(p.w(w))))


def min_distance(p, w):
    return bound(np.log(p.close[-1] / p.tail(p.bottom, w).min()) / (p.sigma * np.sqrt(p.w(w))))


def rsi(p, w):
    gain, loss = (decayed(np.maximum(sign * p.r, 0), 1 - 1 / p.w(w)) for sign in (1, -1))
    return (gain - loss) / (gain + loss) if gain + loss else 0.0


def volume_z(p, w):
    root = np.where(p.real, np.sqrt(p.quote), np.nan)
    near, far = p.tail(root, w), p.tail(root, 4320)
    near, far = near[~np.isnan(near)], far[~np.isnan(far)]
    if not near.size or not far.size or np.var(far) <= 1e-12 * np.mean(far**2):
        return 0.0
    return bound((near.mean() - far.mean()) / far.std())


def signed_volume(p, w):
    quote = p.tail(np.where(p.real, p.quote, 0.0), w)
    return np.sum(quote * np.sign(p.tail(p.r, w))) / np.sum(quote) if np.any(quote) else 0.0


def impact(p, w):
    real, quote = p.tail(p.real, w), p.tail(p.quote, w)
    traded = np.sum(quote[real])
    return np.log(np.mean(np.abs(p.tail(p.r, w))) + FLOOR) - np.log(traded / real.sum()) if traded else np.inf


def amihud(p, w):
    return bound(impact(p, w) - impact(p, 4320), 5) if np.isfinite(impact(p, w)) else 0.0


def standard_moment(p, w, power):
    r = p.tail(p.r, w)
    gap = r - r.mean()
    return np.mean(gap**power) / np.mean(gap**2) ** (power / 2) if np.var(r) > FLOOR**2 else None


def skew(p, w):
    moment = standard_moment(p, w, 3)
    return 0.0 if moment is None else bound(moment)


def kurtosis(p, w):
    moment = standard_moment(p, w, 4)
    return np.log(4) if moment is None else np.log1p(moment)


def relative_strength(p, w):
    return bound((p.net(w) - p.net(w, p.market)) / (p.sigma * np.sqrt(p.w(w))))


def market_variance(p):
    return max(decayed(p.steps(p.market) ** 2, half_life(1440, p.minutes)), FLOOR**2 * p.w(15))


def beta(p):
    both = decayed(p.steps(p.prices) * p.steps(p.market), half_life(1440, p.minutes))
    return bound(both / market_variance(p), 5)


def residual(p, w):
    return bound((p.net(w) - beta(p) * p.net(w, p.market)) / (p.sigma * np.sqrt(p.w(w))))


def market_ret(p, w):
    return bound(p.net(w, p.market) / (np.sqrt(market_variance(p) / p.w(15)) * np.sqrt(p.w(w))))


def dispersion(p):
    window = p.tail(p.dispersion, 4320)
    known = window[~np.isnan(window)]
    if 2 * known.size < p.w(4320):
        return np.nan
    return bound(np.log((p.dispersion[-1] + 1e-8) / (known.mean() + 1e-8)), 5)


def cycle(p, length, wave):
    return wave(2 * np.pi * (p.time % length) / length)


def imbalance(bought, traded):
    return 2 * bought / traded - 1 if traded else 0.0


def taker_imbalance(p, w):
    return imbalance(np.sum(p.tail(p.taken, w)), np.sum(p.tail(p.volume, w)))


def taker_imbalance_ewma(p):
    keep = half_life(240, p.minutes)
    return imbalance(decayed(p.taken, keep), decayed(p.volume, keep))


def funding(p):
    rows = p.bars.funding.filter(p.bars.funding["funding_time"] <= p.time)
    return rows.filter(rows["funding_time"] > p.time - 3 * DAY_MS)


def funding_last(p):
    rows = funding(p)
    return bound(rows["rate"][-1] * 1e4 * 24 / (rows["interval_hours"][-1] or 8.0), 300) if rows.height else np.nan


def funding_mean(p, w):
    rows = funding(p)
    return bound(rows["rate"].sum() * 1e4 / (w / 1440), 300) if rows.height else np.nan


def regimes(bars):
    """Regime code by whole hour, from what each hour knew."""
    closes = bars.frame["open_time"].to_numpy() + bars.interval_ms
    hours = np.unique(-(-closes // HOUR_MS) * HOUR_MS)
    seen, segment = [Past(bars, None, hour) for hour in hours], []
    rows = []
    for past in seen:
        segment.append(past.open_time[0])
        if past.r.size < past.w(1440):
            rows.append((np.nan,) * 5)
            continue
        slump = np.log(past.close[-1] / past.tail(past.top, 1440).max()) / (past.sigma * np.sqrt(past.w(1440)))
        wild = decayed(past.r**2, half_life(60, past.minutes))
        rows.append((impact(past, 240), wild, slump, abs(efficiency(past, 1440)), abs(drift_t(past, 1440))))
    table = np.array(rows).T
    fresh = np.append(True, np.diff(segment) != 0)
    inputs = RegimeInputs(
        illiquidity=table[0], volatility=table[1], drawdown=table[2], efficiency=table[3], drift_t=table[4], fresh=fresh
    )
    return dict(zip(hours.tolist(), classify_hours(inputs, REGIME_THRESHOLDS).tolist(), strict=True))


SPECIAL = {
    "hour_sin": lambda p: cycle(p, DAY_MS, np.sin),
    "hour_cos": lambda p: cycle(p, DAY_MS, np.cos),
    "week_sin": lambda p: cycle(p, 7 * DAY_MS, np.sin),
    "week_cos": lambda p: cycle(p, 7 * DAY_MS, np.cos),
    "taker_imbalance_ewma": taker_imbalance_ewma,
    "funding_mean_4320": lambda p: funding_mean(p, 4320),
}


def feature(name, past):
    """One feature at one decision; NaN while its window is not full."""
    if past.r.size < past.w(NEED[name].longest):
        return np.nan
    if name in SPECIAL:
        return SPECIAL[name](past)
    words = name.split("_")
    windows = [int(word) for word in words if word.isdigit()]
    stem = "_".join(word for word in words if not word.isdigit())
    return globals()[stem](past, *windows)


def features(bars, context, times, names=ALL_NAMES):
    """Table of values, shape (len(times), len(names))."""
    codes = regimes(bars) if "regime" in names else {}
    out = np.full((len(times), len(names)), np.nan)
    for row, time in enumerate(times):
        past = Past(bars, context, int(time))
        for column, name in enumerate(names):
            if name == "regime":
                code = codes[time // HOUR_MS * HOUR_MS]
                out[row, column] = code if code >= 0 else np.nan
            else:
                out[row, column] = feature(name, past)
    return out
