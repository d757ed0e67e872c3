"""Trend: what has drifted for a day or three drifts on (Moskowitz, Ooi and Pedersen 2012)."""

from huracan.training.engines.spec import EngineSpec

TREND = EngineSpec(
    name="trend",
    version=1,
    estimator="ridge",
    idea="a drift of one to three days goes on",
    wants=(
        "ret_1440",
        "ret_4320",
        "drift_t_1440",
        "drift_t_4320",
        "efficiency_1440",
        "ema_distance_1440",
        "ema_cross_240_1440",
        "vol_ratio_240_4320",
    ),
    required=("drift_t_1440",),
)
