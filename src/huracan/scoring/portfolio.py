"""The pool: equal capital in every member, net and gross exposure capped at every moment."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from huracan.domain.arrays import F64, I64, Bool
from huracan.domain.frames import DAILY_SCHEMA, empty
from huracan.domain.results import PoolResult
from huracan.domain.time import DAY_MS

FEWEST_VALID = 0.8
SUMS = ("gross_bps", "fees_bps", "spread_bps", "impact_bps", "funding_bps", "turnover", "exposure")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """The pool's scale as a step function: `factor[i]` from `time[i]` to the next; 1 before the first."""

    time: I64
    factor: F64

    def at(self, times: I64) -> F64:
        """Factor in force at each time."""
        padded = np.concatenate(([1.0], self.factor))
        return padded[np.searchsorted(self.time, times, side="right")]


def pool_result(
    pool: str,
    horizon: str,
    recipe_id: str,
    panels: Mapping[str, pl.DataFrame],
    dailies: Mapping[str, pl.DataFrame],
    *,
    net_cap: float,
    gross_cap: float,
    membership: Mapping[str, I64] | None = None,
) -> PoolResult:
    """Daily results of a pool in bps of its capital: the mean over the members whose day is valid.

    `panels` (PANEL_SCHEMA) and `dailies` (DAILY_SCHEMA; `day` and `valid` are read) by coin. `membership` names the UTC
    days on which a coin belongs to the pool, decided on data before each day (None: every day); it may name coins
    without results, which have no valid day. A coin that leaves the pool is sold at that midnight, at the expense of
    its last day in it, and one that comes back is bought. Whenever the mean position leaves the caps (fractions of
    capital), all positions are scaled down pro rata, and what that trades pays costs at the members' rates of the
    moment. A member without a price at that moment shares its return pro rata in time. Days with fewer than 80% valid
    members, or none at all, are invalid. Memory: changes of position x members.
    """
    coins = tuple(sorted(panels))
    first, valid = _validity(coins, dailies, membership)
    if not valid.size:
        daily = empty(DAILY_SCHEMA)
    else:
        member = _members(coins, membership, first, valid.shape[0] + 1)
        valid &= member[:-1]
        scale = _scale(coins, panels, first, valid, net_cap=net_cap, gross_cap=gross_cap)
        number = np.maximum(valid.sum(axis=1), 1)
        sums = np.zeros((len(SUMS), valid.shape[0]))
        for index, coin in enumerate(coins):
            sums += _member(panels[coin], first, member[:, index], scale) * valid[:, index]
        lost = _lost(coins, membership, first, valid.shape[0])
        daily = _daily(first, sums / number, valid, member[:-1].sum(axis=1) + lost)
    return PoolResult(
        pool=pool,
        horizon=horizon,
        recipe_id=recipe_id,
        members=coins,
        daily=daily,
        net_cap=net_cap,
        gross_cap=gross_cap,
    )


def stress_costs(daily: pl.DataFrame, multiple: float = 1.5) -> pl.DataFrame:
    """The same days at `multiple` times the fees, spread and impact; funding is not a cost of turnover and stays."""
    paid = ("fees_bps", "spread_bps", "impact_bps")
    dearer = daily.with_columns([pl.col(name) * multiple for name in paid])
    net = pl.col("gross_bps") - pl.sum_horizontal(*paid) - pl.col("funding_bps")
    return dearer.with_columns(net.alias("net_bps"))


def _validity(
    coins: tuple[str, ...], dailies: Mapping[str, pl.DataFrame], membership: Mapping[str, I64] | None
) -> tuple[int, Bool]:
    """First day and which member's day is valid, shape (days, members); a day a member does not report is not.

    The last day waits for members that are one day behind: their price that closes it is about to come, and a day's
    result must not change once it was evaluated. A member further behind has ended, and so has one that is none on that
    day.
    """
    known = {coin: dailies[coin] for coin in coins if dailies[coin].height}
    if not known:
        return 0, np.zeros((0, len(coins)), dtype=np.bool_)
    first = min(int(frame["day"][0]) for frame in known.values())
    ends = {coin: int(frame["day"][-1]) for coin, frame in known.items()}
    last = max(ends.values())
    behind = [coin for coin, end in ends.items() if end == last - 1]
    last -= any(membership is None or last in membership[coin] for coin in behind)
    valid = np.zeros((last - first + 1, len(coins)), dtype=np.bool_)
    for index, coin in enumerate(coins):
        days = dailies[coin].filter(pl.col("day") <= last)
        valid[days["day"].to_numpy() - first, index] = days["valid"].to_numpy()
    return first, valid


def _members(coins: tuple[str, ...], membership: Mapping[str, I64] | None, first: int, n_days: int) -> Bool:
    """Who belongs to the pool on which day, shape (n_days, members)."""
    if membership is None:
        return np.ones((n_days, len(coins)), dtype=np.bool_)
    days = first + np.arange(n_days)
    return np.column_stack([np.isin(days, membership[coin]) for coin in coins])


