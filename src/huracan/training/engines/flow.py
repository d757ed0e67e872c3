"""Flow: takers in a hurry move the price over the next hours; abstains where nobody says who took."""

from huracan.training.engines.spec import EngineSpec

FLOW = EngineSpec(
    name="flow",
    version=1,
    estimator="ridge",
    idea="aggressive buying or selling goes on for hours",
    wants=(
        "taker_imbalance_60",
        "taker_imbalance_240",
        "taker_imbalance_1440",
        "taker_imbalance_ewma",
        "signed_volume_240",
        "volume_z_60",
    ),
    required=("taker_imbalance_240",),
)
