"""Small records that travel between steps and reach the summary."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from huracan.domain.ids import Instrument
from huracan.domain.json import JsonObject


class SkipCode(StrEnum):
    """Why a (coin, horizon) has no champion tonight; stable, in reports and metrics."""

    NOT_TRADING = "NOT_TRADING"
    DELISTED = "DELISTED"
    CONTRACT_TYPE = "CONTRACT_TYPE"
    QUOTE_ASSET = "QUOTE_ASSET"
    PEGGED = "PEGGED"
    ILLIQUID = "ILLIQUID"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    SPREAD_UNKNOWN = "SPREAD_UNKNOWN"
    MAX_COINS = "MAX_COINS"
    SHORT_HISTORY = "SHORT_HISTORY"
    STALE = "STALE"
    HALTED = "HALTED"
    NO_DATA = "NO_DATA"
    BAD_DATA = "BAD_DATA"
    UPSTREAM = "UPSTREAM"
    CHECKSUM = "CHECKSUM"
    SCHEMA = "SCHEMA"
    BANNED = "BANNED"
    BAD_FEATURES = "BAD_FEATURES"
    BAD_LABELS = "BAD_LABELS"
    TOO_FEW_ROWS = "TOO_FEW_ROWS"
    TRAINING_FAILED = "TRAINING_FAILED"
    NOT_EXPORTABLE = "NOT_EXPORTABLE"
    LEAK = "LEAK"
    JOB_FAILED = "JOB_FAILED"
    WORKER_LOST = "WORKER_LOST"
    TIMED_OUT = "TIMED_OUT"
    DEADLINE = "DEADLINE"
    NOT_PROVEN = "NOT_PROVEN"
    COPY = "COPY"
    EDGE_BELOW_MIN = "EDGE_BELOW_MIN"
    NOT_SCORED = "NOT_SCORED"
    EXPORT_FAILED = "EXPORT_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A (coin, horizon) without a champion, the step that decided it, and what was seen and wanted."""

    coin: str
    horizon: str
    step: int
    code: SkipCode
    reason: str
    measured: float | str | None = None
    wanted: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the exchange says of an instrument now: 24 h quote volume, best bid and ask (None = no two-sided book)."""

    volume_24h_quote: float | None
    bid: float | None
    ask: float | None

    @property
    def spread_bps(self) -> float | None:
        """Full quoted spread over mid, None without a two-sided book.

        >>> Quote(volume_24h_quote=1.0, bid=99.95, ask=100.05).spread_bps
        10.0
        """
        if not self.bid or not self.ask or self.ask < self.bid:
            return None
        return round((self.ask - self.bid) / (self.ask + self.bid) * 2e4, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The exchange at one moment: every listed instrument with its quote; the universe is built from it alone.

    `source` says how the moment is known: asked then, stored then, or put together later from that day's bars.
    """

    now_ms: int
    instruments: tuple[Instrument, ...]
    quotes: dict[str, Quote]  # by Instrument.id
    quote_per_gbp: dict[str, float]  # units of each quote asset for one GBP
    gbp_source: str
    source: str = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A member of the universe with what step 1 measured of it."""

    instrument: Instrument
    volume_24h_gbp: float
    spread_bps: float | None  # None: not quoted, step 2 decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Step 1's answer: who may be trained today, and a Skip per horizon for everyone else.

    `tier_spreads` are (market and liquidity tier, median quoted spread in bps) where enough pairs are quoted. `former`
    constituents are no members and may have been on a past day: they are backtested for evidence and never trained for
    tonight.
    """

    now_ms: int
    members: tuple[Candidate, ...]
    skips: tuple[Skip, ...]
    tier_spreads: tuple[tuple[str, float], ...] = ()
    historical: tuple[Candidate, ...] = ()


IssueKind = Literal[
    "gap",
    "duplicate",
    "disorder",
    "off_grid",
    "ohlc",
    "non_positive",
    "non_finite",
    "halt",
    "outlier",
    "jump",
    "listing",
    "relisted",
    "vendor",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityIssue:
    """One thing wrong (or strange) with the bars and what was done: flagged, repaired or cut."""

    kind: IssueKind
    action: Literal["flagged", "repaired", "cut"]
    start_ms: int
    bars: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierListing:
    """Bars of a symbol that were another listing's: open times (ms) of the first and of the last one with a trade, the
    moment from which the symbol was the next listing's, and how many bars there are.
    """

    first_ms: int
    last_ms: int
    until_ms: int
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """What validation found. `quality` is the share of expected bars that arrived real and unrepaired (0..1).

    `first_ms` and `last_ms` are the open times of the first and the last bar (None without any); `gaps` are all missing
    stretches between them, filled ones too, and `halts` all long silent ones, each as (open time of its first bar,
    bars). `earlier` are listings of the symbol before this one, oldest first, whose bars were cut.
    """

    instrument_id: str
    vendor: str
    rows_in: int
    rows_out: int
    repaired: int
    cut: int
    issues: tuple[IntegrityIssue, ...] = ()
    vendor_mismatches: tuple[JsonObject, ...] = ()
    quality: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()
    halts: tuple[tuple[int, int], ...] = ()
    earlier: tuple[EarlierListing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvent:
    """One simulated action; written as Parquet and emitted as a structured log event."""

    time: int
    coin: str
    horizon: str
    recipe: str
    action: Literal["enter", "roll", "close", "turn", "stop", "hold"]
    side: int
    score: float
    edge_bps: float
    net_edge_bps: float
    position: float
    price: float
