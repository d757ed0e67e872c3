"""What a finished run returned, as a record: what the command line prints of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from pydantic import TypeAdapter

from huracan.reports.night_summary import NightSummary, Number, SummaryRow
from huracan.reports.reading import record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDecision:
    """The decision on the last bar of the night, on the training side."""

    edge_bps: Number
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow(SummaryRow):
    """A champion or candidate of the run, with its decision on the last bar and the features of that bar."""

    live: ResultDecision | None = None
    live_features: Mapping[str, Number | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyState:
    """Whether a remote store took the set; `bundles` and `files_at_most` are of a dry run."""

    state: Literal["PUBLISHED", "PUBLISH_PENDING", "FENCED", "DRY_RUN"]
    code: str = ""
    error: str = ""
    bundles: tuple[str, ...] = ()
    files_at_most: int = 0


CopyStates = Mapping[str, CopyState]
"""By the name of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that ended well; models by result key, places as texts."""

    summary: NightSummary
    champions: Mapping[str, ModelRow]
    candidates: Mapping[str, ModelRow]
    horizons: tuple[str, ...]
    duration_seconds: float
    report: str
    store: str
    coin_universe: tuple[str, ...] = ()
    publish_state: CopyStates = field(default_factory=dict)


def run_result(body: Mapping[str, object]) -> RunResult:
    """The record of a run's result."""
    return record_of(_codec(), body)


def copy_states(body: Mapping[str, object]) -> CopyStates:
    """The records of publication states."""
    return record_of(_copies_codec(), body)


def without_models(body: Mapping[str, object]) -> dict[str, object]:
    """A result as JSON has it: a model is its bundle's path, an error its code and text."""
    rows = {
        kind: {key: {**row, "model": row.get("path")} for key, row in models.items()}
        for kind in ("champions", "candidates")
        if isinstance(models := body[kind], Mapping)
    }
    return {**{key: value for key, value in body.items() if key != "exception"}, **rows}


def copies_exit(states: CopyStates) -> int:
    """The exit status that publication states ask for."""
    from huracan.app.mirrors import publish_exit

    return publish_exit({name: {"state": copy.state} for name, copy in states.items()})


@cache
def _codec() -> TypeAdapter[RunResult]:
    return TypeAdapter(RunResult)


@cache
def _copies_codec() -> TypeAdapter[CopyStates]:
    return TypeAdapter(CopyStates)
