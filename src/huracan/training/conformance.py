"""Is an engine fit for a night? A small invented pair, fitted a few times: what comes out must be finite, repeatable
and causal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from huracan.domain.arrays import F64
from huracan.domain.frames import FeatureFrame, LabelledSet
from huracan.domain.ids import Instrument
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.results import TrainedPair
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, Horizon
from huracan.errors import HuracanError
from huracan.training.engines import EngineSpec, nearest, problems
from huracan.training.fit import fit_pair

Check = Literal["specification", "features", "returns", "finite", "repeatable", "causal"]
FIRST_DAY: Final = 20454
DAYS: Final = 45
LATER_DAYS: Final = 9
LARGEST_BPS: Final = 1e4
"""No forecast of four hours may be larger: the invented hours move by 80 bps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One check of one engine, or of one user-supplied callable: whether it passed, and what was seen."""

    engine: str
    check: Check
    passed: bool
    seen: str


def examine(spec: object, names: Sequence[str], *, seed: int = 1) -> tuple[Examined, ...]:
    """All checks of a would-be engine over the features `names`; those behind the first one that fails are left out.

    >>> from huracan.training.engines import ENGINES
    >>> [one.check for one in examine(ENGINES["trend"], (*ENGINES["trend"].wants, "regime", "sigma_day_bps"))]
    ['specification', 'features', 'finite', 'repeatable', 'causal']
    """
    name = str(getattr(spec, "name", spec))
    wrong = problems(spec)
    found = [_said(name, "specification", "; ".join(wrong), "sound")]
    if wrong or not isinstance(spec, EngineSpec):
        return tuple(found)
    unknown = [f"{one!r} is no feature: {nearest(one, names)}" for one in spec.wants if one not in names]
    found.append(_said(name, "features", "; ".join(unknown), f"{len(spec.columns(tuple(names)))} used"))
    if unknown:
        return tuple(found)
    features, labels = _pair(tuple(names), seed)
    cutoff_ms = int(features.frame["decision_time"][-1])
    checks: tuple[tuple[Check, Callable[[TrainedPair], tuple[str, str]]], ...] = (
        ("finite", lambda trained: _finite(spec, trained)),
        ("repeatable", lambda trained: _same(spec, trained, _fit(spec, features, labels, cutoff_ms, seed))),
        (
            "causal",
            lambda trained: _same(spec, trained, _fit(spec, features, labels, cutoff_ms - LATER_DAYS * DAY_MS, seed)),
        ),
    )
    try:
        trained = _fit(spec, features, labels, cutoff_ms, seed)
        for check, look in checks:
            fault, sound = look(trained)
            found.append(_said(name, check, fault, sound))
    except HuracanError as error:
        found.append(_said(name, "finite", f"it cannot be fitted: {error}", ""))
    return tuple(found)


def _said(engine: str, check: Check, fault: str, sound: str) -> Examined:
    return Examined(engine=engine, check=check, passed=not fault, seen=fault or sound)


def _fit(spec: EngineSpec, features: FeatureFrame, labels: LabelledSet, cutoff_ms: int, seed: int) -> TrainedPair:
    use = EngineUse(name=spec.name, version=spec.version, estimator=spec.estimator, parameters=spec.parameters)
    recipe = Recipe(name="examined", engines=(use,), feature_recipe=features.recipe_id)
    return fit_pair(features, labels, recipe, None, cutoff_ms=cutoff_ms, seed=seed, engines={spec.name: spec})


def _finite(spec: EngineSpec, trained: TrainedPair) -> tuple[str, str]:
    forecast = trained.forecasts[spec.name].to_numpy()
    lost = int((~np.isfinite(forecast)).sum())
    largest = float(np.abs(forecast[np.isfinite(forecast)]).max(initial=0.0))
    sound = f"{forecast.size} forecasts, the largest {largest:.1f} bps"
    if lost:
        return f"{lost} of {forecast.size} forecasts are missing", ""
    arrays = (trained.coef, trained.intercept, *(forest.leaf_value for forest in trained.forests))
    if not all(np.isfinite(array).all() for array in arrays):
        return "an array of the live model is not finite", ""
    return (f"{sound}; wanted below {LARGEST_BPS:.0f}", "") if largest > LARGEST_BPS else ("", sound)


def _same(spec: EngineSpec, trained: TrainedPair, other: TrainedPair) -> tuple[str, str]:
    """Whether the other fit, which may end earlier, forecasts the same bits as far as it goes."""
    one = trained.edges.select("decision_time", spec.name).head(other.edges.height)
    two = other.edges.select("decision_time", spec.name)
    if one.equals(two):
        return "", f"{two.height} forecasts, the same bits"
    differs = (one[spec.name] != two[spec.name]).sum()
    return f"{differs} of {two.height} forecasts differ between two fits of the same past", ""


def _pair(names: tuple[str, ...], seed: int) -> tuple[FeatureFrame, LabelledSet]:
    """Hours of autocorrelated features, and of returns that one of them foretells a little."""
    rng = np.random.default_rng(seed)
    n, warm_up, horizon = DAYS * 24, 3 * 24, Horizon.parse("4h")
    time = FIRST_DAY * DAY_MS + np.arange(n, dtype=np.int64) * HOUR_MS
    x = rng.normal(size=(n, len(names)))
    for row in range(1, n):
        x[row] = 0.95 * x[row - 1] + 0.3 * x[row]
    columns: dict[str, F64] = {name: x[:, place] for place, name in enumerate(names)}
    moves = rng.standard_t(4, size=n + 4) / np.sqrt(2) * 80.0
    total = np.concatenate((np.zeros(1), np.cumsum(moves)))
    forward = total[4 : n + 4] - total[:n] + 10.0 * x[:, 0]
    columns["sigma_day_bps"] = 80.0 * np.sqrt(24) * np.exp(0.2 * rng.normal(size=n))
    columns["regime"] = np.digitize(rng.normal(size=n), (-1.0, 0.4, 1.4)).astype(np.float64)
    warm = np.arange(n) >= warm_up
    every = (*(name for name in names if name not in {"sigma_day_bps", "regime"}), "sigma_day_bps", "regime")
    frame = pl.DataFrame(
        {
            "decision_time": time,
            **{name: np.where(warm, columns[name], np.nan) for name in every},
            "spread_bps": np.full(n, 2.0),
            "volume_day_quote": np.full(n, 1e8),
            "valid": warm,
        }
    )
    instrument = Instrument(market="um", symbol="EXAMUSDT", base="EXAM", quote="USDT")
    features = FeatureFrame(instrument=instrument, recipe_id="examined", names=every, absent=(), frame=frame)
    return features, _labels(time, forward, horizon)


def _labels(time: Any, forward: Any, horizon: Horizon) -> LabelledSet:
    fill = time + MINUTE_MS
    end = fill + horizon.ms
    known = pl.Series(end <= time[-1])
    columns = {
        "decision_time": time,
        "fill_time": fill,
        "label_end": end,
        "exit_time": end,
        "fill_price": np.full(time.size, 100.0),
        "exit_price": 100.0 * (1.0 + forward * 1e-4),
        "forward_bps": forward,
        "weight": np.full(time.size, 1.0 / horizon.days / 24.0),
    }
    open_ = ("exit_time", "exit_price", "forward_bps", "weight")
    frame = pl.DataFrame(columns).with_columns(pl.when(known).then(pl.col(name)).alias(name) for name in open_)
    return LabelledSet(horizon=horizon, frame=frame)
