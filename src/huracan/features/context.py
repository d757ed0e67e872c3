"""The market as one series, for all pairs of a night: its level per bar and how far coins spread out per hour."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64
from huracan.domain.frames import Bars, MarketContext, check_schema, patience_ms
from huracan.domain.ids import content_hash
from huracan.domain.time import HOUR_MS
from huracan.errors import DataError
from huracan.features.inputs import last_at_or_before, price_path
from huracan.features.market import LEAST_DISPERSION_MEMBERS

LEADER: Final = "BTC"
EQUAL_WEIGHT_MEMBERS: Final = 20


def build_context(members: Mapping[str, Bars], rank: Sequence[str]) -> MarketContext:
    """The market context of a night from its members' bars, which must share one interval.

    `rank`: member keys by liquidity, largest first. The level is BTC's close where BTC is a member, else an
    equal-weight index (rebalanced every bar) of the first 20 ranked; `source` says which. Dispersion is the
    cross-sectional standard deviation (ddof 1) of all members' returns of the last whole hour, held until the next
    hour; null while fewer than three are known. Raises DataError without members, or when `rank` or the intervals do
    not fit.
    """
    ranked = _checked(members, rank)
    interval_ms = members[ranked[0]].interval_ms
    if LEADER in members:
        source, level = "BTC", _leader_level(members[LEADER])
    else:
        source, level = "equal_weight", _equal_weight([members[key] for key in ranked[:EQUAL_WEIGHT_MEMBERS]])
    hourly = _dispersion([members[key] for key in ranked])
    frame = (
        level.with_columns((pl.col("open_time") + interval_ms).alias("known"))
        .join_asof(hourly, left_on="known", right_on="hour", strategy="backward", tolerance=HOUR_MS - 1)
        .select("open_time", "market_close", "dispersion")
    )
    check_schema(frame, MarketContext.schema, "market context")
    digest = content_hash(source, ranked, *(frame[name].fill_null(-1.0).to_numpy().tobytes() for name in frame.columns))
    return MarketContext(frame=frame, source=source, members=tuple(ranked), context_hash=digest)


def _checked(members: Mapping[str, Bars], rank: Sequence[str]) -> list[str]:
    ranked = [key for key in rank if key in members]
    if not ranked or set(ranked) != set(members):
        raise DataError(
            f"market context: rank names {len(ranked)} of {len(members)} members; rank every member, at least one"
        )
    intervals = {bars.interval_ms for bars in members.values()}
    if len(intervals) > 1:
        raise DataError(f"market context: members have bars of {sorted(intervals)} ms; give all the same interval")
    return ranked


def _leader_level(bars: Bars) -> pl.DataFrame:
    return bars.frame.select("open_time", pl.Series("market_close", price_path(bars.frame).last))


def _equal_weight(members: list[Bars]) -> pl.DataFrame:
    """Index from 1.0 that earns the mean simple return of the members that have a bar."""
    times = np.unique(np.concatenate([bars.frame["open_time"].to_numpy() for bars in members]))
    total, count = np.zeros(times.size), np.zeros(times.size)
    for bars in members:
        at = np.searchsorted(times, bars.frame["open_time"].to_numpy())
        total[at] += _simple_returns(bars)
        count[at] += 1.0
    return pl.DataFrame({"open_time": times, "market_close": np.cumprod(1.0 + total / count)})


def _simple_returns(bars: Bars) -> F64:
    last = price_path(bars.frame).last
    return np.append(last[:1] / bars.frame["open"].to_numpy()[:1], last[1:] / last[:-1]) - 1.0


def _dispersion(members: list[Bars]) -> pl.DataFrame:
    """`hour` (whole hour, ms) and `dispersion` of the hour before it."""
    hourly = [_hourly_returns(bars) for bars in members]
    hours = np.unique(np.concatenate([hour for hour, _ in hourly]))
    table = np.full((hours.size, len(members)), np.nan)
    for column, (hour, move) in enumerate(hourly):
        table[np.searchsorted(hours, hour), column] = move
    enough = np.isfinite(table).sum(axis=1) >= LEAST_DISPERSION_MEMBERS
    spread = np.nanstd(table[enough], axis=1, ddof=1)
    return pl.DataFrame(
        {"hour": hours[enough], "dispersion": spread}, schema={"hour": pl.Int64, "dispersion": pl.Float64}
    )


def _hourly_returns(bars: Bars) -> tuple[I64, F64]:
    """Whole hours and the return of the hour before each; one without a fresh close has none, nor has the next."""
    closes = bars.frame["open_time"].to_numpy() + bars.interval_ms
    if closes.size == 0:
        return np.empty(0, dtype=np.int64), np.empty(0)
    last = price_path(bars.frame).last
    hours = np.arange(-(-closes[0] // HOUR_MS), closes[-1] // HOUR_MS + 1, dtype=np.int64) * HOUR_MS
    index = last_at_or_before(closes, hours)
    fresh = hours - closes[index] < patience_ms(bars.interval_ms)
    price = np.where(fresh, last[index], np.nan)
    move = price[1:] / price[:-1] - 1.0
    known = np.isfinite(move)
    return hours[1:][known], move[known]
