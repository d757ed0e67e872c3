"""The audit of a lake or of a folder of candles, as records; times are ISO texts, shares 0 to 1."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from huracan.domain.json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One table of bars; `cut` counts impossible rows by rule."""

    table: str
    market: str
    symbol: str
    rows: int
    first: str
    last: str
    gaps: int
    missing: int
    longest_gap: int
    silent: int
    duplicates: int
    conflicts: int
    disorder: int
    cut: Mapping[str, int]
    jumps: int
    panic: int
    outlier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageRow:
    """A stretch that a whole market lacks."""

    kind: str
    market: str
    start: str
    end: str
    bars: int
    tables: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A gap or a silence, with its cause."""

    table: str
    start: str
    end: str
    bars: int
    cause: str
    share: float
    listed: float
    common_bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakRow:
    """Where a symbol stopped and came back."""

    table: str
    kind: str
    stopped: str
    back: str
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingRow:
    """Where a symbol's bars end."""

    market: str
    symbol: str
    last: str
    kind: str
    absent_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """A first day at prices of no market."""

    table: str
    start: str
    high_over_low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RestatedRow:
    """Bars that the exchange has changed."""

    table: str
    bars: int
    times: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleRow:
    """Rows that came twice."""

    table: str
    source: str
    start: str
    rows: int
    conflicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRow:
    """The same bars in two trees of a market; `differ` of them differ."""

    market: str
    symbol: str
    trees: tuple[str, str]
    bars: int
    venue: str
    volume_ratio: float | None
    differing: tuple[str, ...]
    differ: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRow:
    """An hour that the exchange is known to have changed."""

    hour: str
    tables: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementRow:
    """A stretch that is silent in some tables and missing in others."""

    market: str
    start: str
    end: str
    silent: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRow:
    """An archive file that never came; it would have covered the time between, ms UTC."""

    table: str
    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRow:
    """A table that could not be read."""

    table: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalAudit:
    """All tables of one interval; `damaged` is None for a folder of candles."""

    interval: str
    tables: tuple[TableRow, ...]
    outages: tuple[OutageRow, ...]
    gaps: tuple[RunRow, ...]
    halts: tuple[RunRow, ...]
    breaks: tuple[BreakRow, ...]
    endings: tuple[EndingRow, ...]
    listing_outliers: tuple[ListingRow, ...]
    restated: tuple[RestatedRow, ...]
    doubles: tuple[DoubleRow, ...]
    overlaps: tuple[OverlapRow, ...]
    known_restatements: tuple[KnownRow, ...]
    disagreements: tuple[DisagreementRow, ...]
    lost_files: tuple[LostRow, ...]
    damaged: tuple[DamagedRow, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An audit. `quarantined` files and tables lie in damaged/, None for a folder of candles."""

    audited: str
    audits: tuple[IntervalAudit, ...]
    quarantined: tuple[str, ...] | None = None


def audit_body(audit: Audit) -> dict[str, Json]:
    """The audit as `--json` prints it."""
    audits = []
    for one in audit.audits:
        body = asdict(one)
        if one.damaged is None:
            del body["damaged"]
        audits.append(body)
    body = {"audited": audit.audited, "audits": audits}
    return body if audit.quarantined is None else {**body, "set_aside": audit.quarantined}
