"""Is user-supplied code fit for a night? Each callable on one invented pair: its output, twice and on less data."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.frames import CLEAN_SCHEMA, Bars, FeatureFrame
from huracan.domain.ids import Instrument
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.results import TrainedPair
from huracan.domain.time import DAY_MS, HOUR_MS, Horizon
from huracan.errors import HuracanError
from huracan.labels import label_forward_returns
from huracan.night.custom.frames import InvalidOutput, bars_from, features_from, padded_trainer
from huracan.training import (
    TrainingRefused,
    UserCallable,
    check_callable,
    fit_injected,
    least_squares_trainer,
    right_one,
    user_fault,
)
from huracan.training.conformance import Check, Examined

COIN: Final = "BTC"
DAYS: Final = 45
SHORTER: Final = 0.8
"""Share of the bars that a second call of a feature builder gets: what it said of these bars must not change."""
SPREAD_BPS: Final = 2.0
UserCode = Mapping[UserCallable, Any]
"""User-supplied callables by their names: anything at all, until it is checked."""
RECIPE: Final = Recipe(name="examined", engines=(EngineUse(name="examined"),), feature_recipe="examined")


def examined_code(code: UserCode) -> tuple[Examined, ...]:
    """The checks of user-supplied callables by their names; those behind the first that fails are left out.

    The words are those of a night. A loader is asked for 30 days of BTC, so it is really called.
    """
    found: list[Examined] = []
    for name in (one for one in get_args(UserCallable) if one in code):
        found += _examined(name, code)
    return tuple(found)


def _examined(name: UserCallable, code: UserCode) -> list[Examined]:
    said = _Said(name)
    try:
        check_callable(name, code[name])
        said.passed("specification", "callable as it will be called")
        _LOOKS[name](said, code)
    except InvalidOutput as error:
        said.failed("returns", str(error))
    except (HuracanError, TrainingRefused) as error:
        said.failed("specification" if not said.found else "returns", str(error))
    except Exception as error:  # the boundary to user-supplied code, which may raise anything
        said.failed("returns", f"{user_fault(name, error).reason}. {right_one(name)}")
    return said.found


class _Said:
    """What was found of one callable."""

    def __init__(self, name: UserCallable) -> None:
        self.name, self.found = name, list[Examined]()

    def passed(self, check: Check, seen: str) -> None:
        self.found.append(Examined(engine=self.name, check=check, passed=True, seen=seen))

    def failed(self, check: Check, seen: str) -> None:
        self.found.append(Examined(engine=self.name, check=check, passed=False, seen=seen))


def _loader(said: _Said, code: UserCode) -> None:
    rows = bars_from(_called(code["data_loader"], COIN, 30))
    said.passed("returns", f"{rows.height} bars of {COIN}")


def _validator(said: _Said, code: UserCode) -> None:
    verdict = _called(code["validator"], COIN, _bars().frame)
    said.passed("returns", f"{verdict!r} for {DAYS} days of invented bars")


def _builder(said: _Said, code: UserCode) -> None:
    bars = _bars()
    built = _features(code, bars)
    said.passed("returns", f"{len(_own(built))} features, {int(built.frame['valid'].sum())} rows with all of them")
    if _compare(said, "repeatable", built, _features(code, bars)):
        _compare(said, "causal", built, _features(code, _bars(SHORTER)))


def _trainer(said: _Said, code: UserCode) -> None:
    features = _features(code, _bars())
    trained, again = _fitted(code, features), _fitted(code, features)
    made = np.isfinite(trained.edges["injected"].to_numpy()).sum()
    said.passed("finite", f"{made} forecasts")
    same = trained.edges.equals(again.edges)
    seen = "the same forecasts" if same else "two fits of the same rows forecast differently; use job['seed']"
    (said.passed if same else said.failed)("repeatable", seen)


_LOOKS: Final[Mapping[UserCallable, Callable[[_Said, UserCode], None]]] = {
    "data_loader": _loader,
    "feature_builder": _builder,
    "model_trainer": _trainer,
    "validator": _validator,
}


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    async def call() -> Any:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result

    return asyncio.run(call())


def _features(code: UserCode, bars: Bars) -> FeatureFrame:
    builder = code.get("feature_builder")
    given = None if builder is None else _called(builder, COIN, bars.frame)
    return features_from(given, bars, None, RECIPE, SPREAD_BPS)


def _own(built: FeatureFrame) -> list[str]:
    return [name for name in built.names if name != "sigma_day_bps"]


def _compare(said: _Said, check: Check, one: FeatureFrame, two: FeatureFrame) -> bool:
    """Whether the second frame, which may end earlier, has the same features as far as it goes."""
    differ = [name for name in _own(one) if name not in two.names or not _same(one, two, name)]
    if differ:
        why = "two calls on the same bars" if check == "repeatable" else "a call that knew only the earlier bars"
        said.failed(
            check, f"{', '.join(differ[:5])} differ after {why}; a feature may use its own bar and earlier ones"
        )
    else:
        said.passed(check, f"{two.frame.height} rows, the same bits")
    return not differ


def _same(one: FeatureFrame, two: FeatureFrame, name: str) -> bool:
    return one.frame[name].head(two.frame.height).equals(two.frame[name])


def _fitted(code: UserCode, features: FeatureFrame) -> TrainedPair:
    times = features.frame["decision_time"].to_numpy()
    labels = label_forward_returns(_bars(), times, Horizon.parse("1h"))
    trainer = padded_trainer(code.get("model_trainer") or least_squares_trainer, features)

    async def fit() -> TrainedPair:
        return await fit_injected(trainer, features, labels, RECIPE, coin=COIN, cutoff_ms=int(times[-1]), seed=1)

    return asyncio.run(fit())


def _bars(share: float = 1.0) -> Bars:
    """Hours of an invented coin, as validated bars."""
    rng, n = np.random.default_rng(1), DAYS * 24
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(4, n) / np.sqrt(2) * 6e-3))
    open_ = np.append(100.0, close[:-1])
    volume = rng.lognormal(2, 1, n)
    columns: dict[str, NDArray[np.generic]] = {
        "open_time": 20454 * DAY_MS + np.arange(n, dtype=np.int64) * HOUR_MS,
        "open": open_,
        "high": np.maximum(open_, close) * 1.0005,
        "low": np.minimum(open_, close) * 0.9995,
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trades": np.full(n, 100.0),
        "taker_base": volume * rng.beta(6, 6, n),
        "taker_quote": volume * close / 2,
        "flags": np.zeros(n, dtype=np.int32),
        "segment": np.zeros(n, dtype=np.int32),
    }
    frame = pl.DataFrame(columns, schema=CLEAN_SCHEMA).head(int(n * share))
    return Bars(
        instrument=Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT"), interval_ms=HOUR_MS, frame=frame
    )
