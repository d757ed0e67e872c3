"""What Hamilton returns to the trading process."""

from dataclasses import dataclass, field

from huracan.domain.regime_edges import Regimes


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a champion is worth, as measured at training; None where it was not measured.

    `net_edge_bps` is per round trip after costs, bps of notional; `capacity_estimate` in quote currency; `created_at`
    is the data cut-off (ISO 8601), `valid_until` ms UTC, 48 hours after it: then entries close. `e_value` and
    `nights_missing` say how proven it is.
    """

    coin: str
    horizon: str
    version: int
    regime: str
    net_edge_bps: float | None
    confidence: float | None
    capacity_estimate: float | None
    sharpe_ratio: float | None
    win_rate: float | None
    created_at: str
    status: str = "champion"
    recipe_id: str = ""
    e_value: float | None = None
    nights_missing: float | None = None
    valid_until: int = 0


@dataclass(frozen=True, slots=True)
class RankingEntry:
    """One (coin, horizon) of the ranking in the regime that held at the data cut-off: the best net edge first,
    candidates last.

    `regimes` are all regimes the coin was measured in, by name.
    """

    coin: str
    regime: str
    net_edge_bps: float
    confidence: float
    capacity_estimate: float | None
    rank: int
    horizon: str = ""
    status: str = "champion"
    regimes: Regimes = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionResult:
    """One decision. `direction` is long, short or hold, for a new entry.

    `edge_bps` is signed, before costs, bps of notional; `net_edge_bps` its size after one round trip of costs.
    `score` is the signed consensus; `votes` the calibrated edge of every engine with a view; `position_fraction` the
    signed fraction of the coin's capital to hold, 0 for hold. `stale`: signed more than 26 hours ago, or the data
    are past `valid_until` (ms UTC, 48 hours after their cut-off).

    With `entries_open` False the direction is hold, `blocked_reason` says why and `blocked_codes` says it in stable
    codes: OWNER or a code of the training's list, CLOCK, STALE, HALTED. Score and edge still answer for a position that
    is held: at its end it rolls over while `edge_bps` has its side, else it closes. While HALTED nothing fills, so it
    stays as it is and the next decision time asks again: the training's simulation does the same.

    Not slotted: Hamilton fills it by one dict, a third of the time of 15 assignments.
    """

    coin: str
    horizon: str
    direction: str
    confidence: float
    edge_bps: float
    metadata: ModelMetadata
    score: float = 0.0
    net_edge_bps: float = 0.0
    regime: str = ""
    votes: dict[str, float] = field(default_factory=dict)
    position_fraction: float = 0.0
    version: int = 0
    valid_until: int = 0
    stale: bool = False
    blocked_reason: str | None = None
    entries_open: bool = True
    blocked_codes: tuple[str, ...] = ()
