"""The working state of one night: the loaded ledger, tonight's evidence, and what is about to be appended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from huracan.domain.arrays import F64, Bool
from huracan.domain.json import JsonObject
from huracan.errors import LedgerError
from huracan.promotion.alpha_budget import PoolSize, Seats, Slot, cohort_of, pick_slot, seats
from huracan.promotion.days import counts_in_full
from huracan.promotion.hypothesis import (
    NOTHING,
    Lineage,
    LineageRecord,
    LineageRow,
    Observation,
    RowKind,
    Status,
    opening_row,
    seal,
)
from huracan.promotion.keys import EvidenceKey, PoolHorizon, Trial
from huracan.promotion.ledger_state import ChampionEvent, ChampionReason, LedgerState
from huracan.promotion.series import PoolEvidence, Series, difference, observation_at


@dataclass(frozen=True, slots=True, kw_only=True)
class NightContext:
    """The night's data day (the last whole UTC day), and the table of worst days that bounds new lineages.

    `primary_recipe` names the recipe that holds the primary slots. It and the shipped ones may become candidates.
    """

    day: int
    stress_table: JsonObject
    primary_recipe: str = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A hypothesis that could not be admitted, and why."""

    pool: str
    horizon: str
    recipe_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A lineage's observations: the recipe's series, differences to the champion, where both are valid, what counts."""

    series: Series
    differences: F64
    both: Bool
    full: Bool

    def after(self, day: int, until: int) -> Iterator[Observation]:
        """The observations that count in full with day < observation <= until, in order."""
        start = int(np.searchsorted(self.series.days, day, side="right"))
        end = int(np.searchsorted(self.series.days, until, side="right"))
        for at in range(start, end):
            if self.full[at]:
                yield observation_at(self.series, self.differences, self.both, at)


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """Loaded records plus unsealed rows; nothing leaves it before `sealed`.

    `by_pool_horizon` has the ids of lineages, oldest first. `admitted` and `changes` are tonight's, `new_rows` by
    lineage id.
    """

    state: LedgerState
    tonight: NightContext
    evidence: dict[EvidenceKey, PoolEvidence]
    held: Seats
    records: dict[str, LineageRecord]
    by_pool_horizon: dict[PoolHorizon, list[str]]
    incumbents: dict[PoolHorizon, ChampionEvent]
    new_rows: dict[str, list[LineageRow]] = field(default_factory=dict)
    admitted: list[Lineage] = field(default_factory=list)
    changes: list[ChampionEvent] = field(default_factory=list)
    waiting: dict[EvidenceKey, Waiting] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)

    def champion_of(self, place: PoolHorizon) -> str:
        """The recipe id of the incumbent, `NOTHING` where there is none."""
        event = self.incumbents.get(place)
        return event.recipe_id if event else NOTHING

    def champion_number(self, place: PoolHorizon) -> int:
        """How often the champion has changed there."""
        event = self.incumbents.get(place)
        return event.number if event else 0

    def last(self, lineage_id: str) -> LineageRow:
        """A lineage's newest row, sealed or not."""
        rows = self.new_rows.get(lineage_id)
        return rows[-1] if rows else self.records[lineage_id].last

    def rows(self, lineage_id: str) -> tuple[LineageRow, ...]:
        """All rows of a lineage, the unsealed ones last."""
        return (*self.records[lineage_id].rows, *self.new_rows.get(lineage_id, ()))

    def write(self, row: LineageRow) -> None:
        """Append an unsealed row."""
        self.new_rows.setdefault(row.lineage_id, []).append(row)

    def writable(self, lineage_id: str, day: int) -> bool:
        """Whether a decision about a lineage can still be written on this day: a sealed row cannot change."""
        rows = self.new_rows.get(lineage_id)
        return bool(rows and rows[-1].day == day) or self.last(lineage_id).day < day

    def decide(self, lineage_id: str, day: int, status: Status, reason: str) -> None:
        """Write a decision into the day's row, or into a row of its own where the day has none."""
        rows = self.new_rows.setdefault(lineage_id, [])
        if not rows or rows[-1].day != day:
            rows.append(_status_row(self.last(lineage_id), day))
        rows[-1] = replace(rows[-1], status=status, reason=reason)

    def promote(self, lineage_id: str, day: int, reason: str, *, breaker_bps: float | None) -> None:
        """Write a promotion: the e-value of the day stands from now on."""
        e = self.last(lineage_id).e
        self.decide(lineage_id, day, "promoted", reason)
        rows = self.new_rows[lineage_id]
        rows[-1] = replace(rows[-1], frozen_e=e, breaker_bps=breaker_bps)

    def change_champion(
        self,
        place: PoolHorizon,
        day: int,
        recipe_id: str,
        *,
        lineage_id: str | None,
        reason: ChampionReason,
        detail: str,
    ) -> None:
        """From a day on another recipe is the champion, or none."""
        event = ChampionEvent(
            pool=place.pool,
            horizon=place.horizon,
            number=self.champion_number(place) + 1,
            day=day,
            recipe_id=recipe_id,
            lineage_id=lineage_id,
            predecessor=self.champion_of(place),
            reason=reason,
            detail=detail,
        )
        self.changes.append(event)
        self.incumbents[place] = event

    def admit(self, lineage: Lineage) -> None:
        """Enter a new lineage."""
        self.admitted.append(lineage)
        self.records[lineage.id] = LineageRecord(lineage=lineage)
        self.by_pool_horizon.setdefault(lineage.pool_horizon, []).append(lineage.id)

    def is_current(self, lineage: Lineage) -> bool:
        """Whether a lineage is compared with the present champion."""
        return lineage.champion_number == self.champion_number(lineage.pool_horizon)

    def open_ids(self) -> list[str]:
        """Lineages that may still be promoted: open, and compared with today's champion."""
        return [
            lineage_id
            for place in sorted(self.by_pool_horizon)
            for lineage_id in self.by_pool_horizon[place]
            if self.last(lineage_id).status == "open" and self.is_current(self.records[lineage_id].lineage)
        ]

    def of_recipe(self, place: PoolHorizon, recipe_id: str) -> list[Lineage]:
        """A recipe's lineages in a pool at a horizon, oldest first."""
        lineages = (self.records[lineage_id].lineage for lineage_id in self.by_pool_horizon.get(place, ()))
        return [lineage for lineage in lineages if lineage.recipe_id == recipe_id]

    @property
    def trials(self) -> frozenset[Trial]:
        """Everything ever scored on history, tonight's evidence included."""
        return self.state.trials | {Trial(key.recipe_id, *key.pool_horizon) for key in self.evidence}

    def registered_day(self, recipe_id: str, default: int) -> int:
        """When a recipe was first admitted anywhere."""
        days = [r.lineage.registered_day for r in self.records.values() if r.lineage.recipe_id == recipe_id]
        return min(days, default=default)

    def path(self, lineage: Lineage) -> Path | None:
        """A lineage's observations, None where its own or its champion's evidence is not here tonight."""
        if lineage.id not in self.paths:
            own, champion = self.evidence.get(lineage.key), self.evidence.get(lineage.champion_key)
            if own is None or (champion is None and lineage.champion_id != NOTHING):
                return None
            self.paths[lineage.id] = path_of(own, champion, lineage.registered_day)
        return self.paths[lineage.id]

    def draw_slot(self, evidence: PoolEvidence, day: int, *, first_admission: bool) -> Slot | None:
        """The slot that a new lineage takes from the cohort of the day; None when none is left."""
        cohort = cohort_of(day)
        used = {record.lineage.slot for record in self.records.values() if record.lineage.cohort == cohort}
        return pick_slot(
            used,
            self.held,
            pool=evidence.pool,
            horizon=evidence.horizon,
            recipe_name=evidence.recipe.name,
            primary_recipe=self.tonight.primary_recipe,
            first_admission=first_admission,
        )

    def sealed(self) -> tuple[LineageRow, ...]:
        """The new rows, chained, lineage by lineage."""
        chained = []
        for lineage_id in sorted(self.new_rows):
            record = self.records[lineage_id]
            previous = record.rows[-1].hash if record.rows else opening_row(record.lineage).hash
            for row in self.new_rows[lineage_id]:
                linked = seal(row, previous)
                previous = linked.hash
                chained.append(linked)
        return tuple(chained)