def _lost(coins: tuple[str, ...], membership: Mapping[str, I64] | None, first: int, n_days: int) -> I64:
    """How many members without any results there are on each day, shape (n_days,)."""
    days = [known for coin, known in (membership or {}).items() if coin not in coins]
    at = np.concatenate(days) - first if days else np.empty(0, np.int64)
    return np.bincount(at[(at >= 0) & (at < n_days)], minlength=n_days)


def _scale(
    coins: tuple[str, ...],
    panels: Mapping[str, pl.DataFrame],
    first: int,
    valid: Bool,
    *,
    net_cap: float,
    gross_cap: float,
) -> _Scale:
    """Factor that keeps the mean position of the valid members inside both caps, at every change of any position."""
    midnights = (first + np.arange(valid.shape[0] + 1)) * DAY_MS
    changes = [_changes(panels[coin]) for coin in coins]
    times = np.unique(np.concatenate([midnights, *(time for time, _ in changes)]))
    day = np.clip(times // DAY_MS - first, 0, valid.shape[0] - 1)
    number = np.maximum(valid.sum(axis=1), 1)[day]
    net, gross = np.zeros(times.size), np.zeros(times.size)
    for index, (time, position) in enumerate(changes):
        held = np.concatenate(([0.0], position))[np.searchsorted(time, times, side="right")]
        held = held * valid[day, index]
        net += held
        gross += np.abs(held)
    factor = np.minimum(_fit(np.abs(net) / number, net_cap), _fit(gross / number, gross_cap))
    moved = np.flatnonzero(np.diff(factor, prepend=1.0) != 0.0)
    return _Scale(time=times[moved], factor=factor[moved])


def _fit(exposure: F64, cap: float) -> F64:
    over = exposure > cap * (1.0 + 1e-12)
    factor: F64 = np.where(over, cap / np.where(over, exposure, 1.0), 1.0)
    return factor


def _changes(panel: pl.DataFrame) -> tuple[I64, F64]:
    """Times and values of a member's position where it changes; flat from its last row on."""
    time, position = panel["time"].to_numpy(), panel["position"].to_numpy().copy()
    position[-1:] = 0.0
    moved = np.flatnonzero(np.diff(position, prepend=0.0) != 0.0)
    return time[moved], position[moved]


def _member(panel: pl.DataFrame, first: int, belongs: Bool, scale: _Scale) -> F64:
    """SUMS of one member by day, shape (len(SUMS), days), at the pool's scale; flat on days it does not belong to the
    pool.

    `belongs` has one day more than the sums: whoever is not in the pool on that day is sold at its midnight, too.
    """
    n_days = belongs.size - 1
    time = panel["time"].to_numpy()
    if time.size < 2:
        return np.zeros((len(SUMS), n_days))
    inner = scale.time[(scale.time > time[0]) & (scale.time < time[-1])]
    grid = np.union1d(time, inner)
    row = np.searchsorted(time, grid, side="right") - 1
    day = time[row] // DAY_MS - first
    here = belongs[np.clip(day, 0, n_days)]
    position = panel["position"].to_numpy()[row] * scale.at(grid) * here
    if here[-1]:
        position[-1] = position[-2]  # cut off by the end of the panel, not traded
    turnover = np.abs(np.diff(position, prepend=0.0))
    paying = np.where(here, day, day - 1)

    def column(name: str) -> F64:
        return panel[name].to_numpy()[row]

    def total(days: I64, values: F64) -> F64:
        inside = (days >= 0) & (days < n_days)
        sums: F64 = np.bincount(days[inside], weights=values[inside], minlength=n_days).astype(np.float64)
        return sums

    elapsed = np.append(np.diff(grid), 0).astype(np.float64)
    part = position * (elapsed / np.append(np.diff(time), 1)[row])
    span = total(day, elapsed)
    return np.vstack(
        [
            total(day, part * column("return_bps")),
            total(paying, turnover * column("fee_bps")),
            total(paying, turnover * column("spread_bps")),
            total(paying, turnover * column("impact_bps")),
            total(day, part * column("funding_bps")),
            total(paying, turnover),
            total(day, np.abs(position) * elapsed) / np.where(span > 0.0, span, 1.0),
        ]
    )


def _daily(first: int, mean: F64, valid: Bool, members: I64) -> pl.DataFrame:
    columns = dict(zip(SUMS, mean, strict=True))
    net = mean[0] - mean[1] - mean[2] - mean[3] - mean[4]
    enough = (valid.sum(axis=1) >= FEWEST_VALID * members) & (members > 0)
    days = np.arange(first, first + valid.shape[0])
    return pl.DataFrame({"day": days, "net_bps": net, **columns, "valid": enough}, schema=DAILY_SCHEMA)
