"""The sixty features of recipe `core`: their names, what each needs, and the recipe's identity.

A name ends in the minutes it looks back, ``ret_240``; two numbers are a short and a long window. What a
feature says stands in its `meaning`; the formulas are in `formulas` and, one at a time, in the tests' reference.
"""

from dataclasses import asdict, dataclass
from typing import Final, Literal

from huracan.domain.ids import content_hash
from huracan.regimes.thresholds import RegimeThresholds

Need = Literal["bars", "market", "taker", "funding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """One feature: the data it needs, the shortest and longest window in minutes, and what it says.

    `least_bars` is how many bars the shortest window must hold for the formula to mean anything: on coarser
    bars the feature is absent.
    """

    name: str
    meaning: str
    need: Need = "bars"
    shortest: int = 1440
    longest: int = 1440
    least_bars: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureConstants:
    """Constants of the recipe; minutes unless said otherwise."""

    version: int = 1
    warm_up: int = 4320
    volatility_half_life: int = 1440
    fast_half_life: int = 60
    taker_half_life: int = 240
    volatility_step: int = 15  # returns this long, overlapping: the bid-ask bounce of one minute is no volatility
    volatility_floor: float = 1e-6  # per bar, as a fraction: a coin that does not move still has finite features
    score_limit: float = 10.0  # normalised values are clipped here
    log_ratio_limit: float = 5.0
    beta_limit: float = 5.0
    funding_limit_bps: float = 300.0  # a day


def _spec(name: str, meaning: str, *windows: int, need: Need = "bars", least_bars: int = 1) -> FeatureSpec:
    return FeatureSpec(
        name=name, meaning=meaning, need=need, shortest=min(windows), longest=max(windows), least_bars=least_bars
    )


def _family(
    stem: str, meaning: str, *windows: int, need: Need = "bars", least_bars: int = 1
) -> tuple[FeatureSpec, ...]:
    return tuple(_spec(f"{stem}_{w}", meaning, w, need=need, least_bars=least_bars) for w in windows)


SPECS: Final[tuple[FeatureSpec, ...]] = (
    *_family("ret", "log return over expected volatility", 5, 15, 60, 240, 1440, 4320),
    _spec("sigma_day_bps", "ex-ante daily volatility, EWMA of 15-minute returns, bps", 1440),
    _spec("vol_ratio_15_240", "log of short over long realised volatility", 15, 240, least_bars=4),
    _spec("vol_ratio_60_1440", "log of short over long realised volatility", 60, 1440, least_bars=4),
    _spec("vol_ratio_240_4320", "log of short over long realised volatility", 240, 4320, least_bars=4),
    _spec("ewma_vol_ratio_60_1440", "log of fast over slow EWMA volatility", 60, 1440),
    _spec("parkinson_ratio_1440", "log of high-low over close-to-close volatility", 1440, least_bars=4),
    _spec("downside_share_1440", "share of squared returns that fell, less one half", 1440, least_bars=4),
    *_family("efficiency", "net move over path length, signed", 60, 240, 1440, least_bars=4),
    *_family("drift_t", "t statistic of the mean return, signed", 1440, 4320, least_bars=4),
    *_family("ema_distance", "price above its EMA over expected volatility", 60, 240, 1440, least_bars=4),
    _spec("ema_cross_60_240", "fast EMA above slow EMA over expected volatility", 60, 240, least_bars=4),
    _spec("ema_cross_240_1440", "fast EMA above slow EMA over expected volatility", 240, 1440, least_bars=4),
    *_family("zscore", "price above its mean in its own standard deviations", 240, 1440, least_bars=4),
    *_family("range_position", "place in the high-low range, -0.5 to 0.5", 240, 1440, 4320, least_bars=4),
    *_family("max_distance", "log distance below the high over expected volatility, <= 0", 1440, 4320),
    *_family("min_distance", "log distance above the low over expected volatility, >= 0", 1440, 4320),
    *_family("rsi", "Wilder's relative strength index, -1 to 1", 60, 240, least_bars=4),
    _spec("volume_z_60", "mean root quote volume against three days", 60, 4320),
    _spec("volume_z_240", "mean root quote volume against three days", 240, 4320),
    _spec("signed_volume_240", "quote volume of rising less falling bars, -1 to 1", 240, least_bars=4),
    _spec("amihud_240", "log of price impact per quote volume against three days", 240, 4320, least_bars=4),
    _spec("skew_1440", "skewness of returns, clipped", 1440, least_bars=4),
    _spec("kurtosis_1440", "log of one plus the fourth standardised moment of returns", 1440, least_bars=4),
    *_family("relative_strength", "return less the market's over expected volatility", 60, 240, 1440, need="market"),
    _spec("beta", "EWMA beta of 15-minute returns to the market, clipped", 1440, need="market"),
    _spec("residual_240", "return less beta times the market's over expected volatility", 240, 1440, need="market"),
    _spec("residual_1440", "return less beta times the market's over expected volatility", 1440, need="market"),
    *_family("market_ret", "the market's log return over its own volatility", 60, 240, need="market"),
    _spec("dispersion", "log of cross-sectional dispersion against three days", 60, 4320, need="market"),
    _spec("hour_sin", "time of day", 1440),
    _spec("hour_cos", "time of day", 1440),
    _spec("week_sin", "time of week", 1440),
    _spec("week_cos", "time of week", 1440),
    *_family("taker_imbalance", "taker buys less sells over volume, -1 to 1", 60, 240, 1440, need="taker"),
    _spec("taker_imbalance_ewma", "the same with a half-life of four hours", 240, need="taker"),
    _spec("funding_last", "last settled funding, bps a day", 480, need="funding"),
    _spec("funding_mean_4320", "funding of three days, bps a day", 4320, need="funding"),
    _spec("regime", "regime code, see huracan.regimes", 1440, least_bars=4),
)

ALL_NAMES: Final[tuple[str, ...]] = tuple(spec.name for spec in SPECS)

CONSTANTS: Final = FeatureConstants()
REGIME_THRESHOLDS: Final = RegimeThresholds()

RECIPE_ID: Final = (
    f"core-{content_hash(asdict(CONSTANTS), asdict(REGIME_THRESHOLDS), [asdict(spec) for spec in SPECS])[:12]}"
)
"""Changes with the recipe's version, constants, windows or names; goes into recipes and bundles."""
