"""Funding: crowded longs pay for their leverage and are the first to leave; perpetuals only."""

from huracan.training.engines.spec import EngineSpec

FUNDING = EngineSpec(
    name="funding",
    version=1,
    estimator="ridge",
    idea="the side that pays funding is crowded",
    wants=(
        "funding_last",
        "funding_mean_4320",
        "ret_1440",
        "drift_t_4320",
        "relative_strength_1440",
        "vol_ratio_240_4320",
    ),
    required=("funding_last", "funding_mean_4320"),
)
