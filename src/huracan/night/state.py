"""The state of a night: what is known after each step, and the rule that no pair gets lost."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from huracan.domain.lake_check import LakeCheck
from huracan.domain.night_records import (
    CellRecord,
    ContextRef,
    Done,
    Failed,
    IngestRecord,
    JobResult,
    NamedPrior,
    PrepareRecord,
    Task,
    TrainRecord,
)
from huracan.domain.night_rows import RunError
from huracan.domain.records import Skip, SkipCode, Universe
from huracan.night.plan import NightPlan

_ERRORS = frozenset(
    {SkipCode.JOB_FAILED, SkipCode.WORKER_LOST, SkipCode.TIMED_OUT}
    | {SkipCode.CHECKSUM, SkipCode.SCHEMA, SkipCode.BANNED}
)
"""Codes that count as errors of the run besides being a reason to skip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWork:
    """One job: a coin and its task; jobs of a higher priority start first."""

    coin: str
    task: Task
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOutcome:
    """What became of the job of a coin."""

    coin: str
    result: JobResult

    @property
    def code(self) -> str:
        """The stable code of a job that failed, '' of one that is done."""
        return self.result.code if isinstance(self.result, Failed) else ""


class WaveRunner(Protocol):
    """Runs the jobs of a wave somewhere; one outcome for each, in the order given."""

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        """All outcomes; a failed job is an outcome, never an exception."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Constituents:
    """What is known of the plan's historical constituents: records of the waves by coin, those `drawn` for a panel, and
    the code of why one is not in the evidence.
    """

    ingested: Mapping[str, IngestRecord] = field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    prepared: Mapping[str, PrepareRecord] = field(default_factory=dict)
    trained: Mapping[str, TrainRecord] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """Everything the steps have found so far; each step returns the next one.

    `ingested`, `prepared`, `trained`: records of waves 1 to 3 by coin, of members alone (`historical` has the others).
    `priors`: by coin. `pairs` are all coins of the universe, members and rejected; `skips` holds at most one Skip per
    (coin, horizon). `incumbents` have a champion in the store, `context_coins` make the market context, most liquid
    first. `copies` are tonight's pairs whose series is another's, by coin; on `copied_days` past days of pairs such a
    one was left out of the evidence. `quarantined` are files and tables of the lake that jobs have moved away, by coin.
    `job_seconds` are the sums of what jobs took, by step number. `checked` is the last comparison of the lake with
    other sources.
    """

    run_id: str
    plan: NightPlan
    universe: Universe
    pairs: tuple[str, ...]
    ingested: Mapping[str, IngestRecord] = field(default_factory=dict)
    context: ContextRef | None = None
    context_coins: tuple[str, ...] = ()
    prepared: Mapping[str, PrepareRecord] = field(default_factory=dict)
    priors: Mapping[str, tuple[NamedPrior, ...]] = field(default_factory=dict)
    trained: Mapping[str, TrainRecord] = field(default_factory=dict)
    skips: tuple[Skip, ...] = ()
    errors: tuple[RunError, ...] = ()
    cache: tuple[int, int] = (0, 0)
    gbp_source: str = ""
    universe_source: str = ""
    incumbents: frozenset[str] = frozenset()
    historical: Constituents = field(default_factory=Constituents)
    copies: Mapping[str, str] = field(default_factory=dict)
    copied_days: int = 0
    quarantined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    job_seconds: Mapping[int, float] = field(default_factory=dict)
    checked: LakeCheck | None = None

    def skipping(self, skips: Iterable[Skip]) -> "Night":
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

    def failing(self, coin: str, failed: Failed, step: int) -> "Night":
        """The night with a job's failure as skips and as an error."""
        code = SkipCode(failed.code) if failed.code in SkipCode.__members__ else SkipCode.JOB_FAILED
        skip = Skip(coin=coin, horizon="*", step=step, code=code, reason=failed.error or failed.code)
        if code not in _ERRORS:
            return self.skipping([skip])
        error = RunError(coin=coin, step=step, code=failed.code, error=failed.error)
        return replace(self.skipping([skip]), errors=(*self.errors, error))

    def with_ingested(self, changed: Mapping[str, IngestRecord]) -> "Night":
        """The night with these records of wave 1 in place of those of the same coins."""
        members = {coin: changed.get(coin, record) for coin, record in self.ingested.items()}
        others = {coin: changed.get(coin, record) for coin, record in self.historical.ingested.items()}
        return replace(self, ingested=members, historical=replace(self.historical, ingested=others))

    def all_ingested(self) -> dict[str, IngestRecord]:
        """Records of wave 1, of members and historical constituents."""
        return {**self.ingested, **self.historical.ingested}

    def all_prepared(self) -> dict[str, PrepareRecord]:
        """Records of wave 2, of members and historical constituents."""
        return {**self.prepared, **self.historical.prepared}

    def all_trained(self) -> dict[str, TrainRecord]:
        """Records of wave 3, of members and historical constituents."""
        return {**self.trained, **self.historical.trained}

    def cells(self) -> Iterator[tuple[str, CellRecord]]:
        """Every trained recipe and horizon of every member, with its coin."""
        for coin, record in self.trained.items():
            for cell in record.cells:
                yield coin, cell

    def counting(self, outcomes: Iterable[PairOutcome], *, members: Iterable[str]) -> "Night":
        """The night with what these jobs took and moved away; jobs of `members` count as cache hits or misses."""
        counted, (hits, total) = frozenset(members), self.cache
        seconds, quarantined = dict(self.job_seconds), dict(self.quarantined)
        for outcome in outcomes:
            done = outcome.result
            if not isinstance(done, Done):
                continue
            for step, taken in done.seconds_by_step.items():
                seconds[step] = seconds.get(step, 0.0) + taken
            if done.quarantined:
                quarantined[outcome.coin] = (*quarantined.get(outcome.coin, ()), *done.quarantined)
            if outcome.coin in counted:
                hits, total = hits + done.cached, total + 1
        return replace(self, cache=(hits, total), job_seconds=seconds, quarantined=quarantined)
