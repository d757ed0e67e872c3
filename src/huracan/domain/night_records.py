"""What flows between the steps of a night: tasks that jobs are given, and the records of what they found.

JSON of these records is made and read by `huracan.domain.codec` alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from huracan.domain.ids import Instrument
from huracan.domain.json import JsonObject
from huracan.domain.records import IntegrityReport, Skip

TierDays = Mapping[str, tuple[tuple[int, int], ...]]
"""By liquidity tier: the (first, last) UTC days of each stretch, last included."""
Files = Mapping[str, str]
"""The sha256 of each file by its name below the record's folder."""


class Wave(StrEnum):
    """The three jobs of a pair: step 2, steps 3 and 4, steps 5 to 7."""

    INGEST = "ingest"
    PREPARE = "prepare"
    TRAIN = "train"


class SpreadSource(StrEnum):
    """Where a pair's spread comes from, best source first."""

    BOOK = "book"
    EDGE = "edge"
    TIER = "tier"
    DECLARED = "declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactRef:
    """An artefact by its key, and the sha256 of the bytes that a job of ours wrote there."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRef:
    """The night's market context: the root of its record, the hash of its content, and the record's sha256."""

    key: str
    content_hash: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettlements:
    """Settlements of all perpetuals since a moment (ms), read once for all jobs."""

    artefact: ArtefactRef
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestTask:
    """Wave 1 of a pair; `shared` is None where each pair asks for its own settlements."""

    shared: SharedSettlements | None = None
    wave: Literal[Wave.INGEST] = Wave.INGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareTask:
    """Wave 2 of a pair: its validated bars by hash, its spread (bps), and the market context (None: there is none).

    `ended_ms` is the midnight at which the instrument was gone for good (None: it trades). `known` is the sha256 of the
    record that a job has written already (None: none is known).
    """

    data_hash: str
    spread_bps: float
    spread_source: SpreadSource
    ended_ms: int | None
    context: ContextRef | None
    known: str | None = None
    wave: Literal[Wave.PREPARE] = Wave.PREPARE


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSeries:
    """Daily returns and volumes from `first_day` on, each as base64 of little-endian float32, about 12 bytes a day."""

    first_day: int
    returns: str
    volume_gbp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTerms:
    """What it costs to trade a pair tonight, and how much of it trades: spread in bps, median daily volume in GBP, its
    tier.
    """

    spread_bps: float
    spread_source: SpreadSource
    volume_day_gbp: float
    tier: str
    funding_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRecord:
    """Wave 1: what a pair's bars are worth tonight. Without a `skip` the pair has `terms` and goes on.

    `age_minutes` is the time since the last trade (None: no bar). `ended_ms` and `relisted_ms`: the midnight after the
    last trade of an instrument that trades no more, and the moment the symbol became this listing's. `pool_days` and
    `series` are None where its past does not count. `earlier` are the symbol's earlier listings. `lost` and `replaced`
    name archive files that are gone, and that have other bytes than before. `lake_seal` and `unproven` are as in
    `ports.Holding`.
    """

    coin: str
    report: IntegrityReport
    data_hash: str
    age_minutes: float | None
    ended_ms: int | None
    relisted_ms: int | None
    skip: Skip | None = None
    terms: MarketTerms | None = None
    pool_days: TierDays | None = None
    series: EncodedSeries | None = None
    earlier: "tuple[EarlierRecord, ...]" = ()
    lost: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    lake_seal: str = ""
    unproven: int = 0

    @property
    def tradable(self) -> MarketTerms:
        """The terms of a pair that goes on; ValueError for one that was skipped."""
        if self.terms is None:
            raise ValueError(f"{self.coin} has no terms: {self.skip}")
        return self.terms


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRecord:
    """An earlier listing of a symbol, and what its bars are worth."""

    instrument: Instrument
    record: IngestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A feature that predicts too well to be true: its rank correlation with the future, and the limit."""

    feature: str
    ic: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonLabels:
    """Labels of a pair at one horizon: how many are known, and the features that know the future."""

    labels: int
    leaks: tuple[Leak, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRecord:
    """Wave 2: features and labels of a pair, stored below `key`. `recipe_id` is that of the features."""

    coin: str
    key: str
    data_hash: str
    recipe_id: str
    names: tuple[str, ...]
    absent: tuple[str, ...]
    rows: int
    spread_source: SpreadSource
    horizons: Mapping[str, HorizonLabels]
    files: Files

    def stored(self) -> Iterator[tuple[str, str]]:
        """Key and sha256 of every file that this record stands for."""
        for name, sha256 in self.files.items():
            yield f"{self.key}/{name}", sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPrior:
    """The pool prior of a recipe at a horizon."""

    recipe_id: str
    horizon: str
    artefact: ArtefactRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTask:
    """Wave 3 of a pair: what wave 2 prepared, and the pool's priors. `ended_ms` and `known` are as in `PrepareTask`."""

    prepared: PrepareRecord
    priors: tuple[NamedPrior, ...]
    ended_ms: int | None
    known: str | None = None
    wave: Literal[Wave.TRAIN] = Wave.TRAIN

    def prior(self, recipe_id: str, horizon: str) -> ArtefactRef | None:
        """The prior of a recipe at a horizon, None where the pair stands alone."""
        return next((one.artefact for one in self.priors if (one.recipe_id, one.horizon) == (recipe_id, horizon)), None)


Task = IngestTask | PrepareTask | TrainTask
"""What a job is given besides the plan and the coin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDecision:
    """What a model says at the cut-off: score S, edge in bps, confidence 0 to 1, side -1 to 1, regime code (-1:
    unknown).
    """

    score: float
    edge_bps: float
    confidence: float
    side: int
    regime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """What must hold for an engine to vote in a regime; a limit that is not on is None."""

    min_win_rate: float | None
    min_sharpe: float | None
    min_sample_size: int
    enable_all_by_default: bool
    hysteresis: float
    closes_below_standard_errors: float
    reopens_above_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeVotes:
    """The engines that may vote in a regime."""

    enabled_engines: tuple[str, ...]
    engine_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePerformance:
    """What the gate knew of an engine in a regime at the cut-off."""

    win_rate: float | None
    sharpe_ratio: float | None
    avg_return_bps: float | None
    sample_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeGate:
    """The regime gate of one model; `performance` by ``regime_engine``."""

    coin: str
    regimes: Mapping[str, RegimeVotes]
    performance: Mapping[str, EnginePerformance]
    gate: GateLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """Steps 5 to 7 of one recipe at one horizon, its files below `root`.

    `metrics` and `costs` are those of a `Scorecard`, with the source of the spread among the costs. `window_ms` are the
    first and last instant that the live model was fitted on. `decisions` counts simulated actions. `live` is None where
    a feature is not known at the cut-off.
    """

    recipe_id: str
    horizon: str
    root: str
    files: Files
    metrics: JsonObject
    costs: JsonObject
    gate: RegimeGate
    notes: tuple[str, ...]
    stopped: tuple[str, ...]
    engines: tuple[str, ...]
    reliability: Mapping[str, float]
    threshold: float
    penalty: float
    n_effective: float
    window_ms: tuple[int, int]
    decisions: int
    regime: str
    round_trip_cost_bps: float
    live: LiveDecision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecord:
    """Wave 3 of a pair: a cell for every recipe and horizon that could be trained, and the skips of the others."""

    coin: str
    key: str
    cells: tuple[CellRecord, ...]
    skips: tuple[Skip, ...]

    def cell(self, recipe_id: str, horizon: str) -> CellRecord | None:
        """The result of a recipe at a horizon, None where it was not trained."""
        return next((one for one in self.cells if (one.recipe_id, one.horizon) == (recipe_id, horizon)), None)

    def stored(self) -> Iterator[tuple[str, str]]:
        """Key and sha256 of every file that this record stands for."""
        for cell in self.cells:
            for name, sha256 in cell.files.items():
                yield f"{cell.root}/{name}", sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRecord:
    """The market context of a night, stored below `key`, and the coins it was made from."""

    key: str
    source: str
    members: tuple[str, ...]
    context_hash: str
    files: Files

    def stored(self) -> Iterator[tuple[str, str]]:
        """Key and sha256 of every file that this record stands for."""
        for name, sha256 in self.files.items():
            yield f"{self.key}/{name}", sha256


StoredRecord = PrepareRecord | TrainRecord | ContextRecord
"""Records that are artefacts themselves."""
PairRecord = IngestRecord | PrepareRecord | TrainRecord
"""What a job finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job that has a record.

    `sha256` is that of the stored record ('' where it is not stored). `seconds_by_step` are the job's own, by step
    number; `peak_bytes` is the worker's peak memory (None: not measured). `quarantined` are damaged files and tables of
    the lake that were moved away on the way. `verified` and `mismatched` count the artefacts that were read.
    """

    record: PairRecord
    sha256: str = ""
    cached: bool = False
    seconds_by_step: Mapping[int, float] = field(default_factory=dict)
    peak_bytes: int | None = None
    quarantined: tuple[str, ...] = ()
    verified: int = 0
    mismatched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job without a record: the stable code and the text of why."""

    code: str
    error: str
    verified: int = 0
    mismatched: tuple[str, ...] = ()


JobResult = Done | Failed
"""What became of a job."""
