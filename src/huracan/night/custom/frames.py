"""Other people's data in our frames: bars from a loader, features from a builder, models of another width."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl

from huracan.domain.candles import in_ms, time_unit
from huracan.domain.frames import BAR_SCHEMA, Bars, FeatureFrame, MarketContext
from huracan.domain.recipe import Recipe
from huracan.domain.records import SkipCode
from huracan.domain.results import TrainedPair
from huracan.features import build_features
from huracan.training import (
    BAR_COLUMNS,
    TIME_COLUMNS,
    FitJob,
    TrainingRefused,
    UserCallable,
    least_squares_trainer,
    linear_parts,
    right_one,
)

INJECTED_VENDOR: Final = "injected"
SIGMA: Final = "sigma_day_bps"

MAX_FEATURES: Final = 2_000


class InvalidOutput(Exception):  # noqa: N818 - not an error of ours: what an injected callable returned
    """An injected callable returned something that cannot be used; the text says what, and shows a right one."""

    def __init__(self, name: UserCallable, reason: str) -> None:
        super().__init__(f"{reason}. {right_one(name)}")
        self.skip_code = (SkipCode.BAD_FEATURES if name == "feature_builder" else SkipCode.BAD_DATA).value


class Refused(Exception):  # noqa: N818 - not an error of ours: the user's own verdict
    """The user's validator refused a pair's data."""

    skip_code = SkipCode.BAD_DATA.value


def bars_from(data: Any) -> pl.DataFrame:
    """Bars (BAR_SCHEMA) from a loader's answer: a polars or pandas frame, or a mapping of columns, one row a bar.

    Wanted: a time column (open_time or timestamp: ms, or datetimes) or a pandas time index, and open, high, low, close,
    volume. Columns the answer lacks are null. Raises InvalidOutput.
    """
    frame = _table(data, "data_loader")
    time = _time_column(frame)
    missing = [name for name in BAR_COLUMNS if name not in frame.columns]
    if time is None or missing:
        lacking = [*missing, *(["open_time"] if time is None else [])]
        raise InvalidOutput(
            "data_loader",
            f"data_loader returned columns {frame.columns[:12]}; {', '.join(lacking)} missing, wanted "
            f"{', '.join(('open_time', *BAR_COLUMNS))}",
        )
    columns = [_milliseconds(frame[time], "data_loader").alias("open_time")]
    for name in list(BAR_SCHEMA)[1:]:
        known = name in frame.columns
        columns.append(
            _number(frame[name], "data_loader") if known else pl.Series(name, [None] * frame.height, dtype=pl.Float64)
        )
    return pl.DataFrame(columns)


def features_from(
    data: Any, bars: Bars, context: MarketContext | None, recipe: Recipe, spread_bps: float
) -> FeatureFrame:
    """The FeatureFrame of a builder's answer, exactly its columns, with our ex-ante volatility for sizing beside them.

    None stands for the built-in features. Rows are matched by a time column (decision_time; any other time is the start
    of a bar, whose values are known when it closes), or by position when there are as many rows as bars. Raises
    InvalidOutput.
    """
    own = build_features(bars, context, interval_minutes=recipe.decision_interval_minutes)
    own = replace(own, frame=own.frame.with_columns(pl.lit(spread_bps, dtype=pl.Float64).alias("spread_bps")))
    if data is None:
        return own
    given = _timed(_table(data, "feature_builder"), bars)
    names = tuple(name for name in given.columns if name != "decision_time")
    if not 1 <= len(names) <= MAX_FEATURES:
        raise InvalidOutput(
            "feature_builder", f"feature_builder returned {len(names)} features, wanted 1 to {MAX_FEATURES}"
        )
    numbers = pl.DataFrame([given["decision_time"], *(_number(given[name], "feature_builder") for name in names)])
    side = [SIGMA, *FeatureFrame.SIDE] if SIGMA not in names else list(FeatureFrame.SIDE)
    joined = own.frame.select("decision_time", *side).join(
        numbers, on="decision_time", how="left", maintain_order="left"
    )
    finite = pl.all_horizontal(pl.col(name).is_finite().fill_null(value=False) for name in names)
    joined = joined.with_columns(
        (pl.col("valid") & finite).alias("valid"), *(pl.col(n).fill_null(np.nan) for n in names)
    )
    if not joined["valid"].any():
        raise InvalidOutput(
            "feature_builder",
            f"feature_builder returned {numbers.height} rows of {', '.join(names[:5])}; none of them is finite at one of our "
            f"{joined.height} decision times{_never_finite(numbers, names)}",
        )
    all_names = names if SIGMA in names else (*names, SIGMA)
    frame = joined.select("decision_time", *all_names, *FeatureFrame.SIDE)
    return FeatureFrame(
        instrument=bars.instrument, recipe_id=recipe.feature_recipe, names=all_names, absent=(), frame=frame
    )


def _never_finite(numbers: pl.DataFrame, names: tuple[str, ...]) -> str:
    """Features without a single finite value, in words."""
    dead = [name for name in names if not numbers[name].is_finite().any()]
    return f"; {', '.join(dead[:5])}: no finite value at all" if dead else ""


def padded_trainer(trainer: Any, features: FeatureFrame) -> Callable[[FitJob], Any]:
    """The trainer on exactly the user-supplied features: our volatility column is hidden, its model widened."""
    chosen: Callable[[FitJob], Any] = least_squares_trainer if trainer is None else trainer
    if features.names[-1] != SIGMA or "regime" in features.names:
        return chosen

    async def narrow(job: FitJob) -> Any:
        own = {name: values for name, values in job["features"].items() if name != SIGMA}
        result = chosen({**job, "features": own})
        if hasattr(result, "__await__"):
            result = await result
        if isinstance(result, Mapping) and result.get("success") is True and result.get("model") is not None:
            return {**result, "model": _exportable(result["model"], len(own))}
        return result

    return narrow


class _Wider:
    """A model over one more column, the last; its own `predict` still has to agree with its arrays."""

    def __init__(self, model: Any) -> None:
        self.shown_as = type(model).__name__
        own = getattr(model, "predict", None)
        self.predict = (lambda x: own(x[:, :-1])) if callable(own) else None


class _Linear(_Wider):
    def __init__(self, model: Any, width: int) -> None:
        super().__init__(model)
        coef, self.intercept_ = linear_parts(model, width)
        self.coef_ = np.append(coef, 0.0)


class _Forest(_Wider):
    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._model = model

    def to_arrays(self) -> Any:
        from huracan.training import booster_arrays

        own = getattr(self._model, "to_arrays", None)
        return own() if callable(own) else booster_arrays(getattr(self._model, "booster_", self._model))


def _exportable(model: Any, width: int) -> Any:
    """The widened model; raises TrainingRefused(NOT_EXPORTABLE) for attributes that cannot be read as numbers."""
    try:
        return _widened(model, width)
    except TrainingRefused:
        raise
    except Exception as error:
        raise TrainingRefused(
            SkipCode.NOT_EXPORTABLE,
            f"the trained {type(model).__name__} cannot be exported: {type(error).__name__}: {error}",
        ) from error


def _widened(model: Any, width: int) -> Any:
    """The same model over one more column, the last, which it does not look at."""
    if hasattr(model, "coef_") and hasattr(model, "intercept_"):
        return _Linear(model, width)
    inner = getattr(model, "booster_", model)
    if callable(getattr(model, "to_arrays", None)) or callable(getattr(inner, "model_to_string", None)):
        return _Forest(model)
    return model


def trimmed(trained: TrainedPair, features: FeatureFrame, *, owned: bool) -> TrainedPair:
    """The trained pair on exactly the user's columns, so that `predict` asks for nothing else."""
    if not owned or features.names[-1] != SIGMA or trained.feature_names[-1] != SIGMA:
        return trained
    return replace(
        trained,
        feature_names=trained.feature_names[:-1],
        coef=np.ascontiguousarray(trained.coef[..., :-1]),
        clip_low=trained.clip_low[:-1],
        clip_high=trained.clip_high[:-1],
    )


