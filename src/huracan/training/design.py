"""What all engines, folds and horizons of a pair share: feature arrays, days, regimes, and the clip bounds of each
day.
"""

from dataclasses import dataclass

import numpy as np

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import REGIMES, FeatureFrame, LabelledSet
from huracan.domain.recipe import TrainingPolicy
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.training.folds import NEVER, first_day_after, refit_starts
from huracan.training.presence import ALWAYS, RECENT_DAYS, Presence, presence
from huracan.training.refusal import TrainingRefused

CLIP_BLOCK_DAYS = 30
CLIP_TAIL = 0.005
"""Features are clipped to their .5% and 99.5% quantiles, in training and in prediction alike."""

_MOSTLY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Features of one pair as arrays; n decisions up to the cut-off, p features.

    x (n, p): raw values of `names`, NaN where missing; usable (n,): warm, and every feature known but those that had
    stopped by that day, as `presence` says. day (n,): UTC day. regime (n,): code, -1 unknown, 0 throughout when the
    features have no regime (`has_regime` False). sigma_day_bps (n,). clip_starts (C,): days from which each row of
    clip_low and clip_high (C, p) is known; rows before the first use the first. `first_test_day` follows the first
    training window, `last_day` holds the last decision, `live_day` is the first day after the cut-off.
    """

    names: tuple[str, ...]
    dropped: tuple[str, ...]
    decision_time: I64
    day: I64
    x: F64
    usable: Bool
    presence: Presence
    regime: I64
    has_regime: bool
    sigma_day_bps: F64
    clip_starts: I64
    clip_low: F64
    clip_high: F64
    first_test_day: int
    last_day: int
    live_day: int
    cutoff_ms: int

    def clip_of(self, days: I64) -> I64:
        """Row of the clip bounds that serves each day."""
        return np.maximum(np.searchsorted(self.clip_starts, days, side="right") - 1, 0)

    def clipped(self, columns: I64) -> F64:
        """The features in `columns`, each row clipped by the bounds of its own day; shape (n, k)."""
        bounds = self.clip_of(self.day)
        return np.clip(self.x[:, columns], self.clip_low[:, columns][bounds], self.clip_high[:, columns][bounds])

    def columns(self, names: tuple[str, ...]) -> I64:
        """Positions of these features."""
        return np.array([self.names.index(name) for name in names], dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of the design's decisions; shape (n,). Rows without a usable label have weight 0 and closed_ms NEVER.

    y: forward return in bps, winsorised at `label_clip_sd` ex-ante horizon sds. start_ms: fill. closed_ms: when the
    exit price was known.
    """

    y: F64
    weight: F64
    start_ms: I64
    closed_ms: I64


def prepare(features: FeatureFrame, policy: TrainingPolicy, *, cutoff_ms: int) -> Design:
    """The design of a pair; raises TrainingRefused(SHORT_HISTORY) when no test day is left, BAD_FEATURES without rows.

    A feature missing from more than half of the first training window's warm rows is treated as absent, so a column
    that starts late does not take its neighbours' rows away. Neither does one that stops: from then on it is left out.
    Volatility and regime cannot be left out; where they have stopped, BAD_FEATURES says so.
    """
    frame = features.frame.filter(features.frame["decision_time"] <= cutoff_ms)
    time = frame["decision_time"].to_numpy().astype(np.int64)
    warm = features.warm.head(frame.height).to_numpy()
    _refuse_cold(features, int(warm.sum()))
    day = time // DAY_MS
    first_day = first_day_after(int(time[warm][0]))
    first_test_day, last_day = first_day + policy.first_window_days, int(day[-1])
    if first_test_day > last_day:
        raise TrainingRefused(
            SkipCode.SHORT_HISTORY,
            f"{features.instrument.id}: {last_day - first_day + 1} warm days before the cut-off",
            measured=float(last_day - first_day + 1),
            wanted=float(policy.first_window_days + 1),
        )
    window = warm & (day < first_test_day)
    x = frame.select(features.names).to_numpy().astype(np.float64)
    present = np.isfinite(x[window]).mean(axis=0) > _MOSTLY if window.any() else np.ones(x.shape[1], dtype=np.bool_)
    names = tuple(name for name, there in zip(features.names, present, strict=True) if there)
    x = np.ascontiguousarray(x[:, present])
    x[~np.isfinite(x)] = np.nan
    live_day = first_day_after(cutoff_ms)
    there = presence(x, warm, day, max(last_day, live_day))
    _refuse_without_core(features, names, there, live_day)
    usable = warm & _known(x, names, there, day)
    regime, has_regime = _regime(x, names)
    clip_starts = refit_starts(first_test_day, max(last_day, live_day), CLIP_BLOCK_DAYS)
    hourly = usable & (time % HOUR_MS == 0)
    low, high = clip_bounds(x, day, hourly if hourly.any() else usable, clip_starts, policy.lookback_days)
    return Design(
        names=names,
        dropped=tuple(name for name in features.names if name not in names),
        decision_time=time,
        day=day,
        x=x,
        usable=usable,
        presence=there,
        regime=regime,
        has_regime=has_regime,
        sigma_day_bps=x[:, names.index("sigma_day_bps")],
        clip_starts=clip_starts,
        clip_low=low,
        clip_high=high,
        first_test_day=first_test_day,
        last_day=last_day,
        live_day=live_day,
        cutoff_ms=cutoff_ms,
    )


