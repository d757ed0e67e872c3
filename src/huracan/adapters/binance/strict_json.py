"""JSON from strangers: no NaN, no infinities, no duplicate keys, UTF-8 only."""

import json
import math
from typing import Any

from huracan.errors import UpstreamError


def parse_json(data: bytes, what: str) -> Any:
    """The parsed value; UpstreamError for anything a strict reader refuses (HTML with status 200 included)."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        message = f"{what}: not strict JSON ({error}); it starts {data[:80]!r}"
        raise UpstreamError(message) from error


def _refuse(text: str) -> float:
    message = f"{text} is no JSON number"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        message = f"duplicate key in {[key for key, _ in pairs]}"
        raise ValueError(message)
    return mapping
