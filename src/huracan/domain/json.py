"""Types of values that are free JSON: an answer not yet read, a document whose keys a caller chooses.

A record with known fields is a dataclass or a model instead.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

if TYPE_CHECKING:
    # Read-only, so a `dict[str, int]` is JSON to mypy too. JsonValue has mutable containers, which are invariant.
    Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
else:
    Json = JsonValue  # what pydantic validates
"""Any JSON value."""

JsonObject: TypeAlias = Mapping[str, Json]
"""A JSON object with keys that are not fixed."""
