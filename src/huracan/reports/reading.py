"""How a record is read from a JSON object: by its type alone, and with a short word on the first field that is
wrong.
"""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

Record = TypeVar("Record")


def record_of(codec: TypeAdapter[Record], body: Mapping[str, object]) -> Record:
    """The record; ValueError, naming the first field that holds something else.

    A key that the object lacks has its default, and a key of another release is left alone.
    """
    try:
        return codec.validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{where}: {first['msg']}, seen {str(first['input'])[:80]!r}") from error
