"""What a night is about: the frozen plan that every job of a run reads, and the keys of what jobs make."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property

from huracan.domain.ids import content_hash
from huracan.domain.recipe import Recipe
from huracan.domain.records import Candidate
from huracan.domain.time import DAY_MS, MINUTE_MS


@dataclass(frozen=True, kw_only=True)
class NightPlan:
    """One night, decided before the first job starts; content only, so equal plans give equal results.

    `now_ms` is the exchange's clock; `cutoff_ms` the last decision time at or before it. `history_days` of bars are
    ingested; evidence is scored from them. `tier_spreads` are medians of tonight's books by market and tier,
    `declared_spreads` the user's by tier, both in bps. `historical` constituents are evidence alone (see `Universe`);
    a day counts for any pair only after one of at least `min_liquidity_gbp`. `code_hash` enters every artefact key.
    """

    now_ms: int
    cutoff_ms: int
    history_days: int
    min_history_days: int
    interval_ms: int
    horizons: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    members: tuple[Candidate, ...]
    max_spread_bps: float
    stale_after_minutes: float
    quote_per_gbp: tuple[tuple[str, float], ...]
    leak_exempt: tuple[str, ...]
    gate: tuple[tuple[str, float], ...]
    seed: int
    code_hash: str
    tier_spreads: tuple[tuple[str, float], ...] = ()
    declared_spreads: tuple[tuple[str, float], ...] = ()
    historical: tuple[Candidate, ...] = ()
    min_liquidity_gbp: float = 0.0

    @property
    def start_ms(self) -> int:
        """First instant of bars this night may read."""
        return (self.cutoff_ms // DAY_MS - self.history_days) * DAY_MS

    @property
    def end_day(self) -> int:
        """First UTC day that is not whole at the cut-off; scored days lie before it."""
        return self.cutoff_ms // DAY_MS

    def member(self, coin: str) -> Candidate:
        """The member or historical constituent with this key; KeyError if there is none."""
        return self._by_coin[coin]

    def is_member(self, coin: str) -> bool:
        """Whether a coin is one of tonight's members, not a historical constituent alone."""
        return coin in self._member_coins

    @cached_property
    def _member_coins(self) -> frozenset[str]:
        return frozenset(candidate.instrument.coin for candidate in self.members)

    @cached_property
    def _by_coin(self) -> dict[str, Candidate]:
        return {candidate.instrument.coin: candidate for candidate in (*self.historical, *self.members)}

    def until(self, ended_ms: int | None) -> "NightPlan":
        """The plan for an instrument that ended at this midnight: cut off there, from the same first instant on."""
        if ended_ms is None:
            return self
        days = self.end_day - ended_ms // DAY_MS
        return replace(self, cutoff_ms=ended_ms, history_days=self.history_days - days)


def cutoff(now_ms: int, interval_minutes: int) -> int:
    """Last decision time at or before now.

    >>> cutoff(3_600_000 + 1, 60)
    3600000
    """
    step = interval_minutes * MINUTE_MS
    return now_ms // step * step


def prepare_key(
    plan: NightPlan, instrument_id: str, data_hash: str, context_hash: str, spread: tuple[float | None, str]
) -> str:
    """Content key of steps 3 and 4 of a pair: same data, context, recipe of features and code, same answer."""
    shared = plan.recipes[0]
    body = content_hash(
        instrument_id,
        data_hash,
        context_hash,
        *spread,
        plan.cutoff_ms,
        plan.horizons,
        shared.feature_recipe,
        shared.decision_interval_minutes,
        shared.execution_latency_s,
        [asdict(recipe.training) for recipe in plan.recipes],
        [recipe.engines for recipe in plan.recipes],
        plan.leak_exempt,
        plan.code_hash,
    )
    return f"prepare/{body}"


def train_key(plan: NightPlan, prepared_key: str, prior_hash: str, *, ended: bool = False) -> str:
    """Content key of steps 5 to 7 of a pair; one that `ended` at the cut-off is scored to its last price."""
    body = content_hash(
        prepared_key,
        prior_hash,
        ended,
        [asdict(recipe) for recipe in plan.recipes],
        plan.gate,
        plan.seed,
        plan.code_hash,
    )
    return f"train/{body}"
