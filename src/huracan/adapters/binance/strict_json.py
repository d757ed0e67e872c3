"""JSON from other hosts: no NaN, no infinities, no duplicate keys, UTF-8 only."""

import json
import math

from huracan.domain.json import Json
from huracan.errors import UpstreamError


def parse_json(data: bytes, what: str) -> Json:
    """The parsed value; UpstreamError for anything a strict reader refuses (HTML with status 200 included)."""
    try:
        value: Json = json.loads(
            data.decode("utf-8"), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        message = f"{what}: not strict JSON ({error}); it starts {data[:80]!r}"
        raise UpstreamError(message) from error
    return value


def _refuse(text: str) -> float:
    message = f"{text} is no JSON number"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        message = f"duplicate key in {[key for key, _ in pairs]}"
        raise ValueError(message)
    return mapping