def _status_row(last: LineageRow, day: int) -> LineageRow:
    return replace(last, day=day, kind=RowKind.STATUS, difference_bps=None, net_bps=None, has_position=False)


def path_of(own: PoolEvidence, champion: PoolEvidence | None, registered_day: int) -> Path:
    """Observations of a recipe against a champion (None: do nothing)."""
    differences, both = difference(own.series, champion.series if champion else None)
    return Path(
        series=own.series,
        differences=differences,
        both=both,
        full=counts_in_full(own.series.days, own.recipe.seen, registered_day),
    )


def open_evaluation(state: LedgerState, pools: Sequence[PoolEvidence], tonight: NightContext) -> Evaluation:
    """The working state at the beginning of a night.

    Raises ValueError when two pieces of evidence are about the same recipe, pool and horizon. Raises LedgerError when
    two lineages of the loaded state spend the same gamma.
    """
    _check_slots(state)
    evidence: dict[EvidenceKey, PoolEvidence] = {}
    for piece in sorted(pools, key=lambda p: (-len(p.members), p.pool, p.block_days, p.horizon, p.recipe_id)):
        if piece.key in evidence:
            raise ValueError(f"two results of {piece.recipe_id} in {piece.pool} at {piece.horizon}; wanted one")
        evidence[piece.key] = piece
    sizes = [PoolSize(pool=p.pool, market=p.market, tier=p.tier, members=len(p.members)) for p in evidence.values()]
    by_pool_horizon: dict[PoolHorizon, list[str]] = {}
    for lineage_id, record in state.records.items():
        by_pool_horizon.setdefault(record.lineage.pool_horizon, []).append(lineage_id)
    return Evaluation(
        state=state,
        tonight=tonight,
        evidence=evidence,
        held=seats(sizes),
        records=dict(state.records),
        by_pool_horizon=by_pool_horizon,
        incumbents=dict(state.incumbents),
    )


def _check_slots(state: LedgerState) -> None:
    spent: dict[tuple[int, str], str] = {}
    for lineage_id, record in state.records.items():
        key = (record.lineage.cohort, record.lineage.slot)
        if key in spent:
            raise LedgerError(
                f"slot {key[1]} of cohort {key[0]} is spent by lineage {spent[key]} and again by {lineage_id}; a gamma is used once"
            )
        spent[key] = lineage_id
