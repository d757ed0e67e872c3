"""The catalogue of features: the formula of each, its window, its unit, and from when on it is known.

A formula is written in the notation of `NOTATION` and is evaluated as it stands by a test, against the slow reference.
"""

from dataclasses import dataclass
from typing import Final

from huracan.features.names import SPECS, FeatureSpec, Need

NOTATION: Final[dict[str, str]] = {
    "w, a, b": "the windows in the feature's name, in minutes",
    "n(w)": "bars in a window of w minutes",
    "last(x, w)": "the last n(w) values of a series",
    "r, fall": "log return of each bar, and the same with rises set to 0",
    "net(w)": "log return over the last n(w) bars",
    "close, level": "last real close, and the series of its logarithms",
    "high(w), low(w)": "highest high and lowest low of the window",
    "span": "log(high / low) of each bar",
    "ewma(x, h)": "exponential mean with a half-life of h minutes, weights summing to 1",
    "sigma": "expected volatility of one bar: root of the ewma of squared 15-minute returns a bar, half-life a day, at least 1e-6",
    "ema(w)": "exponential mean of level with weight 1 - 2 / (n(w) + 1)",
    "gain(w), loss(w)": "Wilder's means of rises and of falls, with weight 1 - 1 / n(w)",
    "quote, root": "quote volume of each bar, and its square root, of real bars",
    "impact(w)": "log(mean(abs(last(r, w))) + 1e-6) less the log of the mean quote volume of real bars",
    "moment(x, k)": "mean of (x - mean(x)) ** k over var(x) ** (k / 2)",
    "step, market_step": "overlapping log returns over 15 minutes, of the coin and of the market",
    "market(w), market_sigma": "the market's log return over the window, and its sigma",
    "beta": "the feature of that name",
    "coin_spread": "standard deviation over all coins of the returns of the last whole hour",
    "taken, volume": "base volume that takers bought, and all base volume, of each bar",
    "rate, hours": "settled funding as a fraction, and the hours between settlements",
    "minute_of_day, minute_of_week": "of the decision, UTC; the week begins on Thursday, as Unix time does",
    "clip(x, c)": "x, and never beyond -c or c",
}
"""What the words of a formula stand for. The market is BTC where it is a member, else an index of the 20 most
liquid.
"""

KNOWN: Final[dict[Need, str]] = {
    "bars": "last bar",
    "market": "last bar, both",
    "taker": "last bar",
    "funding": "last settlement",
}
KNOWN_REGIME: Final = "last hour"

MOMENTS: Final[dict[str, str]] = {
    "last bar": "the close of the last bar at or before the decision",
    "last bar, both": "the same, of the coin and of the market; the spread of coins at the last whole hour",
    "last settlement": "the last settlement at or before the decision; after three days without any it is missing",
    "last hour": "the last whole hour at or before the decision",
}
"""What the moments of `CatalogueEntry.known` mean."""

_VOLATILITIES: Final = "expected volatilities"
_SHARE: Final = "share, -1 to 1"
_LOG: Final = "log ratio, -5 to 5"

