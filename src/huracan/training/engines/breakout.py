"""Breakout: a new extreme on volume pulls further orders behind it."""

from huracan.training.engines.spec import EngineSpec

BREAKOUT = EngineSpec(
    name="breakout",
    version=1,
    estimator="ridge",
    idea="a new extreme on volume goes further",
    wants=(
        "max_distance_1440",
        "max_distance_4320",
        "min_distance_1440",
        "min_distance_4320",
        "range_position_4320",
        "volume_z_60",
        "vol_ratio_60_1440",
        "signed_volume_240",
    ),
    required=("max_distance_4320", "min_distance_4320"),
)
