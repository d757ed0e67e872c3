"""What an owner's own code must be: whatever is wrong is told with what came, what is wanted, and a right one."""

import asyncio
from typing import get_args

import numpy as np
import pandas as pd
import polars as pl
import pytest

import huracan
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.errors import ConfigError
from huracan.night.custom.frames import InvalidOutput, bars_from
from huracan.operations.own_code import examined_code
from huracan.training import UserCallable, right_one

HOURS = np.arange(200) * 3_600_000 + 1_767_225_600_000
SOUND = {"open_time": HOURS, **dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(200))}


class Model:
    def __init__(self, coef, intercept=0.0):
        self.coef_, self.intercept_ = coef, intercept


def momentum(coin, data):
    return data.select("open_time", momentum=pl.col("close").log().diff(24))


def fitted(job):
    return {"success": True, "model": Model(np.full(len(job["features"]), 0.5))}


BAD_BARS = {
    "a list": ([1, 2, 3], "returned a list of 3 elements", "wanted a polars or pandas frame, or a dict of columns"),
    "an array": (np.ones((200, 6)), "returned a ndarray of shape (200, 6)", "wanted a polars or pandas frame"),
    "nothing": (None, "returned a NoneType", "wanted a polars or pandas frame"),
    "a missing column": (
        {key: SOUND[key] for key in ("open_time", "close")},
        "open, high, low, volume missing",
        "wanted",
    ),
    "no time": ({**SOUND, "open_time": None} | {"when": HOURS}, "open_time", "wanted"),
    "text": ({**SOUND, "close": ["x"] * 200}, "a column close of String", "wanted numbers, one a row"),
    "two numbers a row": (
        {**SOUND, "close": np.ones((200, 2))},
        "a column close of Array",
        "wanted numbers, one a row",
    ),
    "other lengths": ({**SOUND, "close": np.ones(3)}, "close has 3", "lengths differ"),
    "times of 1970": ({**SOUND, "open_time": np.arange(200)}, "holds Int64 from 0 to 199", "wanted datetimes"),
}


