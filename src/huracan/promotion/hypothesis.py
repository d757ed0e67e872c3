"""A lineage: one hypothesis ("this recipe is better than that champion"), its wealth, and its hash-chained diary.

Rows are only ever appended. A row's hash covers the hash before it; the first one's, the lineage itself: so neither
gamma nor bounds nor any result can be changed afterwards without breaking the chain.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final, Literal

from huracan.domain.ids import canonical_json, content_hash, sha256_hex
from huracan.domain.json import JsonObject
from huracan.domain.time import day_iso
from huracan.errors import LedgerError
from huracan.promotion.expiry import ExpiryKind, expiry_kind, expiry_reason
from huracan.promotion.keys import EvidenceKey, PoolHorizon
from huracan.stats.evalues import FRACTIONS, NEW_WEALTH, e_process_step, e_value, log_e_value

NOTHING: Final = "none"
"""The champion's id where nothing is proven: do nothing, 0 after costs."""
BREACH_WINDOW: Final = 365
BREACH_LIMIT: Final = 3
ZEROS: Final = (0.0,) * len(FRACTIONS)
ROUNDING_BPS: Final = 1e-6
"""Results of a day this close are the same: sums of another processor's linear algebra differ in their last digits."""

Status = Literal["open", "promoted", "expired", "closed"]


class RowKind(StrEnum):
    """What a row is about. The values are inside the hash chain and keep the words of the first release.

    Days of kind OBSERVED move the wealth, VOID ones spare it. STATUS only says what was decided. CHAMPION is a day as
    champion: it feeds `detector` (own net result) and `watch` (against the predecessor).
    """

    OBSERVED = "observed"
    VOID = "void"
    STATUS = "status"
    CHAMPION = "reign"


