"""Range: a price stretched away from its mean comes back."""

from huracan.training.engines.spec import EngineSpec

RANGE = EngineSpec(
    name="range",
    version=1,
    estimator="ridge",
    idea="a stretched price returns to its mean",
    wants=(
        "zscore_240",
        "zscore_1440",
        "range_position_240",
        "range_position_1440",
        "rsi_60",
        "rsi_240",
        "ema_distance_240",
        "efficiency_240",
    ),
    required=("zscore_1440",),
)
