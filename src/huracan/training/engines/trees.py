"""Trees: boosted trees over every feature, pooled over regimes, for what is not linear (Ke et al. 2017).

Deliberately small and heavily regularised: with a signal of a few percent of the noise, capacity is spent on noise
first. `leaf_share` is the smallest leaf as a share of the rows, never below `leaf_rows`.
"""

from huracan.training.engines.spec import EngineSpec

TREES = EngineSpec(
    name="trees",
    version=1,
    estimator="lightgbm",
    idea="interactions and thresholds over all features",
    parameters=(
        ("bagging_share", 0.7),
        ("feature_share", 0.5),
        ("lambda_l2", 50.0),
        ("leaf_rows", 60.0),
        ("leaf_share", 0.03),
        ("learning_rate", 0.03),
        ("leaves", 15.0),
        ("trees", 80.0),
    ),
)
