"""Step 5: purged walk-forward training of engines, shrunk to their pool, calibrated on closed labels."""

from huracan.training.design import Design, prepare
from huracan.training.engines import ENGINES, EngineSpec, all_engines
from huracan.training.fit import fit_pair
from huracan.training.folds import Folds, walk_forward
from huracan.training.gram import PairGrams, pair_grams
from huracan.training.injected import fit_injected
from huracan.training.least_squares import least_squares_trainer
from huracan.training.lightgbm_arrays import to_arrays as booster_arrays
from huracan.training.prior import PoolPrior, pool_prior
from huracan.training.recipes import built_in_recipes
from huracan.training.refusal import TrainingRefused
from huracan.training.user_code import UserCallable, UserFault, place_of, user_fault

__all__ = [
    "ENGINES",
    "Design",
    "EngineSpec",
    "Folds",
    "PairGrams",
    "PoolPrior",
    "TrainingRefused",
    "UserCallable",
    "UserFault",
    "all_engines",
    "booster_arrays",
    "built_in_recipes",
    "fit_injected",
    "fit_pair",
    "least_squares_trainer",
    "pair_grams",
    "place_of",
    "pool_prior",
    "prepare",
    "user_fault",
    "walk_forward",
]
