"""Step 5: purged walk-forward training of engines, shrunk to their pool, calibrated on closed labels."""

from huracan.training.design import Design, prepare
from huracan.training.engines import ENGINES, EngineSpec, all_engines
from huracan.training.exportable import linear_parts
from huracan.training.fit import fit_pair
from huracan.training.folds import Folds, walk_forward
from huracan.training.gram import PairGrams, pair_grams
from huracan.training.injected import fit_injected
from huracan.training.least_squares import least_squares_trainer
from huracan.training.lightgbm_arrays import to_arrays as booster_arrays
from huracan.training.prior import PoolPrior, pool_prior
from huracan.training.protocols import (
    BAR_COLUMNS,
    TIME_COLUMNS,
    DataLoader,
    FeatureBuilder,
    FitJob,
    FitPlace,
    FitResult,
    ForestLike,
    LinearLike,
    ModelTrainer,
    Validator,
    check_callable,
    right_one,
)
from huracan.training.recipes import built_in_recipes
from huracan.training.refusal import TrainingRefused
from huracan.training.user_code import UserCallable, UserFault, place_of, user_fault

__all__ = [
    "BAR_COLUMNS",
    "ENGINES",
    "TIME_COLUMNS",
    "DataLoader",
    "Design",
    "EngineSpec",
    "FeatureBuilder",
    "FitJob",
    "FitPlace",
    "FitResult",
    "Folds",
    "ForestLike",
    "LinearLike",
    "ModelTrainer",
    "PairGrams",
    "PoolPrior",
    "TrainingRefused",
    "UserCallable",
    "UserFault",
    "Validator",
    "all_engines",
    "booster_arrays",
    "built_in_recipes",
    "check_callable",
    "fit_injected",
    "fit_pair",
    "least_squares_trainer",
    "linear_parts",
    "pair_grams",
    "place_of",
    "pool_prior",
    "prepare",
    "right_one",
    "user_fault",
    "walk_forward",
]