FORMULAS: Final[dict[str, tuple[str, str]]] = {
    "ret": ("clip(net(w) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "sigma_day_bps": ("1e4 * sigma * sqrt(n(1440))", "bps a day"),
    "vol_ratio": ("clip(0.5 * log((mean(last(r**2, a)) + 1e-12) / (mean(last(r**2, b)) + 1e-12)), 5)", _LOG),
    "ewma_vol_ratio": ("clip(0.5 * log((ewma(r**2, a) + 1e-12) / (ewma(r**2, b) + 1e-12)), 5)", _LOG),
    "parkinson_ratio": (
        "clip(0.5 * log((mean(last(span**2, w)) / (4 * log(2)) + 1e-12) / (mean(last(r**2, w)) + 1e-12)), 5)",
        _LOG,
    ),
    "downside_share": ("sum(last(fall**2, w)) / sum(last(r**2, w)) - 0.5", "share, -0.5 to 0.5"),
    "efficiency": ("net(w) / sum(abs(last(r, w)))", _SHARE),
    "drift_t": ("clip(mean(last(r, w)) * sqrt(n(w)) / sqrt(var(last(r, w)) + 1e-12), 10)", "t statistic"),
    "ema_distance": ("clip((log(close) - ema(w)) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "ema_cross": ("clip((ema(a) - ema(b)) / (sigma * sqrt(n(b))), 10)", _VOLATILITIES),
    "zscore": (
        "clip((log(close) - mean(last(level, w))) / max(sqrt(var(last(level, w))), 1e-6), 10)",
        "standard deviations",
    ),
    "range_position": ("(close - low(w)) / (high(w) - low(w)) - 0.5", "share, -0.5 to 0.5"),
    "max_distance": ("clip(log(close / high(w)) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "min_distance": ("clip(log(close / low(w)) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "rsi": ("(gain(w) - loss(w)) / (gain(w) + loss(w))", _SHARE),
    "volume_z": (
        "clip((mean(last(root, w)) - mean(last(root, 4320))) / sqrt(var(last(root, 4320))), 10)",
        "standard deviations",
    ),
    "signed_volume": ("sum(last(quote * sign(r), w)) / sum(last(quote, w))", _SHARE),
    "amihud": ("clip(impact(w) - impact(4320), 5)", _LOG),
    "skew": ("clip(moment(last(r, w), 3), 10)", "skewness"),
    "kurtosis": ("log(1 + moment(last(r, w), 4))", "log of 1 + kurtosis"),
    "relative_strength": ("clip((net(w) - market(w)) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "beta": ("clip(ewma(step * market_step, 1440) / ewma(market_step**2, 1440), 5)", "ratio, -5 to 5"),
    "residual": ("clip((net(w) - beta * market(w)) / (sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "market_ret": ("clip(market(w) / (market_sigma * sqrt(n(w))), 10)", _VOLATILITIES),
    "dispersion": ("clip(log((coin_spread[-1] + 1e-8) / (mean(last(coin_spread, 4320)) + 1e-8)), 5)", _LOG),
    "hour_sin": ("sin(2 * pi * minute_of_day / 1440)", "-1 to 1"),
    "hour_cos": ("cos(2 * pi * minute_of_day / 1440)", "-1 to 1"),
    "week_sin": ("sin(2 * pi * minute_of_week / 10080)", "-1 to 1"),
    "week_cos": ("cos(2 * pi * minute_of_week / 10080)", "-1 to 1"),
    "taker_imbalance": ("2 * sum(last(taken, w)) / sum(last(volume, w)) - 1", _SHARE),
    "taker_imbalance_ewma": ("2 * ewma(taken, 240) / ewma(volume, 240) - 1", _SHARE),
    "funding_last": ("clip(1e4 * rate[-1] * 24 / hours[-1], 300)", "bps a day"),
    "funding_mean": ("clip(1e4 * sum(rate) / (w / 1440), 300)", "bps a day"),
    "regime": ("", "code"),
}
"""Formula and unit by the name without its windows; the regime has thresholds instead of a formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One feature as the catalogue prints it; `formula` is empty for the regime, which has thresholds."""

    name: str
    meaning: str
    formula: str
    window_minutes: tuple[int, ...]
    unit: str
    known: str


def catalogue() -> tuple[CatalogueEntry, ...]:
    """All features of the recipe, in its order.

    >>> catalogue()[0].name, catalogue()[0].unit
    ('ret_5', 'expected volatilities')
    """
    return tuple(_entry(spec) for spec in SPECS)


def stem(name: str) -> str:
    """The name without its windows.

    >>> stem("vol_ratio_60_1440")
    'vol_ratio'
    """
    return "_".join(part for part in name.split("_") if not part.isdigit())


def windows(name: str) -> tuple[int, ...]:
    """The windows in a name, in minutes.

    >>> windows("vol_ratio_60_1440")
    (60, 1440)
    """
    return tuple(int(part) for part in name.split("_") if part.isdigit())


def _entry(spec: FeatureSpec) -> CatalogueEntry:
    formula, unit = FORMULAS[stem(spec.name)]
    known = KNOWN_REGIME if spec.name == "regime" else KNOWN[spec.need]
    return CatalogueEntry(
        name=spec.name,
        meaning=spec.meaning,
        formula=formula,
        window_minutes=tuple(dict.fromkeys((spec.shortest, spec.longest))),
        unit=unit,
        known=known,
    )