def _known(x: F64, names: tuple[str, ...], there: Presence, day: I64) -> Bool:
    """Rows (n,) on which every feature is known, but for those that had stopped by that day."""
    known = np.isfinite(x)
    if not there.whole:
        optional = np.array([name not in ALWAYS for name in names])
        np.logical_or(known, there.stopped_at(day) & optional, out=known)
    every: Bool = np.logical_and.reduce(known, axis=1)
    return every


def _refuse_cold(features: FeatureFrame, warm: int) -> None:
    if "sigma_day_bps" in features.names and warm:
        return
    raise TrainingRefused(
        SkipCode.BAD_FEATURES,
        f"{features.instrument.id}: {warm} warm rows and features {features.names[:3]}...; training needs warm rows and "
        "sigma_day_bps",
        measured=warm,
        wanted="warm rows with sigma_day_bps",
    )


def _refuse_without_core(features: FeatureFrame, names: tuple[str, ...], there: Presence, live_day: int) -> None:
    stopped = there.stopped_at(np.array([live_day]))[0]
    gone = [name for name, out in zip(names, stopped, strict=True) if out and name in ALWAYS]
    if gone:
        raise TrainingRefused(
            SkipCode.BAD_FEATURES,
            f"{features.instrument.id}: {gone[0]} is missing from most decisions of the last {RECENT_DAYS} days; "
            "nothing can be decided without it",
            measured=gone[0],
            wanted=f"{gone[0]} up to the cut-off",
        )


def _regime(x: F64, names: tuple[str, ...]) -> tuple[I64, bool]:
    if "regime" not in names:
        return np.zeros(x.shape[0], dtype=np.int64), False
    codes = x[:, names.index("regime")]
    known = np.isin(codes, np.arange(len(REGIMES)))
    return np.where(known, codes, -1).astype(np.int64), True


def clip_bounds(x: F64, day: I64, usable: Bool, starts: I64, lookback_days: int) -> tuple[F64, F64]:
    """Order statistics at both tails of each feature, from the usable rows of the window before each start; (C, p)
    each.

    A block without rows keeps the bounds of the one before. Missing values (NaN) count for no bound.
    """
    low = np.empty((starts.size, x.shape[1]))
    high = np.empty_like(low)
    for block, start in enumerate(starts):
        rows = np.ascontiguousarray(x[usable & (day < start) & (day >= start - lookback_days)].T)
        low[block], high[block] = (low[block - 1], high[block - 1]) if block else (-np.inf, np.inf)
        holed = np.isnan(rows).any(axis=1)
        if rows.shape[1] and not holed.all():
            low[block, ~holed], high[block, ~holed] = _tails(rows[~holed])
        for column in np.flatnonzero(holed):
            known = rows[column][~np.isnan(rows[column])]
            if known.size:
                low[block, column], high[block, column] = (tail[0] for tail in _tails(known[None]))
    return low, high


def _tails(rows: F64) -> tuple[F64, F64]:
    """Order statistics at both tails of each row (p, n) of numbers, n > 0; reorders them."""
    count = rows.shape[1]
    below, above = int(CLIP_TAIL * (count - 1)), int(np.ceil((1 - CLIP_TAIL) * (count - 1)))
    rows.partition((below, above), axis=1)
    return rows[:, below], rows[:, above]


def align(design: Design, labels: LabelledSet, policy: TrainingPolicy) -> Labels:
    """Labels of the design's decisions closed before the cut-off; raises TrainingRefused(BAD_LABELS) unless
    row-aligned.
    """
    frame = labels.frame
    n = design.decision_time.size
    if frame.height < n or not np.array_equal(frame["decision_time"].to_numpy()[:n], design.decision_time):
        raise TrainingRefused(
            SkipCode.BAD_LABELS,
            f"labels at {labels.horizon} are not row-aligned with the features",
            measured=float(frame.height),
            wanted=float(n),
        )
    frame = frame.head(n)
    forward = frame["forward_bps"].fill_null(np.nan).to_numpy()
    weight = frame["weight"].fill_null(0.0).to_numpy()
    closed = np.maximum(frame["label_end"].fill_null(NEVER).to_numpy(), frame["exit_time"].fill_null(NEVER).to_numpy())
    limit = policy.label_clip_sd * design.sigma_day_bps * labels.horizon.days**0.5
    known = np.isfinite(forward) & np.isfinite(limit) & (weight > 0.0) & (closed < design.cutoff_ms)
    return Labels(
        y=np.where(known, np.clip(forward, -limit, limit), 0.0),
        weight=np.where(known, weight, 0.0),
        start_ms=np.where(known, frame["fill_time"].fill_null(NEVER).to_numpy(), NEVER),
        closed_ms=np.where(known, closed, NEVER),
    )
