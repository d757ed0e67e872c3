"""The story of a night as records: sentences and numbers that every surface shows alike; read and written here
alone.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from huracan.domain.json import Json, JsonObject
from huracan.reports.plain import plain

KEY: Final = "morning"
"""Where a summary keeps its story."""

State = Literal["proven", "suspended", "frozen", "tested", "waiting"]
"""Of a pool: something proven trades, or may not enter, or promotions are frozen, or only tests run, or nothing is
under test.
"""
Mood = Literal["good", "bad", "plain"]
"""How a headline is coloured: good news, something to act on, or an ordinary night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestLine:
    """One recipe at one horizon of a pool.

    `observed` are the sentences about days that count, `backtested` those about days that do not: no evidence. Means
    and limits are bps of the pool's capital a day. `share` is how much of the evidence is there, 0 to 1.
    """

    horizon: str
    recipe: str
    status: str
    share: float
    earliest: str | None
    when: str
    observed: str
    backtested: Annotated[str, Field(alias="walked")]
    backtested_mean_bps: Annotated[float | None, Field(alias="walked_mean_bps")] = None
    backtested_low_bps: Annotated[float | None, Field(alias="walked_low_bps")] = None
    backtested_high_bps: Annotated[float | None, Field(alias="walked_high_bps")] = None
    backtested_days: Annotated[int, Field(alias="walked_days")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCard:
    """One pool: what it is, how far it is, when at the earliest, and why days count or do not.

    `progress` (0 to 1) is of the days while these are too few, then of the evidence. `earliest` is the ISO date of the
    first night that could promote something in it, None where none is in sight. `measured` is what its nearest recipe
    earned; where `is_evidence` is False that is no evidence.
    """

    pool: str
    title: str
    state: State
    state_words: str
    observed_days: int
    wanted_days: int
    progress: float
    progress_words: str
    evidence_share: float
    when: str
    why: str
    measured: str
    is_evidence: bool
    earliest: str | None = None
    lines: tuple[TestLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One (coin, horizon) for paper trading; bps of notional a round trip, funding below zero is income."""

    coin: str
    horizon: str
    recipe: str
    pool_title: str
    edge_bps: float
    cost_bps: float
    fees_bps: float
    spread_bps: float
    slippage_bps: float
    funding_bps: float
    round_trips: int
    max_drawdown: float | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What the next morning compares with. Tests are named ``pool/horizon/recipe``."""

    pairs: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    champions: tuple[str, ...] = ()
    observed: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Morning:
    """A night's story. `night` is the ISO date of its data's end; every text is a whole sentence.

    `needed` says what is wanted and when, `todo` what a reader does now, `changes` what is new since the night before,
    `missing` which data were not there and what that meant, `cost` what the night took, `remarks` what else must be
    known. `warning` stands above the headline: what makes all of it no evidence; empty on a real market.
    """

    night: str
    mood: Mood
    headline: str
    warning: str = ""
    needed: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    cards: tuple[PoolCard, ...] = ()
    shortlist: tuple[Pick, ...] = ()
    shortlist_note: str = ""
    changes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    cost: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    marks: Marks = field(default_factory=Marks)


def read_morning(summary: JsonObject | None) -> Morning | None:
    """The story that a stored summary carries; None where an earlier version wrote it, or something else did."""
    return _readable((summary or {}).get(KEY))


def morning_body(story: Morning) -> JsonObject:
    """The story as a summary keeps it."""
    body: JsonObject = plain(_codec().dump_python(story, mode="json", by_alias=True))
    return body


def _readable(value: Json) -> Morning | None:
    try:
        return _codec().validate_python(value)
    except ValidationError:
        return None


readable_or_none: Final = BeforeValidator(_readable)
"""Of a field that holds a story: what cannot be read is none."""


@cache
def _codec() -> TypeAdapter[Morning]:
    return TypeAdapter(Morning)
