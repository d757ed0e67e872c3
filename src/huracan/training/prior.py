"""The pool's coefficients, week by week: what the other coins knew, for a pair to be shrunk to.

Every member is brought to its own standard units first (its features' and its label's own moments), so a coin that is
twice as volatile pulls no harder and a difference of levels between coins is no edge. The pool is then one sum of
correlation matrices, each counting by its effective rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.bundle import Record
from huracan.domain.recipe import Recipe, TrainingPolicy
from huracan.errors import SchemaError
from huracan.stats.ridge import shrink_to_prior
from huracan.training.engines import engine_of
from huracan.training.gram import N_CELLS, N_REGIMES, WEEK_DAYS, PairGrams, cell_moments, with_pooled
from huracan.training.packing import pack, unpack

DEAD_VARIANCE: Final = 1e-6
"""Increments are float32, so variances of shifted columns are known to 1e-7 of the second moment."""


class _Head(Record):
    engines: list[str]
    names: list[str]
    first_week: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPrior:
    """Standardised coefficients of a pool, as known at the start of each week.

    engines (E,), names (k,), first_week. coef (K, E, 5, k): per engine and regime, the fifth for all regimes pooled;
    zero for features an engine does not use. inner (I, E, 5, k): for the weeks from ``first_week - 1`` on, which lie in
    the pool's first training window: coefficients fitted on that window without the week and all labels near it; they
    calibrate the first forecasts. Units: label sds per feature sd.
    """

    engines: tuple[str, ...]
    names: tuple[str, ...]
    first_week: int
    coef: F64
    inner: F64

    def known_at(self, days: I64, engine: str, columns: tuple[str, ...]) -> F64:
        """Coefficients (F, 5, k) of an engine's columns as known at the start of each day; zero before the first
        week.
        """
        week = days // WEEK_DAYS - self.first_week
        picked = self._of(self.coef, np.clip(week, 0, self.coef.shape[0] - 1), engine, columns)
        picked[week < 0] = 0.0
        return picked

    def inner_at(self, week: int, engine: str, columns: tuple[str, ...]) -> F64:
        """Coefficients (5, k) for calibrating on one week of a first training window, blind to the labels of that
        week.
        """
        position = week - self.first_week + 1
        if 0 <= position < self.inner.shape[0]:
            found = self._of(self.inner, np.array([position]), engine, columns)
        else:
            found = self.known_at(np.array([week * WEEK_DAYS]), engine, columns)
        first: F64 = found[0]
        return first

    def _of(self, coef: F64, position: I64, engine: str, columns: tuple[str, ...]) -> F64:
        picked = np.zeros((position.size, N_CELLS, len(columns)))
        if engine in self.engines and coef.shape[0]:
            found = coef[position, self.engines.index(engine)]
            for place, name in enumerate(columns):
                if name in self.names:
                    picked[..., place] = found[..., self.names.index(name)]
        return picked

    def to_bytes(self) -> bytes:
        """Safetensors bytes, the same for equal contents."""
        head = {"engines": list(self.engines), "names": list(self.names), "first_week": self.first_week}
        return pack("pool-prior", head, {"coef": self.coef, "inner": self.inner})

    @classmethod
    def from_bytes(cls, data: bytes) -> "PoolPrior":
        """Inverse of `to_bytes`; raises SchemaError for anything else."""
        wanted = {"coef": (np.float64, 4), "inner": (np.float64, 4)}
        head, arrays = unpack("pool-prior", data, wanted, _Head)
        shape = (len(head.engines), N_CELLS, len(head.names))
        if arrays["coef"].shape[1:] != shape or arrays["inner"].shape[1:] != shape:
            raise SchemaError(
                f"pool-prior: coef {arrays['coef'].shape}, inner {arrays['inner'].shape}, wanted *{shape}"
            )
        return cls(engines=tuple(head.engines), names=tuple(head.names), first_week=head.first_week, **arrays)


def pool_prior(members: Sequence[PairGrams], recipe: Recipe) -> PoolPrior:
    """The pool's coefficients for a recipe's ridge engines, from its members' Grams.

    A member counts for an engine only when it has all the columns the engine has in this pool, and none of them stands
    still in those of its rows. Rows older than `lookback_days` roll out by whole weeks. A regime of the pool with fewer
    than `min_regime_rows` uses the coefficients of all regimes.
    """
    members = [member for member in members if member.increments.shape[0]]
    names = tuple(dict.fromkeys(name for member in members for name in member.names))
    uses = {use.name: engine_of(use).columns(names) for use in recipe.engines if use.estimator == "ridge"}
    engines = tuple(name for name, columns in uses.items() if columns)
    first = min((member.first_week for member in members), default=0)
    last = max((member.first_week + member.increments.shape[0] - 1 for member in members), default=-1)
    shape = (last - first + 1, len(engines), N_CELLS, len(names))
    coef = np.zeros(shape)
    window_weeks = min(shape[0], recipe.training.first_window_days // WEEK_DAYS)
    inner = np.zeros((window_weeks + 1, *shape[1:]))
    sums = [_PoolSum(uses[name], names, shape[0]) for name in engines]
    inner_sums = [_PoolSum(uses[name], names, window_weeks + 1) for name in engines]
    for member in members:
        known = _known(member, first, shape[0], recipe.training)
        near = _without_week(member, first, window_weeks)
        for target, source in ((sums, known), (inner_sums, near)):
            of = cell_moments(source, DEAD_VARIANCE)
            for one in target:
                one.add(member.names, of.rows, of.correlation)
    for position in range(len(engines)):
        sums[position].solve(coef[:, position], recipe.training)
        inner_sums[position].solve(inner[:, position], recipe.training)
    return PoolPrior(engines=engines, names=names, first_week=first, coef=coef, inner=inner)


class _PoolSum:
    """Sum of members' correlation matrices, weighted by rows, over the columns of one engine."""

    def __init__(self, columns: tuple[str, ...], names: tuple[str, ...], weeks: int) -> None:
        self.columns = columns
        self.target = np.array([names.index(name) for name in columns], dtype=np.int64)
        self.rows = np.zeros((weeks, N_CELLS))
        self.matrix = np.zeros((weeks, N_CELLS, len(columns) + 1, len(columns) + 1))

    def add(self, names: tuple[str, ...], rows: F64, correlation: F64) -> None:
        """Add a member that has all the columns."""
        if set(self.columns) <= set(names):
            picked = np.array([*map(names.index, self.columns), len(names)], dtype=np.int64)
            own = correlation[..., picked[:, None], picked]
            counted = np.where((np.diagonal(own, axis1=-2, axis2=-1)[..., :-1] > 0.0).all(axis=-1), rows, 0.0)
            self.matrix += own * counted[..., None, None]
            self.rows += counted

    def solve(self, out: F64, policy: TrainingPolicy) -> None:
        """Write the ridge coefficients, shrunk to zero, into out (weeks, 5, k)."""
        mean = self.matrix / np.maximum(self.rows, np.finfo(np.float64).tiny)[..., None, None]
        k = len(self.columns)
        found = shrink_to_prior(mean, self.rows, np.arange(k), np.zeros((*self.rows.shape, k)), policy.pool_prior_rows)
        thin = self.rows < policy.min_regime_rows
        found = np.where(thin[..., None], found[:, N_REGIMES:], found)
        out[..., self.target] = found


