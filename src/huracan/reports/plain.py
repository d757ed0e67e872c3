"""Values as JSON holds them: NaN and infinities become null, records objects, instants ISO text."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any


def plain(value: object) -> Any:
    """The value as JSON types; what has no JSON form becomes its text.

    >>> plain({"edge": float("nan"), "pair": (1, 2.5)})
    {'edge': None, 'pair': [1, 2.5]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime | date):
        return instant(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def json_text(value: object) -> str:
    """Valid JSON, indented, keys in their order."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def instant(moment: datetime | date | str) -> str:
    """ISO 8601 text, UTC with a Z; a datetime without a zone is UTC, text stays as it is.

    >>> instant(datetime(2026, 1, 1))
    '2026-01-01T00:00:00Z'
    """
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return moment if isinstance(moment, str) else moment.isoformat()
