"""Step 3: the sixty causal features of recipe `core`, the market context, and the canary that finds leaks."""

from huracan.features.names import ALL_NAMES, RECIPE_ID, SPECS, FeatureSpec

__all__ = ["ALL_NAMES", "RECIPE_ID", "SPECS", "FeatureSpec"]
