"""Faults that a replay exchange commits on purpose, so that clients can be tested against a bad day."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from huracan.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one answer: another status, a delay, only its first bytes, or a false checksum.

    `status` replaces the answer (429 and 418 carry `retry_after_s`); `truncate` keeps that many bytes under the full
    Content-Length and drops the connection.
    """

    status: int | None = None
    delay_s: float = 0.0
    truncate: int | None = None
    corrupt_checksum: bool = False
    retry_after_s: int | None = None


FaultHook = Callable[[str], Fault | None]
"""Asked with each request's path and query; None means the answer is sent as it is."""


class _FaultRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="part of the path and query it applies to")
    times: int | None = Field(None, ge=1, description="how often; None: always")
    status: int | None = Field(None, ge=100, le=599)
    delay_s: float = Field(0.0, ge=0, le=600)
    truncate: int | None = Field(None, ge=0)
    corrupt_checksum: bool = False
    retry_after_s: int | None = Field(None, ge=0)


_RULES: Final = TypeAdapter(list[_FaultRule])


def load_faults(path: Path) -> FaultHook:
    """A hook from a JSON file: an array of ``{"path": "/klines", "status": 429, "times": 3}``; the first match counts.

    Raises ConfigError when the file cannot be read or a rule has an unknown key.
    """
    try:
        rules = _RULES.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        message = f"faults file {path.name}: {error}; wanted a JSON array of rules with a `path`"
        raise ConfigError(message) from error
    used = [0] * len(rules)
    guard = threading.Lock()

    def hook(request: str) -> Fault | None:
        with guard:
            for index, rule in enumerate(rules):
                if rule.path in request and (rule.times is None or used[index] < rule.times):
                    used[index] += 1
                    return Fault(**rule.model_dump(exclude={"path", "times"}))
        return None

    return hook
