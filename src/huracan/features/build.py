"""Step 3 for one pair: bars and the market in, one row of causal features per decision out."""

from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import Bars, FeatureFrame, MarketContext
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.errors import DataError
from huracan.features.inputs import (
    PricePath,
    Rows,
    choose_rows,
    default_decisions,
    last_at_or_before,
    price_path,
    real_bars,
)
from huracan.features.liquidity import volume_before
from huracan.features.market import market_features
from huracan.features.names import CONSTANTS, RECIPE_ID, REGIME_THRESHOLDS, SPECS, FeatureSpec
from huracan.features.price import PriceFeatures, price_features
from huracan.features.price_rows import clip
from huracan.features.windows import bars_in, decayed_means, window_sums, windows_in
from huracan.regimes.classify import RegimeInputs, classify_hours
from huracan.stats.kernel import kernel

TAKER_MINUTES: Final = (60, 240, 1440)
TAKER_COVERAGE: Final = 0.9
FUNDING_PATIENCE_MS: Final = 3 * DAY_MS
FIRST_FUNDING_HOURS: Final = 8.0  # the first settlement has no predecessor to tell its interval
FUNDING_LIMIT: Final = CONSTANTS.funding_limit_bps
WEEK_MINUTES: Final = 7 * 1440
CLOCK_NAMES: Final = ("hour_sin", "hour_cos", "week_sin", "week_cos")


def build_features(
    bars: Bars,
    context: MarketContext | None,
    decision_times: I64 | None = None,
    *,
    interval_minutes: int = 60,
) -> FeatureFrame:
    """Features of recipe `core` at each decision time, from bars that closed at or before it.

    Without `decision_times` (strictly ascending, ms), one row per whole `interval_minutes` inside the bars. A value is
    NaN until its window is full, windows start afresh with every segment, and a row whose newest bar closed ten minutes
    ago or more (one bar, where bars are longer) is NaN altogether. `valid` means that no value is NaN. Names the data
    cannot support are in `absent`. Raises DataError for bars that no window fits.

    Never looks ahead: cutting the bars at a decision time changes no bit of its row. The past fades: regime quantiles
    span 30 days and averages a few half-lives, so a live caller with the last 40 days of bars gets the row of training.
    """
    bar_minutes = bars.interval_ms // MINUTE_MS
    if bars.interval_ms % MINUTE_MS or not 1 <= bar_minutes <= 60:
        raise DataError(f"{bars.instrument.id}: bars of {bars.interval_ms} ms, wanted whole minutes up to an hour")
    open_time = bars.frame["open_time"].to_numpy()
    if decision_times is None:
        decision_times = default_decisions(open_time, bars.interval_ms, interval_minutes * MINUTE_MS)
    times = np.asarray(decision_times, dtype=np.int64)
    rows = choose_rows(open_time, bars.interval_ms, times, bars.instrument.id)
    path = price_path(bars.frame)
    price = price_features(bars.frame, path, rows.bars, bar_minutes)
    by_bar = dict(price.values)
    if context is not None:
        by_bar |= market_features(
            context, path, rows.bars, sigma_bar=price.sigma_bar, open_time=open_time, interval_minutes=bar_minutes
        )
    if _taker_known(bars.frame):
        by_bar |= _taker_features(bars.frame, path, rows.bars, bar_minutes)
    needed = {spec.name: bars_in(spec.longest, bar_minutes) for spec in SPECS}
    age = path.place[rows.bars] + 1
    columns = _by_decision(by_bar, rows, age, needed)
    columns |= _clock(times, columns["sigma_day_bps"]) | _funding(bars, times, rows, age, needed)
    columns["regime"] = _regime(price, path, rows, times, age=age, least=needed["regime"])
    present = tuple(spec for spec in SPECS if spec.name in columns and _fits(spec, bar_minutes))
    return _assemble(bars, times, columns, present)


