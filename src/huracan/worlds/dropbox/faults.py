"""Faults the server commits on purpose: which kind, at which call or path, how often."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from huracan.errors import ConfigError

FaultKind = Literal[
    "too_many_requests",  # 429
    "too_many_write_operations",  # 429
    "server_error",  # 500
    "html",  # a page instead of an answer, with 200
    "drop",  # the connection ends before anything is done
    "timeout",  # no answer for `delay_s`, nothing is done
    "lost_reply",  # everything is done, after `delay_s` the connection ends without an answer
    "truncated",  # everything is done, half the answer arrives
    "partial_upload",  # half the uploaded bytes arrive in their sessions, then the connection ends
    "expired_token",  # 401, for this and every access token given out before
    "insufficient_space",  # the quota is full, for this call
    "stale_listing",  # a listing as of `commits` commits ago
    "corrupt",  # the last uploaded byte is another when it arrives, unnoticed
]


class Fault(BaseModel):
    """One fault: at the `call`-th request since the plan was made (from 1), or at requests whose route and argument
    contain `path`, `times` times at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    call: int | None = Field(None, ge=1)
    path: str | None = Field(None, min_length=1)
    times: int | None = Field(1, ge=1, description="how often; None: always")
    retry_after_s: int = Field(0, ge=0)
    delay_s: float = Field(0.0, ge=0, le=600)
    commits: int = Field(1, ge=1)

    def meets(self, call: int, request: str) -> bool:
        """Whether it belongs to this request."""
        return (self.call is None or self.call == call) and (self.path is None or self.path in request)


class FaultPlan:
    """Faults in order of precedence, and the routes called so far: `calls`."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.calls: list[str] = []
        self._faults = list(faults)
        self._left = [fault.times for fault in self._faults]
        self._guard = threading.Lock()

    def at(self, route: str, argument: str) -> Fault | None:
        """The fault of the next request, counted by this."""
        with self._guard:
            self.calls.append(route)
            for index, fault in enumerate(self._faults):
                left = self._left[index]
                if left != 0 and fault.meets(len(self.calls), f"{route} {argument}"):
                    self._left[index] = None if left is None else left - 1
                    return fault
        return None


def load_fault_plan(path: Path) -> FaultPlan:
    """A plan from a JSON file: an array of ``{"kind": "lost_reply", "call": 3}``.

    Raises ConfigError when the file cannot be read or a fault has an unknown key or kind.
    """
    try:
        return FaultPlan(TypeAdapter(list[Fault]).validate_python(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, ValidationError) as error:
        message = f"faults file {path.name}: {error}; wanted a JSON array of faults with a `kind`"
        raise ConfigError(message) from error
