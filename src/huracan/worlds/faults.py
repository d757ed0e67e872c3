"""Faults that a replay exchange commits on purpose, so that clients can be tested against a bad day.

A faults file is a JSON array of rules. Each names a part of the path and query it applies to, and what goes wrong; the
first rule that matches counts. `after` leaves the first requests alone, `times` bounds how often (None: always).

| kind | what happens to the answer |
|---|---|
| server_error | `status` (503 unless given) with a page |
| waf | 403 with a page |
| timeout | no byte; silence for `delay_s` |
| timeout_in_headers | half of the headers, then silence |
| timeout_in_body | headers and half of the body, then silence |
| reset | the connection is reset before a byte |
| reset_in_body | the connection is reset after half of the body |
| slow_headers | one byte of the headers every `pace_s` |
| slow_body | one byte of the body every `pace_s` |
| long_length | Content-Length says more than there is, then the connection ends |
| short_length | Content-Length says half of what there is |
| html | a page with status 200 |
| gzip_bomb | a few kilobytes that unpack to 128 MB |
| garbage | the right bytes, followed by others |

These are the fourteen `ANSWER_FAULTS`. Further ones:

| kind | what happens |
|---|---|
| truncated_file | half of the bytes, with a Content-Length that agrees |
| wrong_checksum | the digits of a `.CHECKSUM` are others |
| skew | `serverTime` is `skew_ms` off |
| ban | from now on 418, for `retry_after_s` (120 unless given) |
| replaced | from now on archive files that contain `path` have another last row, and its checksum |
| unit_mix | from now on the second half of those files counts in the other unit (ms or us) |
| header_switch | from now on those files have a header where they had none, and none where they had one |
| rename | from now on instrument `symbol` (`ALFAUSDT-um`) is called `to` (`BETAUSDT`) |
| delist | from now on `symbol` is BREAK or SETTLING, and has no more bars |
| list | `symbol` is not listed before, and from now on |

Without a kind: `status` replaces the answer (with `retry_after_s`), `delay_s` delays it, `truncate` keeps that many
bytes under the full Content-Length and drops the connection, `corrupt_checksum` is `wrong_checksum`.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from huracan.errors import ConfigError

AnswerFault = Literal[
    "server_error",
    "waf",
    "timeout",
    "timeout_in_headers",
    "timeout_in_body",
    "reset",
    "reset_in_body",
    "slow_headers",
    "slow_body",
    "long_length",
    "short_length",
    "html",
    "gzip_bomb",
    "garbage",
]
ContentFault = Literal["truncated_file", "wrong_checksum", "skew"]
ChangeKind = Literal["ban", "replaced", "unit_mix", "header_switch", "rename", "delist", "list"]

ANSWER_FAULTS: Final[tuple[AnswerFault, ...]] = get_args(AnswerFault)
CHANGES: Final[tuple[ChangeKind, ...]] = get_args(ChangeKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that stays changed: a ban, an archive file (`path`: part of its key), or an instrument (`symbol`)."""

    kind: ChangeKind
    path: str = ""
    symbol: str = ""
    to: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one answer, and what changes before it is made; see the tables above."""

    status: int | None = None
    delay_s: float = 0.0
    truncate: int | None = None
    corrupt_checksum: bool = False
    retry_after_s: int | None = None
    kind: AnswerFault | ContentFault | None = None
    pace_s: float = 0.05
    skew_ms: int = 0
    changes: tuple[Change, ...] = ()


FaultHook = Callable[[str], Fault | None]
"""Asked with each request's path and query; None means the answer is sent as it is."""


class FaultRule(BaseModel):
    """One rule of a faults file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="part of the path and query it applies to")
    kind: AnswerFault | ContentFault | ChangeKind | None = None
    after: int = Field(0, ge=0, description="matching requests that are left alone first")
    times: int | None = Field(None, ge=1, description="how often; None: always")
    status: int | None = Field(None, ge=100, le=599)
    delay_s: float = Field(0.0, ge=0, le=600)
    truncate: int | None = Field(None, ge=0)
    corrupt_checksum: bool = False
    retry_after_s: int | None = Field(None, ge=0)
    pace_s: float = Field(0.05, gt=0, le=60, description="seconds between the bytes of a slow answer")
    skew_ms: int = 0
    symbol: str | None = Field(None, min_length=1, description="instrument that changes, such as ALFAUSDT-um")
    to: str | None = Field(None, min_length=1, description="its new symbol")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind in {"rename", "delist", "list"}) != (self.symbol is not None):
            raise ValueError("`symbol` belongs to rename, delist and list, and they need it")
        if (self.kind == "rename") != (self.to is not None):
            raise ValueError("`to` belongs to rename, which needs it")
        return self

    @property
    def change(self) -> Change | None:
        """What it changes for good, None where it spoils single answers."""
        kind = next((kind for kind in CHANGES if kind == self.kind), None)
        if kind is None:
            return None
        ban_s = 120 if self.retry_after_s is None else self.retry_after_s
        return Change(kind=kind, path=self.path, symbol=self.symbol or "", to=self.to or "", seconds=ban_s)

    def fault(self) -> Fault:
        """What it does to one answer."""
        shared = self.model_dump(exclude={"path", "after", "times", "symbol", "to"})
        return Fault(**shared)


class FaultPlan:
    """A hook that follows rules. `unlisted` are the instruments that are not there before their `list` rule matches."""

    def __init__(self, rules: Sequence[FaultRule]) -> None:
        self._rules, self._seen = rules, [0] * len(rules)
        self._guard = threading.Lock()
        self.unlisted = frozenset(rule.symbol for rule in rules if rule.kind == "list" and rule.symbol)

    def __call__(self, request: str) -> Fault | None:
        """The fault of the next request; changes of all rules it meets come with it."""
        changes: list[Change] = []
        with self._guard:
            for index, rule in enumerate(self._rules):
                if rule.path not in request:
                    continue
                self._seen[index] += 1
                change = rule.change
                if change is not None:
                    if self._seen[index] == rule.after + 1:
                        changes.append(change)
                elif rule.after < self._seen[index] <= rule.after + (rule.times or self._seen[index]):
                    return _with(rule.fault(), changes)
        return _with(Fault(), changes) if changes else None


def load_faults(path: Path) -> FaultPlan:
    """A plan from a JSON file: an array of ``{"path": "/klines", "kind": "timeout", "after": 5, "times": 3}``.

    Raises ConfigError when the file cannot be read or a rule has an unknown key or kind.
    """
    try:
        return FaultPlan(TypeAdapter(list[FaultRule]).validate_python(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        message = f"faults file {path.name}: {error}; wanted a JSON array of rules with a `path`"
        raise ConfigError(message) from error


def _with(fault: Fault, changes: list[Change]) -> Fault:
    return replace(fault, changes=tuple(changes)) if changes else fault