def _assemble(bars: Bars, times: I64, columns: dict[str, F64], present: tuple[FeatureSpec, ...]) -> FeatureFrame:
    names = tuple(spec.name for spec in present)
    valid = np.ones(times.size, dtype=np.bool_)
    for name in names:
        _keep_finite(valid, columns[name])
    frame = pl.DataFrame(
        {
            "decision_time": times,
            **{name: columns[name] for name in names},
            "spread_bps": pl.repeat(None, times.size, dtype=pl.Float64, eager=True),
            "volume_day_quote": pl.Series(volume_before(bars.frame, times), nan_to_null=True),
            "valid": valid,
        }
    )
    absent = tuple(spec.name for spec in SPECS if spec.name not in names)
    return FeatureFrame(instrument=bars.instrument, recipe_id=RECIPE_ID, names=names, absent=absent, frame=frame)


@kernel
def _keep_finite(valid: Bool, values: F64) -> None:
    """Clear `valid` where a value is NaN or infinite."""
    for row in range(valid.shape[0]):
        valid[row] &= values[row] - values[row] == 0.0


def _fits(spec: FeatureSpec, bar_minutes: int) -> bool:
    return spec.shortest // bar_minutes >= spec.least_bars


def _by_decision(by_bar: dict[str, F64], rows: Rows, age: I64, needed: dict[str, int]) -> dict[str, F64]:
    """Values per decision from values per reported bar, NaN while windows are not full."""
    if not np.array_equal(rows.decision, np.arange(rows.bars.size)):
        return {name: _at(values, rows.decision, age, needed[name]) for name, values in by_bar.items()}
    young = {bars: np.flatnonzero(age < bars) for bars in set(needed.values())}
    for name, values in by_bar.items():
        values[young[needed[name]]] = np.nan
    return by_bar


@kernel
def _at(by_bar: F64, decision: I64, age: I64, needed: int) -> F64:
    """Values per decision (d,) from values per reported bar (m,); NaN without a bar, or before `needed` bars of age."""
    out = np.full(decision.shape[0], np.nan)
    for row in range(decision.shape[0]):
        bar = decision[row]
        if bar >= 0 and age[bar] >= needed:
            out[row] = by_bar[bar]
    return out


def _clock(times: I64, warm: F64) -> dict[str, F64]:
    """Time of day and week as points on a circle; decisions repeat their minutes, so waves are computed once each."""
    minutes = times.size > WEEK_MINUTES and not (times % MINUTE_MS).any()
    moment = np.arange(WEEK_MINUTES) * MINUTE_MS if minutes else times
    day, week = 2 * np.pi * (moment % DAY_MS) / DAY_MS, 2 * np.pi * (moment % (7 * DAY_MS)) / (7 * DAY_MS)
    waves = np.column_stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)])
    out = np.empty((4, times.size))
    _clock_columns(waves, times, warm, out)
    return dict(zip(CLOCK_NAMES, out, strict=True))


@kernel
def _clock_columns(waves: F64, times: I64, warm: F64, out: F64) -> None:
    """Waves (k, 4) as columns (4, d), by the minute of the week or, without repeats, by row; NaN where `warm` is."""
    for row in range(times.shape[0]):
        at = times[row] // MINUTE_MS % WEEK_MINUTES if waves.shape[0] < times.shape[0] else row
        for column in range(4):
            out[column, row] = np.nan if np.isnan(warm[row]) else waves[at, column]


def _taker_known(frame: pl.DataFrame) -> bool:
    traded = frame.filter(pl.col("volume") > 0)["taker_base"]
    return traded.len() > 0 and traded.count() >= TAKER_COVERAGE * traded.len()


def _taker_features(frame: pl.DataFrame, path: PricePath, rows: I64, bar_minutes: int) -> dict[str, F64]:
    """Imbalance of taker buys; 0 where nothing was traded."""
    taker, volume = frame["taker_base"].to_numpy(), frame["volume"].to_numpy()
    known = real_bars(frame) & ~np.isnan(taker)
    columns = np.where(known, np.stack([taker, volume]), 0.0)
    sums = window_sums(columns, windows_in(TAKER_MINUTES, bar_minutes), path.place, rows)
    keep = 0.5 ** (1.0 / max(1.0, CONSTANTS.taker_half_life / bar_minutes))
    bought, traded = decayed_means(columns, np.array([keep, keep]), path.place, rows)
    values = {f"taker_imbalance_{m}": _imbalance(sums[i, 0], sums[i, 1]) for i, m in enumerate(TAKER_MINUTES)}
    return values | {"taker_imbalance_ewma": _imbalance(bought, traded)}