def _table(data: Any, who: UserCallable) -> pl.DataFrame:
    try:
        if isinstance(data, pl.DataFrame):
            return data
        if hasattr(data, "to_dict") and hasattr(data, "columns"):
            table = {str(name): data[name].to_numpy() for name in data.columns}
            if not any(name in table for name in TIME_COLUMNS) and hasattr(data.index, "asi8"):
                table["open_time"] = data.index.to_numpy()
            return pl.DataFrame(table)
        if isinstance(data, Mapping):
            return pl.DataFrame({str(name): np.asarray(values) for name, values in data.items()})
    except Exception as error:  # polars raises many kinds for columns that do not fit together
        raise InvalidOutput(who, f"{who} returned columns that make no table: {_lengths(data) or error}") from error
    raise InvalidOutput(
        who,
        f"{who} returned a {type(data).__name__}{_size(data)}; wanted a polars or pandas frame, or a dict of columns",
    )


def _size(data: Any) -> str:
    """How large an answer of the wrong type is, in words."""
    if isinstance(data, np.ndarray):
        return f" of shape {data.shape}"
    return f" of {len(data)} elements" if hasattr(data, "__len__") else ""


def _lengths(data: Any) -> str:
    """The lengths of columns that differ, in words; empty where that is not the fault."""
    if not isinstance(data, Mapping):
        return ""
    lengths = {str(name): len(values) for name, values in data.items() if hasattr(values, "__len__")}
    differ = len(lengths) == len(data) and len(set(lengths.values())) > 1
    listed = ", ".join(f"{name} has {count}" for name, count in list(lengths.items())[:8])
    return f"lengths differ, {listed} values" if differ else ""


def _timed(table: pl.DataFrame, bars: Bars) -> pl.DataFrame:
    time = _time_column(table)
    if time is None:
        if table.height != bars.frame.height:
            raise InvalidOutput(
                "feature_builder",
                f"feature_builder returned {table.height} rows without a time column for {bars.frame.height} bars; add the "
                "bars' open_time as a column, or return one row for each bar",
            )
        times = bars.frame["open_time"] + bars.interval_ms
        return table.with_columns(times.alias("decision_time"))
    times = _milliseconds(table[time], "feature_builder")
    if time != "decision_time":
        times = times + bars.interval_ms
    table = table.drop(time).with_columns(times.alias("decision_time"))
    if table["decision_time"].is_duplicated().any():
        raise InvalidOutput("feature_builder", f"feature_builder returned a time twice in {time}; wanted each bar once")
    return table


def _time_column(table: pl.DataFrame) -> str | None:
    return next((name for name in TIME_COLUMNS if name in table.columns), None)


def _milliseconds(times: pl.Series, who: UserCallable) -> pl.Series:
    if times.is_empty():
        return times.cast(pl.Int64)
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime("ms"))
    try:
        unit = time_unit(times.dtype, times.min(), times.max())
    except ValueError as error:
        raise InvalidOutput(who, f"{who}: column {times.name} {error}") from None
    return times.to_frame().select(in_ms(times.name, unit)).to_series()


def _number(values: pl.Series, who: UserCallable) -> pl.Series:
    if not (values.dtype.is_numeric() or values.dtype in {pl.Boolean, pl.Null}):
        raise InvalidOutput(who, f"{who} returned a column {values.name} of {values.dtype}; wanted numbers, one a row")
    return values.cast(pl.Float64)
