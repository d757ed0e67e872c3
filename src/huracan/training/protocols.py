"""What a user-supplied data source, features, model and validator are given, and what they must return.

Each callable may be sync or async. What it returns is checked for form; a wrong one is a skip of that pair with its
reason, and what raises for every pair that reached it ends the night with USER_CODE and the line at fault.
"""

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any, Final, NotRequired, Protocol, TypedDict, runtime_checkable

import polars as pl

from huracan.domain.arrays import F64, I64
from huracan.errors import ConfigError
from huracan.training.user_code import UserCallable

TIME_COLUMNS: Final = ("decision_time", "open_time", "timestamp", "time", "datetime", "date")
"""Names of a time column, the first that is there counts: datetimes (UTC where they have no zone), or whole s, ms, us
or ns.
"""
BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")
"""Number columns that bars must have beside a time column; prices in quote currency, volume in the base asset."""


class PandasLike(Protocol):
    """A pandas frame, as far as it is read; its time may be a column or a DatetimeIndex."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""
        ...

    @property
    def index(self) -> Any:
        """The index."""
        ...


Table = pl.DataFrame | Mapping[str, object] | PandasLike
"""Columns of equal length: a polars frame, a pandas frame, or a dict of one-dimensional arrays or lists."""


class DataLoader(Protocol):
    """Your own data source: bars of one pair, one row a bar, of the interval `training.base_interval`.

    Called once a pair with the coin's name (such as ``BTC``) and `lookback_days`; more days than asked for are welcome.
    Returns a `Table` with one of `TIME_COLUMNS`, the start of each bar, and `BAR_COLUMNS`. Columns quote_volume,
    trades, taker_base and taker_quote are read where they are there; features that need an absent one are left out.
    Order does not matter, other columns are ignored, and gaps stay gaps. The newest bar must be closed and younger than
    `training.stale_after_minutes`. Rows without finite prices above 0 are dropped and counted. Whatever it raises is
    logged with your file and line.
    """

    def __call__(self, coin: str, lookback_days: int, /) -> Table | Awaitable[Table]:
        """The bars of `coin`."""
        ...


class FeatureBuilder(Protocol):
    """Your own features: 1 to 2,000 columns of numbers for each bar of one pair.

    Called once a pair with the coin's name and the data: what your loader returned, else a polars frame of validated
    bars (`BAR_SCHEMA`, then flags and segment). Returns a `Table` of number columns, or None for the built-in features.
    Rows are matched by time: ``open_time`` (or timestamp, time, datetime, date) is the start of a bar, whose values
    count as known when it closes; ``decision_time`` is the moment from which on they are known. Without a time column
    there must be one row for each bar. NaN marks what is not known yet: no decision is made on such a row. A value may
    use nothing later than its own bar: a feature that predicts too well is a skip with LEAK.
    """

    def __call__(self, coin: str, data: Any, /) -> Table | Awaitable[Table | None] | None:
        """The features of `coin`."""
        ...


class FitPlace(TypedDict):
    """Where one fit stands in the walk forward; days are UTC day numbers since 1970, both ends included."""

    index: int
    count: int
    final: bool
    train_days: list[int]
    test_days: list[int] | None


class FitJob(TypedDict):
    """What a `ModelTrainer` is given for one fit. All arrays are copies with n train rows and hold no later row.

    features: name -> (n,) float64, finite, known at `decision_time`. labels: (n,) float64, the return in bps from the
    fill after `execution_latency` to a horizon later, without costs. decision_time: (n,) int64, ms UTC, ascending.
    weights: (n,) float64 in (0, 1], how little a label overlaps with others. regime is None: one model for all regimes.
    seed: for your generators.
    """

    coin: str
    horizon: str
    regime: None
    engine_type: str
    job_id: str
    features: dict[str, F64]
    labels: F64
    decision_time: I64
    weights: F64
    folds: FitPlace
    seed: int


@runtime_checkable
class LinearLike(Protocol):
    """A linear model: `coef_` (p,) in bps a unit of each feature, in the job's order, and `intercept_` in bps; all
    finite.

    scikit-learn's LinearRegression, Ridge and Lasso are such models. A `predict(x)` of rows (n, p) must agree with
    them.
    """

    coef_: Any
    intercept_: Any


@runtime_checkable
class ForestLike(Protocol):
    """A forest: `to_arrays()` gives `feature`, `threshold`, `left`, `right`, `leaf_value` and `roots`, as `TreeArrays`
    has them.
    """

    def to_arrays(self) -> Any:
        """The forest as six vectors."""
        ...


class FitResult(TypedDict):
    """What a `ModelTrainer` returns: `success` and a model, or why there is none.

    model: `LinearLike`, `ForestLike`, a LightGBM Booster or an estimator of its scikit-learn interface. It forecasts
    the label in bps from the features in the job's order. metrics and edge_bps are your own claims: finite numbers,
    recorded nowhere and never believed, since every model is scored again after costs.
    """

    success: bool
    model: NotRequired[Any]
    metrics: NotRequired[Mapping[str, float]]
    edge_bps: NotRequired[float]
    error: NotRequired[str]


class ModelTrainer(Protocol):
    """Your own model: called once for each fold with that fold's train rows only, and once more for the live model.

    The same job must give the same model: use `seed`. A result without success, or of another form, is a skip of the
    pair at that horizon.
    """

    def __call__(self, job: FitJob, /) -> FitResult | Awaitable[FitResult]:
        """The model of one fit."""
        ...


class Validator(Protocol):
    """Your own check of the data of one pair: False is a skip with BAD_DATA, anything else passes.

    Called with the coin's name and the data, as a `FeatureBuilder` is, before features are made.
    """

    def __call__(self, coin: str, data: Any, /) -> Any | Awaitable[Any]:
        """Whether the data of `coin` will do."""
        ...


ARGUMENTS: Final[dict[UserCallable, str]] = {
    "data_loader": "(coin, lookback_days)",
    "feature_builder": "(coin, data)",
    "model_trainer": "(job)",
    "validator": "(coin, data)",
}
"""What each user-supplied callable is called with."""

RIGHT: Final[dict[UserCallable, str]] = {
    "data_loader": 'pl.DataFrame({"open_time": [1767225600000], "open": [99.0], "high": [101.0], "low": [98.0], "close": [100.0],'
    ' "volume": [7.5]})',
    "feature_builder": 'pl.DataFrame({"open_time": data["open_time"], "momentum": data["close"].log().diff(24)})',
    "model_trainer": '{"success": True, "model": model}, where model.coef_ has a number for each of job["features"] and'
    " model.intercept_ is one number",
    "validator": "data.height > 1000",
}
"""An example of what each may return, as errors show it."""


def right_one(name: UserCallable) -> str:
    """The last sentence of an error about what a user-supplied callable did.

    >>> right_one("validator")
    'A right answer to validator(coin, data): data.height > 1000'
    """
    return f"A right answer to {name}{ARGUMENTS[name]}: {RIGHT[name]}"


def check_callable(name: UserCallable, function: Any) -> None:
    """Raise ConfigError for what cannot be called as the callable of that name will be; None is the built-in one."""
    if function is None:
        return
    wanted = f"wanted a function of {ARGUMENTS[name]}. {right_one(name)}"
    if not callable(function):
        raise ConfigError(f"{name} is a {type(function).__name__}, {wanted}")
    count = ARGUMENTS[name].count(",") + 1
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a built-in, which does not say
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        called = getattr(function, "__name__", type(function).__name__)
        raise ConfigError(f"{name} is {called}{signature}, {wanted}") from None