@kernel
def _imbalance(bought: F64, traded: F64) -> F64:
    out = np.zeros(bought.shape[0])
    for row in range(bought.shape[0]):
        if traded[row] > 0.0:
            out[row] = max(-1.0, min(1.0, 2.0 * bought[row] / traded[row] - 1.0))
    return out


def _funding(bars: Bars, times: I64, rows: Rows, age: I64, needed: dict[str, int]) -> dict[str, F64]:
    """Settled funding in bps a day as known at each decision; NaN where none settled for three days."""
    if bars.instrument.market != "um" or bars.funding.is_empty() or _ends_unsettled(bars):
        return {}
    settled = bars.funding["funding_time"].to_numpy()
    rate = bars.funding["rate"].to_numpy() * 1e4
    hours = bars.funding["interval_hours"].fill_null(FIRST_FUNDING_HOURS).to_numpy()
    total = np.concatenate([[0.0], np.cumsum(rate)])
    names = ("funding_last", "funding_mean_4320")
    least = np.array([needed[name] for name in names])
    values = _settled(settled, rate * 24 / hours, total, times, rows.decision, age, least)
    return dict(zip(names, values, strict=True))


def _ends_unsettled(bars: Bars) -> bool:
    """Whether the last settlements of a dead contract are missing: its last days count in the evidence without them."""
    if bars.instrument.trades or bars.frame.is_empty():
        return False
    return int(bars.frame["open_time"][-1]) - int(bars.funding["funding_time"][-1]) > FUNDING_PATIENCE_MS


@kernel
def _settled(settled: I64, rate: F64, total: F64, times: I64, decision: I64, age: I64, least: I64) -> F64:
    """Last rate (f,) a day, and the mean rate of three days from running totals (f + 1,), at each decision; (2, d)."""
    out = np.full((2, times.shape[0]), np.nan)
    upto, since = 0, 0
    days, limit = FUNDING_PATIENCE_MS / DAY_MS, FUNDING_LIMIT
    for row in range(times.shape[0]):
        while upto < settled.shape[0] and settled[upto] <= times[row]:
            upto += 1
        while since < upto and settled[since] <= times[row] - FUNDING_PATIENCE_MS:
            since += 1
        bar = decision[row]
        if bar < 0 or upto == since:
            continue
        if age[bar] >= least[0]:
            out[0, row] = clip(rate[upto - 1], limit)
        if age[bar] >= least[1]:
            out[1, row] = clip((total[upto] - total[since]) / days, limit)
    return out


def _regime(price: PriceFeatures, path: PricePath, rows: Rows, times: I64, *, age: I64, least: int) -> F64:
    """Regime code as of the last whole hour at or before each decision; NaN where its segment has none yet."""
    at = rows.sample
    segment = rows.bars - path.place[rows.bars]
    hours = segment[at]
    inputs = RegimeInputs(
        illiquidity=price.illiquidity[at],
        volatility=price.volatility[at],
        drawdown=np.where(age[at] >= least, price.drawdown[at], np.nan),
        efficiency=np.abs(price.values["efficiency_1440"][at]),
        drift_t=np.abs(price.values["drift_t_1440"][at]),
        fresh=np.append(True, hours[1:] != hours[:-1])[: at.size],
    )
    codes = classify_hours(inputs, REGIME_THRESHOLDS)
    return _codes_held(codes, hours, last_at_or_before(rows.sample_time, times), segment, rows.decision)


@kernel
def _codes_held(codes: I64, hours: I64, last: I64, segment: I64, decision: I64) -> F64:
    """Code of the hour `last` of each decision (d,), NaN where there is none or it belongs to another segment."""
    out = np.full(decision.shape[0], np.nan)
    for row in range(decision.shape[0]):
        hour, bar = last[row], decision[row]
        if hour >= 0 and bar >= 0 and segment[bar] == hours[hour] and codes[hour] >= 0:
            out[row] = codes[hour]
    return out
