"""Leader: a coin's moves against the market, and the market's moves it has not yet followed."""

from huracan.training.engines.spec import EngineSpec

LEADER = EngineSpec(
    name="leader",
    version=1,
    estimator="ridge",
    idea="strength against the market persists, and laggards follow",
    wants=(
        "relative_strength_60",
        "relative_strength_240",
        "relative_strength_1440",
        "residual_240",
        "residual_1440",
        "beta",
        "market_ret_60",
        "market_ret_240",
    ),
    required=("relative_strength_240",),
)