STORED_NAMES: Final = {"champion_number": "epoch"}
"""Fields of a lineage whose stored name, which is hashed, is that of the first release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What is declared at admission and never changes.

    `champion_number` counts the changes of champion of (pool, horizon), `opening` the admissions of this recipe within
    one. `cohort` is the calendar year of `admitted_day`. `slot` and `gamma` are its share of that cohort's error
    budget. Bounds are bps of capital per observation, against the champion and against nothing. `start_*` are the
    log-wealths before `first_day`. `start_e` is the smaller e-value of the two, `start_trials` the number of trials
    that taxed it (0: untaxed). `registered_day` is the day the recipe was first admitted anywhere: later days are live
    for it.
    """

    pool: str
    horizon: str
    recipe_id: str
    recipe_name: str
    champion_id: str = NOTHING
    champion_number: int = 0
    opening: int = 0
    cohort: int
    slot: str
    gamma: float
    admitted_day: int
    registered_day: int
    first_day: int
    bound_champion_bps: float
    bound_nothing_bps: float
    start_champion: tuple[float, ...] = NEW_WEALTH
    start_nothing: tuple[float, ...] = NEW_WEALTH
    start_e: float = 1.0
    start_trials: int = 0

    @property
    def id(self) -> str:
        """Short hash of the recipe, the champion it is compared with, where, and how often before."""
        return _lineage_id(
            self.pool, self.horizon, self.recipe_id, self.champion_id, self.champion_number, self.opening
        )

    @property
    def hash(self) -> str:
        """Hash of everything declared; the first link of the chain."""
        return content_hash("lineage", _stored(self))

    @property
    def pool_horizon(self) -> PoolHorizon:
        """Where it competes."""
        return PoolHorizon(self.pool, self.horizon)

    @property
    def key(self) -> EvidenceKey:
        """Its evidence."""
        return EvidenceKey(self.pool, self.horizon, self.recipe_id)

    @property
    def champion_key(self) -> EvidenceKey:
        """The evidence of the champion it is compared with."""
        return EvidenceKey(self.pool, self.horizon, self.champion_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One scored day (or block of days): the difference to the champion and the own net result, bps of capital.

    None where the day is void. `has_position` is False when the recipe held nothing all day.
    """

    day: int
    difference_bps: float | None
    net_bps: float | None
    valid: bool
    has_position: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRow:
    """One night of one lineage; wealths are natural logarithms, counts include this row.

    `breaches` are the breach days of the last 365 nights. `frozen_e` is the e-value at promotion.
    """

    lineage_id: str
    day: int
    kind: RowKind
    status: Status
    gamma: float
    bound_champion_bps: float
    bound_nothing_bps: float
    start_e: float
    start_trials: int
    difference_bps: float | None
    net_bps: float | None
    has_position: bool
    log_wealth_champion: tuple[float, ...]
    log_wealth_nothing: tuple[float, ...]
    observed: int
    zero: int
    void: int
    breach_days: int
    breaches: tuple[int, ...]
    frozen_e: float | None = None
    detector: tuple[float, ...] = ZEROS
    watch: tuple[float, ...] = ZEROS
    drawdown_bps: float = 0.0
    breaker_bps: float | None = None
    suspended: bool = False
    reason: str = ""
    previous_hash: str = ""
    hash: str = ""

    @property
    def e_champion(self) -> float:
        """E-value against the champion."""
        return e_value(self.log_wealth_champion)

    @property
    def e_nothing(self) -> float:
        """E-value against doing nothing."""
        return e_value(self.log_wealth_nothing)

    @property
    def e(self) -> float:
        """The e-value that counts: the smaller one."""
        return min(self.e_champion, self.e_nothing)

    @property
    def log_e(self) -> float:
        """Logarithm of `e`."""
        return min(log_e_value(self.log_wealth_champion), log_e_value(self.log_wealth_nothing))

    def breached(self) -> bool:
        """Whether this very day broke a bound."""
        return bool(self.breaches) and self.breaches[-1] == self.day and self.kind is not RowKind.STATUS

    @property
    def expiry(self) -> ExpiryKind | None:
        """Why it expired; None where it did not."""
        return expiry_kind(self.reason) if self.status == "expired" else None


_BODY: Final = tuple(field.name for field in fields(LineageRow) if field.name not in {"previous_hash", "hash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRecord:
    """A lineage and its rows, ascending by day, one a day."""

    lineage: Lineage
    rows: tuple[LineageRow, ...] = ()

    @property
    def last(self) -> LineageRow:
        """The newest row; before the first day, what was declared at admission."""
        return self.rows[-1] if self.rows else opening_row(self.lineage)

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self.rows[-1].status if self.rows else "open"

    def row_of(self, day: int) -> LineageRow | None:
        """The row of a day, None when there is none."""
        at = bisect_left(self.rows, day, key=lambda row: row.day)
        return self.rows[at] if at < len(self.rows) and self.rows[at].day == day else None

    def extended(self, rows: Iterable[LineageRow]) -> "LineageRecord":
        """The record with more rows."""
        return replace(self, rows=(*self.rows, *rows))


@cache
def _lineage_id(*identity: str | int) -> str:
    return content_hash(*identity)[:16]


def opening_row(lineage: Lineage) -> LineageRow:
    """The state before the first scored day; never stored."""
    return LineageRow(
        lineage_id=lineage.id,
        day=lineage.first_day - 1,
        kind=RowKind.STATUS,
        status="open",
        gamma=lineage.gamma,
        bound_champion_bps=lineage.bound_champion_bps,
        bound_nothing_bps=lineage.bound_nothing_bps,
        start_e=lineage.start_e,
        start_trials=lineage.start_trials,
        difference_bps=None,
        net_bps=None,
        has_position=False,
        log_wealth_champion=lineage.start_champion,
        log_wealth_nothing=lineage.start_nothing,
        observed=0,
        zero=0,
        void=0,
        breach_days=0,
        breaches=(),
        hash=lineage.hash,
    )


def advance(record: LineageRecord, observation: Observation) -> LineageRow:
    """The row of one more day, sealed; the recorded row when that very day is already there with the same results.

    Raises LedgerError for a day in the past, other results for a recorded day, and a lineage that has ended.
    """
    seen = record.row_of(observation.day)
    if seen is not None:
        _check_same(seen, observation)
        return seen
    last = record.last
    if observation.day <= last.day:
        raise LedgerError(
            f"lineage {record.lineage.id} of {record.lineage.recipe_id} stands at {day_iso(last.day)}: "
            f"{day_iso(observation.day)} is past and was not scored then; days are scored in order and never added later"
        )
    if last.status != "open":
        raise LedgerError(
            f"lineage {record.lineage.id} is {last.status} since {day_iso(last.day)}: it scores no more days"
        )
    return seal(step(last, observation), last.hash)


def same_result(row: LineageRow, observation: Observation) -> bool:
    """Whether a day reads as recorded: void then and now, or both results within `ROUNDING_BPS`."""
    recorded = (row.difference_bps, row.net_bps)
    tonight = (observation.difference_bps, observation.net_bps) if observation.valid else (None, None)
    return all(
        (a is None and b is None) or (a is not None and b is not None and abs(a - b) <= ROUNDING_BPS)
        for a, b in zip(recorded, tonight, strict=True)
    )


def step(last: LineageRow, observation: Observation) -> LineageRow:
    """The unsealed row that follows `last`: wealth, counts, breaches, and expiry by breaches."""
    if not observation.valid or observation.difference_bps is None or observation.net_bps is None:
        return replace(
            last, day=observation.day, kind=RowKind.VOID, difference_bps=None, net_bps=None, has_position=False,
            void=last.void + 1, reason="", hash="", previous_hash="",
        )  # fmt: skip
    difference, net = float(observation.difference_bps), float(observation.net_bps)
    worst = max(-difference / last.bound_champion_bps, -net / last.bound_nothing_bps)
    breaches = tuple(day for day in last.breaches if day > observation.day - BREACH_WINDOW)
    if worst > 1.0:
        breaches = (*breaches, observation.day)
    status, reason = _breach_verdict(breaches, worst)
    return replace(
        last,
        day=observation.day,
        kind=RowKind.OBSERVED,
        status=status,
        difference_bps=difference,
        net_bps=net,
        has_position=observation.has_position,
        log_wealth_champion=e_process_step(last.log_wealth_champion, difference, last.bound_champion_bps),
        log_wealth_nothing=e_process_step(last.log_wealth_nothing, net, last.bound_nothing_bps),
        observed=last.observed + 1,
        zero=last.zero + int(not observation.has_position),
        breach_days=last.breach_days + int(worst > 1.0),
        breaches=breaches,
        reason=reason,
        hash="",
        previous_hash="",
    )


def seal(row: LineageRow, previous_hash: str) -> LineageRow:
    """The row chained to the hash before it; nothing may change afterwards."""
    return replace(row, previous_hash=previous_hash, hash=link(previous_hash, row_body(row)))


def row_body(row: LineageRow) -> bytes:
    """Everything a row says, as canonical JSON without the two hashes; what the ledger stores."""
    # The very bytes of `canonical_json`, which would look into every value of a record that is plain already.
    values = {name: getattr(row, name) for name in _BODY}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def link(previous_hash: str, body: bytes) -> str:
    """Hash of a row: sha256 over the previous hash and the body."""
    return sha256_hex(previous_hash.encode() + body)


def verify(record: LineageRecord) -> None:
    """Raise LedgerError at the first row that was edited, removed or moved."""
    verify_chain(record.lineage, ((row, row_body(row)) for row in record.rows))


def verify_chain(lineage: Lineage, rows: Iterable[tuple[LineageRow, bytes]]) -> None:
    """`verify` for rows with the bodies they were read from."""
    previous, day = lineage.hash, None
    for row, body in rows:
        intact = row.previous_hash == previous and link(previous, body) == row.hash
        if not intact or row.lineage_id != lineage.id or (day is not None and row.day <= day):
            raise LedgerError(
                f"lineage {lineage.id} of {lineage.recipe_id}: the row of {day_iso(row.day)} does not fit "
                "the chain before it; the ledger was edited or damaged"
            )
        previous, day = row.hash, row.day


def lineage_body(lineage: Lineage) -> bytes:
    """Everything a lineage declares, as canonical JSON under its stored names."""
    return canonical_json(_stored(lineage))


def row_from_dict(values: JsonObject, previous_hash: str, own_hash: str) -> LineageRow:
    """Inverse of `row_body` after JSON; raises TypeError or ValueError for what is none."""
    plain = _tuples(values)
    kind = RowKind(plain.pop("kind"))
    return LineageRow(**plain, kind=kind, previous_hash=previous_hash, hash=own_hash)


def lineage_from_dict(values: JsonObject) -> Lineage:
    """Inverse of `lineage_body` after JSON; raises TypeError or KeyError for other fields."""
    plain = _tuples(values)
    renamed = {name: plain.pop(stored) for name, stored in STORED_NAMES.items()}
    return Lineage(**renamed, **plain)


def _stored(lineage: Lineage) -> JsonObject:
    return {STORED_NAMES.get(name, name): value for name, value in asdict(lineage).items()}


def _tuples(values: JsonObject) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _breach_verdict(breaches: tuple[int, ...], worst: float) -> tuple[Status, str]:
    if worst > 2.0:
        return "expired", expiry_reason(ExpiryKind.BREACHED, f"one day at {worst:.2f} times the bound")
    if worst > 1.0 and len(breaches) >= BREACH_LIMIT:
        detail = f"{len(breaches)} breach days within {BREACH_WINDOW} nights"
        return "expired", expiry_reason(ExpiryKind.BREACHED, detail)
    return "open", ""


def _check_same(seen: LineageRow, observation: Observation) -> None:
    if seen.kind is RowKind.STATUS:
        return
    wanted = (observation.difference_bps, observation.net_bps) if observation.valid else (None, None)
    if not same_result(seen, observation):
        raise LedgerError(
            f"lineage {seen.lineage_id}: {day_iso(seen.day)} is recorded with difference {seen.difference_bps} and net "
            f"{seen.net_bps} bps, this run has {wanted[0]} and {wanted[1]}; the recorded day stands, the night cannot be re-run differently"
        )