@pytest.mark.parametrize("kind", BAD_BARS)
def test_bars_of_a_wrong_form_are_told_with_a_right_one(kind):
    given, came, wanted = BAD_BARS[kind]
    given = {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given
    with pytest.raises(InvalidOutput) as refused:
        bars_from(given)
    assert came in str(refused.value)
    assert wanted in str(refused.value)
    assert str(refused.value).endswith(right_one("data_loader"))
    assert refused.value.skip_code == "BAD_DATA"


def test_polars_pandas_and_plain_columns_are_the_same_bars():
    frames = [SOUND, pl.DataFrame(SOUND), pd.DataFrame(SOUND)]
    first, *others = [bars_from(frame) for frame in frames]
    assert all(first.equals(other) for other in others)


def ahead(coin, data):
    return data.select("open_time", f=pl.col("close").shift(-1))


def moody():
    calls = []

    def builder(coin, data):
        calls.append(coin)
        return data.select("open_time", f=pl.col("close") * len(calls))

    return builder


def broken(first, *rest):
    return {"close": [1.0]}["colse"]


def one_of(values):
    class Shown:
        def to_arrays(self):
            return values

    return lambda job: {"success": True, "model": Shown()}


BAD_CODE = {
    "features that are no table": ({"feature_builder": lambda coin, data: [1, 2]}, "list of 2 elements", "polars or"),
    "features of another length": ({"feature_builder": lambda coin, data: {"f": np.ones(7)}}, "7 rows", "each bar"),
    "features that are NaN": (
        {"feature_builder": lambda coin, data: data.select("open_time", f=pl.lit(float("nan")))},
        "f: no finite value at all",
        "none of them is finite",
    ),
    "features that are text": (
        {"feature_builder": lambda c, d: {"f": ["x"] * len(d)}},
        "column f of String",
        "numbers",
    ),
    "features that look ahead": ({"feature_builder": ahead}, "f differ after a call that knew only", "earlier ones"),
    "features that change": ({"feature_builder": moody()}, "f differ after two calls on the same bars", "own bar"),
    "features that raise": (
        {"feature_builder": broken},
        "feature_builder raised KeyError: 'colse' (",
        "test_own_code.py:",
    ),
    "a model that is a list": ({"model_trainer": lambda job: [1]}, "returned a list", "wanted a dict with success"),
    "a dict of something else": (
        {"model_trainer": lambda job: {"m": 1}},
        "a dict with ['m']",
        "wanted success and model",
    ),
    "no model": ({"model_trainer": lambda job: {"success": True}}, "returned no model, only ['success']", "model"),
    "a model without a method": (
        {"model_trainer": lambda job: {"success": True, "model": object()}},
        "a object has neither coef_ and intercept_",
        "nor to_arrays()",
    ),
    "a model of another width": (
        {"feature_builder": momentum, "model_trainer": lambda job: {"success": True, "model": Model(np.ones(7))}},
        "coef_ of Model has 7 values",
        "wanted 1, one for each of job['features']",
    ),
    "a model of NaN": (
        {"feature_builder": momentum, "model_trainer": lambda job: {"success": True, "model": Model([np.nan])}},
        "1 of them not finite",
        "all finite",
    ),
    "a forest of something else": (
        {"model_trainer": one_of({"feature": [1]})},
        "to_arrays() gave dict",
        "a mapping with",
    ),
    "a model that raises": ({"model_trainer": broken}, "raised KeyError: 'colse' (", "test_own_code.py:"),
    "a loader that raises": ({"data_loader": broken}, "data_loader raised KeyError: 'colse' (", "test_own_code.py:"),
    "a loader of nothing": ({"data_loader": lambda coin, days: None}, "returned a NoneType", "wanted a polars"),
    "no function": ({"validator": 3}, "validator is a int", "wanted a function of (coin, data)"),
    "too few arguments": ({"data_loader": lambda coin: 1}, "data_loader is <lambda>(coin)", "(coin, lookback_days)"),
}


@pytest.mark.parametrize("kind", BAD_CODE)
def test_the_check_before_a_night_says_what_came_and_what_is_wanted(kind):
    code, came, wanted = BAD_CODE[kind]
    wrong = [one for one in examined_code(code) if not one.passed]
    assert len(wrong) == 1, wrong
    assert came in wrong[0].seen
    assert wanted in wrong[0].seen
    if wrong[0].check != "causal" and wrong[0].check != "repeatable" and "raises" not in kind.split()[-1:]:
        assert "A right answer to" in wrong[0].seen


def test_sound_code_passes_every_check():
    async def loader(coin, lookback_days):
        return pd.DataFrame(SOUND)

    code = {"data_loader": loader, "feature_builder": momentum, "model_trainer": fitted, "validator": lambda c, d: True}
    found = examined_code(code)
    assert [one.seen for one in found if not one.passed] == []
    assert {one.engine for one in found} == set(get_args(UserCallable))


@pytest.mark.parametrize("name", get_args(UserCallable))
def test_what_cannot_be_called_is_refused_where_the_pipeline_is_made(name):
    with pytest.raises(ConfigError) as refused:
        TrainingPipeline(TrainingPipelineConfig(), **{name: [1, 2]})
    assert f"{name} is a list, wanted a function of" in str(refused.value)
    assert right_one(name) in str(refused.value)


def test_the_example_of_every_error_is_itself_right():
    from huracan.training.protocols import RIGHT

    bars_from(eval(RIGHT["data_loader"], {"pl": pl}))
    code = {"feature_builder": lambda coin, data: eval(RIGHT["feature_builder"], {"pl": pl, "data": data})}
    assert all(one.passed for one in examined_code(code))


def test_the_protocols_and_schemas_are_public_and_say_what_they_want():
    for name in ("DataLoader", "FeatureBuilder", "ModelTrainer", "Validator", "FitJob", "FitResult", "EngineSpec"):
        assert len(getattr(huracan, name).__doc__) > 100
    assert next(iter(huracan.BAR_SCHEMA)) == "open_time"


def test_a_loader_may_be_an_object_that_is_called():
    class Loader:
        async def __call__(self, coin, lookback_days):
            return SOUND

    assert asyncio.run(Loader()("BTC", 1)) is SOUND
    assert TrainingPipeline(TrainingPipelineConfig(), data_loader=Loader()).injected.any
