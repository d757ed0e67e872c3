"""Momentum reversal: the last hours' move is partly given back, the more so when it took little volume."""

from huracan.training.engines.spec import EngineSpec

MOMENTUM_REVERSAL = EngineSpec(
    name="momentum_reversal",
    version=1,
    estimator="ridge",
    idea="the last hours' move is partly given back",
    wants=(
        "ret_5",
        "ret_15",
        "ret_60",
        "ret_240",
        "ema_distance_60",
        "ema_cross_60_240",
        "volume_z_240",
        "amihud_240",
    ),
    required=("ret_60",),
)
