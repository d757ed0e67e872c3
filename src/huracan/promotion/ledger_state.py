"""The ledger as a record: every lineage with its rows, every change of champion, every note that ended a freeze."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from huracan.domain.ids import content_hash
from huracan.promotion.hypothesis import Lineage, LineageRecord, LineageRow
from huracan.promotion.keys import PoolHorizon, Trial

ChampionReason = Literal["promoted", "demoted", "rolled_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionEvent:
    """From `day` on, `recipe_id` is the champion of (pool, horizon); ``none`` means do nothing.

    `lineage_id` is the promoted lineage behind it, `predecessor` the champion before it. `number` counts the changes of
    champion of (pool, horizon) from 1.
    """

    pool: str
    horizon: str
    number: int
    day: int
    recipe_id: str
    lineage_id: str | None
    predecessor: str
    reason: ChampionReason
    detail: str = ""

    @property
    def hash(self) -> str:
        """Hash of everything it says."""
        return content_hash("champion", self)

    @property
    def pool_horizon(self) -> PoolHorizon:
        """Where the champion changed."""
        return PoolHorizon(self.pool, self.horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze:
    """A person's note that ended the freeze of a pool's promotions on a day; breach days up to then no longer count."""

    pool: str
    day: int
    note: str
    signature: str = ""

    @property
    def hash(self) -> str:
        """Hash of everything it says."""
        return content_hash("unfreeze", self)


@dataclass(frozen=True, kw_only=True)
class LedgerState:
    """Everything promotion remembers; loaded whole, never changed in place.

    `trials` is the registry of everything ever scored on history; `evaluated_day` is the last data day that was
    evaluated.
    """

    records: Mapping[str, LineageRecord] = field(default_factory=dict)
    champions: tuple[ChampionEvent, ...] = ()
    unfreezes: tuple[Unfreeze, ...] = ()
    trials: frozenset[Trial] = frozenset()
    evaluated_day: int | None = None

    @cached_property
    def incumbents(self) -> dict[PoolHorizon, ChampionEvent]:
        """The newest change of champion of each (pool, horizon) that ever had one."""
        return {event.pool_horizon: event for event in self.champions}


def with_rows(
    state: LedgerState,
    *,
    lineages: tuple[Lineage, ...],
    rows: tuple[LineageRow, ...],
    champions: tuple[ChampionEvent, ...],
    trials: frozenset[Trial],
    evaluated_day: int,
) -> LedgerState:
    """The state after a night; what the stored ledger gives when it is loaded again."""
    records = dict(state.records)
    for lineage in lineages:
        records[lineage.id] = LineageRecord(lineage=lineage)
    added: dict[str, list[LineageRow]] = {}
    for row in rows:
        added.setdefault(row.lineage_id, []).append(row)
    for lineage_id, new in added.items():
        records[lineage_id] = records[lineage_id].extended(new)
    return LedgerState(
        records=records,
        champions=(*state.champions, *champions),
        unfreezes=state.unfreezes,
        trials=state.trials | trials,
        evaluated_day=evaluated_day,
    )
