"""The carrier of a night: what is known after each step, and the rule that nothing gets lost."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from huracan.domain.records import Skip, SkipCode, Universe
from huracan.night.plan import NightPlan

_FAULTS = frozenset(
    {SkipCode.JOB_FAILED, SkipCode.WORKER_LOST, SkipCode.TIMED_OUT}
    | {SkipCode.CHECKSUM, SkipCode.SCHEMA, SkipCode.BANNED}
)
"""Codes that count as errors of the run besides being a reason to skip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWork:
    """One job: a coin, the wave it belongs to, and the facts (keys, numbers) that wave needs."""

    wave: str
    coin: str
    facts: dict[str, Any]
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOutcome:
    """What became of a job: a record, or the stable code and text of why there is none."""

    coin: str
    record: dict[str, Any] | None
    code: str = ""
    error: str = ""


class WaveRunner(Protocol):
    """Runs the jobs of a wave somewhere; one outcome for each, in the order given."""

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """All outcomes; a failed job is an outcome, never an exception."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerPairs:
    """What is known of the plan's former pairs: records of the waves by coin, those `drawn` for a panel, and the code of
    why one is not in the evidence.
    """

    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    prepared: dict[str, dict[str, Any]] = field(default_factory=dict)
    trained: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """Everything the steps have found so far; each step returns the next one.

    facts: wave 1 records by coin, of members alone (`former` has those of former pairs). prepared: wave 2. trained: wave 3 (`cells` keyed ``recipe_id/horizon``).
    priors: by coin and ``recipe_id/horizon`` the key and sha256 of the pool prior. `context_sha256`: of the context's record.
    `incumbents` have a champion in the store, `context_coins` make the
    market context, most liquid first. `copies` are tonight's pairs whose series is another's, by coin; on `copied_days` past days
    of pairs such a one was left out of the evidence. `checked` is the last comparison of the lake with other sources. `pairs` are all coins of the universe, members and rejected; `skips` holds at most one Skip per (coin, horizon).
    """

    run_id: str
    plan: NightPlan
    universe: Universe
    pairs: tuple[str, ...]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    context_key: str | None = None
    context_hash: str = ""
    context_sha256: str = ""
    context_coins: tuple[str, ...] = ()
    prepared: dict[str, dict[str, Any]] = field(default_factory=dict)
    priors: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    trained: dict[str, dict[str, Any]] = field(default_factory=dict)
    skips: tuple[Skip, ...] = ()
    errors: tuple[dict[str, str], ...] = ()
    cache: tuple[int, int] = (0, 0)
    gbp_source: str = ""
    universe_source: str = ""
    incumbents: frozenset[str] = frozenset()
    former: FormerPairs = field(default_factory=FormerPairs)
    copies: dict[str, str] = field(default_factory=dict)
    copied_days: int = 0
    checked: dict[str, Any] | None = None

    def skipping(self, skips: list[Skip]) -> "Night":
        """The night with more skips; ``horizon="*"`` spreads over all horizons, and the first reason stands."""
        known = {(skip.coin, skip.horizon) for skip in self.skips}
        added: list[Skip] = []
        for skip in skips:
            horizons = self.plan.horizons if skip.horizon == "*" else (skip.horizon,)
            for horizon in horizons:
                if (skip.coin, horizon) not in known:
                    known.add((skip.coin, horizon))
                    added.append(replace(skip, horizon=horizon))
        return replace(self, skips=(*self.skips, *added))

    def failing(self, outcome: PairOutcome, step: int) -> "Night":
        """The night with a job's failure as skips and as an error."""
        code = SkipCode(outcome.code) if outcome.code in SkipCode.__members__ else SkipCode.JOB_FAILED
        skip = Skip(coin=outcome.coin, horizon="*", step=step, code=code, reason=outcome.error or outcome.code)
        if code not in _FAULTS:
            return self.skipping([skip])
        error = {"coin": outcome.coin, "step": str(step), "code": outcome.code, "error": outcome.error}
        return replace(self.skipping([skip]), errors=(*self.errors, error))

    def cells(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every trained cell as (coin, ``recipe_id/horizon``, record)."""
        for coin, record in self.trained.items():
            for name, cell in record["cells"].items():
                yield coin, name, cell

    def counting(self, records: list[dict[str, Any]]) -> "Night":
        """The night with these records counted as cache hits or misses."""
        hits = sum(bool(record.get("cached")) for record in records)
        return replace(self, cache=(self.cache[0] + hits, self.cache[1] + len(records)))
