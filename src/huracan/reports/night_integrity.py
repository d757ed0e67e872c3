"""The integrity report of a night as records: what its page and its story read of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from pydantic import TypeAdapter

from huracan.domain.json import JsonObject
from huracan.reports.reading import record_of

EXCHANGE: Final = "exchange"
"""Cause of missing bars that the whole market misses too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often validation found something in a pair's bars."""

    gaps: int = 0
    holes: int = 0
    halt: int = 0
    panic: int = 0
    outlier: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRow:
    """What validation did to one coin's bars; `missing_bars` by cause, `quality` is 0 to 1."""

    coin: str
    vendor: str = ""
    rows_in: int = 0
    rows_out: int = 0
    repaired: int = 0
    cut: int = 0
    quality: float | None = None
    counts: Counts = field(default_factory=Counts)
    missing_bars: Mapping[str, int] = field(default_factory=dict)
    mismatches: tuple[JsonObject, ...] = ()

    @property
    def gaps(self) -> int:
        """Short and long gaps."""
        return self.counts.gaps + self.counts.holes

    @property
    def exchange_bars(self) -> int:
        """Missing bars that the whole market misses too."""
        return self.missing_bars.get(EXCHANGE, 0)

    @property
    def own_bars(self) -> int:
        """Other missing bars."""
        return sum(self.missing_bars.values()) - self.exchange_bars

    @property
    def outliers(self) -> int:
        """Extremes, on whatever volume."""
        return self.counts.panic + self.counts.outlier


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """What one rule of validation did over all pairs."""

    rule: str
    action: str
    meaning: str
    found: int
    instruments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageRow:
    """A stretch that a whole market lacks; `share` of its pairs is 0 to 1."""

    kind: str
    market: str
    start: str
    end: str
    instruments: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFileRow:
    """An archive file that never came."""

    coin: str
    file: str
    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightIntegrity:
    """What validation found over all pairs of a night."""

    instruments: tuple[InstrumentRow, ...] = ()
    rules: tuple[RuleRow, ...] = ()
    outages: tuple[OutageRow, ...] = ()
    lost_files: tuple[LostFileRow, ...] = ()


def integrity_of(body: Mapping[str, object]) -> NightIntegrity:
    """The record of an ``integrity.json``; ValueError for a damaged one."""
    return record_of(_codec(), body)


@cache
def _codec() -> TypeAdapter[NightIntegrity]:
    return TypeAdapter(NightIntegrity)
