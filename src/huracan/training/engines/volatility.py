"""Volatility: the shape of recent volatility and of the return distribution says which way risk is paid."""

from huracan.training.engines.spec import EngineSpec

VOLATILITY = EngineSpec(
    name="volatility",
    version=1,
    estimator="ridge",
    idea="the shape of volatility and of returns is priced slowly",
    wants=(
        "vol_ratio_15_240",
        "vol_ratio_60_1440",
        "ewma_vol_ratio_60_1440",
        "parkinson_ratio_1440",
        "downside_share_1440",
        "skew_1440",
        "kurtosis_1440",
        "sigma_day_bps",
    ),
    required=("sigma_day_bps",),
)