def _known(member: PairGrams, first: int, weeks: int, policy: TrainingPolicy) -> F64:
    """Grams (weeks, 5, q, q) of what was known at the start of each week of the pool, rolled at the lookback."""
    placed = _placed(member, first, weeks)
    cumulative = np.cumsum(placed, axis=0)
    back = policy.lookback_days // WEEK_DAYS
    cumulative[back:] -= cumulative[: max(weeks - back, 0)].copy()
    return with_pooled(cumulative)


def _without_week(member: PairGrams, first: int, weeks: int) -> F64:
    """Grams (weeks + 1, 5, q, q) of the pool's first window: for each of its weeks, all but the labels near that week.

    The first of these weeks lies before `first`: its labels are the first to be known. Labels of a week's decisions
    become known from the next week's start on, at most a horizon later. A label kept was filled after that, so it
    closed another horizon later at the least.
    """
    placed = _placed(member, first, weeks)
    total = placed.sum(axis=0)
    spill = 1 + -(-2 * member.horizon_minutes // (WEEK_DAYS * 1440))
    return with_pooled(np.stack([total - placed[week : week + spill].sum(axis=0) for week in range(weeks + 1)]))


def _placed(member: PairGrams, first: int, weeks: int) -> F64:
    grams = member.full()
    placed = np.zeros((weeks, *grams.shape[1:]))
    begin = member.first_week - first
    part = grams[: max(weeks - begin, 0)]
    placed[begin : begin + part.shape[0]] = part
    return placed
