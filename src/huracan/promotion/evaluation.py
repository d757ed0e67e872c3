"""The working memory of one judged night: the loaded ledger, tonight's evidence, and what is about to be appended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huracan.errors import LedgerError
from huracan.promotion.alpha_budget import PoolFact, Seats, cohort_of, pick_slot, seats
from huracan.promotion.days import counts_in_full
from huracan.promotion.hypothesis import (
    NOTHING,
    Lineage,
    LineageRecord,
    LineageRow,
    Observation,
    Status,
    opening_row,
    seal,
)
from huracan.promotion.ledger_state import Cell, ChampionEvent, ChampionReason, LedgerState, Trial
from huracan.promotion.series import PoolEvidence, Series, difference, observation_at

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
EvidenceKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightContext:
    """Which night is judged: the last whole UTC day of data, and the table of worst days that bounds new lineages.

    `primary_recipe` names the recipe that holds the primary slots; it and the shipped ones may become candidates.
    """

    day: int
    stress_table: Mapping[str, Any]
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
    both: Mask
    full: Mask

    def after(self, day: int, until: int) -> Iterator[Observation]:
        """The observations that count in full with day < observation <= until, in order."""
        start = int(np.searchsorted(self.series.days, day, side="right"))
        end = int(np.searchsorted(self.series.days, until, side="right"))
        for at in range(start, end):
            if self.full[at]:
                yield observation_at(self.series, self.differences, self.both, at)


@dataclass(slots=True, kw_only=True)
class Book:
    """Loaded records plus unsealed rows; nothing leaves it before `sealed`."""

    state: LedgerState
    tonight: NightContext
    evidence: dict[EvidenceKey, PoolEvidence]
    held: Seats
    records: dict[str, LineageRecord]
    by_cell: dict[Cell, list[str]]
    reigns: dict[Cell, ChampionEvent]
    fresh: dict[str, list[LineageRow]] = field(default_factory=dict)
    opened: list[Lineage] = field(default_factory=list)
    events: list[ChampionEvent] = field(default_factory=list)
    waiting: dict[EvidenceKey, Waiting] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)

    def champion_of(self, cell: Cell) -> str:
        """Who reigns in a cell now."""
        event = self.reigns.get(cell)
        return event.recipe_id if event else NOTHING

    def epoch_of(self, cell: Cell) -> int:
        """How often the champion of a cell has changed."""
        event = self.reigns.get(cell)
        return event.number if event else 0

    def last(self, lineage_id: str) -> LineageRow:
        """A lineage's newest row, sealed or not."""
        rows = self.fresh.get(lineage_id)
        return rows[-1] if rows else self.records[lineage_id].last

    def rows(self, lineage_id: str) -> tuple[LineageRow, ...]:
        """All rows of a lineage, the unsealed ones last."""
        return (*self.records[lineage_id].rows, *self.fresh.get(lineage_id, ()))

    def write(self, row: LineageRow) -> None:
        """Append an unsealed row."""
        self.fresh.setdefault(row.lineage_id, []).append(row)

    def writable(self, lineage_id: str, day: int) -> bool:
        """Whether a decision about a lineage can still be written on this day: a sealed row of the day cannot change."""
        rows = self.fresh.get(lineage_id)
        return bool(rows and rows[-1].day == day) or self.last(lineage_id).day < day

    def conclude(self, lineage_id: str, day: int, status: Status, reason: str, **changes: Any) -> None:
        """Write a decision into the day's row, or into a row of its own where the day has none."""
        rows = self.fresh.get(lineage_id)
        if rows and rows[-1].day == day:
            rows[-1] = replace(rows[-1], status=status, reason=reason, **changes)
            return
        self.write(
            replace(
                self.last(lineage_id),
                day=day,
                kind="status",
                status=status,
                reason=reason,
                difference_bps=None,
                net_bps=None,
                has_position=False,
                **changes,
            )
        )

    def enthrone(
        self, cell: Cell, day: int, recipe_id: str, lineage_id: str | None, reason: ChampionReason, detail: str
    ) -> None:
        """Change the champion of a cell."""
        event = ChampionEvent(
            pool=cell[0],
            horizon=cell[1],
            number=self.epoch_of(cell) + 1,
            day=day,
            recipe_id=recipe_id,
            lineage_id=lineage_id,
            predecessor=self.champion_of(cell),
            reason=reason,
            detail=detail,
        )
        self.events.append(event)
        self.reigns[cell] = event

    def admit(self, lineage: Lineage) -> None:
        """Enter a new lineage."""
        self.opened.append(lineage)
        self.records[lineage.id] = LineageRecord(lineage=lineage)
        self.by_cell.setdefault((lineage.pool, lineage.horizon), []).append(lineage.id)

    def open_ids(self) -> list[str]:
        """Lineages that may still be promoted: open, and compared with today's champion."""
        return [
            lineage_id
            for cell in sorted(self.by_cell)
            for lineage_id in self.by_cell[cell]
            if self.last(lineage_id).status == "open" and self.records[lineage_id].lineage.epoch == self.epoch_of(cell)
        ]

    def of_recipe(self, cell: Cell, recipe_id: str) -> list[Lineage]:
        """A recipe's lineages in a cell, oldest first."""
        lineages = (self.records[lineage_id].lineage for lineage_id in self.by_cell.get(cell, ()))
        return [lineage for lineage in lineages if lineage.recipe_id == recipe_id]

    @property
    def trials(self) -> frozenset[Trial]:
        """Everything ever scored on history, tonight's evidence included."""
        return self.state.trials | {(key[2], key[0], key[1]) for key in self.evidence}

    def registered_day(self, recipe_id: str, default: int) -> int:
        """When a recipe was first admitted anywhere."""
        days = [r.lineage.registered_day for r in self.records.values() if r.lineage.recipe_id == recipe_id]
        return min(days, default=default)

    def path(self, lineage: Lineage) -> Path | None:
        """A lineage's observations, None where its own or its champion's evidence is not here tonight."""
        if lineage.id not in self.paths:
            own = self.evidence.get((lineage.pool, lineage.horizon, lineage.recipe_id))
            champion = self.evidence.get((lineage.pool, lineage.horizon, lineage.champion_id))
            if own is None or (champion is None and lineage.champion_id != NOTHING):
                return None
            self.paths[lineage.id] = path_of(own, champion, lineage.registered_day)
        return self.paths[lineage.id]

    def draw_slot(self, evidence: PoolEvidence, day: int, *, first_admission: bool) -> tuple[str, float] | None:
        """Name and gamma of the slot a new lineage takes from the cohort of the day; None when none is left."""
        cohort = cohort_of(day)
        used = {record.lineage.slot for record in self.records.values() if record.lineage.cohort == cohort}
        slot = pick_slot(
            used,
            self.held,
            pool=evidence.pool,
            horizon=evidence.horizon,
            recipe_name=evidence.recipe.name,
            primary_recipe=self.tonight.primary_recipe,
            first_admission=first_admission,
        )
        return (slot.name, slot.gamma) if slot else None

    def sealed(self) -> tuple[LineageRow, ...]:
        """The new rows, chained, lineage by lineage."""
        chained = []
        for lineage_id in sorted(self.fresh):
            record = self.records[lineage_id]
            previous = record.rows[-1].hash if record.rows else opening_row(record.lineage).hash
            for row in self.fresh[lineage_id]:
                linked = seal(row, previous)
                previous = linked.hash
                chained.append(linked)
        return tuple(chained)


