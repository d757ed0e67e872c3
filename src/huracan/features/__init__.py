"""Step 3: the sixty causal features of recipe `core`, the market context, and the canary that finds leaks."""

from huracan.features.build import build_features
from huracan.features.canary import leak_canary
from huracan.features.context import build_context
from huracan.features.days import DailyPrices, daily_prices
from huracan.features.liquidity import DailyVolume, daily_volume
from huracan.features.names import ALL_NAMES, RECIPE_ID, SPECS, FeatureSpec

__all__ = [
    "ALL_NAMES",
    "RECIPE_ID",
    "SPECS",
    "DailyPrices",
    "DailyVolume",
    "FeatureSpec",
    "build_context",
    "build_features",
    "daily_prices",
    "daily_volume",
    "leak_canary",
]
