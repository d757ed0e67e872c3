"""JSON from outside, read strictly: what the standard reader lets through is refused here.

The standard reader accepts NaN, 1e999, duplicate keys, four encodings and any depth; each of these once let
a signed text mean two things to two readers.
"""

import json
from typing import NoReturn

from huracan.domain.json import Json, JsonObject
from huracan.errors import BundleFormatError

MAX_DEPTH = 32


def strict_json(data: bytes, limit: int, *, what: str = "JSON") -> Json:
    """The value of a UTF-8 JSON text of at most `limit` bytes; raises BundleFormatError naming `what`.

    Refused: other encodings, NaN and infinities (also 1e999), duplicate keys, lone surrogates, more than
    32 levels.

    >>> strict_json(b'{"a": [1, 2.5]}', 100)
    {'a': [1, 2.5]}
    """
    if len(data) > limit:
        raise BundleFormatError(f"{what}: {len(data)} bytes, at most {limit} allowed")

    def refuse(text: str) -> NoReturn:
        raise BundleFormatError(f"{what}: {text} is not a finite number")

    def finite(text: str) -> float:
        value = float(text)
        return value if abs(value) <= 1.7976931348623157e308 else refuse(text[:40])

    def unique(pairs: list[tuple[str, Json]]) -> JsonObject:
        record = dict(pairs)
        if len(record) != len(pairs):
            raise BundleFormatError(f"{what}: an object names a key twice (among {sorted(record)[:5]})")
        return record

    try:
        text = data.decode("utf-8")
        value: Json = json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=unique)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BundleFormatError(f"{what}: not strict JSON ({str(error)[:200]})") from error
    _check_depth(value, what)
    return value


def _check_depth(value: Json, what: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise BundleFormatError(f"{what}: nested deeper than {MAX_DEPTH} levels")