def path_of(own: PoolEvidence, champion: PoolEvidence | None, registered_day: int) -> Path:
    """Observations of a recipe against a champion (None: do nothing)."""
    differences, both = difference(own.series, champion.series if champion else None)
    return Path(
        series=own.series,
        differences=differences,
        both=both,
        full=counts_in_full(own.series.days, own.recipe.seen, registered_day),
    )


def open_book(state: LedgerState, pools: Sequence[PoolEvidence], tonight: NightContext) -> Book:
    """The book of a night.

    Raises ValueError when two pieces of evidence are about the same recipe, pool and horizon, LedgerError when two lineages of
    the loaded state spend the same gamma.
    """
    _check_slots(state)
    evidence: dict[EvidenceKey, PoolEvidence] = {}
    for piece in sorted(pools, key=lambda p: (-len(p.members), p.pool, p.block_days, p.horizon, p.recipe_id)):
        key = (piece.pool, piece.horizon, piece.recipe_id)
        if key in evidence:
            raise ValueError(f"two results of {piece.recipe_id} in {piece.pool} at {piece.horizon}; wanted one")
        evidence[key] = piece
    facts = [PoolFact(pool=p.pool, market=p.market, tier=p.tier, members=len(p.members)) for p in evidence.values()]
    by_cell: dict[Cell, list[str]] = {}
    for lineage_id, record in state.records.items():
        by_cell.setdefault((record.lineage.pool, record.lineage.horizon), []).append(lineage_id)
    return Book(
        state=state,
        tonight=tonight,
        evidence=evidence,
        held=seats(facts),
        records=dict(state.records),
        by_cell=by_cell,
        reigns=dict(state.reigns),
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
